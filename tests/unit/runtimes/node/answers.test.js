"use strict";
const assert = require("node:assert/strict");
const test = require("node:test");
const answers = require("../../../../runtimes/node/answers.js");
const { parseHead } = require("../../../../runtimes/node/http1.js");

const sent = (data) => (typeof data === "string" ? data : Buffer.concat(data).toString("latin1"));
const encoded = (answer, { isHead = false, close = false } = {}) => sent(answers.encode(answer, { isHead, close }));
const text = (body) => ({ status: 200, headers: [["content-type", "text/plain; charset=utf-8"]], body });
const START = "HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\n";

test("whole answers", () => {
  assert.equal(encoded(text("é")), `${START}content-length: 2\r\n\r\né`);
  assert.equal(encoded(text(Buffer.from("ab"))), `${START}content-length: 2\r\n\r\nab`);
  assert.equal(encoded(text("é"), { isHead: true }), `${START}content-length: 2\r\n\r\n`);
  assert.equal(encoded(text(""), { close: true }), `${START}content-length: 0\r\nconnection: close\r\n\r\n`);
  const other = { status: 418, headers: [["X-A", "1"], ["x-a", "2"]], body: "t" };
  assert.equal(encoded(other), "HTTP/1.1 418 I'm a Teapot\r\nX-A: 1\r\nx-a: 2\r\ncontent-length: 1\r\n\r\nt");
  assert.equal(encoded({ ...other, status: 299, headers: [] }), "HTTP/1.1 299 \r\ncontent-length: 1\r\n\r\nt");
});

test("an answer without a body has no length either", () => {
  for (const status of [204, 304]) {
    assert.doesNotMatch(encoded({ status, headers: [], body: "text" }), /content-length|text/);
  }
});

test("what is about the connection is the runtime's", () => {
  for (const name of ["Connection", "content-length", "Keep-Alive", "Transfer-Encoding", "upgrade"]) {
    assert.equal(encoded({ status: 200, headers: [[name, "1"]], body: "" }), "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
  }
});

test("headers are Latin-1 where they can be, else UTF-8; never cut to a byte", () => {
  const head = (value) => Buffer.concat(answers.encode({ status: 200, headers: [["a", value]], body: "" }, {}));
  assert.ok(head("é").includes(Buffer.from([0xe9])));
  assert.ok(head("\u010a\u010d").includes(Buffer.from("\u010a\u010d")));
});

for (const [name, value] of [
  ["a", "b\r\nc: d"], ["a", "b\n"], ["a", "\r"], ["a", "\x00"], ["a", "\x7f"], ["", "b"], ["a b", "c"], ["a:", "b"], ["a\r\n", "b"],
  ["é", "b"], ["a", "b\u000a"],
]) {
  test(`a header to refuse: ${JSON.stringify([name, value])}`, () => {
    assert.throws(() => answers.encode({ status: 200, headers: [[name, value]], body: "" }, {}), TypeError);
  });
}

for (const status of [0, 100, 101, 199, 1000, 200.5, NaN, "200"]) {
  test(`a status to refuse: ${status}`, () => {
    assert.throws(() => answers.encode({ status, headers: [], body: "" }, {}), RangeError);
  });
}

test("streams", () => {
  const streamed = (line, status, close = false) => {
    const stream = new answers.Stream(parseHead(`${line}\r\nHost: x\r\n`), status, [], close);
    const data = [stream.head, ...stream.data(Buffer.from("0123456789abcdef")), ...stream.data(Buffer.alloc(0)), ...stream.end()];
    return { text: sent(data).replace(/^HTTP.*\r\n/, ""), keepAlive: stream.keepAlive };
  };
  const chunks = "transfer-encoding: chunked\r\n\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n";
  assert.deepEqual(streamed("GET / HTTP/1.1", 200), { text: chunks, keepAlive: true });
  const closing = chunks.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
  assert.deepEqual(streamed("GET / HTTP/1.1", 200, true), { text: closing, keepAlive: false });
  const untilClose = "connection: close\r\n\r\n0123456789abcdef";
  assert.deepEqual(streamed("GET / HTTP/1.0", 200), { text: untilClose, keepAlive: false });
  assert.deepEqual(streamed("GET / HTTP/1.1", 304), { text: "\r\n", keepAlive: true });
  assert.deepEqual(streamed("HEAD / HTTP/1.1", 200), { text: "transfer-encoding: chunked\r\n\r\n", keepAlive: true });
});
