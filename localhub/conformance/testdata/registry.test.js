// What the service SDK promises about the identities of devices.
'use strict';

const test = require('node:test');
const iothub = require('azure-iothub');
const { NoRetry } = require('azure-iot-common');
const assert = require('./assert.js');
const { registry, host, prefix, owned, fresh, twinOf, refused, eventually, differs } = require('./support.js');

const key = (byte, length = 32) => Buffer.alloc(length, byte).toString('base64');
const sas = (primaryKey, secondaryKey) => ({ authentication: { type: 'sas', symmetricKey: { primaryKey, secondaryKey } } });

test('a created device has two keys, an etag and a twin', async () => {
  const device = await fresh('create');
  const { symmetricKey, type } = device.authentication;
  assert.equal(device.deviceId, prefix + 'create');
  assert.equal(type, 'sas');
  assert.equal(Buffer.from(symmetricKey.primaryKey, 'base64').length, 32);
  assert.equal(Buffer.from(symmetricKey.secondaryKey, 'base64').length, 32);
  assert.notEqual(symmetricKey.primaryKey, symmetricKey.secondaryKey);
  assert.equal(device.status, 'enabled');
  assert.equal(device.connectionState, 'Disconnected');
  assert.equal(device.cloudToDeviceMessageCount, 0);
  assert.match(Buffer.from(device.etag, 'base64').toString(), /^\d+$/);
  assert.match(device.generationId, /^\d+$/);
  assert.match(device.statusUpdatedTime, /^0001-01-01T00:00:00/);
  assert.match(device.lastActivityTime, /^0001-01-01T00:00:00/);
  assert.deepEqual(device.capabilities, { iotEdge: false });
  const twin = await twinOf(device.deviceId);
  assert.equal(twin.deviceEtag, device.etag);
  assert.ok(!('generationId' in twin));
  const { responseBody: read } = await registry.get(device.deviceId);
  assert.deepEqual(read.authentication, device.authentication);
  assert.equal(read.etag, device.etag);
  assert.equal(read.generationId, device.generationId);
});

test('keys that are given are kept', async () => {
  const device = await fresh('keys', sas(key(1), key(2)));
  assert.deepEqual(device.authentication.symmetricKey, { primaryKey: key(1), secondaryKey: key(2) });
  const { responseBody: updated } = await registry.update({ ...device, ...sas(key(3), key(4)) });
  assert.deepEqual(updated.authentication.symmetricKey, { primaryKey: key(3), secondaryKey: key(4) });
  for (const length of [16, 64]) {
    const { responseBody: other } = await registry.update({ ...updated, ...sas(key(5, length), key(6, length)) });
    assert.equal(other.authentication.symmetricKey.primaryKey, key(5, length));
  }
});

test('other ways to authenticate', async () => {
  const primaryThumbprint = 'A'.repeat(40);
  const secondaryThumbprint = '0123456789abcdef0123456789ABCDEF01234567';
  const self = await fresh('self', { authentication: { type: 'selfSigned', x509Thumbprint: { primaryThumbprint, secondaryThumbprint } } });
  assert.equal(self.authentication.type, 'selfSigned');
  assert.deepEqual(self.authentication.x509Thumbprint, { primaryThumbprint, secondaryThumbprint });
  assert.equal((await twinOf(self.deviceId)).authenticationType, 'selfSigned');
  const authority = await fresh('authority', { authentication: { type: 'certificateAuthority' } });
  assert.equal(authority.authentication.type, 'certificateAuthority');
  assert.equal((await twinOf(authority.deviceId)).authenticationType, 'certificateAuthority');
});

test('what an identity must not be', async () => {
  for (const [name, more] of [
    ['short', sas(key(1, 15), key(2, 15))],
    ['long', sas(key(1, 65), key(2, 65))],
    ['text', sas('no base64!', 'no base64!')],
    ['status', { status: 'asleep' }],
    ['reason', { statusReason: 'x'.repeat(129) }],
    ['nothing', { authentication: { type: 'none' } }],
    ['thumb', { authentication: { type: 'selfSigned', x509Thumbprint: { primaryThumbprint: 'no hex' } } }],
  ]) {
    await refused(registry.create({ deviceId: prefix + name, ...more }), 'ArgumentError', 400, 'ArgumentInvalid');
    await assert.rejects(registry.get(prefix + name), { name: 'DeviceNotFoundError' });
  }
});

test('ids with awkward characters survive the path', async () => {
  for (const name of ['a+b', 'x#1', '100%', '%41', 'what?', "O'Neil", 'pump.json', 'a:b;c=d,e', '(a)!*@$_']) {
    const device = await fresh(name);
    assert.equal(device.deviceId, prefix + name);
    assert.equal((await twinOf(device.deviceId)).deviceId, prefix + name);
    const { responseBody: read } = await registry.get(device.deviceId);
    assert.equal(read.etag, device.etag);
    await registry.delete(device.deviceId);
    await assert.rejects(registry.get(device.deviceId), { name: 'DeviceNotFoundError' });
  }
});

test('ids are case-sensitive and have at most 128 characters', async () => {
  const lower = await fresh('case');
  const upper = await fresh('CASE');
  assert.notEqual(lower.authentication.symmetricKey.primaryKey, upper.authentication.symmetricKey.primaryKey);
  const longest = prefix + 'x'.repeat(128 - prefix.length);
  const { responseBody: device } = await registry.create({ deviceId: owned(longest) });
  assert.equal(device.deviceId, longest);
  await refused(registry.create({ deviceId: longest + 'x' }), 'ArgumentError', 400, 'ArgumentInvalid');
  for (const id of ['a b', 'a/b', 'ü', 'a"b', 'a<b']) {
    await refused(registry.create({ deviceId: prefix + id }), 'ArgumentError', 400, 'ArgumentInvalid');
  }
});

test('creating a device twice is DeviceAlreadyExistsError', async () => {
  const device = await fresh('twice');
  await refused(registry.create({ deviceId: device.deviceId }), 'DeviceAlreadyExistsError', 409, 'DeviceAlreadyExists');
  await refused(registry.create({ ...device, status: 'disabled' }), 'DeviceAlreadyExistsError', 409, 'DeviceAlreadyExists');
  const { responseBody: read } = await registry.get(device.deviceId);
  assert.equal(read.etag, device.etag);
  assert.equal(read.status, 'enabled');
});

test('a missing device is DeviceNotFoundError', async () => {
  const deviceId = prefix + 'missing';
  await refused(registry.get(deviceId), 'DeviceNotFoundError', 404, 'DeviceNotFound');
  await refused(registry.update({ deviceId, ...sas(key(1), key(2)) }), 'DeviceNotFoundError', 404, 'DeviceNotFound');
  await refused(registry.delete(deviceId), 'DeviceNotFoundError', 404, 'DeviceNotFound');
});

test('an error says what IoT Hub says', async () => {
  await assert.rejects(registry.get(prefix + 'missing'), (err) => {
    const { Message, ExceptionMessage } = JSON.parse(err.responseBody);
    assert.match(Message, /^ErrorCode:DeviceNotFound;.+/);
    assert.match(ExceptionMessage, /^Tracking ID:\S+/);
    assert.match(err.response.headers['content-type'], /application\/json/);
    return true;
  });
});

test('a wrong key is UnauthorizedError', async () => {
  const stranger = (name, shared) => iothub.Registry.fromConnectionString(`HostName=${host};SharedAccessKeyName=${name};SharedAccessKey=${shared}`);
  for (const other of [stranger('iothubowner', key(0)), stranger('nobody', key(0))]) {
    await refused(other.get(prefix + 'any'), 'UnauthorizedError', 401, 'IotHubUnauthorizedAccess');
    await refused(other.getTwin(prefix + 'any'), 'UnauthorizedError', 401, 'IotHubUnauthorizedAccess');
    await refused(other.create({ deviceId: prefix + 'any' }), 'UnauthorizedError', 401, 'IotHubUnauthorizedAccess');
    await refused(other.createQuery('SELECT * FROM devices').next(), 'UnauthorizedError', 401, 'IotHubUnauthorizedAccess');
  }
});

test('a token that has expired is UnauthorizedError', async () => {
  const expired = iothub.Registry.fromSharedAccessSignature(`SharedAccessSignature sr=${host}&sig=AAAA&skn=iothubowner&se=1000000000`);
  await assert.rejects(expired.get(prefix + 'any'), { name: 'UnauthorizedError' });
});

test('an update replaces the identity', async () => {
  const device = await fresh('update');
  const { responseBody: off } = await registry.update({ ...device, status: 'disabled', statusReason: 'on the bench' });
  assert.equal(off.status, 'disabled');
  assert.equal(off.statusReason, 'on the bench');
  assert.notEqual(off.etag, device.etag);
  assert.equal(off.generationId, device.generationId);
  const { responseBody: read } = await registry.get(device.deviceId);
  assert.ok(Date.parse(read.statusUpdatedTime) > Date.parse('2020-01-01'));
  assert.deepEqual(read.authentication.symmetricKey, device.authentication.symmetricKey);
  const { responseBody: on } = await registry.update({ ...read, status: 'enabled', statusReason: undefined });
  assert.equal(on.status, 'enabled');
  assert.ok(!on.statusReason);
});

test('the list has every device', async () => {
  const device = await fresh('listed', { status: 'disabled', statusReason: 'spare' });
  const { responseBody: devices } = await registry.list();
  const found = devices.find((d) => d.deviceId === device.deviceId);
  assert.equal(found.status, 'disabled');
  assert.equal(found.statusReason, 'spare');
  assert.deepEqual(found.authentication.symmetricKey, device.authentication.symmetricKey);
});

test('a deleted device takes its twin along', async () => {
  const device = await fresh('delete');
  await registry.updateTwin(device.deviceId, { tags: { old: true } }, '*');
  await registry.delete(device.deviceId);
  await refused(registry.getTwin(device.deviceId), 'DeviceNotFoundError', 404, 'DeviceNotFound');
  const again = await fresh('delete');
  const twin = await twinOf(device.deviceId);
  assert.notEqual(again.generationId, device.generationId);
  assert.notEqual(again.authentication.symmetricKey.primaryKey, device.authentication.symmetricKey.primaryKey);
  assert.equal(twin.version, 2);
  assert.equal(twin.tags?.old, undefined);
});

test('statistics count devices', async () => {
  const { responseBody: before } = await registry.getRegistryStatistics();
  await fresh('counted');
  const { responseBody: after } = await registry.getRegistryStatistics();
  assert.equal(after.totalDeviceCount, before.totalDeviceCount + 1);
  assert.equal(after.enabledDeviceCount, before.enabledDeviceCount + 1);
  await fresh('uncounted', { status: 'disabled' });
  const { responseBody: end } = await registry.getRegistryStatistics();
  assert.equal(end.disabledDeviceCount, before.disabledDeviceCount + 1);
  assert.equal(end.totalDeviceCount, end.enabledDeviceCount + end.disabledDeviceCount);
});

test('an edge device has its two modules', async () => {
  const device = await fresh('edge', { capabilities: { iotEdge: true } });
  assert.deepEqual(device.capabilities, { iotEdge: true });
  const { responseBody: modules } = await registry.getModulesOnDevice(device.deviceId);
  assert.deepEqual(modules.map((m) => m.moduleId).sort(), ['$edgeAgent', '$edgeHub']);
  assert.ok(modules.every((m) => m.managedBy === 'iotEdge'));
  assert.equal((await twinOf(device.deviceId)).capabilities.iotEdge, true);
});

differs('automatic configurations', 'the local hub manages no configurations', /does not offer/, async () => {
  const { responseBody } = await registry.getConfigurations();
  assert.ok(Array.isArray(responseBody));
});

differs('import and export jobs', 'the local hub has no storage to import from', /does not offer/, async () => {
  const { responseBody } = await registry.listJobs();
  assert.ok(Array.isArray(responseBody));
});

differs('cloud-to-device messages', 'the local hub does not speak AMQP', /ECONNREFUSED|NotConnectedError/, async () => {
  const device = await fresh('message');
  const service = iothub.Client.fromConnectionString(process.env.HUB_CONNECTION_STRING);
  service.setRetryPolicy(new NoRetry());
  await service.open();
  await service.send(device.deviceId, 'hello');
  await service.close();
  await eventually(async () => (await registry.get(device.deviceId)).responseBody.cloudToDeviceMessageCount === 1);
});
