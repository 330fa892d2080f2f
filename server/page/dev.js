// The page as it is in the sources, before a broker that is running: made anew each time it is
// loaded. All else goes to the broker, whose headers the page has too.
//
//   node dev.js http://127.0.0.1:15672 8000

import { existsSync, readFileSync } from "node:fs";
import { createServer, request } from "node:http";
import { join, normalize } from "node:path";
import { page } from "./build.js";

const broker = new URL(process.argv[2] ?? "http://127.0.0.1:15672");
const port = Number(process.argv[3] ?? 8000);
const TYPES = { css: "text/css", js: "text/javascript", svg: "image/svg+xml", html: "text/html" };

function forward(incoming, outgoing) {
  const { method, url, headers } = incoming;
  const options = { host: broker.hostname, port: broker.port, method, path: url, headers };
  const onward = request(options, (answer) => {
    outgoing.writeHead(answer.statusCode, answer.headers);
    answer.pipe(outgoing);
  });
  onward.on("error", (error) => outgoing.writeHead(502).end(String(error)));
  incoming.pipe(onward);
}

function brokersHeaders() {
  return new Promise((resolve) => {
    const asked = request(new URL("/", broker), { method: "HEAD" }, ({ headers }) => {
      const kept = ["content-security-policy", "x-content-type-options", "referrer-policy"];
      resolve(Object.fromEntries(kept.map((name) => [name, headers[name] ?? ""])));
    });
    asked.on("error", () => resolve({}));
    asked.end();
  });
}

createServer(async (incoming, outgoing) => {
  const path = incoming.url.split("?", 1)[0];
  if (path === "/") {
    try {
      await page();
    } catch (error) {
      outgoing.writeHead(500).end(String(error));
      return;
    }
  }
  const file = join("dist", normalize(path === "/" ? "/index.html" : path));
  if ((path !== "/" && !path.startsWith("/assets/")) || !existsSync(file)) {
    forward(incoming, outgoing);
    return;
  }
  const kind = TYPES[file.split(".").at(-1)] ?? "application/octet-stream";
  outgoing.writeHead(200, {
    ...(await brokersHeaders()),
    "content-type": `${kind}; charset=utf-8`,
  });
  outgoing.end(readFileSync(file));
}).listen(port, "127.0.0.1", () => console.log(`http://127.0.0.1:${port}/`));
