// node:assert/strict that remembers where in the tests it held, so that the suite
// can count itself: each line once, however often it runs.
'use strict';

const fs = require('node:fs');
const strict = require('node:assert/strict');

Error.stackTraceLimit = 30;

const places = new Set();

// place is the line of a test that asks; helpers on the way are passed over.
function place() {
  return new Error().stack.match(/[^/]*\.test\.js:\d+:\d+/g)?.at(-1);
}

function counted(check) {
  return (...args) => {
    const at = place();
    const held = (result) => {
      if (at) {
        places.add(at);
      }
      return result;
    };
    const result = check(...args);
    return result instanceof Promise ? result.then(held) : held(result);
  };
}

const assert = {};
for (const name of ['ok', 'equal', 'notEqual', 'deepEqual', 'notDeepEqual', 'match', 'doesNotMatch', 'throws', 'rejects', 'doesNotReject']) {
  assert[name] = counted(strict[name]);
}

if (process.env.ASSERTIONS) {
  process.on('exit', () => fs.writeFileSync(process.env.ASSERTIONS, JSON.stringify([...places])));
}

module.exports = assert;
