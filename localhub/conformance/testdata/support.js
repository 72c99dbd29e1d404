// What the suites share: a registry, devices with names of their own, clients.
'use strict';

const assert = require('node:assert/strict');
const iothub = require('azure-iothub');
const { Client, ModuleClient } = require('azure-iot-device');
const { NoRetry } = require('azure-iot-common');

const connectionString = process.env.HUB_CONNECTION_STRING;
const host = /HostName=([^;]+)/.exec(connectionString)[1];
const registry = iothub.Registry.fromConnectionString(connectionString);
const service = iothub.Client.fromConnectionString(connectionString);
const prefix = process.env.DEVICE_ID + '-';

// fresh registers a device of this name.
async function fresh(name, more) {
  const { responseBody } = await registry.create({ deviceId: prefix + name, ...more });
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

// connected opens a client of a device or module and closes it after the test.
async function connected(t, identity, transport) {
  const key = identity.authentication.symmetricKey.primaryKey;
  const text = `HostName=${host};DeviceId=${identity.deviceId};SharedAccessKey=${key}`;
  const client = identity.moduleId
    ? ModuleClient.fromConnectionString(`${text};ModuleId=${identity.moduleId}`, transport)
    : Client.fromConnectionString(text, transport);
  client.setRetryPolicy(new NoRetry());
  await client.open();
  t.after(() => client.close());
  return client;
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
    assert.ok(Date.now() < deadline, 'the wait was too long');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

module.exports = { registry, service, prefix, fresh, freshModule, twinOf, connected, refused, eventually };
