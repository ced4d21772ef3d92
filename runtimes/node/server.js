"use strict";
// The life of an instance: listen, load, serve, and on SIGTERM finish what is in flight.
//
// The heap is not limited by PLAT_MEMORY_MB: in a container V8 sizes it by the container's own limit,
// and elsewhere the limit is on the process, which holds buffers too.

const fs = require("node:fs");
const net = require("node:net");
const { callerOf } = require("./calls.js");
const { Connection } = require("./connection.js");
const { load, preload } = require("./loader.js");
const { OrderError, fromEnviron } = require("./order.js");
const { PREFIX, Pages } = require("./pages.js");
const { sealed } = require("./seal.js");

const BACKLOG = 1024;

/** Serves connections; it is the engine that they ask. */
class Instance {
  #socketPath;
  #server;
  #pages;
  #call = null;
  #connections = new Set();
  #inFlight = new Set();
  #isClosed = false;

  constructor(socketPath, instance) {
    this.isStopping = false;
    this.#socketPath = socketPath;
    this.#pages = new Pages(instance, (order) => this.#load(order), () => this.#inFlight.size);
    // A caller that closes its side must not make Node close ours: our close says that the handler ended.
    this.#server = net.createServer({ allowHalfOpen: true }, (socket) => {
      this.#connections.add(new Connection(socket, this));
    });
  }

  /** Listen, then load the order, or make ready for any. Who may connect is decided by the folder's mode. */
  listen(order) {
    fs.rmSync(this.#socketPath, { force: true });
    process.on("SIGTERM", () => this.#stop());
    this.#server.listen({ path: this.#socketPath, backlog: BACKLOG, readableAll: true, writableAll: true });
    if (order) this.#pages.load(order);
    else preload();
  }

  async #load(order) {
    await sealed(this.#socketPath);
    try {
      this.#call = callerOf(await load(order), order);
    } catch (error) {
      process.stderr.write(`${error.message}\n${error.trace ?? ""}`);
      throw error;
    }
  }

  // --- called by connections

  /** Serve a call or a page. */
  start(exchange) {
    if (exchange.request.url.startsWith(PREFIX)) {
      this.#answerPage(exchange);
    } else if (this.#call === null) {
      this.#startLoaded(exchange);
    } else {
      this.#inFlight.add(exchange);
      this.#call(exchange);
    }
  }

  /** The handler has ended. */
  ended(exchange) {
    this.#inFlight.delete(exchange);
    this.#exitIfDrained();
  }

  /** A connection is closed. */
  left(connection) {
    this.#connections.delete(connection);
  }

  // ---

  /** An error here is ours, or the caller's who left within the order. */
  async #answerPage(exchange) {
    try {
      await this.#pages.answer(exchange);
    } catch (error) {
      if (!exchange.isGone) throw error;
    }
    exchange.ended();
  }

  /** A call that came too early; the caller may have left since. */
  async #startLoaded(exchange) {
    await this.#pages.loading;
    if (this.#call !== null && !exchange.isGone) {
      this.#inFlight.add(exchange);
      this.#call(exchange);
      return;
    }
    this.#pages.refuse(exchange);
    exchange.ended();
  }

  /** SIGTERM: nobody comes in any more; requests that are here already are read and served. */
  #stop() {
    if (this.isStopping) return;
    this.isStopping = true;
    this.#server.close(() => {
      this.#isClosed = true;
      this.#exitIfDrained();
    });
    setImmediate(() => setImmediate(() => {
      for (const connection of this.#connections) connection.closeIfIdle();
    }));
  }

  /** A handler can go on after its answer and its connection's end. */
  #exitIfDrained() {
    if (this.#isClosed && this.#inFlight.size === 0) process.exit(0);
  }
}

function main() {
  const { PLAT_SOCKET: socketPath, PLAT_INSTANCE: instance = "" } = process.env;
  if (!socketPath) {
    process.stderr.write("PLAT_SOCKET is not set: the path of the unix socket to listen at.\n");
    process.exit(1);
  }
  try {
    new Instance(socketPath, instance).listen(fromEnviron(process.env));
  } catch (error) {
    if (!(error instanceof OrderError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  }
}

main();
