"use strict";
// Requests as events, results as answers: `{ status, headers: [[name, value], ...], body: string | Buffer }`.

const JSON_TYPE = "application/json";
const TEXT_TYPE = "text/plain; charset=utf-8";
const BYTES_TYPE = "application/octet-stream";
const NDJSON_TYPE = "application/x-ndjson";
const EVENT_STREAM_TYPE = "text/event-stream";

const BINARY = new RegExp(
  "^((image|audio|video|font|multipart)/|application/(octet-stream|zip|gzip|pdf|x-tar|wasm)$)",
);
const TEXT = new RegExp("^(text/|application/(json|javascript|xml|x-www-form-urlencoded))|[+](json|xml)$|^$");

const REPLACEMENT = "\ufffd";
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function mediaType(contentType = "") {
  return contentType.split(";")[0].trim().toLowerCase();
}

/** Only a body in which the quick decoder had to replace something can be no UTF-8. */
function textOrNull(body) {
  const text = body.utf8Slice(0, body.length);
  if (!text.includes(REPLACEMENT)) return text;
  try {
    return utf8.decode(body);
  } catch {
    return null; // not UTF-8
  }
}

/** The body as JSON whatever its type says (curl -d says it is a form), else as text, else as it is. */
function bodyEvent(request, body) {
  if (body.length === 0) return null;
  const type = request.header("content-type");
  const kind = type === JSON_TYPE ? type : mediaType(type);
  if (BINARY.test(kind)) return body;
  const text = textOrNull(body);
  if (text === null) return body;
  if (kind.startsWith("text/")) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text; // not JSON
  }
}

/** AWS function URL payload 2.0; keys that would be empty (body, cookies, query) are left out. */
function httpEvent(request, body, order) {
  const { path, query } = splitTarget(request.url);
  const { headers } = request;
  const event = {
    version: "2.0",
    routeKey: "$default",
    rawPath: path,
    rawQueryString: query,
    headers,
    requestContext: requestContext(request, headers, path, order),
    isBase64Encoded: false,
  };
  if (query) event.queryStringParameters = queryOf(query);
  if (headers.cookie) event.cookies = headers.cookie.split(";").map((each) => each.trim()).filter(Boolean);
  if (body.length) {
    const text = TEXT.test(mediaType(headers["content-type"])) ? textOrNull(body) : null;
    event.body = text ?? body.toString("base64");
    event.isBase64Encoded = text === null;
  }
  return event;
}

function splitTarget(target) {
  const mark = target.indexOf("?");
  return mark < 0 ? { path: target, query: "" } : { path: target.slice(0, mark), query: target.slice(mark + 1) };
}

function queryOf(query) {
  const values = {};
  for (const [name, value] of new URLSearchParams(query)) {
    values[name] = Object.hasOwn(values, name) ? `${values[name]},${value}` : value;
  }
  return values;
}

/** Whom the router saw: the last entry; those before it are what the caller claims. */
function sourceIp(headers) {
  return (headers["x-forwarded-for"] ?? "").split(",").pop().trim();
}

function requestContext(request, headers, path, order) {
  const now = new Date();
  const host = headers["x-forwarded-host"] || headers.host || "";
  const [, day, month, year, time] = now.toUTCString().split(" ");
  return {
    accountId: "anonymous",
    apiId: order.function,
    domainName: host,
    domainPrefix: host.split(".")[0],
    http: {
      method: request.method,
      path,
      protocol: "HTTP/1.1",
      sourceIp: sourceIp(headers),
      userAgent: headers["user-agent"] ?? "",
    },
    requestId: headers["x-call-id"] ?? "",
    routeKey: "$default",
    stage: "$default",
    time: `${day}/${month}/${year}:${time} +0000`,
    timeEpoch: now.getTime(),
  };
}

/** Throws TypeError, naming the value's type, for what JSON cannot carry. */
function toJson(value) {
  let text;
  try {
    text = JSON.stringify(value === undefined ? null : value);
  } catch (error) {
    throw new TypeError(`a value that cannot be written as JSON was returned: ${error.message}`);
  }
  if (text === undefined) throw new TypeError(`a ${typeof value} that cannot be written as JSON was returned`);
  return text;
}

function isBytes(value) {
  return value instanceof ArrayBuffer || ArrayBuffer.isView(value);
}

function toBuffer(value) {
  if (value instanceof ArrayBuffer) return Buffer.from(value);
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}

function bodyAnswer(result) {
  if (typeof result === "string") return answer(200, TEXT_TYPE, result);
  if (isBytes(result)) return answer(200, BYTES_TYPE, toBuffer(result));
  return answer(200, JSON_TYPE, toJson(result));
}

function answer(status, type, body) {
  return { status, headers: [["content-type", type]], body };
}

/** Lambda's answer; without `statusCode` the result is a JSON body, text being taken as JSON already. */
function httpAnswer(result) {
  if (isHead(result)) return { ...headOf(result), body: lambdaBody(result) };
  if (typeof result === "string") return answer(200, JSON_TYPE, result);
  return bodyAnswer(result);
}

function isHead(item) {
  return typeof item === "object" && item !== null && "statusCode" in item;
}

/** Status and headers. Throws TypeError. */
function headOf(result) {
  const status = Number(result.statusCode);
  if (!Number.isInteger(status)) {
    throw new TypeError(`statusCode is ${JSON.stringify(result.statusCode)}; expected a number such as 200`);
  }
  const headers = [];
  for (const [name, value] of Object.entries(result.headers ?? {})) {
    for (const each of [value].flat()) headers.push([name, String(each)]);
  }
  if (!headers.some(([name]) => name.toLowerCase() === "content-type")) headers.push(["content-type", JSON_TYPE]);
  for (const cookie of result.cookies ?? []) headers.push(["set-cookie", String(cookie)]);
  return { status, headers };
}

function lambdaBody(result) {
  const body = result.body ?? "";
  if (typeof body === "string") return result.isBase64Encoded ? Buffer.from(body, "base64") : body;
  return isBytes(body) ? toBuffer(body) : toJson(body);
}

/** One item of a generator as it goes out. */
function streamPiece(item) {
  if (typeof item === "string") return Buffer.from(item);
  if (isBytes(item)) return toBuffer(item);
  return Buffer.from(`${toJson(item)}\n`);
}

/** The content type of a generator's answer: what the caller asked for, else by the first item. */
function streamType(request, first) {
  if ((request.header("accept") ?? "").includes(EVENT_STREAM_TYPE)) return EVENT_STREAM_TYPE;
  if (first === undefined || typeof first === "string") return TEXT_TYPE;
  return isBytes(first) ? BYTES_TYPE : NDJSON_TYPE;
}

module.exports = {
  bodyAnswer, bodyEvent, headOf, httpAnswer, httpEvent, isHead, splitTarget, streamPiece, streamType,
};
