"use strict";
// The folder of our socket, which may be taken from us once the socket is there (PLAT_SEALED).
//
// A folder that a function can write to is one that it can fill the machine's disk with. So no code of a
// function runs before.

const fs = require("node:fs");
const path = require("node:path");
const { setTimeout: sleep } = require("node:timers/promises");

const POLL_MS = 1;

/**
 * Until the folder of the socket cannot be written to, if that was announced.
 * There is no limit of time: whoever announced it and does not do it finds that we do not become ready.
 */
async function sealed(socketPath) {
  const announced = process.env.PLAT_SEALED;
  delete process.env.PLAT_SEALED;
  while (announced && isWritable(path.dirname(socketPath))) await sleep(POLL_MS);
}

function isWritable(folder) {
  try {
    fs.accessSync(folder, fs.constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

module.exports = { sealed };
