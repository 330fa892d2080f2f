// Builds dist/ from src/: the same bytes on every machine, whatever is installed there.
//
//   node build.js           makes dist/ anew
//   node build.js --tests   bundles the unit tests into test-dist/, for `node --test`
//
// Each file lies in dist/ as it is and packed (gzip, by fflate, whose output does not depend on a
// library of the machine). dist/assets.in is what the server includes: Rust, a list of them all.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { gzipSync } from "fflate";

process.chdir(import.meta.dirname);

const shared = {
  bundle: true,
  format: "esm",
  target: ["es2022"],
  jsx: "automatic",
  jsxImportSource: "preact",
  charset: "utf8",
  legalComments: "none",
  logLevel: "warning",
};

async function tests() {
  rmSync("test-dist", { recursive: true, force: true });
  const found = readdirSync("src", { recursive: true }).filter((name) => name.endsWith(".test.ts"));
  await build({
    ...shared,
    entryPoints: found.map((name) => join("src", name)),
    platform: "node",
    outdir: "test-dist",
    outExtension: { ".js": ".mjs" },
  });
}

const TYPES = {
  css: "text/css; charset=utf-8",
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  svg: "image/svg+xml",
};

/** Makes dist/ anew. */
export async function page() {
  const result = await build({
    ...shared,
    entryPoints: { page: "src/main.tsx", style: "src/style.css" },
    entryNames: "[name]-[hash]",
    chunkNames: "[name]-[hash]",
    assetNames: "[name]-[hash]",
    loader: { ".svg": "file" },
    minify: true,
    splitting: true,
    metafile: true,
    outdir: "dist/assets",
    write: false,
  });
  rmSync("dist", { recursive: true, force: true });
  mkdirSync("dist/assets", { recursive: true });
  const files = new Map();
  for (const file of result.outputFiles) {
    files.set(`assets/${file.path.split("/").at(-1)}`, Buffer.from(file.contents));
  }
  const icon = readFileSync("src/icon.svg");
  const hash = createHash("sha256").update(icon).digest("hex").slice(0, 8).toUpperCase();
  files.set(`assets/icon-${hash}.svg`, icon);
  const named = (start, end) =>
    [...files.keys()].find((name) => name.startsWith(`assets/${start}-`) && name.endsWith(end));
  // What the script imports at once is asked for together with it, and what is around all pages.
  const { outputs } = result.metafile;
  const made = (entryPoint) =>
    Object.keys(outputs).find((path) => outputs[path].entryPoint === entryPoint);
  const needed = new Set();
  const need = (path) => {
    if (needed.has(path)) return;
    needed.add(path);
    const { imports } = outputs[path];
    for (const { path: next, kind } of imports) if (kind === "import-statement") need(next);
  };
  need(made("src/main.tsx"));
  need(made("src/shell.tsx"));
  needed.delete(made("src/main.tsx"));
  const preloaded = [...needed].map((path) => `assets/${path.split("/").at(-1)}`);
  const preloads = preloaded.map((name) => `<link rel="modulepreload" href="/${name}" />`);
  const html = readFileSync("src/index.html", "utf8")
    .replace("{{preloads}}", preloads.join("\n    "))
    .replace("{{script}}", named("page", ".js"))
    .replace("{{style}}", named("style", ".css"))
    .replace("{{icon}}", named("icon", ".svg"));
  files.set("index.html", Buffer.from(html));

  const rows = [];
  let total = 0;
  for (const name of [...files.keys()].sort()) {
    const bytes = files.get(name);
    const packed = gzipSync(bytes, { level: 9, mtime: 0 });
    // The system that packed it: "unknown" rather than whichever it was.
    packed[9] = 255;
    total += packed.length;
    writeFileSync(join("dist", name), bytes);
    writeFileSync(join("dist", `${name}.gz`), packed);
    const kind = TYPES[name.split(".").at(-1)];
    if (!kind) throw new Error(`what is ${name}?`);
    const tag = createHash("sha256").update(bytes).digest("hex").slice(0, 16);
    rows.push(
      `    Asset {\n        path: "/${name}",\n        kind: "${kind}",\n` +
        `        tag: "\\"${tag}\\"",\n        plain: include_bytes!("${name}"),\n` +
        `        packed: include_bytes!("${name}.gz"),\n    },\n`,
    );
  }
  writeFileSync("dist/assets.in", `// Made by server/page/build.js.\n&[\n${rows.join("")}]\n`);
  const first = ["index.html", named("page", ".js"), named("style", ".css"), ...preloaded];
  const firstLen = first.reduce((sum, name) => sum + gzipSync(files.get(name)).length, 0);
  console.log(`${files.size} files, ${total} bytes packed, ${firstLen} of them for a first paint`);
}

if (!existsSync("node_modules")) throw new Error("npm ci comes first");
if (process.argv[1] === import.meta.filename) {
  await (process.argv.includes("--tests") ? tests() : page());
}
