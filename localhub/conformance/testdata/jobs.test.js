// What the SDKs promise about scheduled jobs and their rows.
'use strict';

const test = require('node:test');
const { once } = require('node:events');
const { JobClient } = require('azure-iothub');
const assert = require('./assert.js');
const { registry, prefix, fresh, freshModule, twinOf, connected, refused, eventually } = require('./support.js');

const jobs = JobClient.fromConnectionString(process.env.HUB_CONNECTION_STRING);

// Ids of jobs have lower-case letters, digits and hyphens.
const jobId = (name) => `${prefix}${name}`.replace(/[^a-z0-9-]/g, '-').slice(-64);
const tomorrow = () => new Date(Date.now() + 24 * 3600 * 1000);
const only = (...devices) => `deviceId IN ['${devices.map((d) => d.deviceId).join("','")}']`;
const tagged = (tags) => ({ etag: '*', tags });

async function job(id) {
  const { jobStatus } = await jobs.getJob(id);
  return jobStatus;
}

async function ended(id, status) {
  await eventually(async () => ['completed', 'failed', 'cancelled'].includes((await job(id)).status));
  const j = await job(id);
  assert.equal(j.status, status, j.failureReason);
  return j;
}

async function all(query) {
  const rows = [];
  do {
    const { result } = await query.next(query.continuationToken);
    rows.push(...result);
  } while (query.hasMoreResults);
  return rows;
}

const rowsOf = (where) => all(registry.createQuery(`SELECT * FROM devices.jobs WHERE ${where}`, 2));

test('a job updates the twins that its condition finds', async (t) => {
  const [a, b, other] = await Promise.all(['a', 'b', 'other'].map((name) => fresh('update-' + name)));
  await registry.updateTwin(a.deviceId, { tags: { old: 1, keep: 2 } }, '*');
  const client = await connected(t, a);
  const twin = await client.getTwin();
  // A device may be told late that it has subscribed: the first change is for that.
  const told = once(twin, 'properties.desired.level');
  const id = jobId('update');
  const patch = { etag: '*', tags: { old: null, by: id }, properties: { desired: { level: 7 } } };
  await eventually(async () => {
    await registry.updateTwin(a.deviceId, { properties: { desired: { ready: Date.now() } } }, '*');
    return twin.properties.desired.ready !== undefined;
  });
  const { jobStatus: scheduled } = await jobs.scheduleTwinUpdate(id, only(a, b), patch, new Date(), 60);
  assert.equal(scheduled.jobId, id);
  assert.equal(scheduled.type, 'scheduleUpdateTwin');
  assert.equal(scheduled.queryCondition, only(a, b));
  assert.equal(scheduled.maxExecutionTimeInSeconds, 60);
  assert.deepEqual(scheduled.updateTwin, patch);
  assert.ok(['queued', 'scheduled', 'running'].includes(scheduled.status));
  assert.ok(Date.parse(scheduled.createdTime) > 0);
  const done = await ended(id, 'completed');
  assert.deepEqual(done.deviceJobStatistics, { deviceCount: 2, failedCount: 0, succeededCount: 2, runningCount: 0, pendingCount: 0 });
  assert.ok(Date.parse(done.endTime) >= Date.parse(done.startTime));
  assert.deepEqual(await told, [7]);
  const after = await twinOf(a.deviceId);
  assert.deepEqual(after.tags, { keep: 2, by: id });
  assert.equal(after.properties.desired.level, 7);
  assert.equal((await twinOf(b.deviceId)).properties.desired.$version, 2);
  assert.equal((await twinOf(other.deviceId)).version, 2);
});

test('a job calls a method and keeps what devices answer', async (t) => {
  const [a, b] = await Promise.all(['a', 'b'].map((name) => fresh('method-' + name)));
  const received = [];
  for (const [device, status] of [[a, 207], [b, 404]]) {
    const client = await connected(t, device);
    client.onDeviceMethod('lock', (request, response) => {
      received.push(request.payload);
      response.send(status, { by: device.deviceId });
    });
  }
  const id = jobId('method');
  const method = { methodName: 'lock', payload: { door: [1, 2] }, responseTimeoutInSeconds: 20 };
  const { jobStatus: scheduled } = await jobs.scheduleDeviceMethod(id, only(a, b), method, new Date(), 60);
  assert.equal(scheduled.type, 'scheduleDeviceMethod');
  assert.deepEqual(scheduled.cloudToDeviceMethod, method);
  const done = await ended(id, 'completed');
  assert.equal(done.deviceJobStatistics.succeededCount, 2);
  assert.deepEqual(received, [method.payload, method.payload]);
  const rows = await rowsOf(`devices.jobs.jobId = '${id}'`);
  assert.equal(rows.length, 2);
  const row = rows.find((r) => r.deviceId === a.deviceId);
  assert.deepEqual(row.outcome, { deviceMethodResponse: { status: 207, payload: { by: a.deviceId } } });
  assert.equal(row.jobType, 'scheduleDeviceMethod');
  assert.equal(row.status, 'completed');
  assert.equal(rows.find((r) => r.deviceId === b.deviceId).outcome.deviceMethodResponse.status, 404);
});

test('a job updates modules and calls them', async (t) => {
  const [a, b] = await Promise.all(['a', 'b'].map((name) => fresh('modules-' + name)));
  const module = await freshModule(a.deviceId, 'm1');
  await freshModule(b.deviceId, 'm1');
  await freshModule(b.deviceId, 'm2');
  const where = `FROM devices.modules WHERE ${only(a, b)} AND moduleId = 'm1'`;
  const update = jobId('modules-update');
  await jobs.scheduleTwinUpdate(update, where, { etag: '*', properties: { desired: { level: 7 } } }, new Date(), 60);
  const updated = await ended(update, 'completed');
  assert.deepEqual(updated.deviceJobStatistics, { deviceCount: 2, failedCount: 0, succeededCount: 2, runningCount: 0, pendingCount: 0 });
  assert.equal((await twinOf(a.deviceId, 'm1')).properties.desired.level, 7);
  assert.equal((await twinOf(b.deviceId, 'm2')).version, 2);
  assert.equal((await twinOf(a.deviceId)).version, 2);
  const client = await connected(t, module);
  client.onMethod('open', (request, response) => response.send(203, { door: request.payload.door }));
  const call = jobId('modules-method');
  const method = { methodName: 'open', payload: { door: 3 }, responseTimeoutInSeconds: 20 };
  await jobs.scheduleDeviceMethod(call, `FROM devices.modules WHERE ${only(a)}`, method, new Date(), 60);
  await ended(call, 'completed');
  const rows = await rowsOf(`devices.jobs.deviceId = '${a.deviceId}'`);
  assert.deepEqual(rows.map((r) => [r.moduleId, r.jobType, r.status]), [
    ['m1', 'scheduleUpdateTwin', 'completed'], ['m1', 'scheduleDeviceMethod', 'completed'],
  ]);
  assert.deepEqual(rows[1].outcome, { deviceMethodResponse: { status: 203, payload: { door: 3 } } });
});

test('a job waits for a device that is not there', async (t) => {
  const device = await fresh('absent');
  const id = jobId('absent');
  await jobs.scheduleDeviceMethod(id, only(device), { methodName: 'hello', responseTimeoutInSeconds: 20 }, new Date(), 60);
  await eventually(async () => (await job(id)).deviceJobStatistics?.pendingCount === 1);
  assert.equal((await job(id)).status, 'running');
  await refused(jobs.cancelJob(id), 'Error', 405, 'OperationNotAllowedInCurrentState');
  const client = await connected(t, device);
  client.onDeviceMethod('hello', (_, response) => response.send(200, 'here'));
  const done = await ended(id, 'completed');
  assert.equal(done.deviceJobStatistics.succeededCount, 1);
});

test('the time of a job ends it', async () => {
  const device = await fresh('late');
  const id = jobId('late');
  await jobs.scheduleDeviceMethod(id, only(device), { methodName: 'hello', responseTimeoutInSeconds: 20 }, new Date(), 1);
  const done = await ended(id, 'failed');
  assert.equal(done.deviceJobStatistics.failedCount, 1);
  const [row] = await rowsOf(`jobId = '${id}' AND status = 'failed'`);
  assert.equal(row.error.code, 'JobRunPreconditionFailed');
  assert.equal(Date.parse(row.endTimeUtc) - Date.parse(row.startTimeUtc), 1000);
});

test('a scheduled job can be cancelled, once', async () => {
  const device = await fresh('cancel');
  const id = jobId('cancel');
  const { jobStatus: scheduled } = await jobs.scheduleTwinUpdate(id, only(device), tagged({ by: id }), tomorrow(), 60);
  assert.equal(scheduled.status, 'scheduled');
  await jobs.cancelJob(id);
  await ended(id, 'cancelled');
  await refused(jobs.cancelJob(id), 'Error', 405, 'OperationNotAllowedInCurrentState');
  await refused(jobs.scheduleTwinUpdate(id, '*', tagged({})), 'DeviceAlreadyExistsError', 409, 'JobAlreadyExists');
  assert.equal((await twinOf(device.deviceId)).version, 2);
});

test('jobs by type and status, page by page', async () => {
  const device = await fresh('list');
  const ids = [1, 2, 3].map((n) => jobId('list-' + n));
  for (const id of ids) {
    await jobs.scheduleTwinUpdate(id, only(device), tagged({ by: id }), tomorrow(), 60);
  }
  const query = jobs.createQuery('scheduleUpdateTwin', 'scheduled', 2);
  const first = await query.next();
  assert.equal(first.result.length, 2);
  assert.equal(query.hasMoreResults, true);
  const listed = await all(jobs.createQuery('scheduleUpdateTwin', 'scheduled', 2));
  assert.ok(ids.every((id) => listed.some((j) => j.jobId === id)));
  assert.ok(listed.every((j) => j.type === 'scheduleUpdateTwin' && j.status === 'scheduled'));
  assert.ok((await all(jobs.createQuery('scheduleDeviceMethod'))).every((j) => j.type === 'scheduleDeviceMethod'));
  assert.ok(!(await all(jobs.createQuery(undefined, 'completed'))).some((j) => ids.includes(j.jobId)));
  await Promise.all(ids.map((id) => jobs.cancelJob(id)));
});

test('rows of jobs by device, type, status and time', async () => {
  const device = await fresh('rows');
  const ids = [1, 2, 3].map((n) => jobId('rows-' + n));
  for (const id of ids) {
    await jobs.scheduleTwinUpdate(id, only(device), tagged({ by: id }), new Date(), 60);
    await ended(id, 'completed');
  }
  const of = `devices.jobs.deviceId = '${device.deviceId}'`;
  assert.deepEqual((await rowsOf(of)).map((r) => r.jobId), ids);
  const both = await rowsOf(`${of} AND devices.jobs.jobType = 'scheduleUpdateTwin' AND devices.jobs.status = 'completed' AND devices.jobs.createdTimeUtc > '2016-09-01'`);
  assert.equal(both.length, 3);
  assert.deepEqual(both[0].outcome, { deviceMethodResponse: null });
  assert.ok(Date.parse(both[0].createdDateTimeUtc) <= Date.parse(both[0].lastUpdatedDateTimeUtc));
  assert.equal((await rowsOf(`${of} AND createdTimeUtc > '2999'`)).length, 0);
  assert.equal((await rowsOf(`${of} AND jobId = '${ids[1]}'`)).length, 1);
  await refused(registry.createQuery('SELECT deviceId FROM devices.jobs').next(), 'ArgumentError', 400, 'ArgumentInvalid');
  await refused(registry.createQuery('SELECT COUNT() AS n FROM devices.jobs').next(), 'ArgumentError', 400, 'ArgumentInvalid');
});

test('what a job must not be', async () => {
  const id = jobId('refused');
  await refused(jobs.scheduleTwinUpdate(id, '*', { tags: { a: 1 } }, new Date(), 60), 'ArgumentError', 400, 'ArgumentInvalid');
  await refused(jobs.scheduleTwinUpdate(id, '*', tagged({ 'a.b': 1 }), new Date(), 60), 'ArgumentError', 400, 'ArgumentInvalid');
  await refused(jobs.scheduleTwinUpdate('Not_Valid', '*', tagged({}), new Date(), 60), 'ArgumentError', 400, 'ArgumentInvalid');
  await refused(jobs.scheduleTwinUpdate(id, '*', tagged({}), new Date(Date.now() + 169 * 3600 * 1000), 60), 'ArgumentError', 400, 'ArgumentInvalid');
  await refused(jobs.scheduleDeviceMethod(id, '*', { methodName: 'a/b' }, new Date(), 60), 'ArgumentError', 400, 'ArgumentInvalid');
  const never = await job(id);
  assert.equal(never.status, 'unknown');
  assert.equal(never.type, 'unknown');
  await refused(jobs.cancelJob(id), 'Error', 404, 'JobNotFound');
  await jobs.scheduleTwinUpdate(id, 'tags.site = ', tagged({ a: 1 }), new Date(), 60);
  const failed = await ended(id, 'failed');
  assert.ok(failed.failureReason.includes('WHERE'));
});
