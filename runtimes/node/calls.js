"use strict";
// Call the handler: an event handler's result or a Fetch-style Response becomes the answer.

const { Readable } = require("node:stream");
const answers = require("./answers.js");
const { Context } = require("./context.js");
const events = require("./events.js");

async function wholeBody(request) {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  return pieces.length === 1 ? pieces[0] : Buffer.concat(pieces);
}

/** A function `(request, response, signal)` that answers one call, and ends when the handler has ended. */
function callerOf(handler, order) {
  if (handler.kind === "fetch") return (request, response, signal) => callFetch(handler, request, response, signal);
  const callEvent = handler.call.length >= 3 ? withCallback(handler.call) : handler.call;
  return async (request, response, signal) => {
    const body = await wholeBody(request);
    const context = new Context(order, request.headers, signal);
    const isHttp = order.event === "http";
    const event = isHttp ? events.httpEvent(request, body, order) : events.bodyEvent(request, body);
    const result = await callEvent(event, context);
    signal.throwIfAborted();
    if (result instanceof Response) await sendFetch(result, request, response, signal);
    else if (isStream(result)) await sendStream(result, isHttp, { request, response, signal });
    else answers.send(response, isHttp ? events.httpAnswer(result) : events.bodyAnswer(result));
  };
}

/** `(event, context, callback)`, Lambda's older form. */
function withCallback(call) {
  return (event, context) => new Promise((resolve, reject) => {
    const done = (error, result) => (error ? reject(error) : resolve(result));
    const returned = call(event, context, done);
    if (typeof returned?.then === "function") returned.then(resolve, reject);
  });
}

/** A generator's object or a readable stream; not an array, nor a string. */
function isStream(result) {
  if (typeof result !== "object" || result === null) return false;
  return Symbol.asyncIterator in result || (Symbol.iterator in result && typeof result.next === "function");
}

async function sendStream(result, isHttp, { request, response, signal }) {
  const items = result[Symbol.asyncIterator]?.() ?? result[Symbol.iterator]();
  try {
    const first = await items.next();
    const isHead = isHttp && !first.done && events.isHead(first.value);
    const type = events.streamType(request, first.done ? undefined : first.value);
    const head = isHead ? events.headOf(first.value) : { status: 200, headers: [["content-type", type]] };
    const start = isHead || first.done ? Buffer.alloc(0) : events.streamPiece(first.value);
    answers.writeHead(response, head.status, head.headers);
    response.flushHeaders();
    if (request.method !== "HEAD" && !answers.hasNoBody(head.status)) {
      await answers.writePiece(response, start, signal);
      if (!first.done) await sendItems(items, response, signal);
    }
    response.end();
  } finally {
    await items.return?.();
  }
}

async function sendItems(items, response, signal) {
  for (;;) {
    signal.throwIfAborted();
    const { done, value } = await items.next();
    if (done) return;
    await answers.writePiece(response, events.streamPiece(value), signal);
  }
}

async function callFetch(handler, request, response, signal) {
  const result = await handler.call(fetchRequest(request, signal));
  if (!(result instanceof Response)) {
    throw new TypeError(`a Fetch-style handler returned a ${typeof result}; expected a Response`);
  }
  await sendFetch(result, request, response, signal);
}

/** The path is the function's own, without `/function/<name>`, so that routers match as they do alone. */
function fetchRequest(request, signal) {
  const scheme = request.headers["x-forwarded-proto"] ?? "http";
  const host = request.headers["x-forwarded-host"] ?? request.headers.host ?? "localhost";
  const headers = new Headers();
  for (let index = 0; index < request.rawHeaders.length; index += 2) {
    headers.append(request.rawHeaders[index], request.rawHeaders[index + 1]);
  }
  const hasBody = request.method !== "GET" && request.method !== "HEAD";
  const body = hasBody ? { body: Readable.toWeb(request), duplex: "half" } : {};
  return new Request(`${scheme}://${host}${request.url}`, { method: request.method, headers, signal, ...body });
}

async function sendFetch(result, request, response, signal) {
  const cookies = result.headers.getSetCookie().map((cookie) => ["set-cookie", cookie]);
  const others = [...result.headers].filter(([name]) => name !== "set-cookie");
  answers.writeHead(response, result.status, [...others, ...cookies]);
  if (result.body && request.method !== "HEAD" && !answers.hasNoBody(result.status)) {
    response.flushHeaders();
    await sendBody(result.body.getReader(), response, signal);
  } else {
    await result.body?.cancel();
  }
  response.end();
}

async function sendBody(reader, response, signal) {
  const stop = () => reader.cancel(signal.reason).catch(() => {}); // whoever reads sees the abort
  signal.addEventListener("abort", stop, { once: true });
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return signal.throwIfAborted();
      await answers.writePiece(response, value, signal);
    }
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

module.exports = { callerOf };
