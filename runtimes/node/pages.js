"use strict";
// The platform's own pages of an instance, /_plat/health and /_plat/load, and the state they tell.

const { json } = require("./answers.js");
const { OrderError, fromJson } = require("./order.js");

const PREFIX = "/_plat/";
const ORDER_LIMIT_BYTES = 16 * 1024 * 1024;

class Pages {
  /** `accept` loads an order: it resolves, or rejects with LoadError; `inFlight` counts calls that run. */
  constructor(instance, accept, inFlight) {
    this.order = null;
    this.loading = null;
    this.error = null;
    this.instance = instance;
    this.accept = accept;
    this.inFlight = inFlight;
  }

  /** Load; never rejects: the outcome is what the pages tell. */
  load(order) {
    this.order = order;
    this.loading = this.accept(order).catch((error) => {
      this.error = error;
    });
    return this.loading;
  }

  /** Rejects when the caller leaves within its order. */
  async answer(exchange) {
    const page = exchange.request.url.split("?")[0];
    if (page === "/_plat/load") await this.#load(exchange);
    else if (page === "/_plat/health") await this.#health(exchange);
    else problem(exchange, 404, "not_found", `${page} is no page of an instance.`);
  }

  /** The answer to a call that comes while there is no function. */
  refuse(exchange) {
    if (this.error) this.#tellError(exchange, 503);
    else problem(exchange, 503, "not_loaded", "This instance has no function yet: POST /_plat/load first.");
  }

  async #health(exchange) {
    const { method } = exchange.request;
    if (method !== "GET" && method !== "HEAD") {
      return problem(exchange, 405, "method_not_allowed", `${method} /_plat/health: allowed is GET.`);
    }
    await this.loading;
    if (this.error) return this.#tellError(exchange, 503);
    if (!this.order) return exchange.respond(json(200, { warm: true }));
    const { function: name, version } = this.order;
    return exchange.respond(json(200, { function: name, version, in_flight: this.inFlight() }));
  }

  async #load(exchange) {
    const { method } = exchange.request;
    if (method !== "POST") {
      return problem(exchange, 405, "method_not_allowed", `${method} /_plat/load: allowed is POST.`);
    }
    const body = await bounded(exchange);
    if (body === null) return problem(exchange, 413, "body_too_large", "The order is too large.");
    if (this.order) return problem(exchange, 409, "already_loaded", "This instance has a function already.");
    let order;
    try {
      order = fromJson(body, this.instance);
    } catch (error) {
      if (error instanceof OrderError) return problem(exchange, 400, "bad_request", error.message);
      throw error;
    }
    await this.load(order);
    if (this.error) return this.#tellError(exchange, 422);
    return exchange.respond(json(200, { function: order.function, version: order.version, in_flight: 0 }));
  }

  #tellError(exchange, status) {
    problem(exchange, status, this.error.code, this.error.message, this.error.trace);
  }
}

async function bounded(exchange) {
  const pieces = [];
  let size = 0;
  for (let piece = await exchange.read(); piece !== null; piece = await exchange.read()) {
    size += piece.length;
    if (size <= ORDER_LIMIT_BYTES) pieces.push(piece);
  }
  return size <= ORDER_LIMIT_BYTES ? Buffer.concat(pieces) : null;
}

function problem(exchange, status, code, detail, traceback = "") {
  exchange.respond(json(status, { code, detail, traceback }));
}

module.exports = { PREFIX, Pages };
