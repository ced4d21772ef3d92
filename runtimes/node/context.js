"use strict";
// The handler's second argument, with the attribute names of AWS Lambda's context.

/** One call. Made for every call: what few handlers ask for is worked out when they ask. */
class Context {
  #order;
  #exchange;
  #began;

  constructor(order, exchange) {
    this.#order = order;
    this.#exchange = exchange;
    this.#began = Date.now();
    this.awsRequestId = exchange.request.header("x-call-id") ?? "";
    this.callbackWaitsForEmptyEventLoop = false;
    this.identity = undefined;
    this.clientContext = undefined;
  }

  /** Aborted when the caller goes away. */
  get signal() { return this.#exchange.signal; }

  get functionName() { return this.#order.function; }
  get functionVersion() { return String(this.#order.version); }
  get memoryLimitInMB() { return String(this.#order.memory_mb); }
  get logGroupName() { return `/plat/${this.#order.function}`; }
  get logStreamName() { return `${this.#order.version}/${this.#order.instance}`; }

  /** Of AWS's form, as handlers take it apart at the colons. */
  get invokedFunctionArn() {
    return `arn:plat:lambda:local:000000000000:function:${this.#order.function}:${this.#order.version}`;
  }

  /** Until the caller gives up; never below 0. */
  getRemainingTimeInMillis() {
    return Math.max(0, this.#deadline() - Date.now());
  }

  #deadline() {
    const deadline = this.#exchange.request.header("x-deadline-ms") ?? "";
    return /^\d{1,15}$/.test(deadline) ? Number(deadline) : this.#began + this.#order.timeout_s * 1000;
  }
}

module.exports = { Context };
