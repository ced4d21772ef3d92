"use strict";
// The handler's second argument, with the attribute names of AWS Lambda's context.

/** One call. `signal` is aborted when the caller goes away. */
class Context {
  #order;
  #deadline;

  constructor(order, headers, signal) {
    this.#order = order;
    const deadline = headers["x-deadline-ms"] ?? "";
    this.#deadline = /^\d{1,15}$/.test(deadline) ? Number(deadline) : Date.now() + order.timeout_s * 1000;
    this.awsRequestId = headers["x-call-id"] ?? "";
    this.callbackWaitsForEmptyEventLoop = false;
    this.identity = undefined;
    this.clientContext = undefined;
    this.signal = signal;
  }

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
    return Math.max(0, this.#deadline - Date.now());
  }
}

module.exports = { Context };
