"use strict";
// One call on a connection: its body as it comes, its answer as it is written, and whether the caller has left.

const answers = require("./answers.js");
const { Incoming } = require("./incoming.js");
const { userStack } = require("./stacks.js");

/** So many pieces go out in one turn of the loop at most: else it would not hear that the caller has left. */
const PIECES_A_TURN = 64;

/** Made for every call: what not every call needs is made when it is asked for. */
class Exchange {
  #connection;
  #body;
  #incoming = null;
  #isWaiting = false;
  #abort = null;
  #stream = null;
  #pieces = 0;

  /** `body`: the whole body where it is here already, else null and `feed` brings it. */
  constructor(connection, request, body) {
    this.request = request;
    /** The caller has closed its side. */
    this.isGone = false;
    /** The whole answer was written; the handler may still run. */
    this.isAnswered = false;
    this.#connection = connection;
    this.#body = body;
    if (body === null) this.#incoming = new Incoming(request, connection);
  }

  // --- called by the connection

  get isBodyComplete() {
    return this.#incoming === null || this.#incoming.isComplete;
  }

  /** Take bytes of the body; returns what comes behind it. Throws BadRequestError. */
  feed(data) {
    return this.#incoming === null ? data : this.#incoming.feed(data);
  }

  /** Whoever closes waits for the handler's end. */
  callerLeft() {
    if (this.isGone) return;
    this.isGone = true;
    this.#giveUpBody("the caller closed the connection within the body");
    this.#abort?.abort();
    if (this.#isWaiting) this.ended(); // the handler was not called, and never will be
  }

  // --- called by the handler's side

  /** Aborted when the caller goes away. */
  get signal() {
    if (this.#abort === null) {
      this.#abort = new AbortController();
      if (this.isGone) this.#abort.abort();
    }
    return this.#abort.signal;
  }

  /** The body where it is whole already, else null. */
  get wholeBody() {
    return this.#body;
  }

  throwIfGone() {
    if (this.isGone) throw new Error("the caller closed the connection");
  }

  /** `take(exchange, body)` is called with the whole body, at once if it is here; never if the caller leaves within it. */
  readAll(take) {
    if (this.#incoming === null) {
      take(this, this.#body);
      return;
    }
    this.#isWaiting = true;
    this.#incoming.readAll((body) => {
      this.#isWaiting = false;
      take(this, body);
    });
  }

  /** The next piece of the body, null at its end. Rejects when the caller leaves within it. */
  async read() {
    if (this.#incoming !== null) return this.#incoming.read();
    const body = this.#body;
    this.#body = null;
    return body !== null && body.length ? body : null;
  }

  /** Write a whole answer. Throws, nothing written, for what HTTP cannot carry. */
  respond(answer) {
    const close = this.#closes();
    const data = answers.encode(answer, { isHead: this.request.method === "HEAD", close });
    if (this.isGone) return;
    this.#connection.write(data);
    this.#complete(!close);
  }

  /** Write the head of an answer that comes in pieces. Throws, nothing written, for what HTTP cannot carry. */
  begin(status, headers) {
    this.#stream = new answers.Stream(this.request, status, headers, this.#closes());
    this.#connection.writeSoon([this.#stream.head]);
  }

  /** Write a piece; returns a promise where something must be waited for first. Throws when the caller has left. */
  send(piece) {
    this.throwIfGone();
    const hasRoom = this.#connection.writeSoon(this.#stream.data(piece));
    const isTurnOver = ++this.#pieces % PIECES_A_TURN === 0;
    return hasRoom && !isTurnOver ? undefined : this.#rest(isTurnOver);
  }

  /** Write the end of an answer in pieces. */
  finish() {
    if (this.isGone) return;
    this.#connection.writeSoon(this.#stream.end());
    this.#complete(this.#stream.keepAlive);
  }

  /** Log what the function threw, and tell the caller; once a part went out, the cut connection tells it. */
  fail(error) {
    if (this.isGone) return;
    process.stderr.write(userStack(error));
    if (this.isAnswered || this.#stream !== null) return;
    this.respond(answers.failure(error, this.request.header("x-call-id") ?? ""));
  }

  /** The handler has ended: without a whole answer the connection cannot be used again. */
  ended() {
    this.#connection.ended(this);
  }

  get hasBegun() {
    return this.#stream !== null;
  }

  // ---

  #closes() {
    return !this.request.keepAlive || this.#connection.isStopping || (this.#incoming?.needsContinue ?? false);
  }

  #complete(keepAlive) {
    this.isAnswered = true;
    this.#giveUpBody("the call was answered before its body was read");
    this.#connection.answered(this, keepAlive);
  }

  async #rest(isTurnOver) {
    if (isTurnOver) await new Promise(setImmediate);
    if (!this.isGone && !this.#connection.hasRoom) await this.#connection.room();
  }

  #giveUpBody(reason) {
    if (this.#incoming !== null) this.#incoming.giveUp(new Error(reason));
  }
}

module.exports = { Exchange };
