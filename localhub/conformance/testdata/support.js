// What the suites share: a registry, devices with names of their own that are
// removed in the end, clients, and how to wait.
'use strict';

const test = require('node:test');
const iothub = require('azure-iothub');
const { Client, ModuleClient } = require('azure-iot-device');
const { Mqtt, MqttWs } = require('azure-iot-device-mqtt');
const { NoRetry } = require('azure-iot-common');
const assert = require('./assert.js');

const connectionString = process.env.HUB_CONNECTION_STRING;
const host = /HostName=([^;]+)/.exec(connectionString)[1];
const registry = iothub.Registry.fromConnectionString(connectionString);
const service = iothub.Client.fromConnectionString(connectionString);
const prefix = process.env.DEVICE_ID + '-';
// The suites that connect devices run once for each transport.
const transport = process.env.TRANSPORT === 'websocket' ? MqttWs : Mqtt;

const made = new Set();

// owned makes a device that a test registers itself one that is removed.
function owned(deviceId) {
  made.add(deviceId);
  return deviceId;
}

test.after(async () => {
  for (const deviceId of made) {
    await registry.delete(deviceId).catch((err) => {
      if (err.name !== 'DeviceNotFoundError') {
        throw err;
      }
    });
  }
});

// fresh registers a device of this name.
async function fresh(name, more) {
  const { responseBody } = await registry.create({ deviceId: owned(prefix + name), ...more });
  return responseBody;
}

async function freshModule(deviceId, moduleId, more) {
  await registry.addModule({ deviceId, moduleId, ...more });
  const { responseBody } = await registry.getModule(deviceId, moduleId);
  return responseBody;
}

async function twinOf(deviceId, moduleId) {
  const { responseBody } = moduleId ? await registry.getModuleTwin(deviceId, moduleId) : await registry.getTwin(deviceId);
  return responseBody;
}

// patched writes to a twin without a condition and returns it.
async function patched(deviceId, patch) {
  const { responseBody } = await registry.updateTwin(deviceId, patch, '*');
  return responseBody;
}

// stringOf is the connection string of a device or module.
function stringOf(identity, key = identity.authentication.symmetricKey.primaryKey) {
  const module = identity.moduleId ? `;ModuleId=${identity.moduleId}` : '';
  return `HostName=${host};DeviceId=${identity.deviceId}${module};SharedAccessKey=${key}`;
}

// connected opens a client of a device or module and closes it after the test.
function connected(t, identity, over = transport) {
  return opened(t, (identity.moduleId ? ModuleClient : Client).fromConnectionString(stringOf(identity), over));
}

async function opened(t, client) {
  client.setRetryPolicy(new NoRetry());
  t.after(() => client.close());
  await client.open();
  return client;
}

// reported sends a patch as the device and waits for the hub's answer.
function reported(twin, patch) {
  return new Promise((resolve, reject) => twin.properties.reported.update(patch, (err) => (err ? reject(err) : resolve())));
}

// refused checks the SDK's class, the status and the service's name of an error.
async function refused(promise, name, status, code) {
  await assert.rejects(promise, (err) => {
    assert.equal(err.name, name);
    assert.equal(err.response.statusCode, status);
    assert.equal(err.response.headers['iothub-errorcode'], code);
    return true;
  });
}

// eventually polls until a check passes.
async function eventually(check) {
  const deadline = Date.now() + 10_000;
  while (!(await check())) {
    if (Date.now() > deadline) {
      throw new Error('the wait was too long');
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

// local is whether the hub is this project's.
const local = process.env.LOCAL_HUB === '1';

// expectedToFail is a test of what IoT Hub and its SDKs should do and something
// is known not to do, for a reason that shows in the failure. It turns red when it
// begins to pass, and when it fails for another reason.
function expectedToFail(name, reason, failure, check) {
  test(`${name}, expected to fail: ${reason}`, async (t) => {
    await assert.rejects(check(t), (err) => {
      assert.match(`${err.name}: ${err.message}`, failure);
      t.diagnostic(`failed as expected: ${err.message}`);
      return true;
    }, `this passes now, so it is no longer true that ${reason}`);
  });
}

// differs is a test that IoT Hub passes and the local hub does not.
function differs(name, reason, failure, check) {
  if (local) {
    expectedToFail(name, reason, failure, check);
  } else {
    test(name, check);
  }
}

module.exports = {
  registry, service, host, prefix, transport, local, owned, fresh, freshModule, twinOf, patched, stringOf,
  connected, opened, reported, refused, eventually, expectedToFail, differs,
};
