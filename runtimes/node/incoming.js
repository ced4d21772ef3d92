"use strict";
// A request's body as it comes: given whole or piece by piece, in bounded memory.

const { EMPTY, bodyOf } = require("./framing.js");

const PAUSE_BYTES = 256 * 1024;
const RESUME_BYTES = 64 * 1024;

/** `flow` has `pause()` and `resume()` for the connection's reading, and `sayContinue()`. */
class Incoming {
  #decoder;
  #flow;
  #pieces = [];
  #size = 0;
  #expectsContinue;
  #whole = null;
  #reader = null;
  #error = null;

  constructor(request, flow) {
    this.#decoder = bodyOf(request);
    this.#flow = flow;
    this.#expectsContinue = request.expectsContinue;
  }

  get isComplete() {
    return this.#decoder.isComplete;
  }

  /** The caller still waits for 100 Continue, and so may never send the body. */
  get needsContinue() {
    return this.#expectsContinue && !this.isComplete;
  }

  /** Take bytes; returns what comes behind the body. Throws BadRequestError. */
  feed(data) {
    if (this.isComplete) return data;
    const pieces = [];
    const rest = this.#decoder.feed(data, pieces);
    if (pieces.length && this.#error === null) this.#keep(joined(pieces));
    if (this.#whole === null && this.#size > PAUSE_BYTES) this.#flow.pause();
    this.#wake();
    return rest;
  }

  /** `take(body)` is called once with the whole body, at once if it is here; never if it is given up. */
  readAll(take) {
    this.#whole = take;
    this.#askFor();
    this.#flow.resume();
    this.#wake();
  }

  /** The next piece; null at the end. Rejects with the error of `giveUp`. One reader at a time. */
  read() {
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject };
      this.#askFor();
      this.#wake();
    });
  }

  /** Nobody takes the body any more: what is here and comes is dropped, and readers get `error`. */
  giveUp(error) {
    this.#error = error;
    this.#pieces.length = 0;
    this.#size = 0;
    this.#whole = null;
    this.#wake();
    this.#flow.resume();
  }

  #keep(piece) {
    this.#pieces.push(piece);
    this.#size += piece.length;
  }

  #askFor() {
    if (!this.needsContinue || this.#error !== null) return;
    this.#expectsContinue = false;
    this.#flow.sayContinue();
  }

  #wake() {
    if (this.#reader !== null) this.#wakeReader(this.#reader);
    else if (this.#whole !== null && this.isComplete) this.#giveWhole(this.#whole);
  }

  #wakeReader({ resolve, reject }) {
    if (this.#error === null && !this.#pieces.length && !this.isComplete) return;
    this.#reader = null;
    if (this.#error !== null) reject(this.#error);
    else resolve(this.#next());
  }

  #next() {
    if (!this.#pieces.length) return null;
    const piece = this.#pieces.shift();
    this.#size -= piece.length;
    if (this.#size <= RESUME_BYTES) this.#flow.resume();
    return piece;
  }

  #giveWhole(take) {
    const body = joined(this.#pieces);
    this.#whole = null;
    this.#pieces = [];
    take(body);
  }
}

/** One buffer: a chunked body may come byte by byte, and a buffer each would be many times its size. */
function joined(pieces) {
  if (pieces.length === 1) return pieces[0];
  return pieces.length ? Buffer.concat(pieces) : EMPTY;
}

module.exports = { Incoming };
