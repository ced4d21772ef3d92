"use strict";
// The platform's own pages of an instance, /_plat/health and /_plat/load, and the state they tell.

const { sendJson } = require("./answers.js");
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

  async answer(request, response) {
    const page = request.url.split("?")[0];
    if (page === "/_plat/load") await this.#load(request, response);
    else if (page === "/_plat/health") await this.#health(request, response);
    else problem(response, 404, "not_found", `${page} is no page of an instance.`);
  }

  /** The answer to a call that comes while there is no function. */
  refuse(response) {
    if (this.error) problem(response, 503, this.error.code, this.error.message, this.error.trace);
    else problem(response, 503, "not_loaded", "This instance has no function yet: POST /_plat/load first.");
  }

  async #health(request, response) {
    if (request.method !== "GET" && request.method !== "HEAD") {
      return problem(response, 405, "method_not_allowed", `${request.method} /_plat/health: allowed is GET.`);
    }
    await this.loading;
    if (this.error) return problem(response, 503, this.error.code, this.error.message, this.error.trace);
    if (!this.order) return sendJson(response, 200, { warm: true });
    const { function: name, version } = this.order;
    return sendJson(response, 200, { function: name, version, in_flight: this.inFlight() });
  }

  async #load(request, response) {
    if (request.method !== "POST") {
      return problem(response, 405, "method_not_allowed", `${request.method} /_plat/load: allowed is POST.`);
    }
    const body = await bounded(request);
    if (body === null) return problem(response, 413, "body_too_large", "The order is too large.");
    if (this.order) return problem(response, 409, "already_loaded", "This instance has a function already.");
    let order;
    try {
      order = fromJson(body, this.instance);
    } catch (error) {
      if (error instanceof OrderError) return problem(response, 400, "bad_request", error.message);
      throw error;
    }
    await this.load(order);
    if (this.error) return problem(response, 422, this.error.code, this.error.message, this.error.trace);
    return sendJson(response, 200, { function: order.function, version: order.version, in_flight: 0 });
  }
}

async function bounded(request) {
  const pieces = [];
  let size = 0;
  for await (const piece of request) {
    size += piece.length;
    if (size <= ORDER_LIMIT_BYTES) pieces.push(piece);
  }
  return size <= ORDER_LIMIT_BYTES ? Buffer.concat(pieces) : null;
}

function problem(response, status, code, detail, traceback = "") {
  sendJson(response, status, { code, detail, traceback });
}

module.exports = { PREFIX, Pages };
