//! Where the broker's randomness comes from.

use std::io;

use warren_core::Boot;

/// A boot with a seed from the operating system.
///
/// # Errors
/// When the operating system has no entropy to give.
pub fn boot() -> io::Result<Boot> {
    let draw = || getrandom::u64().map_err(io::Error::other);
    Ok(Boot { seed: [draw()?, draw()?] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_boots_have_different_seeds() {
        assert_ne!(boot().expect("entropy").seed, boot().expect("entropy").seed);
    }
}
