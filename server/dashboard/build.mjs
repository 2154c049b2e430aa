// Bundles the dashboard: build.mjs OUTPUT_DIRECTORY. Makes index.html, app.js, app.css and icon.svg.
//
// Everything a page needs is in these files; nothing is loaded from elsewhere.
import { build } from "esbuild";
import { copyFile, mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const output = process.argv[2];
if (!output) {
  console.error("usage: build.mjs OUTPUT_DIRECTORY");
  process.exit(2);
}
await mkdir(output, { recursive: true });
await build({
  entryPoints: { app: join(here, "src/main.tsx") },
  outdir: output,
  bundle: true,
  minify: true,
  format: "esm",
  target: ["es2021"],
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "eof",
  logLevel: "warning",
});
for (const name of ["index.html", "icon.svg"]) {
  await copyFile(join(here, name), join(output, name));
}
