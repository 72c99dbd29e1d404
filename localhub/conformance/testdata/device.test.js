// What the device SDK promises about twins and telemetry. TRANSPORT chooses how
// the devices connect: mqtt or websocket.
'use strict';

const { isDeepStrictEqual } = require('node:util');
const test = require('node:test');
const { Message } = require('azure-iot-device');
const assert = require('./assert.js');
const { fresh, freshModule, registry, twinOf, patched, connected, reported, eventually, expectedToFail } = require('./support.js');

const desired = (properties) => ({ properties: { desired: properties } });

// online connects a new device that has read its twin.
async function online(t, name) {
  const device = await fresh(name);
  const client = await connected(t, device);
  return { deviceId: device.deviceId, client, twin: await client.getTwin() };
}

// listens collects the patches that a twin is told of, from when the hub tells
// of them: the SDK does not say when its subscription stands, so patches are sent
// until one arrives. Their number is the desired version they came with.
async function listens(deviceId, twin) {
  const seen = [];
  twin.on('properties.desired', (patch) => seen.push(structuredClone(patch)));
  await eventually(async () => {
    await patched(deviceId, desired({ probe: Date.now() }));
    const { properties } = await twinOf(deviceId);
    return seen.some((p) => p.$version === properties.desired.$version);
  });
  const { properties } = await twinOf(deviceId);
  await eventually(async () => seen.at(-1).$version === properties.desired.$version);
  seen.length = 0;
  return { version: properties.desired.$version, seen, next: (n) => eventually(async () => seen.length >= n) };
}

test('a device reads its twin', async (t) => {
  const device = await fresh('read');
  await patched(device.deviceId, { tags: { secret: 1 }, ...desired({ fan: { speed: 3 }, list: [1, 'x'], 'größe': '値' }) });
  const client = await connected(t, device);
  const twin = await client.getTwin();
  const { update, ...reportedProperties } = twin.properties.reported;
  assert.deepEqual({ ...twin.properties.desired }, { fan: { speed: 3 }, list: [1, 'x'], 'größe': '値', $version: 2 });
  assert.deepEqual(reportedProperties, { $version: 1 });
  assert.equal(twin.tags, undefined);
  assert.ok(!('$metadata' in twin.properties.desired));
});

test('what a device reports is in its twin', async (t) => {
  const { deviceId, twin } = await online(t, 'report');
  const before = await twinOf(deviceId);
  await reported(twin, { connectivity: 'cellular', fan: { speed: 3, mode: 'a' }, list: [1, { x: 2 }], ratio: 0.1, on: true, 'größe': '🙂', empty: {} });
  const after = await twinOf(deviceId);
  const { $metadata, $version, ...properties } = after.properties.reported;
  assert.deepEqual(properties, { connectivity: 'cellular', fan: { speed: 3, mode: 'a' }, list: [1, { x: 2 }], ratio: 0.1, on: true, 'größe': '🙂', empty: {} });
  assert.equal($version, 2);
  assert.equal(after.version, before.version + 1);
  assert.equal(after.etag, before.etag);
  assert.equal(after.properties.desired.$version, 1);
  assert.ok(!('$lastUpdatedVersion' in $metadata));
  assert.deepEqual(Object.keys($metadata.fan).sort(), ['$lastUpdated', 'mode', 'speed']);
  assert.deepEqual(Object.keys($metadata.list), ['$lastUpdated']);
});

test('reported patches merge, and null removes', async (t) => {
  const { deviceId, twin } = await online(t, 'merge');
  const now = async () => {
    const { $metadata, $version, ...properties } = (await twinOf(deviceId)).properties.reported;
    return properties;
  };
  await reported(twin, { a: { b: 1, c: 2 }, d: [1, 2, 3] });
  await reported(twin, { a: { b: null, e: { f: 4 } }, d: [9] });
  assert.deepEqual(await now(), { a: { c: 2, e: { f: 4 } }, d: [9] });
  await reported(twin, { a: { c: null, e: null } });
  assert.deepEqual(await now(), { a: {}, d: [9] });
  await reported(twin, { a: null, d: null, missing: null });
  assert.deepEqual(await now(), {});
  await reported(twin, { a: 1 });
  await reported(twin, { a: { b: 2 } });
  assert.deepEqual(await now(), { a: { b: 2 } });
  assert.equal((await twinOf(deviceId)).properties.reported.$version, 7);
});

test('reports are applied in the order they are sent', async (t) => {
  const { deviceId, twin } = await online(t, 'order');
  await Promise.all(Array.from({ length: 50 }, (_, n) => reported(twin, { n, ['k' + n]: n })));
  const { properties } = await twinOf(deviceId);
  assert.equal(properties.reported.n, 49);
  assert.equal(properties.reported.$version, 51);
  assert.equal(Object.keys(properties.reported).filter((k) => k.startsWith('k')).length, 50);
});

test('a report that breaks a rule is refused and changes nothing', async (t) => {
  const { deviceId, twin } = await online(t, 'refused');
  for (const patch of [
    { 'a.b': 1 }, { a: { 'b c': 1 } }, { $x: 1 }, { 'a#': 1 }, { a: [null] }, { a: 'x'.repeat(4097) }, { a: 4503599627370496 }, { ['k'.repeat(1025)]: 1 },
    Object.fromEntries(Array.from({ length: 9 }, (_, n) => ['k' + n, 'x'.repeat(4000)])),
  ]) {
    await assert.rejects(reported(twin, patch), (err) => {
      assert.ok(err.message.length > 10, 'the error says why');
      return true;
    });
  }
  assert.equal((await twinOf(deviceId)).version, 2);
  await reported(twin, { fine: true });
  assert.equal((await twinOf(deviceId)).properties.reported.fine, true);
});

test('a device is told what was wanted of it, as it was sent', async (t) => {
  const { deviceId, twin } = await online(t, 'told');
  const { version, seen, next } = await listens(deviceId, twin);
  await patched(deviceId, desired({ fan: { speed: 1, mode: null }, list: [1, { x: 'y' }], on: true }));
  await next(1);
  assert.deepEqual(seen[0], { fan: { speed: 1, mode: null }, list: [1, { x: 'y' }], on: true, $version: version + 1 });
  await patched(deviceId, desired({ fan: { speed: 1 } }));
  await next(2);
  assert.deepEqual(seen[1], { fan: { speed: 1 }, $version: version + 2 });
  await patched(deviceId, desired({ fan: null, missing: null }));
  await next(3);
  assert.deepEqual(seen[2], { fan: null, missing: null, $version: version + 3 });
  const read = await twinOf(deviceId);
  assert.equal(read.properties.desired.$version, version + 3);
  assert.ok(!('fan' in twin.properties.desired));
  assert.equal(twin.properties.desired.on, true);
});

test('tags are not told', async (t) => {
  const { deviceId, twin } = await online(t, 'untold');
  const { version, seen, next } = await listens(deviceId, twin);
  await patched(deviceId, { tags: { a: 1 } });
  await patched(deviceId, { tags: { b: 2 }, ...desired({ x: 1 }) });
  await next(1);
  assert.deepEqual(seen, [{ x: 1, $version: version + 1 }]);
});

test('patches arrive in order and none is missing', async (t) => {
  const { deviceId, twin } = await online(t, 'stream');
  const { version, seen, next } = await listens(deviceId, twin);
  await Promise.all(Array.from({ length: 40 }, (_, n) => patched(deviceId, desired({ n }))));
  await next(40);
  assert.deepEqual(seen.map((p) => p.$version), Array.from({ length: 40 }, (_, n) => version + 1 + n));
  assert.equal(seen.at(-1).n, (await twinOf(deviceId)).properties.desired.n);
});

test('listeners of one property hear of it alone', async (t) => {
  const { deviceId, twin } = await online(t, 'one');
  const { next } = await listens(deviceId, twin);
  const speeds = [];
  const modes = [];
  twin.on('properties.desired.fan.speed', (speed) => speeds.push(speed));
  twin.on('properties.desired.fan.mode', (mode) => modes.push(mode));
  await patched(deviceId, desired({ fan: { speed: 5 } }));
  await patched(deviceId, desired({ other: 1 }));
  await next(2);
  assert.deepEqual(speeds, [5]);
  assert.deepEqual(modes, []);
});

test('a device that acknowledges is in sync', async (t) => {
  const { deviceId, twin } = await online(t, 'ack');
  twin.on('properties.desired', ({ $version, target }) => {
    if (target !== undefined) {
      twin.properties.reported.update({ target: { value: target, ac: 200, av: $version } }, () => {});
    }
  });
  await eventually(async () => {
    const { properties } = await patched(deviceId, desired({ target: 23 }));
    await eventually(async () => (await twinOf(deviceId)).properties.reported.target || true);
    return (await twinOf(deviceId)).properties.reported.target?.av === properties.desired.$version;
  });
  const { properties } = await twinOf(deviceId);
  assert.equal(properties.reported.target.value, 23);
  assert.equal(properties.reported.target.av, properties.desired.$version);
});

test('a device knows nothing of what it missed until it reads', async (t) => {
  const { deviceId, twin } = await online(t, 'missed');
  await patched(deviceId, desired({ late: 1 }));
  assert.ok(!('late' in twin.properties.desired));
  await new Promise((resolve, reject) => twin.get((err) => (err ? reject(err) : resolve())));
  assert.equal(twin.properties.desired.late, 1);
  assert.equal(twin.properties.desired.$version, 2);
});

test('telemetry is taken', async (t) => {
  const { deviceId, client } = await online(t, 'telemetry');
  const message = new Message(JSON.stringify({ t: 21.5 }));
  message.messageId = 'id 1';
  message.correlationId = 'c&1=2';
  message.contentType = 'application/json';
  message.contentEncoding = 'utf-8';
  message.properties.add('k/é', 'v&1=2');
  message.properties.add('empty', '');
  const sent = await client.sendEvent(message);
  assert.equal(sent.constructor.name, 'MessageEnqueued');
  await client.sendEvent(new Message(''));
  await client.sendEvent(new Message(Buffer.alloc(200_000, 1)));
  const many = await Promise.all(Array.from({ length: 20 }, (_, n) => client.sendEvent(new Message(String(n)))));
  assert.equal(many.length, 20);
  const { responseBody: device } = await registry.get(deviceId);
  assert.equal(device.connectionState, 'Connected');
  await eventually(async () => Date.parse((await twinOf(deviceId)).lastActivityTime) > Date.parse('2020-01-01'));
});

test('a device waits for messages from the cloud beside its twin', async (t) => {
  const { deviceId, client, twin } = await online(t, 'inbox');
  const inbox = [];
  client.on('message', (message) => inbox.push(message));
  const { version, seen, next } = await listens(deviceId, twin);
  await patched(deviceId, desired({ x: 1 }));
  await next(1);
  assert.deepEqual(seen, [{ x: 1, $version: version + 1 }]);
  await client.sendEvent(new Message('still here'));
  assert.deepEqual(inbox, []);
});

test('a module has a twin of its own', async (t) => {
  const device = await fresh('with-module');
  const module = await freshModule(device.deviceId, 'm1');
  const client = await connected(t, module);
  const twin = await client.getTwin();
  await reported(twin, { fps: 30 });
  const own = await twinOf(device.deviceId, 'm1');
  assert.equal(own.properties.reported.fps, 30);
  assert.equal(own.connectionState, 'Connected');
  const parent = await twinOf(device.deviceId);
  assert.equal(parent.version, 2);
  assert.equal(parent.connectionState, 'Disconnected');
  const seen = [];
  twin.on('properties.desired.level', (level) => seen.push(level));
  await eventually(async () => {
    await registry.updateModuleTwin(device.deviceId, 'm1', desired({ level: 4 }), '*');
    return seen.length > 0;
  });
  assert.equal(seen[0], 4);
  await client.sendOutputEvent('out', new Message('{}'));
  assert.equal((await twinOf(device.deviceId)).properties.desired.$version, 1);
});

expectedToFail('a client replaces arrays', "Microsoft's Node SDK merges them item by item", /the array was merged/, async (t) => {
  const { deviceId, twin } = await online(t, 'arrays');
  const { next } = await listens(deviceId, twin);
  await patched(deviceId, desired({ list: [1, 2, 3] }));
  await patched(deviceId, desired({ list: [9] }));
  await next(2);
  assert.deepEqual((await twinOf(deviceId)).properties.desired.list, [9]);
  assert.ok(isDeepStrictEqual(twin.properties.desired.list, [9]), 'the array was merged');
});

expectedToFail('a refused report is an ArgumentError', "Microsoft's Node SDK passes over the status of twin answers", /validation function is expected to return "true"/, async (t) => {
  const { twin } = await online(t, 'class');
  await assert.rejects(reported(twin, { 'a.b': 1 }), (err) => err.name === 'ArgumentError');
});
