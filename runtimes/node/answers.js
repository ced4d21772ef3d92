"use strict";
// Answers as bytes: `{ status, headers: [[name, value], ...], body: string | Buffer }`. Knows no sockets.

const { described } = require("./stacks.js");

/** About one connection: the runtime sets them itself. */
const HOP_BY_HOP = new Set([
  "connection", "content-length", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade",
]);
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const VALUE = /^[^\x00-\x08\x0a-\x1f\x7f]*$/;
const NOT_LATIN1 = /[^\x00-\xff]/;
const CLOSE = "connection: close\r\n";

/** The usual heads up to the length: there is nothing to check. */
const USUAL = new Map(
  ["application/json", "text/plain; charset=utf-8", "application/octet-stream"].map((type) => [
    type, `HTTP/1.1 200 OK\r\ncontent-type: ${type}\r\ncontent-length: `,
  ]),
);

function hasNoBody(status) {
  return status === 204 || status === 304;
}

/** A head as text: `framing` is its last lines, about length and connection. Throws for what HTTP cannot carry. */
function headText(status, headers, framing) {
  let text = statusLine(status);
  for (const [name, value] of headers) {
    if (!NAME.test(name) || !VALUE.test(value)) {
      throw new TypeError(`the header ${JSON.stringify(name)}: ${JSON.stringify(value)} is not one that HTTP can carry`);
    }
    if (!HOP_BY_HOP.has(name.toLowerCase())) text += `${name}: ${value}\r\n`;
  }
  return `${text}${framing}\r\n`;
}

function statusLine(status) {
  if (status === 200) return "HTTP/1.1 200 OK\r\n";
  if (!Number.isInteger(status) || status < 200 || status > 999) {
    throw new RangeError(`${status} is not the HTTP status of an answer; expected 200 to 999`);
  }
  const { STATUS_CODES } = require("node:http"); // here, because few functions need it, and it takes long to load
  return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n`;
}

/** Header values are Latin-1 on the wire; what does not fit goes as UTF-8, as browsers read it. */
function headBytes(text) {
  return Buffer.from(text, NOT_LATIN1.test(text) ? "utf8" : "latin1");
}

/**
 * A whole answer with its length. Throws for what HTTP cannot carry.
 * @returns {string | Buffer[]} text that is sent as UTF-8, or buffers
 */
function encode({ status, headers, body }, { isHead, close }) {
  if (hasNoBody(status)) return [headBytes(headText(status, headers, close ? CLOSE : ""))];
  const isText = typeof body === "string";
  const length = isText ? Buffer.byteLength(body) : body.length;
  const usual = status === 200 && headers.length === 1 && headers[0][0] === "content-type" && USUAL.get(headers[0][1]);
  if (usual) {
    const head = `${usual}${length}\r\n${close ? CLOSE : ""}\r\n`;
    if (isHead) return head;
    return isText ? head + body : [Buffer.from(head, "latin1"), body];
  }
  const head = headBytes(headText(status, headers, `content-length: ${length}\r\n${close ? CLOSE : ""}`));
  return isHead ? [head] : [head, isText ? Buffer.from(body) : body];
}

function json(status, value) {
  return { status, headers: [["content-type", "application/json"]], body: JSON.stringify(value) };
}

/** What the caller of a function that threw is told (RFC 9457). */
function failure(error, callId) {
  const { type, message } = described(error);
  const problem = {
    type: "urn:plat:error:function_error",
    title: "The function raised an error",
    status: 500,
    detail: message ? `${type}: ${message}` : type,
    code: "function_error",
    call_id: callId,
    error_type: type,
    error_message: message,
  };
  const headers = [["content-type", "application/problem+json"], ["x-plat-error", "function"]];
  return { status: 500, headers, body: JSON.stringify(problem) };
}

/** The answer to what is no request. */
function refusal(error) {
  return { status: error.status, headers: [["content-type", "text/plain; charset=utf-8"]], body: `${error.message}\n` };
}

const CRLF = Buffer.from("\r\n");
const LAST_CHUNK = Buffer.from("0\r\n\r\n");

/** The bytes of an answer that comes piece by piece: chunked, or until the close for HTTP/1.0. */
class Stream {
  #isSilent;
  #isChunked;

  /** Throws for what HTTP cannot carry. */
  constructor(request, status, headers, close) {
    const isEmpty = hasNoBody(status);
    this.#isSilent = isEmpty || request.method === "HEAD";
    this.#isChunked = !isEmpty && request.isHttp11;
    this.keepAlive = !close && (isEmpty || request.isHttp11);
    const framing = (this.#isChunked ? "transfer-encoding: chunked\r\n" : "") + (this.keepAlive ? "" : CLOSE);
    this.head = headBytes(headText(status, headers, framing));
  }

  /** Buffers to send for a piece of the body. */
  data(piece) {
    if (this.#isSilent || !piece.length) return [];
    return this.#isChunked ? [Buffer.from(`${piece.length.toString(16)}\r\n`, "latin1"), piece, CRLF] : [piece];
  }

  /** Buffers to send at the end. */
  end() {
    return this.#isChunked && !this.#isSilent ? [LAST_CHUNK] : [];
  }
}

module.exports = { Stream, encode, failure, hasNoBody, json, refusal };
