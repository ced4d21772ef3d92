"use strict";
// The nearest known word to a mistyped one, for messages that help.

/** Edits (insert, delete, replace) that lead from one word to the other. */
function distance(one, other) {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (let i = 1; i <= one.length; i++) {
    const next = [i];
    for (let j = 1; j <= other.length; j++) {
      const replaced = row[j - 1] + (one[i - 1] === other[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j] + 1, next[j - 1] + 1));
    }
    row = next;
  }
  return row[other.length];
}

/** ` Did you mean "x"?` with a leading space, or nothing. */
function didYouMean(word, known) {
  const ranked = known.map((each) => [distance(word, each), each]).sort((a, b) => a[0] - b[0]);
  const best = ranked[0];
  return best && best[0] <= Math.max(1, Math.floor(word.length * 0.4)) ? ` Did you mean "${best[1]}"?` : "";
}

module.exports = { didYouMean, distance };
