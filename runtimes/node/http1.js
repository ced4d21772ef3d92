"use strict";
// HTTP/1.1 request heads: bytes in, requests out. Knows no sockets and no functions.
//
// Strict (RFC 9112): what can be read in two ways is refused. Heads are not cached: behind the router every
// call has an id and a deadline of its own, so that no head comes twice.

/** A request head, and what a chunked body may carry besides its data; common servers allow 8 to 64 KiB. */
const HEAD_LIMIT_BYTES = 64 * 1024;

/** `Request.length` of a body whose length is told chunk by chunk. */
const CHUNKED = -1;

/** Most heads are shorter: so much is looked through first. */
const USUAL_BYTES = 2048;

const TOKEN = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+";
const VALUE = "[^\\x00-\\x08\\x0a-\\x1f\\x7f]*";
const REQUEST_LINE = new RegExp(`^(${TOKEN}) (/[\\x21-\\x7e\\x80-\\xff]*|\\*) HTTP/1\\.([01])\\r\\n`);
const FIELDS = new RegExp(`(?:${TOKEN}:${VALUE}\\r\\n)*`, "y");
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
    if (names.indexOf("host") !== names.lastIndexOf("host") || (isHttp11 && !names.includes("host"))) {
      throw new BadRequestError("There is not exactly one Host header.");
    }
    this.length = lengthOf(this.header("content-length"), this.header("transfer-encoding"), isHttp11);
    this.keepAlive = isHttp11 && !hasItem(this.header("connection"), "close");
  }

  get expectsContinue() {
    return this.length !== 0 && this.isHttp11 && hasItem(this.header("expect"), "100-continue");
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
}

function hasItem(value, item) {
  return value !== undefined && value.split(",").some((each) => each.trim().toLowerCase() === item);
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

/** The text of `data` up to its head's empty line, without that; null if it has not come yet. Throws BadRequestError. */
function headOf(data) {
  let text = data.latin1Slice(0, Math.min(data.length, USUAL_BYTES));
  let end = text.indexOf("\r\n\r\n");
  if (end < 0 && data.length > USUAL_BYTES) {
    text = data.latin1Slice(0, Math.min(data.length, HEAD_LIMIT_BYTES));
    end = text.indexOf("\r\n\r\n");
  }
  if (end >= 0) return text.slice(0, end + 2);
  if (data.length < HEAD_LIMIT_BYTES) return null;
  throw new BadRequestError(`The request head is longer than ${HEAD_LIMIT_BYTES} bytes.`, 431);
}

/** Read a head, whose last line is a header's or the request line. Throws BadRequestError. */
function parseHead(text) {
  const line = REQUEST_LINE.exec(text);
  if (line === null) throw new BadRequestError("The request line is not one of HTTP/1.1.");
  const start = line[0].length;
  if (!areFields(text, start)) throw new BadRequestError("A header field is not one of HTTP/1.1.");
  const names = [];
  const values = [];
  for (let at = start; at < text.length; ) {
    const colon = text.indexOf(":", at);
    const end = text.indexOf("\r\n", colon);
    names.push(text.slice(at, colon).toLowerCase());
    values.push(trimmed(text, colon + 1, end));
    at = end + 2;
  }
  return new Request(line[1], line[2], line[3] === "1", names, values);
}

/** Whether `text` is, from `start` on, nothing but whole header lines. */
function areFields(text, start) {
  FIELDS.lastIndex = start;
  FIELDS.test(text);
  return FIELDS.lastIndex === text.length;
}

/** Without the spaces and tabs around it, and nothing else: String.trim also takes U+00A0. */
function trimmed(text, from, to) {
  let start = from;
  let end = to;
  while (start < end && (text.charCodeAt(start) === SPACE || text.charCodeAt(start) === TAB)) start++;
  while (end > start && (text.charCodeAt(end - 1) === SPACE || text.charCodeAt(end - 1) === TAB)) end--;
  return text.slice(start, end);
}

module.exports = { BadRequestError, CHUNKED, HEAD_LIMIT_BYTES, Request, areFields, headOf, parseHead };
