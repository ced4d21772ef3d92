"use strict";
const assert = require("node:assert/strict");
const test = require("node:test");
const events = require("../../../../runtimes/node/events.js");
const { parseHead } = require("../../../../runtimes/node/http1.js");

const request = (headers = {}, url = "/", method = "POST") => {
  const fields = Object.entries({ host: "x", ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  return parseHead(`${method} ${url} HTTP/1.1\r\n${fields.join("")}`);
};
const order = { function: "hello" };

for (const [type, body, event] of [
  ["application/json", '{"a":1}', { a: 1 }],
  ["", "[1]", [1]],
  ["", "plain", "plain"],
  ["application/x-www-form-urlencoded", '"x"', "x"],
  ["application/json", "", null],
  ["TEXT/Plain; charset=utf-8", "5", "5"],
  ["image/jpeg", "5", Buffer.from("5")],
  ["application/octet-stream", "5", Buffer.from("5")],
]) {
  test(`body event of ${type} ${body}`, () => {
    assert.deepEqual(events.bodyEvent(request({ "content-type": type }), Buffer.from(body)), event);
  });
}

test("a body that is not UTF-8 stays bytes", () => {
  const body = Buffer.from([0xff]);
  assert.equal(events.bodyEvent(request({ "content-type": "text/plain" }), body), body);
});

test("results", () => {
  assert.equal(events.bodyAnswer(undefined).body.toString(), "null");
  assert.equal(events.bodyAnswer("é").body.toString(), "é");
  assert.deepEqual([...events.bodyAnswer(new Uint16Array([1])).body], [1, 0]);
  assert.deepEqual([...events.bodyAnswer(new Uint8Array([1, 2, 3]).subarray(1)).body], [2, 3]);
  assert.throws(() => events.bodyAnswer(5n), /cannot be written as JSON/);
  assert.throws(() => events.bodyAnswer(() => 1), /a function that cannot/);
});

test("the payload leaves out what is empty, and joins what came twice", () => {
  const event = events.httpEvent(request({ a: "1" }, "/p?x=1&x=2&y=%26"), Buffer.alloc(0), order);
  assert.deepEqual({ ...event.queryStringParameters }, { x: "1,2", y: "&" });
  assert.ok(!("body" in event) && !("cookies" in event));
  assert.equal(event.rawPath, "/p");
});

test("a parameter named as a property of every object", () => {
  const event = events.httpEvent(request({}, "/?constructor=1"), Buffer.alloc(0), order);
  assert.equal(event.queryStringParameters.constructor, "1");
});

test("Lambda's answers", () => {
  assert.deepEqual(events.httpAnswer({ statusCode: 204 }).status, 204);
  assert.deepEqual(
    events.headOf({ statusCode: "200", headers: { a: ["1", 2], "Content-Type": "x" }, cookies: ["c"] }),
    { status: 200, headers: [["a", "1"], ["a", "2"], ["Content-Type", "x"], ["set-cookie", "c"]] },
  );
  assert.equal(events.httpAnswer('{"a":1}').body.toString(), '{"a":1}');
  assert.throws(() => events.httpAnswer({ statusCode: "x" }), /statusCode is "x"/);
});

test("items of a stream", () => {
  assert.equal(events.streamPiece({ a: 1 }).toString(), '{"a":1}\n');
  assert.equal(events.streamType(request(), { a: 1 }), "application/x-ndjson");
  assert.equal(events.streamType(request({ accept: "text/event-stream" }), "x"), "text/event-stream");
});
