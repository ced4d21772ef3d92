"use strict";
// Write answers onto Node's response object, with back-pressure.

const { once } = require("node:events");
const { described, userStack } = require("./stacks.js");

const HOP_BY_HOP = new Set(["connection", "content-length", "keep-alive", "transfer-encoding", "upgrade"]);

/** Status and headers; several values of one name stay several. Throws for what HTTP cannot carry. */
function writeHead(response, status, headers) {
  const flat = [];
  for (const [name, value] of headers) if (!HOP_BY_HOP.has(name.toLowerCase())) flat.push(name, value);
  response.writeHead(status, flat);
}

function hasNoBody(status) {
  return status === 204 || status === 304 || status < 200;
}

/** A whole answer with its length. */
function send(response, { status, headers, body }) {
  if (!hasNoBody(status)) response.setHeader("content-length", body.length);
  for (const [name, value] of headers) {
    if (!HOP_BY_HOP.has(name.toLowerCase())) response.appendHeader(name, value);
  }
  response.statusCode = status;
  response.end(hasNoBody(status) ? undefined : body);
}

function sendJson(response, status, value) {
  send(response, { status, headers: [["content-type", "application/json"]], body: Buffer.from(JSON.stringify(value)) });
}

/** Log what the function threw, and tell the caller (RFC 9457). */
function sendFailure(response, error, callId) {
  process.stderr.write(userStack(error));
  for (const name of response.getHeaderNames()) response.removeHeader(name);
  const { type, message } = described(error);
  const problem = {
    type: "urn:plat:error:function_error",
    title: "The function raised an error",
    status: 500,
    detail: message ? `${type}: ${message}` : type,
    code: "function_error",
    call_id: callId,
    error_type: type,
    error_message: message,
  };
  const headers = [["content-type", "application/problem+json"], ["x-plat-error", "function"]];
  send(response, { status: 500, headers, body: Buffer.from(JSON.stringify(problem)) });
}

/** One piece of a stream; resolves when the caller has taken enough. Rejects when `signal` is aborted. */
async function writePiece(response, piece, signal) {
  signal.throwIfAborted();
  if (piece.length && !response.write(piece)) await once(response, "drain", { signal });
}

module.exports = { hasNoBody, send, sendFailure, sendJson, writeHead, writePiece };
