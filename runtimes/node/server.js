"use strict";
// The life of an instance: listen, load, serve, and on SIGTERM finish what is in flight.
//
// The heap is not limited by PLAT_MEMORY_MB: in a container V8 sizes it by the container's own limit,
// and elsewhere the limit is on the process, which holds buffers too.

const fs = require("node:fs");
const http = require("node:http");
const answers = require("./answers.js");
const { callerOf } = require("./calls.js");
const { load } = require("./loader.js");
const { OrderError, fromEnviron } = require("./order.js");
const { PREFIX, Pages } = require("./pages.js");

const HEAD_LIMIT_BYTES = 64 * 1024;

class Instance {
  #socketPath;
  #server;
  #pages;
  #call = null;
  #inFlight = new Set();
  #isStopping = false;

  constructor(socketPath, instance) {
    this.#socketPath = socketPath;
    this.#pages = new Pages(instance, (order) => this.#load(order), () => this.#inFlight.size);
    const options = { maxHeaderSize: HEAD_LIMIT_BYTES, keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 0 };
    this.#server = http.createServer(options, (request, response) => this.#serve(request, response));
    // A caller that closes its side must not make Node close ours: our close says that the handler ended.
    this.#server.httpAllowHalfOpen = true;
    this.#server.on("clientError", refuse);
  }

  /** Listen, then load the order if there is one. Who may connect is decided by the folder's mode. */
  start(order) {
    fs.rmSync(this.#socketPath, { force: true });
    process.on("SIGTERM", () => this.#stop());
    this.#server.listen({ path: this.#socketPath, backlog: 1024, readableAll: true, writableAll: true });
    if (order) this.#pages.load(order);
  }

  async #load(order) {
    try {
      this.#call = callerOf(await load(order), order);
    } catch (error) {
      process.stderr.write(`${error.message}\n${error.trace ?? ""}`);
      throw error;
    }
  }

  async #serve(request, response) {
    if (this.#isStopping) response.shouldKeepAlive = false;
    if (request.url.startsWith(PREFIX)) {
      await this.#pages.answer(request, response).catch((error) => {
        if (!request.destroyed) throw error; // else the caller has left within the order
      });
      return;
    }
    await this.#pages.loading;
    if (this.#call === null) {
      this.#pages.refuse(response);
      return;
    }
    this.#inFlight.add(response);
    await this.#answer(request, response);
    this.#inFlight.delete(response);
    this.#exitIfDrained();
  }

  /** Ends when the handler has ended, and closes the connection then if the caller has gone. */
  async #answer(request, response) {
    const { socket } = request;
    const gone = new AbortController();
    const leave = () => gone.abort();
    socket.once("end", leave).once("close", leave);
    try {
      await this.#call(request, response, gone.signal);
    } catch (error) {
      if (gone.signal.aborted) socket.destroy();
      else this.#fail(error, request, response);
    } finally {
      socket.removeListener("end", leave).removeListener("close", leave);
    }
    if (gone.signal.aborted) socket.destroy();
    else if (this.#isStopping && response.writableEnded) response.once("finish", () => socket.end());
  }

  /** Once a part of the answer went out, cutting the connection tells the caller. */
  #fail(error, request, response) {
    const isCut = response.headersSent;
    if (!isCut) answers.sendFailure(response, error, request.headers["x-call-id"] ?? "");
    else {
      process.stderr.write(require("./stacks.js").userStack(error));
      request.socket.destroySoon();
    }
  }

  /** SIGTERM: nobody comes in any more; requests that are here already are read and served. */
  #stop() {
    this.#isStopping = true;
    for (const response of this.#inFlight) response.shouldKeepAlive = false;
    this.#server.close(() => process.exit(0));
    setImmediate(() => setImmediate(() => this.#exitIfDrained()));
  }

  #exitIfDrained() {
    if (this.#isStopping) this.#server.closeIdleConnections();
  }
}

/** What is no request is answered 400; a caller that left within one is answered nothing. */
function refuse(error, socket) {
  const hasLeft = error.code === "ECONNRESET" || error.code === "HPE_INVALID_EOF_STATE";
  if (hasLeft || !socket.writable) {
    socket.destroy(error);
    return;
  }
  const status = error.code === "HPE_HEADER_OVERFLOW" ? "431 Request Header Fields Too Large" : "400 Bad Request";
  const text = `${error.message}\n`;
  const head = `HTTP/1.1 ${status}\r\ncontent-type: text/plain\r\ncontent-length: ${Buffer.byteLength(text)}`;
  socket.end(`${head}\r\nconnection: close\r\n\r\n${text}`);
}

function main() {
  const { PLAT_SOCKET: socketPath, PLAT_INSTANCE: instance = "" } = process.env;
  if (!socketPath) {
    process.stderr.write("PLAT_SOCKET is not set: the path of the unix socket to listen at.\n");
    process.exit(1);
  }
  try {
    new Instance(socketPath, instance).start(fromEnviron(process.env));
  } catch (error) {
    if (!(error instanceof OrderError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  }
}

main();
