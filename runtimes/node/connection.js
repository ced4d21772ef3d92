"use strict";
// A connection: bytes in, requests out, one exchange at a time.

const answers = require("./answers.js");
const { Exchange } = require("./exchange.js");
const { EMPTY } = require("./framing.js");
const { BadRequestError, headOf, parseHead } = require("./http1.js");

/** Of requests that come before the current one was answered. */
const MOST_WAITING_BYTES = 64 * 1024;

const CR = 13;
const LF = 10;

const CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n";

/** Below this, copying buffers into one is cheaper than handing the kernel several. */
const COPY_BYTES = 16 * 1024;

/** `engine` has `start(exchange)`, `ended(exchange)`, `left(connection)` and `isStopping`. */
class Connection {
  #socket;
  #engine;
  #buffer = EMPTY;
  #exchange = null;
  #isPaused = false;
  #hasLeft = false;
  #isClosing = false;
  #isCorked = false;
  #letWrite = null;

  constructor(socket, engine) {
    this.#socket = socket;
    this.#engine = engine;
    socket.on("data", (data) => this.#received(data));
    socket.on("end", () => this.#callerLeft());
    socket.on("drain", () => this.#makeRoom());
    socket.on("error", () => {}); // "close" comes next, and is all that there is to know
    socket.on("close", () => this.#closed());
  }

  // --- called by the exchange and the engine

  get isStopping() {
    return this.#engine.isStopping;
  }

  /** Send text as UTF-8, or buffers, at once. */
  write(data) {
    if (typeof data === "string") this.#socket.write(data);
    else this.#writeAll(data);
  }

  /** Send buffers together with what else is sent in this turn; whether the caller has taken enough before. */
  writeSoon(buffers) {
    if (!this.#isCorked) {
      this.#isCorked = true;
      this.#socket.cork();
      process.nextTick(() => this.#uncork());
    }
    for (const each of buffers) this.#socket.write(each);
    return this.hasRoom;
  }

  get hasRoom() {
    return !this.#socket.writableNeedDrain;
  }

  /** Resolves when the caller has taken enough, or has left. */
  room() {
    return new Promise((resolve) => {
      this.#letWrite = resolve;
    });
  }

  sayContinue() {
    this.#socket.write(CONTINUE);
  }

  pause() {
    if (this.#isPaused) return;
    this.#isPaused = true;
    this.#socket.pause();
  }

  resume() {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#socket.resume();
  }

  /** Go on with the next request, when the rest of this one's body has come. */
  answered(exchange, keepAlive) {
    if (!keepAlive || this.#engine.isStopping) this.#close();
    else if (exchange.isBodyComplete) this.#next();
  }

  /** The handler has ended; without a whole answer the connection is of no use. */
  ended(exchange) {
    if (!exchange.isAnswered) this.#close();
    this.#engine.ended(exchange);
  }

  closeIfIdle() {
    if (this.#exchange === null && this.#buffer.length === 0) this.#close();
  }

  // --- called by the socket

  #received(data) {
    if (this.#isClosing) return;
    if (this.#exchange !== null) {
      this.#feed(this.#exchange, data);
    } else {
      this.#buffer = this.#buffer.length ? Buffer.concat([this.#buffer, data]) : data;
      this.#take();
    }
  }

  /** Our side stays open until the handler has ended: the close tells that. */
  #callerLeft() {
    this.#hasLeft = true;
    this.#makeRoom();
    if (this.#exchange === null || this.#exchange.isAnswered) this.#close();
    else this.#exchange.callerLeft();
  }

  #closed() {
    this.#callerLeft();
    this.#engine.left(this);
  }

  #makeRoom() {
    this.#letWrite?.();
    this.#letWrite = null;
  }

  // ---

  /** Start the next call, if its head is here. Empty lines before it mean nothing (RFC 9112, 2.2). */
  #take() {
    while (this.#buffer[0] === CR && this.#buffer[1] === LF) this.#buffer = this.#buffer.subarray(2);
    const buffer = this.#buffer;
    let exchange;
    try {
      const head = headOf(buffer);
      if (head === null) return;
      exchange = this.#exchangeOf(parseHead(head), buffer, head.length + 2);
    } catch (error) {
      this.#exchange = null;
      this.#refuse(error);
      return;
    }
    this.#engine.start(exchange);
  }

  /** Most requests are here as a whole when their head is. */
  #exchangeOf(request, buffer, start) {
    const end = start + request.length;
    const isWhole = request.length >= 0 && end <= buffer.length;
    const body = isWhole ? slice(buffer, start, end) : null;
    const exchange = (this.#exchange = new Exchange(this, request, body));
    const rest = slice(buffer, isWhole ? end : start, buffer.length);
    this.#buffer = isWhole || !rest.length ? rest : exchange.feed(rest);
    return exchange;
  }

  #feed(exchange, data) {
    let rest;
    try {
      rest = exchange.feed(data);
    } catch (error) {
      this.#refuse(error);
      return;
    }
    if (rest.length) this.#buffer = this.#buffer.length ? Buffer.concat([this.#buffer, rest]) : rest;
    if (exchange.isAnswered && exchange.isBodyComplete) this.#next();
    else if (this.#buffer.length > MOST_WAITING_BYTES) this.pause();
  }

  /** Not at once: the handler of the last call may not have ended yet. */
  #next() {
    this.#exchange = null;
    this.resume();
    if (this.#buffer.length) setImmediate(() => this.#takeNext());
  }

  #takeNext() {
    if (this.#exchange === null && !this.#isClosing) this.#take();
  }

  /** Answer what is no request, if nothing was answered yet, and close when the handler has ended. */
  #refuse(error) {
    if (!(error instanceof BadRequestError)) throw error;
    const exchange = this.#exchange;
    if (exchange === null || !(exchange.hasBegun || exchange.isAnswered)) {
      this.write(answers.encode(answers.refusal(error), { isHead: false, close: true }));
    }
    this.#isClosing = true;
    if (exchange === null || exchange.isAnswered) this.#close();
    else exchange.callerLeft();
  }

  /** What was written goes out before, unless nobody is there to take it. */
  #close() {
    this.#isClosing = true;
    if (this.#hasLeft && this.#exchange !== null && !this.#exchange.isAnswered) this.#socket.destroy();
    else this.#socket.destroySoon();
  }

  #writeAll(buffers) {
    const length = buffers.reduce((sum, each) => sum + each.length, 0);
    if (length <= COPY_BYTES) {
      this.#socket.write(buffers.length === 1 ? buffers[0] : Buffer.concat(buffers, length));
      return;
    }
    this.#socket.cork();
    for (const each of buffers) this.#socket.write(each);
    this.#socket.uncork();
  }

  #uncork() {
    this.#isCorked = false;
    this.#socket.uncork();
  }
}

function slice(buffer, start, end) {
  if (start === end) return EMPTY;
  return start === 0 && end === buffer.length ? buffer : buffer.subarray(start, end);
}

module.exports = { Connection };
