"use strict";
const assert = require("node:assert/strict");
const test = require("node:test");
const { Incoming } = require("../../../../runtimes/node/incoming.js");
const { parseHead } = require("../../../../runtimes/node/http1.js");

/** A body of `length` bytes, and what it asked of its connection. */
function incoming(length, ...fields) {
  const asked = [];
  const flow = { pause: () => asked.push("pause"), resume: () => asked.push("resume"), sayContinue: () => asked.push("continue") };
  const lines = ["POST / HTTP/1.1", "Host: x", `Content-Length: ${length}`, ...fields, ""];
  return { body: new Incoming(parseHead(lines.join("\r\n")), flow), asked };
}

test("the whole body is given once, when it is there", () => {
  const { body } = incoming(4);
  const taken = [];
  body.readAll((whole) => taken.push(whole.toString()));
  assert.equal(body.feed(Buffer.from("ab")).length, 0);
  assert.deepEqual(taken, []);
  assert.equal(body.feed(Buffer.from("cdGET")).toString(), "GET");
  assert.deepEqual([taken, body.isComplete], [["abcd"], true]);
});

test("pieces are given as they come, and null at the end", async () => {
  const { body } = incoming(3);
  const first = body.read();
  body.feed(Buffer.from("ab"));
  assert.equal((await first).toString(), "ab");
  body.feed(Buffer.from("c"));
  assert.equal((await body.read()).toString(), "c");
  assert.equal(await body.read(), null);
});

test("reading stops while nobody takes the body, unless it is wanted whole", async () => {
  const { body, asked } = incoming(1_000_000);
  body.feed(Buffer.alloc(300_000));
  assert.deepEqual(asked, ["pause"]);
  await body.read();
  assert.deepEqual(asked, ["pause", "resume"]);
  const whole = incoming(1_000_000);
  whole.body.readAll(() => {});
  whole.body.feed(Buffer.alloc(300_000));
  assert.ok(!whole.asked.includes("pause"));
});

test("the caller is asked to continue when the body is, and once", async () => {
  const { body, asked } = incoming(2, "Expect: 100-continue");
  assert.deepEqual([asked, body.needsContinue], [[], true]);
  const first = body.read();
  assert.deepEqual([asked, body.needsContinue], [["continue"], false]);
  body.feed(Buffer.from("ab"));
  await first;
  await body.read();
  assert.equal(asked.filter((each) => each === "continue").length, 1);
});

test("a body that is given up is dropped, and readers get the error", async () => {
  const { body, asked } = incoming(400_000);
  body.readAll(() => assert.fail("the body was given up"));
  body.feed(Buffer.alloc(300_000));
  body.giveUp(new Error("gone"));
  assert.equal(body.feed(Buffer.alloc(100_003)).length, 3);
  assert.ok(body.isComplete && asked.includes("resume") && !asked.includes("pause"));
  await assert.rejects(body.read(), /gone/);
});

test("a reader that waits gets the error", async () => {
  const { body } = incoming(2);
  const reader = body.read();
  body.giveUp(new Error("gone"));
  await assert.rejects(reader, /gone/);
});
