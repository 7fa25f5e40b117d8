import assert from "node:assert/strict";
import { test } from "node:test";
import { oneOf, read, within, write } from "../../../book/demos/lib/settings.mjs";

const usual = { pi: 0.9, name: "network" };
const parse = { pi: within(0.1, 0.99), name: oneOf(["network", "nearest"]) };

test("settings survive the way through an address", () => {
  const query = write("", "roc", usual, { pi: 0.25, name: "nearest" });
  assert.equal(query, "?roc.pi=0.25&roc.name=nearest");
  assert.deepEqual(read(query, "roc", usual, parse), { pi: 0.25, name: "nearest" });
});

test("what is as usual is left out, and other parameters stay", () => {
  assert.equal(write("?roc.pi=0.25", "roc", usual, usual), "");
  assert.equal(write("?q=1&roc.pi=0.25", "roc", usual, usual), "?q=1");
  assert.equal(write("?svdd.nu=0.3", "roc", usual, { ...usual, pi: 0.5 }), "?svdd.nu=0.3&roc.pi=0.5");
});

test("what cannot be is not taken", () => {
  for (const text of ["x", "", "NaN", "Infinity"]) {
    assert.equal(read(`?roc.pi=${text}`, "roc", usual, parse).pi, 0.9, text);
  }
  assert.equal(read("?roc.pi=7", "roc", usual, parse).pi, 0.99);
  assert.equal(read("?roc.name=<b>", "roc", usual, parse).name, "network");
  assert.equal(read("?pi=0.5", "roc", usual, parse).pi, 0.9);
});
