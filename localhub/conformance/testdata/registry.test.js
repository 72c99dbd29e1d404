// What the service SDK promises about identities, twins and queries.
'use strict';

const test = require('node:test');
const assert = require('node:assert/strict');
const iothub = require('azure-iothub');

const connectionString = process.env.HUB_CONNECTION_STRING;
const registry = iothub.Registry.fromConnectionString(connectionString);
const prefix = process.env.DEVICE_ID + '-';

async function fresh(name) {
  const deviceId = prefix + name;
  const { responseBody } = await registry.create({ deviceId });
  return responseBody;
}

test('a created device has two keys, an etag and a twin', async () => {
  const device = await fresh('create');
  const key = device.authentication.symmetricKey;
  assert.equal(Buffer.from(key.primaryKey, 'base64').length, 32);
  assert.notEqual(key.primaryKey, key.secondaryKey);
  assert.equal(device.status, 'enabled');
  assert.ok(device.etag);
  const { responseBody: twin } = await registry.getTwin(device.deviceId);
  assert.equal(twin.etag, 'AAAAAAAAAAE=');
  assert.equal(twin.version, 2);
  assert.equal(twin.connectionState, 'Disconnected');
  assert.equal(twin.properties.desired.$version, 1);
  assert.equal(twin.properties.reported.$version, 1);
});

test('ids with awkward characters survive the path', async () => {
  for (const name of ['a b'.replace(' ', '+'), 'x#1', '100%', 'what?', "O'Neil", 'pump.json']) {
    const device = await fresh(name);
    assert.equal(device.deviceId, prefix + name);
    const { responseBody: twin } = await registry.getTwin(device.deviceId);
    assert.equal(twin.deviceId, prefix + name);
    await registry.delete(device.deviceId);
  }
});

test('creating a device twice is DeviceAlreadyExistsError', async () => {
  const device = await fresh('twice');
  await assert.rejects(registry.create({ deviceId: device.deviceId }), { name: 'DeviceAlreadyExistsError' });
});

test('a missing device is DeviceNotFoundError', async () => {
  await assert.rejects(registry.get(prefix + 'missing'), { name: 'DeviceNotFoundError' });
  await assert.rejects(registry.getTwin(prefix + 'missing'), { name: 'DeviceNotFoundError' });
  await assert.rejects(registry.delete(prefix + 'missing'), { name: 'DeviceNotFoundError' });
});

test('a wrong key is UnauthorizedError', async () => {
  const wrong = connectionString.replace(/SharedAccessKey=.*/, 'SharedAccessKey=' + Buffer.alloc(32).toString('base64'));
  const other = iothub.Registry.fromConnectionString(wrong);
  await assert.rejects(other.getTwin(prefix + 'any'), { name: 'UnauthorizedError' });
});

test('update and list', async () => {
  const device = await fresh('update');
  device.status = 'disabled';
  device.statusReason = 'on the bench';
  const { responseBody: updated } = await registry.update(device);
  assert.equal(updated.status, 'disabled');
  assert.notEqual(updated.etag, device.etag);
  const { responseBody: devices } = await registry.list();
  const found = devices.find((d) => d.deviceId === device.deviceId);
  assert.equal(found.statusReason, 'on the bench');
  assert.deepEqual(found.authentication.symmetricKey, device.authentication.symmetricKey);
});

test('delete removes identity and twin', async () => {
  const device = await fresh('delete');
  await registry.delete(device.deviceId);
  await assert.rejects(registry.getTwin(device.deviceId), { name: 'DeviceNotFoundError' });
});

test('statistics count devices', async () => {
  const { responseBody: before } = await registry.getRegistryStatistics();
  await fresh('counted');
  const { responseBody: after } = await registry.getRegistryStatistics();
  assert.equal(after.totalDeviceCount, before.totalDeviceCount + 1);
  assert.equal(after.enabledDeviceCount, before.enabledDeviceCount + 1);
});

test('a twin update merges, removes by null and moves the etag', async () => {
  const device = await fresh('merge');
  const { responseBody: twin } = await registry.getTwin(device.deviceId);
  await twin.update({ tags: { site: { name: 'b1', floor: 2 } }, properties: { desired: { fan: { speed: 3 }, list: [1, 2] } } });
  assert.equal(twin.etag, 'AAAAAAAAAAI=');
  await twin.update({ tags: { site: { floor: null } }, properties: { desired: { list: [9] } } });
  const { responseBody: again } = await registry.getTwin(device.deviceId);
  assert.deepEqual(again.tags, { site: { name: 'b1' } });
  assert.deepEqual(again.properties.desired.list, [9]);
  assert.deepEqual(again.properties.desired.fan, { speed: 3 });
  assert.equal(again.properties.desired.$version, 3);
  assert.equal(again.properties.desired.$metadata.fan.speed.$lastUpdatedVersion, 2);
  assert.equal(again.properties.desired.$metadata.list.$lastUpdatedVersion, 3);
});

test('a stale etag is InvalidEtagError and changes nothing', async () => {
  const device = await fresh('stale');
  const { responseBody: first } = await registry.getTwin(device.deviceId);
  const stale = first.etag;
  await first.update({ tags: { n: 1 } });
  await assert.rejects(registry.updateTwin(device.deviceId, { tags: { n: 2 } }, stale), { name: 'InvalidEtagError' });
  const { responseBody: after } = await registry.getTwin(device.deviceId);
  assert.equal(after.tags.n, 1);
  const { responseBody: forced } = await registry.updateTwin(device.deviceId, { tags: { n: 3 } }, '*');
  assert.equal(forced.tags.n, 3);
});

test('a property name with a forbidden character is ArgumentError', async () => {
  const device = await fresh('name');
  for (const name of ['a.b', '$a', 'a b', 'a#b']) {
    await assert.rejects(registry.updateTwin(device.deviceId, { tags: { [name]: 1 } }, '*'), { name: 'ArgumentError' });
  }
});

test('a twin that is too large is ArgumentError', async () => {
  const device = await fresh('large');
  const tags = { a: 'x'.repeat(4000), b: 'x'.repeat(4000), c: 'x'.repeat(400) };
  await assert.rejects(registry.updateTwin(device.deviceId, { tags }, '*'), { name: 'ArgumentError' });
});

test('queries page through every device once', async () => {
  const site = prefix + 'paged';
  for (let i = 0; i < 7; i++) {
    const device = await fresh('page' + i);
    await registry.updateTwin(device.deviceId, { tags: { site } }, '*');
  }
  const query = registry.createQuery(`SELECT * FROM devices WHERE tags.site = '${site}'`, 3);
  const pages = [];
  while (query.hasMoreResults) {
    const { result } = await query.nextAsTwin();
    pages.push(result.map((t) => t.deviceId));
  }
  assert.equal(pages.flat().length, 7);
  assert.equal(new Set(pages.flat()).size, 7);
  assert.ok(pages.every((p) => p.length <= 3));
});

test('a projection gives raw rows', async () => {
  const device = await fresh('raw');
  await registry.updateTwin(device.deviceId, { tags: { n: 5 } }, '*');
  const query = registry.createQuery(`SELECT deviceId, tags.n AS number FROM devices WHERE deviceId = '${device.deviceId}'`);
  const { result } = await query.next();
  assert.deepEqual(result, [{ deviceId: device.deviceId, number: 5 }]);
});

test('a query that cannot be read is ArgumentError', async () => {
  await assert.rejects(registry.createQuery('SELECT * FROM devices ORDER BY deviceId').nextAsTwin(), { name: 'ArgumentError' });
});
