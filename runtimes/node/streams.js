"use strict";
// The items of a generator or of a readable stream as an answer that comes piece by piece.

const { hasNoBody } = require("./answers.js");
const events = require("./events.js");

/** Ends when the generator has ended; it is closed before its next item when the caller leaves. */
async function sendStream(result, isHttp, exchange) {
  const items = result[Symbol.asyncIterator]?.() ?? result[Symbol.iterator]();
  try {
    const first = await items.next();
    const { status, headers, piece } = beginning(first, isHttp, exchange.request);
    exchange.begin(status, headers);
    if (exchange.request.method !== "HEAD" && !hasNoBody(status)) {
      if (piece !== null) await exchange.send(piece);
      if (!first.done) await sendItems(items, exchange);
    }
    exchange.finish();
  } finally {
    await items.return?.();
  }
}

/** With `event = "http"` the first item can be the head; else it is the first piece, and tells the type. */
function beginning({ done, value }, isHttp, request) {
  if (!done && isHttp && events.isHead(value)) return { ...events.headOf(value), piece: null };
  const type = events.streamType(request, done ? undefined : value);
  return { status: 200, headers: [["content-type", type]], piece: done ? null : events.streamPiece(value) };
}

async function sendItems(items, exchange) {
  for (;;) {
    exchange.throwIfGone();
    const { done, value } = await items.next();
    if (done) return;
    const wait = exchange.send(events.streamPiece(value));
    if (wait !== undefined) await wait;
  }
}

module.exports = { sendStream };
