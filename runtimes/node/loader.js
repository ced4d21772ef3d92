"use strict";
// Import the handler, and tell apart the ways in which that fails: each has its own code and advice.

const { execFile } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const { fileURLToPath, pathToFileURL } = require("node:url");
const { didYouMean } = require("./nearest.js");
const { environOf } = require("./order.js");
const { described, userStack } = require("./stacks.js");

const EXTENSIONS = [".js", ".mjs", ".cjs"];

/** Why the handler cannot serve. `trace` is the user's own stack, "" where there is none. */
class LoadError extends Error {
  constructor(code, detail, trace = "") {
    super(detail);
    this.code = code;
    this.trace = trace;
  }
}

/**
 * The handler as `{ kind: "event" | "fetch", call }`. Rejects with LoadError.
 * The handler is `<file without extension>.<export>`; the export `default` is a Fetch-style function.
 */
async function load(order) {
  Object.assign(process.env, environOf(order));
  process.chdir(order.code);
  const dot = order.handler.lastIndexOf(".");
  const [file, name] = [order.handler.slice(0, dot), order.handler.slice(dot + 1)];
  if (dot < 1 || !name) {
    throw new LoadError("handler_not_found", `The handler "${order.handler}" is not of the form module.function.`);
  }
  return pick(await importFile(find(file, order), order), name, order);
}

/** While nobody waits: what Node does at its first import takes milliseconds, and so do the Fetch classes. */
async function preload() {
  await import(pathToFileURL(__filename).href);
  require("./fetch.js");
  return globalThis.Response;
}

function find(file, order) {
  for (const extension of EXTENSIONS) {
    const candidate = path.resolve(order.code, file + extension);
    if (fs.existsSync(candidate)) return fs.realpathSync(candidate);
  }
  const known = fs.existsSync(order.code) ? modulesIn(order.code) : [];
  const there = known.length ? `It has ${known.slice(0, 10).join(", ")}.` : "It has no JavaScript file.";
  throw new LoadError(
    "handler_module_not_found",
    `The handler "${order.handler}" is in the module "${file}", but the package has no ${file}.js, .mjs or .cjs. ` +
      there + didYouMean(file, known),
  );
}

function modulesIn(folder) {
  return fs.readdirSync(folder).filter((each) => EXTENSIONS.includes(path.extname(each)))
    .map((each) => path.parse(each).name).sort();
}

async function importFile(file, order) {
  try {
    return await import(pathToFileURL(file).href);
  } catch (error) {
    if (error instanceof SyntaxError) throw await syntaxError(error, file, order);
    const { type, message } = described(error);
    const first = message.split("\n")[0];
    const detail = `Importing "${path.relative(order.code, file)}" raised ${type}: ${first}`;
    throw new LoadError("handler_import_failed", detail, userStack(error));
  }
}

/** Node tells the place of a syntax error only as text, and for ES modules only when it checks the file. */
async function syntaxError(error, file, order) {
  let trace = userStack(error);
  if (!placeIn(trace)) trace = (await checkedBy(file)) || trace;
  const place = placeIn(trace);
  const root = fs.realpathSync(order.code);
  const where = place ? `${path.relative(root, place.file)}, line ${place.line}` : path.relative(root, file);
  return new LoadError("handler_syntax_error", `${where}: ${error.message}.`, trace);
}

function placeIn(text) {
  const match = /^(?:(file:\/\/\/.+)|(\/.+)):(\d+)$/m.exec(text);
  if (!match) return null;
  return { file: match[1] ? fileURLToPath(match[1]) : match[2], line: Number(match[3]) };
}

function checkedBy(file) {
  return new Promise((resolve) => {
    execFile(process.execPath, ["--check", file], (_error, _stdout, stderr) => {
      const lines = stderr.split("\n").filter((line) => !/^\s+at |^Node\.js v/.test(line));
      resolve(lines.join("\n").trim() && `${lines.join("\n").trim()}\n`);
    });
  });
}

function pick(module, name, order) {
  const inner = module.default;
  const target = name === "default" ? undefined : module[name] ?? (isObject(inner) ? inner[name] : undefined);
  if (typeof target === "function") return { kind: "event", call: target };
  const fetcher = fetchStyle(inner);
  if (fetcher && (name === "default" || (name === "handler" && target === undefined))) {
    return { kind: "fetch", call: fetcher };
  }
  if (target !== undefined) {
    throw new LoadError("handler_not_found", `"${order.handler}" is of type ${typeof target}, not a function.`);
  }
  const known = [...new Set([...Object.keys(module), ...(isObject(inner) ? Object.keys(inner) : [])])]
    .filter((each) => typeof (module[each] ?? inner[each]) === "function");
  const detail = `The module exports no "${name}" (handler "${order.handler}").${didYouMean(name, known)}`;
  throw new LoadError("handler_not_found", detail);
}

function isObject(value) {
  return value !== null && (typeof value === "object" || typeof value === "function");
}

/** `export default (request) => Response`, or `export default { fetch(request) {} }`. */
function fetchStyle(value) {
  if (typeof value === "function") return value;
  return isObject(value) && typeof value.fetch === "function" ? value.fetch.bind(value) : null;
}

module.exports = { LoadError, load, preload };
