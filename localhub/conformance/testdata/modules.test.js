// What the SDKs promise about modules: identities, twins, connections.
'use strict';

const test = require('node:test');
const assert = require('./assert.js');
const { once } = require('node:events');
const { Message } = require('azure-iot-device');
const { Mqtt } = require('azure-iot-device-mqtt');
const { registry, prefix, fresh, freshModule, twinOf, connected, refused, eventually } = require('./support.js');

test('a module has keys, an etag and a twin of its own', async () => {
  const device = await fresh('own');
  const module = await freshModule(device.deviceId, 'm1', { managedBy: 'me' });
  assert.equal(module.deviceId, device.deviceId);
  assert.equal(module.moduleId, 'm1');
  assert.equal(module.managedBy, 'me');
  assert.equal(module.connectionState, 'Disconnected');
  assert.equal(module.authentication.type, 'sas');
  assert.equal(Buffer.from(module.authentication.symmetricKey.primaryKey, 'base64').length, 32);
  assert.notEqual(module.authentication.symmetricKey.primaryKey, device.authentication.symmetricKey.primaryKey);
  assert.notEqual(module.authentication.symmetricKey.primaryKey, module.authentication.symmetricKey.secondaryKey);
  assert.ok(module.etag);
  assert.ok(module.generationId);
  assert.ok(!('status' in module));
  const twin = await twinOf(device.deviceId, 'm1');
  assert.equal(twin.moduleId, 'm1');
  assert.equal(twin.deviceId, device.deviceId);
  assert.equal(twin.etag, 'AAAAAAAAAAE=');
  assert.equal(twin.version, 2);
  assert.equal(twin.properties.desired.$version, 1);
  assert.equal(twin.properties.reported.$version, 1);
});

test('modules are listed in their order', async () => {
  const device = await fresh('list');
  const { responseBody: none } = await registry.getModulesOnDevice(device.deviceId);
  assert.deepEqual(none, []);
  for (const id of ['m2', 'm1', 'x#1', "O'Neil"]) {
    await registry.addModule({ deviceId: device.deviceId, moduleId: id });
  }
  const { responseBody: modules } = await registry.getModulesOnDevice(device.deviceId);
  assert.deepEqual(modules.map((m) => m.moduleId), ['m2', 'm1', 'x#1', "O'Neil"]);
  assert.ok(modules.every((m) => m.deviceId === device.deviceId));
});

test('a module id survives the path', async () => {
  const device = await fresh('path');
  for (const id of ['a+b', 'x#1', '100%', 'what?', "O'Neil", 'pump.json', 'a:b@c']) {
    const module = await freshModule(device.deviceId, id);
    assert.equal(module.moduleId, id);
    const twin = await twinOf(device.deviceId, id);
    assert.equal(twin.moduleId, id);
    await registry.removeModule(device.deviceId, id);
  }
});

test('updating a module', async () => {
  const device = await fresh('update');
  const module = await freshModule(device.deviceId, 'm1');
  await registry.updateModule({ ...module, managedBy: 'you' });
  const { responseBody: updated } = await registry.getModule(device.deviceId, 'm1');
  assert.equal(updated.managedBy, 'you');
  assert.notEqual(updated.etag, module.etag);
  assert.equal(updated.generationId, module.generationId);
  assert.deepEqual(updated.authentication.symmetricKey, module.authentication.symmetricKey);
  await refused(registry.updateModule({ ...module, managedBy: 'them' }), 'InvalidEtagError', 412, 'PreconditionFailed');
  await registry.updateModule({ ...module, managedBy: 'them' }, true);
  const twin = await twinOf(device.deviceId, 'm1');
  assert.equal(twin.version, 2);
});

test('what a module must not be', async () => {
  const device = await fresh('refused');
  await registry.addModule({ deviceId: device.deviceId, moduleId: 'm1' });
  await refused(registry.addModule({ deviceId: device.deviceId, moduleId: 'm1' }), 'DeviceAlreadyExistsError', 409, 'ModuleAlreadyExistsOnDevice');
  await refused(registry.addModule({ deviceId: device.deviceId, moduleId: '$edgeHub' }), 'ArgumentError', 400, 'ArgumentInvalid');
  await refused(registry.addModule({ deviceId: prefix + 'missing', moduleId: 'm1' }), 'UnauthorizedError', 401, 'IotHubUnauthorizedAccess');
  await refused(registry.getModule(device.deviceId, 'missing'), 'Error', 404, 'ModuleNotFound');
  await refused(registry.getModuleTwin(device.deviceId, 'missing'), 'DeviceNotFoundError', 404, 'DeviceNotFound');
  await refused(registry.removeModule(device.deviceId, 'missing'), 'Error', 404, 'ModuleNotFound');
});

test('module twins merge as twins do', async () => {
  const device = await fresh('merge');
  await registry.addModule({ deviceId: device.deviceId, moduleId: 'm1' });
  const twin = await twinOf(device.deviceId, 'm1');
  await twin.update({ tags: { site: { a: 1, b: 2 } }, properties: { desired: { fan: { speed: 3 } } } });
  assert.equal(twin.etag, 'AAAAAAAAAAI=');
  await registry.updateModuleTwin(device.deviceId, 'm1', { tags: { site: { b: null } } }, twin.etag);
  const after = await twinOf(device.deviceId, 'm1');
  assert.deepEqual(after.tags, { site: { a: 1 } });
  assert.equal(after.properties.desired.$version, 2);
  assert.equal(after.properties.desired.$metadata.fan.speed.$lastUpdatedVersion, 2);
  await refused(registry.updateModuleTwin(device.deviceId, 'm1', { tags: { x: 1 } }, twin.etag), 'InvalidEtagError', 412, 'PreconditionFailed');
  const of = await twinOf(device.deviceId);
  assert.equal(of.version, 2);
});

test('modules are not found among devices', async () => {
  const device = await fresh('query');
  await registry.addModule({ deviceId: device.deviceId, moduleId: 'm1' });
  const mark = { tags: { mark: device.deviceId } };
  await registry.updateModuleTwin(device.deviceId, 'm1', mark, '*');
  const ask = async () => (await registry.createQuery(`SELECT * FROM devices WHERE tags.mark = '${device.deviceId}'`).nextAsTwin()).result;
  assert.deepEqual(await ask(), []);
  await registry.updateTwin(device.deviceId, mark, '*');
  const found = await ask();
  assert.equal(found.length, 1);
  assert.equal(found[0].deviceId, device.deviceId);
  assert.ok(!found[0].moduleId);
});

test('a module client: twin, desired patches, telemetry', async (t) => {
  const device = await fresh('client');
  const module = await freshModule(device.deviceId, 'm1');
  const client = await connected(t, module, Mqtt);
  const twin = await client.getTwin();
  assert.equal(twin.properties.desired.$version, 1);
  const patched = new Promise((resolve) => twin.on('properties.desired.power', resolve));
  await new Promise((resolve, reject) => twin.properties.reported.update({ ready: true }, (err) => (err ? reject(err) : resolve())));
  let seen = await twinOf(device.deviceId, 'm1');
  assert.equal(seen.connectionState, 'Connected');
  assert.equal(seen.properties.reported.ready, true);
  assert.equal((await twinOf(device.deviceId)).connectionState, 'Disconnected');
  await eventually(async () => { // until the subscription is there
    await registry.updateModuleTwin(device.deviceId, 'm1', { properties: { desired: { power: 2 } } }, '*');
    return Promise.race([patched, new Promise((resolve) => setTimeout(() => resolve(0), 200))]);
  });
  assert.equal(await patched, 2);
  await client.sendEvent(new Message('{"t":1}'));
  await client.sendOutputEvent('out1', new Message('{"t":2}'));
  await client.close();
  await eventually(async () => (await twinOf(device.deviceId, 'm1')).connectionState === 'Disconnected');
  seen = await twinOf(device.deviceId, 'm1');
  assert.notEqual(seen.lastActivityTime, '0001-01-01T00:00:00Z');
});

test('a module whose device is deleted is cut', async (t) => {
  const device = await fresh('cut');
  const module = await freshModule(device.deviceId, 'm1');
  const client = await connected(t, module, Mqtt);
  const cut = once(client, 'disconnect');
  await registry.delete(device.deviceId);
  await cut;
  await refused(registry.getModuleTwin(device.deviceId, 'm1'), 'DeviceNotFoundError', 404, 'DeviceNotFound');
  await assert.rejects(client.open());
});

test('the fifty-first module is refused', async () => {
  const device = await fresh('many');
  for (let i = 0; i < 50; i++) {
    await registry.addModule({ deviceId: device.deviceId, moduleId: 'm' + i });
  }
  await refused(registry.addModule({ deviceId: device.deviceId, moduleId: 'more' }), 'Error', 413, 'TooManyModulesOnDevice');
  const { responseBody: modules } = await registry.getModulesOnDevice(device.deviceId);
  assert.equal(modules.length, 50);
});
