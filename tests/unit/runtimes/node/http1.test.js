"use strict";
const assert = require("node:assert/strict");
const test = require("node:test");
const http1 = require("../../../../runtimes/node/http1.js");

const parsed = (...lines) => http1.parseHead(http1.headOf(Buffer.from([...lines, "", ""].join("\r\n"), "latin1")));

test("a head", () => {
  const request = parsed("POST /a%20b/?x=1?y HTTP/1.1", "Host: example", "X-A:  1 \t", "x-a: 2", "Empty:");
  assert.deepEqual([request.method, request.url], ["POST", "/a%20b/?x=1?y"]);
  assert.deepEqual(request.headers, { host: "example", "x-a": "1, 2", empty: "" });
  assert.deepEqual([request.length, request.keepAlive, request.expectsContinue], [0, true, false]);
  assert.equal(request.header("absent"), undefined);
});

test("cookies are joined as one cookie header", () => {
  assert.equal(parsed("GET / HTTP/1.1", "Host: x", "Cookie: a=1", "Cookie: b=2").header("cookie"), "a=1; b=2");
});

test("a header named as a property of every object", () => {
  const { headers } = parsed("GET / HTTP/1.1", "Host: x", "__proto__: a", "constructor: b");
  assert.deepEqual(Object.entries(headers), [["host", "x"], ["__proto__", "a"], ["constructor", "b"]]);
});

test("only spaces and tabs around a value are not part of it", () => {
  assert.equal(parsed("GET / HTTP/1.1", "Host: x", "A: \t\xa0b\xa0 ").header("a"), "\xa0b\xa0");
});

for (const [line, field, keepAlive] of [
  ["GET / HTTP/1.1", "A: b", true],
  ["GET / HTTP/1.1", "Connection: Close", false],
  ["GET / HTTP/1.1", "Connection: x, close", false],
  ["GET / HTTP/1.1", "Connection: keep-alive", true],
  ["GET / HTTP/1.0", "A: b", false],
]) {
  test(`keep-alive of ${line}, ${field}`, () => assert.equal(parsed(line, "Host: x", field).keepAlive, keepAlive));
}

for (const [field, length] of [
  ["A: b", 0],
  ["Content-Length: 0", 0],
  ["Content-Length: 12", 12],
  ["Transfer-Encoding: Chunked", http1.CHUNKED],
]) {
  test(`length of ${field}`, () => assert.equal(parsed("POST / HTTP/1.1", "Host: x", field).length, length));
}

for (const [line, fields, expects] of [
  ["POST / HTTP/1.1", ["Expect: 100-Continue", "Content-Length: 1"], true],
  ["POST / HTTP/1.1", ["Expect: 100-continue"], false],
  ["POST / HTTP/1.0", ["Expect: 100-continue", "Content-Length: 1"], false],
]) {
  test(`continue of ${line}, ${fields}`, () => {
    assert.equal(parsed(line, "Host: x", ...fields).expectsContinue, expects);
  });
}

test("a request without headers is one of HTTP/1.0", () => {
  assert.equal(parsed("GET / HTTP/1.0").isHttp11, false);
});

const LINES = [
  "", " ", "GET /", "GET / ", "GET / HTTP/2.0", "GET / HTTP/1.2", "GET / HTTP/0.9", "GET / HTTP/11", "GET / http/1.1",
  "GET  / HTTP/1.1", "GET /  HTTP/1.1", "GET / HTTP/1.1 ", " GET / HTTP/1.1", "GET\t/ HTTP/1.1", "G(T / HTTP/1.1",
  "G\xcbT / HTTP/1.1", "GET http://x/ HTTP/1.1", "CONNECT x:1 HTTP/1.1", "GET a HTTP/1.1", "GET /a b HTTP/1.1",
  "GET /\x00 HTTP/1.1", "GET /\t HTTP/1.1", "GET /\x7f HTTP/1.1", "GET ** HTTP/1.1", "GET / HTTP/1.1\r", "\nGET / HTTP/1.1",
  "\r\nGET / HTTP/1.1", "PRI * HTTP/2.0",
];
for (const line of LINES) {
  test(`a request line to refuse: ${JSON.stringify(line)}`, () => {
    assert.throws(() => parsed(line, "Host: x"), http1.BadRequestError);
  });
}

const FIELDS = [
  "A : b", " A: b", "\tA: b", "A\t: b", ": b", "no colon", "A: b\nB: c", "A: b\n", "\nA: b", "A: b\rB: c", "A: b\r", "A: b\r\n c",
  "A: b\r\n\tc", "A: b\x00c", "A: b\x01", "A: b\x0b", "A: b\x7f", "A\x00: b", "A\xff: b", "(A): b", "A B: c", "A;: b", "A,: b", '"A": b',
  "Host: y", "host: x", "Host:",
  "Content-Length: -1", "Content-Length: +1", "Content-Length: 1e3", "Content-Length: 0x1", "Content-Length: \xb2",
  "Content-Length:", "Content-Length: 1.0", "Content-Length: 1 1", "Content-Length: 1,1", "Content-Length: 1, 1",
  "Content-Length: 1\xa0", "Content-Length: 9999999999999999", "Content-Length: Infinity", "Content-Length: 1\x00",
  "Content-Length: 1\r\nContent-Length: 1", "Content-Length: 1\r\ncontent-length: 2", "Content-Length: 0\r\nContent-Length:",
  "Content-Length: 1\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 0",
  "Content-Length : 1", "Content-Length\x0b: 1", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: chunked, gzip",
  "Transfer-Encoding: chunked, chunked", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "Transfer-Encoding: identity",
  "Transfer-Encoding:", "Transfer-Encoding: xchunked", "Transfer-Encoding: chunkedx", "Transfer-Encoding: chunked;a=b",
  "Transfer-Encoding: \x0bchunked", "Transfer-Encoding: \xa0chunked", "Transfer-Encoding : chunked", "Transfer-Encoding:\r\n chunked",
];
for (const field of FIELDS) {
  test(`a header to refuse: ${JSON.stringify(field)}`, () => {
    for (const lines of [["Host: x", field], [field, "Host: x"]]) {
      assert.throws(() => parsed("POST / HTTP/1.1", ...lines), http1.BadRequestError);
    }
  });
}

test("what an earlier version does not know is refused, or needed", () => {
  assert.throws(() => parsed("POST / HTTP/1.0", "Transfer-Encoding: chunked"), http1.BadRequestError);
  assert.throws(() => parsed("GET / HTTP/1.1", "A: b"), /Host/);
});

test("the end of a head", () => {
  const head = "GET / HTTP/1.1\r\nHost: x\r\n";
  assert.equal(http1.headOf(Buffer.from(`${head}\r\nbody`)), head);
  assert.equal(http1.headOf(Buffer.from(`${head}\r`)), null);
  assert.equal(http1.headOf(Buffer.from(`${head}\n\n`)), null);
  for (const size of [2040, 2048, 2060, 10_000, http1.HEAD_LIMIT_BYTES - head.length - 10]) {
    const long = `${head}A: ${"b".repeat(size)}\r\n`;
    assert.equal(http1.headOf(Buffer.from(`${long}\r\n`)), long);
    assert.equal(http1.headOf(Buffer.from(long)), null);
  }
  const refused = (error) => error.status === 431;
  assert.throws(() => http1.headOf(Buffer.alloc(http1.HEAD_LIMIT_BYTES, "x")), refused);
  assert.throws(() => http1.headOf(Buffer.from(`${"x".repeat(http1.HEAD_LIMIT_BYTES)}\r\n\r\n`)), refused);
});

test("any bytes are a head, or refused", () => {
  let seed = 1;
  const random = (below) => (seed = (seed * 48271) % 2147483647) % below;
  const alphabet = "AHost:: \t\r\n\x00\x7f\xa0;,=chunked0123Content-Length".split("");
  for (let round = 0; round < 20_000; round++) {
    const text = Array.from({ length: random(60) }, () => alphabet[random(alphabet.length)]).join("");
    const head = http1.headOf(Buffer.from(`GET / HTTP/1.1\r\nHost: x\r\n${text}\r\n\r\n`, "latin1"));
    try {
      const request = http1.parseHead(head);
      assert.ok(request.values.every((value) => !/[\r\n\x00]/.test(value)));
      assert.equal(request.names.length, head.split("\r\n").length - 2);
    } catch (error) {
      if (!(error instanceof http1.BadRequestError)) throw error;
    }
  }
});
