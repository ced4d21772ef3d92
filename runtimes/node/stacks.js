"use strict";
// Stacks as the function's author wants to see them: without our frames and Node's own.

const OURS = __dirname + "/";

function isForeign(line) {
  return /^\s+at /.test(line) && (line.includes(OURS) || /\(?node:/.test(line));
}

/** The stack as text, ending with a line break, also of the error's causes. */
function userStack(error) {
  if (!(error instanceof Error)) return `Uncaught ${String(error)}\n`;
  const stack = String(error.stack || `${error.name}: ${error.message}`);
  const lines = stack.split("\n").filter((line) => !isForeign(line));
  const cause = error.cause === undefined ? "" : `[cause]: ${userStack(error.cause)}`;
  return `${lines.join("\n").trimEnd()}\n${cause}`;
}

/** Name and message of whatever was thrown. */
function described(error) {
  if (error instanceof Error) return { type: error.name || "Error", message: String(error.message) };
  return { type: typeof error, message: String(error) };
}

module.exports = { described, userStack };
