// Call functions of the demos for tests in Python: a JSON object {module, name, given}
// on the standard input, the result as JSON on the standard output. {file} among what is
// given stands for the bytes of a file.
import { readFileSync } from "node:fs";

const { module, name, given } = JSON.parse(readFileSync(0, "utf8"));
const found = await import(new URL(`../../../book/demos/${module}`, import.meta.url));
const values = given.map((one) => (one?.file ? readFileSync(one.file) : one));
const plain = (key, value) => (ArrayBuffer.isView(value) ? Array.from(value) : value);
process.stdout.write(JSON.stringify(found[name](...values), plain));
