// What the service SDK promises about bulk registry operations.
'use strict';

const test = require('node:test');
const assert = require('./assert.js');
const { registry, prefix, owned, fresh, twinOf } = require('./support.js');

const ids = (name, n) => Array.from({ length: n }, (_, i) => owned(`${prefix}${name}-${i}`));

// failed returns the errors of a bulk operation that answers 400.
async function failed(promise) {
  let found;
  await assert.rejects(promise, (err) => {
    assert.equal(err.name, 'ArgumentError');
    assert.equal(err.response.statusCode, 400);
    assert.equal(err.response.headers['iothub-errorcode'], 'BulkRegistryOperationFailure');
    found = JSON.parse(err.responseBody);
    return true;
  });
  assert.equal(found.isSuccessful, false);
  assert.ok(found.errors.every((e) => e.errorStatus));
  return found.errors.map((e) => [e.deviceId, e.errorCode]);
}

test('add, update and remove', async () => {
  const all = ids('all', 5);
  const { responseBody: added } = await registry.addDevices(all.map((deviceId) => ({ deviceId })));
  assert.equal(added.isSuccessful, true);
  assert.deepEqual(added.errors, []);
  assert.deepEqual(added.warnings, []);
  const devices = [];
  for (const id of all) {
    const { responseBody: device } = await registry.get(id);
    assert.equal(device.status, 'enabled');
    assert.equal(Buffer.from(device.authentication.symmetricKey.primaryKey, 'base64').length, 32);
    assert.equal((await twinOf(id)).version, 2);
    devices.push(device);
  }
  assert.equal(new Set(devices.map((d) => d.authentication.symmetricKey.primaryKey)).size, 5);

  const { responseBody: updated } = await registry.updateDevices(devices.map((d) => ({ ...d, status: 'disabled', statusReason: 'bulk' })), false);
  assert.equal(updated.isSuccessful, true);
  for (const old of devices) {
    const { responseBody: device } = await registry.get(old.deviceId);
    assert.equal(device.status, 'disabled');
    assert.equal(device.statusReason, 'bulk');
    assert.notEqual(device.etag, old.etag);
    assert.deepEqual(device.authentication.symmetricKey, old.authentication.symmetricKey);
  }
  assert.deepEqual(await failed(registry.removeDevices(devices, false)), all.map((id) => [id, 'EtagDoesNotMatch']));
  const { responseBody: removed } = await registry.removeDevices(devices, true);
  assert.equal(removed.isSuccessful, true);
  for (const id of all) {
    await assert.rejects(registry.get(id), { name: 'DeviceNotFoundError' });
  }
});

test('what can be done is done, the rest is named', async () => {
  const there = await fresh('there');
  const [a, b] = ids('part', 2);
  const errors = await failed(registry.addDevices([{ deviceId: a }, { deviceId: there.deviceId }, { deviceId: b }]));
  assert.deepEqual(errors, [[there.deviceId, 'DeviceAlreadyExists']]);
  assert.equal((await registry.get(a)).responseBody.deviceId, a);
  assert.equal((await registry.get(b)).responseBody.deviceId, b);
  const { responseBody: same } = await registry.get(there.deviceId);
  assert.equal(same.etag, there.etag);
});

test('missing devices are named', async () => {
  const [a, b] = ids('missing', 2);
  assert.deepEqual(await failed(registry.updateDevices([{ deviceId: a }], true)), [[a, 'DeviceNotFound']]);
  assert.deepEqual(await failed(registry.removeDevices([{ deviceId: a }, { deviceId: b }], true)), [[a, 'DeviceNotFound'], [b, 'DeviceNotFound']]);
});

test('a device named twice is left alone', async () => {
  const [a, b] = ids('twice', 2);
  const errors = await failed(registry.addDevices([{ deviceId: a }, { deviceId: b }, { deviceId: a }]));
  assert.deepEqual(errors, [[a, 'DeviceDefinedMultipleTimes'], [a, 'DeviceDefinedMultipleTimes']]);
  await assert.rejects(registry.get(a), { name: 'DeviceNotFoundError' });
  assert.equal((await registry.get(b)).responseBody.deviceId, b);
});

test('a hundred at once', async () => {
  const all = ids('hundred', 100).map((deviceId) => ({ deviceId }));
  const { responseBody: before } = await registry.getRegistryStatistics();
  assert.equal((await registry.addDevices(all)).responseBody.isSuccessful, true);
  const { responseBody: after } = await registry.getRegistryStatistics();
  assert.equal(after.totalDeviceCount, before.totalDeviceCount + 100);
  assert.equal((await registry.removeDevices(all, true)).responseBody.isSuccessful, true);
  const { responseBody: end } = await registry.getRegistryStatistics();
  assert.equal(end.totalDeviceCount, before.totalDeviceCount);
});

test('tags and desired come along', async () => {
  const [id] = ids('twin', 1);
  await registry.addDevices([{ deviceId: id, tags: { site: 'b1' }, properties: { desired: { fan: 3 } } }]);
  const twin = await twinOf(id);
  assert.deepEqual(twin.tags, { site: 'b1' });
  assert.equal(twin.properties.desired.fan, 3);
  assert.ok(twin.properties.desired.$version > 1);
});
