// What the SDKs promise about direct methods. TRANSPORT chooses how the devices
// connect: mqtt or websocket.
'use strict';

const test = require('node:test');
const assert = require('./assert.js');
const { Message } = require('azure-iot-device');
const { registry, service, prefix, fresh, freshModule, twinOf, connected, refused, eventually } = require('./support.js');

const call = (deviceId, methodName, more) => service.invokeDeviceMethod(deviceId, { methodName, responseTimeoutInSeconds: 15, ...more });

// listen makes a client answer a method. The hub knows of it a moment later, so
// the first call after it allows for that with connectTimeoutInSeconds.
function listen(client, identity, name, handler) {
  client[identity.moduleId ? 'onMethod' : 'onDeviceMethod'](name, handler);
}

test('a method carries payloads both ways', async (t) => {
  const device = await fresh('both');
  const client = await connected(t, device);
  const received = [];
  listen(client, device, 'echo', (request, response) => {
    received.push(request.payload);
    response.send(207, request.payload);
  });
  const payloads = [{ a: 1.5, b: [1, { c: null }], 'ü<&>': '€' }, [1, 2], 'text', 42, true, 'x'.repeat(100_000)];
  for (const payload of payloads) {
    const { result } = await call(device.deviceId, 'echo', { payload, connectTimeoutInSeconds: 10 });
    assert.equal(result.status, 207);
    assert.deepEqual(result.payload, payload);
  }
  assert.deepEqual(received, payloads);
  const { result: none } = await call(device.deviceId, 'echo');
  assert.equal(none.status, 207);
  assert.equal(none.payload, null);
  assert.equal(received.at(-1), null);
});

test('calls may overtake each other', async (t) => {
  const device = await fresh('side');
  const client = await connected(t, device);
  const waiting = [];
  listen(client, device, 'slow', (request, response) => {
    waiting.push({ request, response });
    if (waiting.length === 5) {
      waiting.reverse().forEach((w) => w.response.send(200, { n: w.request.payload.n }));
    }
  });
  const answers = await Promise.all([0, 1, 2, 3, 4].map((n) => call(device.deviceId, 'slow', { payload: { n }, connectTimeoutInSeconds: 10 })));
  assert.deepEqual(answers.map((a) => a.result.payload.n), [0, 1, 2, 3, 4]);
  assert.ok(answers.every((a) => a.result.status === 200));
});

test("the status is the device's own", async (t) => {
  const device = await fresh('status');
  const client = await connected(t, device);
  listen(client, device, 'say', (request, response) => response.send(request.payload));
  for (const status of [200, 404, 500, -1, 12345]) {
    const { result } = await call(device.deviceId, 'say', { payload: status, connectTimeoutInSeconds: 10 });
    assert.equal(result.status, status);
    assert.equal(result.payload, null);
  }
});

test('offline devices', async (t) => {
  const device = await fresh('offline');
  await refused(call(device.deviceId, 'any'), 'Error', 404, 'DeviceNotOnline');
  await refused(call(prefix + 'missing', 'any'), 'DeviceNotFoundError', 404, 'DeviceNotFound');
  await connected(t, device); // takes no methods
  await refused(call(device.deviceId, 'any', { connectTimeoutInSeconds: 1 }), 'Error', 404, 'DeviceNotOnline');
});

test('the body of an offline device is nested', async () => {
  const device = await fresh('nested');
  await assert.rejects(call(device.deviceId, 'any'), (err) => {
    const outer = JSON.parse(err.responseBody);
    const inner = JSON.parse(outer.Message);
    assert.equal(outer.ExceptionMessage, '');
    assert.equal(inner.errorCode, 404103);
    assert.ok(inner.message);
    assert.ok(inner.trackingId);
    assert.ok(Date.parse(inner.timestampUtc) > 0);
    assert.equal(inner.info, null);
    return true;
  });
});

test('a call waits for a device that connects', async (t) => {
  const device = await fresh('waits');
  const answer = call(device.deviceId, 'hello', { connectTimeoutInSeconds: 10 });
  const client = await connected(t, device);
  client.onDeviceMethod('hello', (_, response) => response.send(200, 'late but here'));
  const { result } = await answer;
  assert.equal(result.status, 200);
  assert.equal(result.payload, 'late but here');
});

test('no answer in time is GatewayTimeoutError', async (t) => {
  const device = await fresh('silent');
  const client = await connected(t, device);
  let asked = 0;
  client.onDeviceMethod('silent', () => { asked++; });
  // The SDK itself gives up after the sum of both times.
  await refused(call(device.deviceId, 'silent', { responseTimeoutInSeconds: 5, connectTimeoutInSeconds: 5 }), 'GatewayTimeoutError', 504, 'GatewayTimeout');
  assert.equal(asked, 1);
});

test('what must not be asked', async () => {
  const device = await fresh('asked');
  for (const more of [
    { responseTimeoutInSeconds: 4 },
    { responseTimeoutInSeconds: 301 },
    { connectTimeoutInSeconds: 301 },
    { connectTimeoutInSeconds: 16 },
    { connectTimeoutInSeconds: -1 },
  ]) {
    await refused(call(device.deviceId, 'any', more), 'ArgumentError', 400, 'ArgumentInvalid');
  }
  await refused(call(device.deviceId, 'a/b'), 'ArgumentError', 400, 'ArgumentInvalid');
});

test('methods of modules', async (t) => {
  const device = await fresh('module');
  const module = await freshModule(device.deviceId, 'm1');
  const options = { methodName: 'scale', payload: { by: 2 }, responseTimeoutInSeconds: 15, connectTimeoutInSeconds: 10 };
  await refused(service.invokeDeviceMethod(device.deviceId, 'm1', { ...options, connectTimeoutInSeconds: 0 }), 'Error', 404, 'DeviceNotOnline');
  const client = await connected(t, module);
  listen(client, module, 'scale', (request, response) => response.send(200, { scaled: request.payload.by }));
  const { result } = await service.invokeDeviceMethod(device.deviceId, 'm1', options);
  assert.equal(result.status, 200);
  assert.deepEqual(result.payload, { scaled: 2 });
  await refused(call(device.deviceId, 'scale'), 'Error', 404, 'DeviceNotOnline');
});

test('twin and telemetry work beside methods', async (t) => {
  const device = await fresh('beside');
  const client = await connected(t, device);
  listen(client, device, 'echo', (request, response) => response.send(200, request.payload));
  const twin = await client.getTwin();
  assert.equal(twin.properties.desired.$version, 1);
  const patched = new Promise((resolve) => twin.on('properties.desired.level', resolve));
  await client.sendEvent(new Message('{"t":21}'));
  await new Promise((resolve, reject) => twin.properties.reported.update({ fan: { speed: 3 } }, (err) => (err ? reject(err) : resolve())));
  const seen = await twinOf(device.deviceId);
  assert.equal(seen.connectionState, 'Connected');
  assert.deepEqual(seen.properties.reported.fan, { speed: 3 });
  assert.equal((await call(device.deviceId, 'echo', { payload: 1 })).result.payload, 1);
  await eventually(async () => { // until the subscription is there
    await registry.updateTwin(device.deviceId, { properties: { desired: { level: 7 } } }, '*');
    return Promise.race([patched, new Promise((resolve) => setTimeout(() => resolve(0), 200))]);
  });
  assert.equal(await patched, 7);
});

test('a device that is disabled takes no methods', async (t) => {
  const device = await fresh('disabled');
  const client = await connected(t, device);
  listen(client, device, 'echo', (_, response) => response.send(200));
  assert.equal((await call(device.deviceId, 'echo', { connectTimeoutInSeconds: 10 })).result.status, 200);
  await registry.update({ ...device, status: 'disabled' });
  await refused(call(device.deviceId, 'echo'), 'Error', 404, 'DeviceNotOnline');
  assert.equal((await twinOf(device.deviceId)).status, 'disabled');
});
