// What the service SDK promises of a hub that is asked too much. The hub is held
// to the rates of a free one.
'use strict';

const test = require('node:test');
const assert = require('./assert.js');
const { registry, fresh, twinOf, refused } = require('./support.js');

// flood asks until the hub refuses, and returns what it said.
async function flood(ask) {
  for (let n = 0; n < 1000; n++) {
    try {
      await ask();
    } catch (err) {
      return err;
    }
  }
  return undefined;
}

test('too many queries are ThrottlingError', async () => {
  const device = await fresh('asked');
  const query = () => registry.createQuery(`SELECT * FROM devices WHERE deviceId = '${device.deviceId}'`).next();
  const err = await flood(query);
  assert.equal(err.name, 'ThrottlingError');
  assert.equal(err.response.statusCode, 429);
  assert.equal(err.response.headers['iothub-errorcode'], 'ThrottlingException');
  assert.equal(err.response.headers['retry-after'], undefined);
  assert.match(JSON.parse(err.responseBody).Message, /^ErrorCode:ThrottlingException;.*10 seconds/);
  await refused(query(), 'ThrottlingError', 429, 'ThrottlingException');
  assert.equal((await twinOf(device.deviceId)).deviceId, device.deviceId);
});

test('too many twin updates are ThrottlingError and are not made', async () => {
  const device = await fresh('written');
  let written = 0;
  const err = await flood(async () => {
    // More at once than wait for their turn.
    await Promise.all(Array.from({ length: 250 }, () => registry.updateTwin(device.deviceId, { tags: { n: 1 } }, '*').then(() => { written++; })));
  });
  assert.equal(err.name, 'ThrottlingError');
  const twin = await twinOf(device.deviceId);
  assert.ok(twin.version >= 2 + written);
});
