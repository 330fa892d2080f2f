//! Links against nothing at all, and lets no symbol stay undefined.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-nostdlib");
    println!("cargo::rustc-cdylib-link-arg=-Wl,--no-undefined");
    println!("cargo::rustc-cdylib-link-arg=-Wl,--gc-sections");
}
