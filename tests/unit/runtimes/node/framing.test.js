"use strict";
const assert = require("node:assert/strict");
const test = require("node:test");
const { ChunkedBody, LengthBody } = require("../../../../runtimes/node/framing.js");
const { BadRequestError, HEAD_LIMIT_BYTES } = require("../../../../runtimes/node/http1.js");

function fed(decoder, bytes, step) {
  const pieces = [];
  let rest = Buffer.alloc(0);
  for (let at = 0; at < bytes.length; at += step) {
    const data = bytes.subarray(at, at + step);
    rest = Buffer.concat([rest, decoder.isComplete ? data : decoder.feed(data, pieces)]);
  }
  return { body: Buffer.concat(pieces).toString(), rest: rest.toString(), isComplete: decoder.isComplete };
}

const CHUNKS = "3\r\nabc\r\nA;name=value\r\n0123456789\r\n00\r\nTrailer: x\r\n\r\nGET";

for (const step of [1, 2, 3, 7, 1000]) {
  test(`bodies in steps of ${step}`, () => {
    const chunked = { body: "abc0123456789", rest: "GET", isComplete: true };
    assert.deepEqual(fed(new ChunkedBody(), Buffer.from(CHUNKS), step), chunked);
    const known = { body: "abcde", rest: "GET", isComplete: true };
    assert.deepEqual(fed(new LengthBody(5), Buffer.from("abcdeGET"), step), known);
  });
}

test("bodies that have not ended", () => {
  for (let end = 0; end < CHUNKS.length - 3; end++) {
    assert.equal(fed(new ChunkedBody(), Buffer.from(CHUNKS.slice(0, end)), 1000).isComplete, false);
  }
  assert.equal(fed(new LengthBody(5), Buffer.from("abcd"), 1000).isComplete, false);
  assert.equal(new LengthBody(0).isComplete, true);
});

const LONG = "x".repeat(HEAD_LIMIT_BYTES);
const REFUSED = [
  "\r\n", "x\r\n", "-1\r\n", "+1\r\n", "0x1\r\n", " 1\r\na", "1g\r\n", "1 1\r\n", "1.0\r\n", "1\n\na\r\n", "1\r\naab", "1\r\na\n\n", "1\r\na\r\r",
  "1\r\na\r\n\r\n", "1\x00\r\n", "1;\x00\r\n", "1;a\nb\r\n", "1;a\rb\r\n", "1\r;a\r\n", "1 a\r\n", "1\x0b\r\n", "1\xa0\r\n", "FFFFFFFFFFFFFF\r\n",
  "0\r\nno colon\r\n", "0\r\nA : b\r\n", "0\r\n A: b\r\n", "0\r\nA: b\x00\r\n", "0\r\nA: b\nB: c\r\n", "0\r\nA: b\r\n c\r\n\r\n",
  LONG + "x", `1;${LONG}\r\na\r\n`, `0\r\nA: ${LONG}\r\n`, `${`1;${"y".repeat(1000)}\r\na\r\n`.repeat(70)}`,
];
for (const bytes of REFUSED) {
  test(`chunks to refuse: ${JSON.stringify(bytes.slice(0, 40))}`, () => {
    for (const step of [1, 1000]) {
      assert.throws(() => fed(new ChunkedBody(), Buffer.from(bytes, "latin1"), step), BadRequestError);
    }
  });
}
