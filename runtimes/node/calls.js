"use strict";
// Call the handler, and make its result the answer.
//
// A handler that returns its result at once is answered in the same turn, without a promise.

const { Context } = require("./context.js");
const events = require("./events.js");

/** A function `(exchange)` that has one call answered, and tells `exchange.ended()` when the handler has ended. */
function callerOf(handler, order) {
  if (handler.kind === "fetch") {
    const { fetcherOf } = require("./fetch.js"); // here, because it brings the Fetch classes, which take long to load
    const fetcher = fetcherOf(handler.call);
    return (exchange) => run(exchange, null, fetcher);
  }
  const caller = eventCallerOf(handler.call, order);
  const runWith = (exchange, body) => run(exchange, body, caller);
  return (exchange) => exchange.readAll(runWith);
}

/** `invoke` gives the handler's result, `conclude` answers with it and returns a promise if that takes longer. */
function eventCallerOf(handler, order) {
  const call = handler.length >= 3 ? withCallback(handler) : handler;
  const isHttp = order.event === "http";
  const eventOf = isHttp ? events.httpEvent : events.bodyEvent;
  const answerOf = isHttp ? events.httpAnswer : events.bodyAnswer;
  return {
    invoke: (exchange, body) => call(eventOf(exchange.request, body, order), new Context(order, exchange)),
    conclude: (exchange, result) => {
      if (exchange.isGone) return undefined;
      if (isResponse(result)) return require("./fetch.js").sendResponse(result, exchange);
      if (isStream(result)) return require("./streams.js").sendStream(result, isHttp, exchange);
      exchange.respond(answerOf(result));
      return undefined;
    },
  };
}

function run(exchange, body, { invoke, conclude }) {
  let result;
  try {
    result = invoke(exchange, body);
    if (typeof result?.then === "function") result = Promise.resolve(result);
  } catch (error) {
    fail(exchange, error);
    return;
  }
  if (!(result instanceof Promise)) settle(exchange, result, conclude);
  else result.then((value) => settle(exchange, value, conclude), (error) => fail(exchange, error));
}

function settle(exchange, result, conclude) {
  let rest;
  try {
    rest = conclude(exchange, result);
  } catch (error) {
    fail(exchange, error);
    return;
  }
  if (rest === undefined) exchange.ended();
  else rest.then(() => exchange.ended(), (error) => fail(exchange, error));
}

function fail(exchange, error) {
  exchange.fail(error);
  exchange.ended();
}

/** `(event, context, callback)`, Lambda's older form. */
function withCallback(call) {
  return (event, context) => new Promise((resolve, reject) => {
    const done = (error, result) => (error ? reject(error) : resolve(result));
    const returned = call(event, context, done);
    if (typeof returned?.then === "function") returned.then(resolve, reject);
  });
}

/** Told by its tag first: to name the class makes Node load it, and who has a Response has loaded it. */
function isResponse(result) {
  return result?.[Symbol.toStringTag] === "Response" && result instanceof Response;
}

/** A generator's object or a readable stream; not an array, nor a string. */
function isStream(result) {
  if (typeof result !== "object" || result === null) return false;
  return Symbol.asyncIterator in result || (Symbol.iterator in result && typeof result.next === "function");
}

module.exports = { callerOf };
