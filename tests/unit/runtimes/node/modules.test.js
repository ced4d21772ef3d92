"use strict";
const assert = require("node:assert/strict");
const test = require("node:test");
const { didYouMean, distance } = require("../../../../runtimes/node/nearest.js");
const order = require("../../../../runtimes/node/order.js");
const { userStack } = require("../../../../runtimes/node/stacks.js");

const values = {
  function: "f", version: 1, handler: "a.b", event: "body", concurrency: 1, timeout_s: 1, memory_mb: 64,
  code: "/code", env: { A: "b" },
};

test("orders", () => {
  assert.equal(order.fromEnviron({}), null);
  const given = order.fromEnviron({ PLAT_HANDLER: "a.b", PLAT_VERSION: "3" });
  assert.equal(given.version, 3);
  assert.equal(order.environOf(order.fromJson(JSON.stringify(values), "i")).A, "b");
});

for (const change of [{ version: "1" }, { env: null }, { env: [] }, { event: "x" }, { code: undefined }]) {
  test(`an order to refuse: ${JSON.stringify(change)}`, () => {
    const body = JSON.stringify({ ...values, ...change });
    assert.throws(() => order.fromJson(body, ""), order.OrderError);
  });
}

for (const body of ["", "{", "[]", "null"]) {
  test(`a body to refuse: ${body}`, () => assert.throws(() => order.fromJson(body, ""), order.OrderError));
}

test("an environment to refuse", () => {
  assert.throws(() => order.fromEnviron({ PLAT_HANDLER: "a.b", PLAT_VERSION: "x" }), /PLAT_VERSION is "x"/);
});

test("the nearest word", () => {
  assert.equal(distance("kitten", "sitting"), 3);
  assert.equal(didYouMean("handlr", ["other", "handler"]), ' Did you mean "handler"?');
  assert.equal(didYouMean("x", ["handler"]), "");
  assert.equal(didYouMean("x", []), "");
});

test("stacks keep the user's frames and causes only", () => {
  let error;
  try {
    order.fromJson("{", "");
  } catch (caught) {
    error = new Error("outer", { cause: caught });
  }
  const text = userStack(error);
  assert.match(text, /modules\.test\.js/);
  assert.match(text, /\[cause\]: /);
  assert.doesNotMatch(text, /runtimes\/node\/order\.js/);
  assert.doesNotMatch(text, /node:internal/);
  assert.equal(userStack("text"), "Uncaught text\n");
});
