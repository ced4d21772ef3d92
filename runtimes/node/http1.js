"use strict";
// HTTP/1.1 request heads: bytes in, requests out. Knows no sockets and no functions.
//
// Strict (RFC 9112): what can be read in two ways is refused. Heads are not cached: behind the router every
// call has an id and a deadline of its own, so that no head comes twice.

/** A request head, and what a chunked body may carry besides its data; common servers allow 8 to 64 KiB. */
const HEAD_LIMIT_BYTES = 64 * 1024;

/** `Request.length` of a body whose length is told chunk by chunk. */
const CHUNKED = -1;

const HEAD_END = Buffer.from("\r\n\r\n");
const TOKEN = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+";
const VALUE = "[^\\x00-\\x08\\x0a-\\x1f\\x7f]*";
const REQUEST_LINE = new RegExp(`^(${TOKEN}) (/[\\x21-\\x7e\\x80-\\xff]*|\\*) HTTP/1\\.([01])\\r\\n`);
const FIELDS = new RegExp(`(?:${TOKEN}:${VALUE}\\r\\n)*$`, "y");
const LENGTH = /^[0-9]{1,15}$/; // less than 2 ** 53

const SPACE = 0x20;
const TAB = 0x09;

/** The request cannot be read: answer `status` and close. */
class BadRequestError extends Error {
  constructor(detail, status = 400) {
    super(detail);
    this.status = status;
  }
}

/** A request head. `url` is the path and query as they came (percent-encoded). */
class Request {
  /** `names` are in lower case; both lists are in the order of the wire. Throws BadRequestError. */
  constructor(method, url, isHttp11, names, values) {
    this.method = method;
    this.url = url;
    this.isHttp11 = isHttp11;
    this.names = names;
    this.values = values;
    this.length = 0;
    this.keepAlive = isHttp11;
    this.expectsContinue = false;
    this.#readFraming();
  }

  /** A header's value; what came several times is joined (RFC 9110, 5.3; cookies: RFC 6265, 5.4). */
  header(name) {
    const { names, values } = this;
    let index = names.indexOf(name);
    if (index < 0) return undefined;
    let value = values[index];
    while ((index = names.indexOf(name, index + 1)) >= 0) value += (name === "cookie" ? "; " : ", ") + values[index];
    return value;
  }

  /** All headers as an object. */
  get headers() {
    return Object.fromEntries(this.names.map((name) => [name, this.header(name)]));
  }

  #readFraming() {
    if (this.isHttp11 ? this.#count("host") !== 1 : this.#count("host") > 1) {
      throw new BadRequestError("There is not exactly one Host header.");
    }
    this.length = lengthOf(this.header("content-length"), this.header("transfer-encoding"), this.isHttp11);
    const connection = this.header("connection");
    if (connection !== undefined && itemsOf(connection).includes("close")) this.keepAlive = false;
    const expected = this.length !== 0 && this.isHttp11 ? this.header("expect") : undefined;
    this.expectsContinue = expected !== undefined && expected.toLowerCase() === "100-continue";
  }

  #count(name) {
    let count = 0;
    for (const each of this.names) if (each === name) count++;
    return count;
  }
}

function itemsOf(value) {
  return value.split(",").map((item) => item.trim().toLowerCase());
}

function lengthOf(length, coding, isHttp11) {
  if (coding !== undefined) {
    if (length !== undefined) throw new BadRequestError("Both Content-Length and Transfer-Encoding are set.");
    if (!isHttp11 || coding.toLowerCase() !== "chunked") {
      throw new BadRequestError(`Transfer-Encoding "${coding}" is not understood; expected chunked.`, 501);
    }
    return CHUNKED;
  }
  if (length === undefined) return 0;
  if (!LENGTH.test(length)) throw new BadRequestError(`Content-Length "${length}" is not a number.`);
  return Number(length);
}

/** The index behind the head's empty line; -1 if it has not come yet. Throws BadRequestError. */
function headEnd(data) {
  const end = data.indexOf(HEAD_END);
  if (end >= 0 && end + 4 <= HEAD_LIMIT_BYTES) return end + 4;
  if (end < 0 && data.length < HEAD_LIMIT_BYTES) return -1;
  throw new BadRequestError(`The request head is longer than ${HEAD_LIMIT_BYTES} bytes.`, 431);
}

/** Read a head that ends with its empty line. Throws BadRequestError. */
function parseHead(head) {
  const text = head.latin1Slice(0, head.length - 2);
  const line = REQUEST_LINE.exec(text);
  if (line === null) throw new BadRequestError("The request line is not one of HTTP/1.1.");
  const start = line[0].length;
  if (!areFields(text, start)) throw new BadRequestError("A header field is not one of HTTP/1.1.");
  const names = [];
  const values = [];
  readFields(text, start, names, values);
  return new Request(line[1], line[2], line[3] === "1", names, values);
}

/** Whether `text` is, from `start` on, nothing but whole header lines. */
function areFields(text, start) {
  FIELDS.lastIndex = start;
  return FIELDS.test(text);
}

function readFields(text, start, names, values) {
  let at = start;
  while (at < text.length) {
    const colon = text.indexOf(":", at);
    const end = text.indexOf("\r\n", colon);
    names.push(text.slice(at, colon).toLowerCase());
    values.push(trimmed(text, colon + 1, end));
    at = end + 2;
  }
}

/** Without the spaces and tabs around it, and nothing else: String.trim also takes U+00A0. */
function trimmed(text, from, to) {
  let start = from;
  let end = to;
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isBlank(code) {
  return code === SPACE || code === TAB;
}

module.exports = { BadRequestError, CHUNKED, HEAD_LIMIT_BYTES, Request, areFields, headEnd, parseHead };
