"use strict";
// Where a request's body ends in the bytes of a connection. Knows no sockets.
//
// `feed(data, pieces)` appends what of `data` is body to `pieces`, and returns what comes behind the body.

const { BadRequestError, CHUNKED, HEAD_LIMIT_BYTES, areFields } = require("./http1.js");

const EMPTY = Buffer.alloc(0);
const CRLF = Buffer.from("\r\n");
const CHUNK_SIZE = /^([0-9A-Fa-f]{1,13})[ \t]*(;[^\x00-\x08\x0a-\x1f\x7f]*)?$/; // less than 2 ** 53
const CR = 0x0d;
const LF = 0x0a;

/** A body of known length. */
class LengthBody {
  #left;

  constructor(length) {
    this.#left = length;
    this.isComplete = length === 0;
  }

  feed(data, pieces) {
    const piece = data.length <= this.#left ? data : data.subarray(0, this.#left);
    if (piece.length) pieces.push(piece);
    this.#left -= piece.length;
    this.isComplete = this.#left === 0;
    return piece.length === data.length ? EMPTY : data.subarray(piece.length);
  }
}

/** A chunked body (RFC 9112, 7.1). Extensions and trailers are read and dropped. */
class ChunkedBody {
  #waiting = EMPTY;
  #left = 0;
  #extra = 0;
  #step = this.#size;

  constructor() {
    this.isComplete = false;
  }

  /** Throws BadRequestError. */
  feed(data, pieces) {
    const bytes = this.#waiting.length ? Buffer.concat([this.#waiting, data]) : data;
    let at = 0;
    while (!this.isComplete) {
      const next = this.#step(bytes, at, pieces);
      if (next < 0) break;
      at = next;
    }
    const rest = at < bytes.length ? bytes.subarray(at) : EMPTY;
    this.#waiting = this.isComplete ? EMPTY : rest;
    return this.isComplete ? rest : EMPTY;
  }

  // Each step returns the index that it has come to, or -1 when it needs more bytes.

  #size(bytes, at) {
    const end = lineEnd(bytes, at);
    if (end < 0) return -1;
    const match = CHUNK_SIZE.exec(bytes.latin1Slice(at, end));
    if (match === null) throw new BadRequestError("A chunk's size is not a hexadecimal number.");
    if (match[2] !== undefined) this.#addExtra(match[2].length);
    this.#left = parseInt(match[1], 16);
    this.#step = this.#left ? this.#data : this.#trailer;
    return end + 2;
  }

  #data(bytes, at, pieces) {
    if (at === bytes.length) return -1;
    const end = Math.min(bytes.length, at + this.#left);
    pieces.push(bytes.subarray(at, end));
    this.#left -= end - at;
    if (!this.#left) this.#step = this.#dataEnd;
    return end;
  }

  #dataEnd(bytes, at) {
    if (bytes.length - at < 2) return -1;
    if (bytes[at] !== CR || bytes[at + 1] !== LF) throw new BadRequestError("A chunk is longer than its size says.");
    this.#step = this.#size;
    return at + 2;
  }

  #trailer(bytes, at) {
    const end = lineEnd(bytes, at);
    if (end < 0) return -1;
    this.#addExtra(end - at);
    if (end > at && !areFields(bytes.latin1Slice(at, end + 2), 0)) {
      throw new BadRequestError("A trailer field is not one of HTTP/1.1.");
    }
    this.isComplete = end === at;
    return end + 2;
  }

  /** All extensions and trailers together are bounded: they are work that no body is worth. */
  #addExtra(count) {
    this.#extra += count;
    if (this.#extra > HEAD_LIMIT_BYTES) {
      throw new BadRequestError("The extensions and trailers of the chunked body are too long.", 431);
    }
  }
}

function lineEnd(bytes, at) {
  const end = bytes.indexOf(CRLF, at);
  if (end < 0 && bytes.length - at > HEAD_LIMIT_BYTES) {
    throw new BadRequestError("A line of the chunked body is too long.");
  }
  return end;
}

function bodyOf(request) {
  return request.length === CHUNKED ? new ChunkedBody() : new LengthBody(request.length);
}

module.exports = { ChunkedBody, EMPTY, LengthBody, bodyOf };
