"use strict";
// What an instance is asked to be: a function's version, by the environment or by /_plat/load.

const TYPES = {
  function: "string", version: "number", handler: "string", event: "string", concurrency: "number",
  timeout_s: "number", memory_mb: "number", code: "string", env: "object",
};

/** The order is not complete or not of the right types; the message names the key. */
class OrderError extends Error {}

function checked(values, instance) {
  const order = { instance };
  for (const [key, type] of Object.entries(TYPES)) {
    const value = values[key];
    if (typeof value !== type || value === null || Array.isArray(value)) {
      throw new OrderError(`"${key}" is ${JSON.stringify(value)}; expected ${type}.`);
    }
    order[key] = value;
  }
  if (order.event !== "body" && order.event !== "http") {
    throw new OrderError(`"event" is "${order.event}"; expected body or http.`);
  }
  return order;
}

function numberOf(environ, name, fallback) {
  const text = environ[name] ?? fallback;
  const number = Number(text);
  if (text === "" || Number.isNaN(number)) throw new OrderError(`${name} is "${text}"; expected a number.`);
  return number;
}

/** The order of an instance that starts with its function; null: it starts warm. Throws OrderError. */
function fromEnviron(environ) {
  if (!environ.PLAT_HANDLER) return null;
  return checked({
    function: environ.PLAT_FUNCTION ?? "",
    version: numberOf(environ, "PLAT_VERSION", "1"),
    handler: environ.PLAT_HANDLER,
    event: environ.PLAT_EVENT ?? "body",
    concurrency: numberOf(environ, "PLAT_CONCURRENCY", "1"),
    timeout_s: numberOf(environ, "PLAT_TIMEOUT_S", "30"),
    memory_mb: numberOf(environ, "PLAT_MEMORY_MB", "128"),
    code: environ.PLAT_CODE ?? ".",
    env: {},
  }, environ.PLAT_INSTANCE ?? "");
}

/** The order of /_plat/load. Throws OrderError. */
function fromJson(body, instance) {
  let values;
  try {
    values = JSON.parse(body.toString());
  } catch (error) {
    throw new OrderError(`The body is not JSON: ${error.message}.`);
  }
  if (typeof values !== "object" || values === null || Array.isArray(values)) {
    throw new OrderError("The body is not a JSON object.");
  }
  return checked(values, instance);
}

/** What the function sees in its environment, however the order came. */
function environOf(order) {
  return {
    PLAT_FUNCTION: order.function,
    PLAT_VERSION: String(order.version),
    PLAT_HANDLER: order.handler,
    PLAT_EVENT: order.event,
    PLAT_CONCURRENCY: String(order.concurrency),
    PLAT_TIMEOUT_S: String(order.timeout_s),
    PLAT_MEMORY_MB: String(order.memory_mb),
    PLAT_CODE: order.code,
    ...order.env,
  };
}

module.exports = { OrderError, environOf, fromEnviron, fromJson };
