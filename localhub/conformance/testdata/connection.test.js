// What the device SDK promises about connections: who may, how they end, and how
// they come back. TRANSPORT chooses how: mqtt or websocket.
'use strict';

const { once } = require('node:events');
const test = require('node:test');
const { Client, Message, SharedAccessKeyAuthenticationProvider, SharedAccessSignature } = require('azure-iot-device');
const assert = require('./assert.js');
const { registry, service, host, transport, fresh, twinOf, patched, stringOf, connected, opened, reported, eventually } = require('./support.js');

const state = async (deviceId) => (await twinOf(deviceId)).connectionState;
const keys = (device) => device.authentication.symmetricKey;

// turnedAway is a client that the hub does not let in.
async function turnedAway(t, text) {
  await assert.rejects(opened(t, Client.fromConnectionString(text, transport)), (err) => {
    assert.equal(err.name, 'UnauthorizedError');
    assert.match(String(err.message) + String(err.transportError?.message), /Not authorized/i);
    return true;
  });
}

test('a device is Connected while it is', async (t) => {
  const device = await fresh('state');
  assert.equal(await state(device.deviceId), 'Disconnected');
  const client = await connected(t, device);
  assert.equal(await state(device.deviceId), 'Connected');
  const { responseBody: identity } = await registry.get(device.deviceId);
  assert.equal(identity.connectionState, 'Connected');
  assert.ok(Date.parse(identity.connectionStateUpdatedTime) > Date.parse('2020-01-01'));
  await client.close();
  await eventually(async () => (await state(device.deviceId)) === 'Disconnected');
  await client.open();
  assert.equal(await state(device.deviceId), 'Connected');
  assert.equal((await twinOf(device.deviceId)).version, 2);
});

test('either key will do', async (t) => {
  const device = await fresh('keys');
  for (const key of [keys(device).primaryKey, keys(device).secondaryKey]) {
    const client = await opened(t, Client.fromConnectionString(stringOf(device, key), transport));
    assert.equal((await client.getTwin()).properties.desired.$version, 1);
    await client.close();
  }
});

test('who is turned away', async (t) => {
  const device = await fresh('stranger');
  const other = await fresh('other');
  await turnedAway(t, stringOf(device, Buffer.alloc(32).toString('base64')));
  await turnedAway(t, stringOf(device, keys(other).primaryKey));
  await turnedAway(t, stringOf({ ...device, deviceId: device.deviceId + '-missing' }));
  await turnedAway(t, stringOf({ ...device, moduleId: 'missing' }));
  assert.equal(await state(device.deviceId), 'Disconnected');
});

test('a key that is replaced no longer opens', async (t) => {
  const device = await fresh('rekeyed');
  const { primaryKey, secondaryKey } = keys(device);
  const fresher = Buffer.alloc(32, 7).toString('base64');
  await registry.update({ ...device, authentication: { type: 'sas', symmetricKey: { primaryKey: fresher, secondaryKey } } });
  await turnedAway(t, stringOf(device, primaryKey));
  const client = await opened(t, Client.fromConnectionString(stringOf(device, fresher), transport));
  await client.close();
  await opened(t, Client.fromConnectionString(stringOf(device, secondaryKey), transport));
  assert.equal(await state(device.deviceId), 'Connected');
});

test('a device that is disabled is cut and kept out', async (t) => {
  const device = await fresh('disabled');
  const client = await connected(t, device);
  const cut = once(client, 'disconnect');
  const { responseBody: off } = await registry.update({ ...device, status: 'disabled' });
  await cut;
  await eventually(async () => (await state(device.deviceId)) === 'Disconnected');
  await turnedAway(t, stringOf(device));
  const twin = await patched(device.deviceId, { properties: { desired: { still: 'writable' } } });
  assert.equal(twin.status, 'disabled');
  assert.equal(twin.properties.desired.still, 'writable');
  await registry.update({ ...off, status: 'enabled' });
  const again = await connected(t, device);
  assert.equal((await again.getTwin()).properties.desired.still, 'writable');
});

test('a device that is deleted is cut and kept out', async (t) => {
  const device = await fresh('deleted');
  const client = await connected(t, device);
  const cut = once(client, 'disconnect');
  await registry.delete(device.deviceId);
  await cut;
  await turnedAway(t, stringOf(device));
});

test('the second connection of a device ends the first', async (t) => {
  const device = await fresh('twice');
  const first = await connected(t, device);
  const cut = once(first, 'disconnect');
  const second = await connected(t, device);
  await cut;
  const twin = await second.getTwin();
  await reported(twin, { second: true });
  const after = await twinOf(device.deviceId);
  assert.equal(after.connectionState, 'Connected');
  assert.equal(after.properties.reported.second, true);
});

test('devices do not disturb each other', async (t) => {
  const [a, b] = [await fresh('a'), await fresh('b')];
  const first = await connected(t, a);
  const second = await connected(t, b);
  await reported(await first.getTwin(), { who: 'a' });
  await reported(await second.getTwin(), { who: 'b' });
  await first.close();
  await eventually(async () => (await state(a.deviceId)) === 'Disconnected');
  assert.equal(await state(b.deviceId), 'Connected');
  assert.equal((await twinOf(a.deviceId)).properties.reported.who, 'a');
  assert.equal((await twinOf(b.deviceId)).properties.reported.who, 'b');
});

test('a client renews its token and carries on', async (t) => {
  const device = await fresh('renews');
  const credentials = { host, deviceId: device.deviceId, sharedAccessKey: keys(device).primaryKey };
  const provider = new SharedAccessKeyAuthenticationProvider(credentials, 4, 2);
  const client = Client.fromAuthenticationProvider(provider, transport);
  t.after(() => client.close());
  await client.open();
  const firstExpiry = Date.now() + 4000;
  const levels = [];
  client.onDeviceMethod('level', (request, response) => response.send(200, 'renewed'));
  const twin = await client.getTwin();
  twin.on('properties.desired.level', (level) => levels.push(level));
  await once(provider, 'newTokenAvailable');
  await eventually(async () => Date.now() > firstExpiry);
  await reported(twin, { after: 'the first token' });
  assert.equal((await twinOf(device.deviceId)).properties.reported.after, 'the first token');
  await patched(device.deviceId, { properties: { desired: { level: 8 } } });
  await eventually(async () => levels.includes(8));
  assert.equal(levels.at(-1), 8);
  // The client changes its connection every two seconds: a call that meets the
  // change goes unanswered, and the next one does not.
  const call = { methodName: 'level', responseTimeoutInSeconds: 5, connectTimeoutInSeconds: 5 };
  const answers = [];
  for (let tries = 0; answers.length === 0 && tries < 3; tries++) {
    await service.invokeDeviceMethod(device.deviceId, call).then(({ result }) => answers.push(result.payload), (error) => {
      if (error.name !== 'GatewayTimeoutError') throw error;
    });
  }
  assert.deepEqual(answers, ['renewed']);
});

test('a token that is not renewed ends its connection', async (t) => {
  const device = await fresh('expires');
  const token = SharedAccessSignature.create(host, device.deviceId, keys(device).primaryKey, Math.floor(Date.now() / 1000) + 3);
  const client = await opened(t, Client.fromSharedAccessSignature(token.toString(), transport));
  await client.sendEvent(new Message('in time'));
  await once(client, 'disconnect');
  assert.ok(Date.now() / 1000 >= token.se, 'not before it expires');
  await eventually(async () => (await state(device.deviceId)) === 'Disconnected');
});

test('a client that is cut comes back by itself, subscriptions and all', async (t) => {
  const device = await fresh('returns');
  const client = Client.fromConnectionString(stringOf(device), transport);
  t.after(() => client.close());
  await client.open();
  const levels = [];
  const twin = await client.getTwin();
  twin.on('properties.desired.level', (level) => levels.push(level));
  await eventually(async () => {
    await patched(device.deviceId, { properties: { desired: { level: 1 } } });
    return levels.length > 0;
  });
  const other = await connected(t, device); // takes the connection over
  await other.close();
  await eventually(async () => {
    await patched(device.deviceId, { properties: { desired: { level: 2 } } });
    return levels.includes(2);
  });
  assert.equal(levels.at(-1), 2);
  assert.equal(await state(device.deviceId), 'Connected');
});

test('a connection says what model it is of', async (t) => {
  const device = await fresh('model');
  const client = Client.fromConnectionString(stringOf(device), transport);
  await client.setOptions({ modelId: 'dtmi:example:Thermostat;1' });
  await opened(t, client);
  assert.equal((await twinOf(device.deviceId)).modelId, 'dtmi:example:Thermostat;1');
});
