"use strict";
// Fetch-style handlers: a call as a Request, a Response as the answer.

const { hasNoBody } = require("./answers.js");

/** How a handler `(request) => Response` is called and answered for. */
function fetcherOf(call) {
  return {
    invoke: (exchange) => call(requestOf(exchange)),
    conclude: (exchange, result) => {
      if (result instanceof Response) return sendResponse(result, exchange);
      throw new TypeError(`a Fetch-style handler returned a ${typeof result}; expected a Response`);
    },
  };
}

/** The path is the function's own, without `/function/<name>`, so that routers match as they do alone. */
function requestOf(exchange) {
  const { request } = exchange;
  const { method, names, values, url } = request;
  const scheme = request.header("x-forwarded-proto") ?? "http";
  const host = request.header("x-forwarded-host") ?? request.header("host") ?? "localhost";
  const headers = new Headers();
  for (let index = 0; index < names.length; index++) headers.append(names[index], values[index]);
  const hasBody = method !== "GET" && method !== "HEAD";
  const body = hasBody ? { body: exchange.wholeBody ?? streamOf(exchange), duplex: "half" } : {};
  return new Request(`${scheme}://${host}${url}`, { method, headers, signal: exchange.signal, ...body });
}

/** The body, read from the connection as the handler takes it. */
function streamOf(exchange) {
  const pull = async (controller) => {
    const piece = await exchange.read();
    if (piece === null) controller.close();
    else controller.enqueue(piece);
  };
  return new ReadableStream({ pull }, { highWaterMark: 0 });
}

/** Ends when the body has ended; it is cancelled when the caller leaves. */
async function sendResponse(result, exchange) {
  if (exchange.isGone) {
    await result.body?.cancel();
    return;
  }
  const cookies = result.headers.getSetCookie().map((cookie) => ["set-cookie", cookie]);
  const others = [...result.headers].filter(([name]) => name !== "set-cookie");
  exchange.begin(result.status, [...others, ...cookies]);
  if (result.body && exchange.request.method !== "HEAD" && !hasNoBody(result.status)) {
    await sendBody(result.body.getReader(), exchange);
  } else {
    await result.body?.cancel();
  }
  exchange.finish();
}

async function sendBody(reader, exchange) {
  const { signal } = exchange;
  const stop = () => reader.cancel(signal.reason).catch(() => {}); // whoever reads sees the abort
  signal.addEventListener("abort", stop, { once: true });
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return exchange.throwIfGone();
      const wait = exchange.send(value);
      if (wait !== undefined) await wait;
    }
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

module.exports = { fetcherOf, sendResponse };
