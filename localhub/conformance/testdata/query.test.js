// What the service SDK promises about queries. The index of IoT Hub may lag
// behind, so that a query is asked until it answers as it should.
'use strict';

const { isDeepStrictEqual } = require('node:util');
const test = require('node:test');
const assert = require('./assert.js');
const { registry, prefix, local, fresh, freshModule, twinOf, patched, refused } = require('./support.js');

// Every device of these tests has tags.mark, so that other devices of the hub do
// not matter.
const mark = prefix + 'mark';
const sites = ['Oslo', 'Rome', 'Rome', 'oslo', undefined, 'Oslo', 'Rome'];
const ids = sites.map((_, n) => `${prefix}q${n}`);

test.before(async () => {
  for (const [n, site] of sites.entries()) {
    await fresh('q' + n, n === 3 ? { status: 'disabled' } : {});
    await patched(ids[n], {
      tags: { mark, n, ...(site && { site }), deep: { v: n % 2 ? String(n) : n }, list: [n, 'x'], group: 'g' + (n % 3), on: n > 2 },
      properties: { desired: { n, even: n % 2 === 0, 'größe': n } },
    });
  }
});

async function all(text, pageSize) {
  const query = registry.createQuery(text, pageSize);
  const pages = [];
  let kind;
  do {
    const { result, message } = await query.next(query.continuationToken);
    pages.push(result);
    kind = message.headers['x-ms-item-type'];
  } while (query.hasMoreResults);
  return { rows: pages.flat(), pages, kind };
}

// settled asks until the answer is the wanted one, or for long enough.
async function settled(ask, wanted) {
  const deadline = Date.now() + (local ? 2_000 : 60_000);
  for (;;) {
    const got = await ask();
    if (isDeepStrictEqual(got, wanted) || Date.now() > deadline) {
      return got;
    }
    await new Promise((resolve) => setTimeout(resolve, local ? 10 : 2_000));
  }
}

// found holds that a query finds these devices, by number.
async function found(where, ...numbers) {
  const wanted = numbers.map((n) => ids[n]);
  const ask = async () => (await all(from('*', where))).rows.map((r) => r.deviceId).sort();
  assert.deepEqual(await settled(ask, wanted), wanted, where);
}

// rows holds that a query answers these rows.
async function rows(text, wanted) {
  assert.deepEqual(await settled(async () => (await all(text)).rows, wanted), wanted, text);
}

const from = (select, where = 'true') => `SELECT ${select} FROM devices WHERE tags.mark = '${mark}' AND (${where})`;

test('comparisons', async () => {
  await found('tags.n = 3', 3);
  await found('3 = tags.n', 3);
  await found('tags.n = 3.0', 3);
  await found('tags.n = 0x3', 3);
  await found('tags.n != 3', 0, 1, 2, 4, 5, 6);
  await found('tags.n <> 3', 0, 1, 2, 4, 5, 6);
  await found('tags.n < 2', 0, 1);
  await found('tags.n <= 2', 0, 1, 2);
  await found('tags.n > 4', 5, 6);
  await found('tags.n >= 4', 4, 5, 6);
  await found("tags.site = 'Oslo'", 0, 5);
  await found('tags.site = "Oslo"', 0, 5);
  await found("tags.site = 'oslo'", 3);
  await found("tags.site > 'P'", 1, 2, 3, 6);
  await found('tags.on = true', 3, 4, 5, 6);
  await found('tags.on', 3, 4, 5, 6);
  await found('NOT tags.on', 0, 1, 2);
  await found('tags.n = properties.desired.n', 0, 1, 2, 3, 4, 5, 6);
  await found('tags.deep.v = tags.n', 0, 2, 4, 6);
});

test('types are not mixed', async () => {
  await found("tags.deep.v = '3'", 3);
  await found('tags.deep.v = 3');
  await found('tags.deep.v = 2', 2);
  await found("tags.n = '3'");
  await found("tags.deep.v > 3", 4, 6);
  await found('tags.list = 1');
  await found('tags.deep != 1');
});

test('what is missing is neither true nor false', async () => {
  await found("tags.site != 'Oslo'", 1, 2, 3, 6);
  await found("NOT tags.site = 'Oslo'", 1, 2, 3, 6);
  await found('tags.site = tags.site', 0, 1, 2, 3, 5, 6);
  await found('NOT IS_DEFINED(tags.site)', 4);
  await found('IS_DEFINED(tags.site)', 0, 1, 2, 3, 5, 6);
  await found('tags.none = 1 OR tags.n = 1', 1);
  await found('tags.none = 1 AND tags.n = 1');
  await found('NOT (tags.none = 1 AND tags.n = 1)', 0, 2, 3, 4, 5, 6);
  await found('NOT (tags.none = 1 OR tags.n = 1)');
});

test('AND, OR, NOT and parentheses', async () => {
  await found("tags.site = 'Rome' AND tags.on", 6);
  await found("tags.site = 'Oslo' OR tags.site = 'oslo'", 0, 3, 5);
  await found("tags.n = 1 OR tags.site = 'Oslo' AND tags.on", 1, 5);
  await found("(tags.n = 1 OR tags.site = 'Oslo') AND tags.on", 5);
  await found('NOT tags.n = 1 AND tags.n < 3', 0, 2);
  await found('NOT (tags.n = 1 OR tags.n > 2)', 0, 2);
});

test('IN and NIN', async () => {
  await found("tags.site IN ['Oslo', 'oslo']", 0, 3, 5);
  await found("tags.site NIN ['Oslo', 'oslo']", 1, 2, 6);
  await found('tags.n in [1, 2.0, 99]', 1, 2);
  await found('tags.n IN []');
  await found(`deviceId IN ['${ids[2]}', '${ids[0]}', 'nobody']`, 0, 2);
});

test('arithmetic', async () => {
  await found('tags.n + 1 = 3', 2);
  await found('tags.n - 1 = 3', 4);
  await found('tags.n * 2 = 10', 5);
  await found('tags.n / 2 = 1.5', 3);
  await found('tags.n % 3 = 1', 1, 4);
  await found('-tags.n = -6', 6);
  await found('tags.n * (1 + 1) - 2 = 4', 3);
});

test('functions', async () => {
  await found("STARTSWITH(tags.site, 'Os')", 0, 5);
  await found("startswith(deviceId, 'nobody')");
  await found("ARRAY_CONTAINS(tags.list, 'x') AND ARRAY_CONTAINS(tags.list, 4)", 4);
  await found('is_defined(properties.desired.even)', 0, 1, 2, 3, 4, 5, 6);
  await found('IS_DEFINED(tags.deep) AND NOT IS_DEFINED(tags.deep.v.w)', 0, 1, 2, 3, 4, 5, 6);
});

test('system properties, in any case', async () => {
  await found("status = 'disabled'", 3);
  await found("STATUS = 'enabled' AND ConnectionState = 'Disconnected'", 0, 1, 2, 4, 5, 6);
  await found(`DeviceId = '${ids[1]}' OR devices.deviceId = '${ids[2]}'`, 1, 2);
  await found('capabilities.iotEdge = true');
  await found('properties.desired.$version = 2 AND properties.reported.$version = 1', 0, 1, 2, 3, 4, 5, 6);
  await found("authenticationType = 'sas' AND version = 3", 0, 1, 2, 3, 4, 5, 6);
});

test('names that are words of the language or Unicode', async () => {
  await found("tags.[[group]] = 'g1'", 1, 4);
  await found('properties.desired.größe = 5', 5);
  await found("tags.Site = 'Oslo'");
});

test('rows of SELECT * are twins as read', async () => {
  await found('tags.n = 1', 1);
  const query = registry.createQuery(from('*', 'tags.n = 1'));
  const { result: [twin], message } = await query.nextAsTwin();
  assert.equal(message.headers['x-ms-item-type'], 'Twin');
  const read = await twinOf(ids[1]);
  assert.deepEqual(JSON.parse(JSON.stringify(twin)), JSON.parse(JSON.stringify(read)));
  await twin.update({ tags: { seen: true } });
  assert.equal(twin.tags.seen, true);
  assert.equal((await twinOf(ids[1])).etag, twin.etag);
});

test('projections', async () => {
  const id = ids[5];
  const one = `deviceId = '${id}'`;
  await rows(from('deviceId', one), [{ deviceId: id }]);
  await rows(from('deviceId, tags.n', one), [{ deviceId: id, n: 5 }]);
  await rows(from('tags.n AS number, tags.site as place', one), [{ number: 5, place: 'Oslo' }]);
  await rows(from('tags.deep, tags.list', one), [{ deep: { v: '5' }, list: [5, 'x'] }]);
  await rows(from('properties.desired.n, properties.desired.$version AS v', one), [{ n: 5, v: 2 }]);
  await rows(from('tags.site, tags.none', "tags.n = 4"), [{}]);
  await rows(from('tags.[[group]] AS [[group]]', one), [{ group: 'g2' }]);
  const { kind } = await all(from('deviceId'));
  assert.equal(kind, 'Raw');
});

test('aggregates', async () => {
  await rows(from('COUNT() AS n'), [{ n: 7 }]);
  await rows(from('COUNT() AS n', 'tags.n = 99'), [{ n: 0 }]);
  await rows(from('SUM(tags.n) AS sum, AVG(tags.n) AS avg, MIN(tags.n) AS min, MAX(tags.n) AS max'), [{ sum: 21, avg: 3, min: 0, max: 6 }]);
  await rows(from('SUM(tags.deep.v) AS sum'), [{ sum: 12 }]);
  const { kind } = await all(from('COUNT() AS n'));
  assert.equal(kind, 'Raw');
});

test('groups', async () => {
  const sorted = (list) => list.sort((a, b) => JSON.stringify(a).localeCompare(JSON.stringify(b)));
  const grouped = async (text, wanted) => {
    sorted(wanted);
    assert.deepEqual(await settled(async () => sorted((await all(text)).rows), wanted), wanted, text);
  };
  await grouped(`${from('tags.site AS site, COUNT() AS n')} GROUP BY tags.site`, [{ site: 'Oslo', n: 2 }, { site: 'Rome', n: 3 }, { site: 'oslo', n: 1 }, { n: 1 }]);
  await grouped(`${from('tags.on, tags.[[group]], MAX(tags.n) AS most')} GROUP BY tags.on, tags.[[group]]`, [
    { on: false, group: 'g0', most: 0 }, { on: false, group: 'g1', most: 1 }, { on: false, group: 'g2', most: 2 },
    { on: true, group: 'g0', most: 6 }, { on: true, group: 'g1', most: 4 }, { on: true, group: 'g2', most: 5 },
  ]);
});

test('pages hold what was asked for, and each row comes once', async () => {
  await found('true', 0, 1, 2, 3, 4, 5, 6);
  for (const [size, pages] of [[1, 7], [3, 3], [7, 1], [100, 1]]) {
    const answer = await all(from('*'), size);
    assert.equal(answer.pages.length, pages);
    assert.ok(answer.pages.every((p) => p.length <= size));
    assert.deepEqual(answer.rows.map((r) => r.deviceId).sort(), ids);
  }
  const top = await all(`SELECT TOP 5 deviceId FROM devices WHERE tags.mark = '${mark}'`, 2);
  assert.equal(top.rows.length, 5);
  assert.equal(new Set(top.rows.map((r) => r.deviceId)).size, 5);
});

test('a continuation token can be kept and belongs to its query', async () => {
  await found('true', 0, 1, 2, 3, 4, 5, 6);
  const text = from('deviceId');
  const first = registry.createQuery(text, 4);
  const { result: head } = await first.next();
  assert.equal(head.length, 4);
  assert.equal(first.hasMoreResults, true);
  const second = registry.createQuery(text, 4);
  const { result: tail } = await second.next(first.continuationToken);
  assert.equal(second.hasMoreResults, false);
  assert.equal(second.continuationToken, undefined);
  assert.deepEqual([...head, ...tail].map((r) => r.deviceId).sort(), ids);
  await refused(registry.createQuery(from('tags.n'), 4).next(first.continuationToken), 'ArgumentError', 400, 'ArgumentInvalid');
  await refused(registry.createQuery(text, 4).next('made up'), 'ArgumentError', 400, 'ArgumentInvalid');
});

test('a projection with deviceId can be read as twins', async () => {
  await found('tags.n = 1', 1);
  const { result: [twin] } = await registry.createQuery(from('deviceId, tags', 'tags.n = 1')).nextAsTwin();
  assert.equal(twin.deviceId, ids[1]);
  assert.equal(twin.tags.site, 'Rome');
  await twin.get();
  assert.equal(twin.etag, (await twinOf(ids[1])).etag);
});

test('an answer without rows is an empty array', async () => {
  const query = registry.createQuery("SELECT * FROM devices WHERE deviceId = 'nobody'");
  const { result } = await query.nextAsTwin();
  assert.deepEqual(result, []);
  assert.equal(query.hasMoreResults, false);
});

test('modules are a collection of their own', async () => {
  await freshModule(ids[0], 'm1');
  await freshModule(ids[6], 'm1');
  await freshModule(ids[6], 'm2');
  await registry.updateModuleTwin(ids[6], 'm2', { tags: { mark }, properties: { desired: { fps: 30 } } }, '*');
  const modules = `SELECT deviceId, moduleId FROM devices.modules WHERE deviceId IN ['${ids[0]}', '${ids[6]}']`;
  await rows(modules, [{ deviceId: ids[0], moduleId: 'm1' }, { deviceId: ids[6], moduleId: 'm1' }, { deviceId: ids[6], moduleId: 'm2' }]);
  await rows(`SELECT properties.desired.fps FROM devices.modules WHERE devices.modules.moduleId = 'm2' AND tags.mark = '${mark}'`, [{ fps: 30 }]);
  const whole = await all(`SELECT * FROM devices.modules WHERE deviceId = '${ids[6]}' AND moduleId = 'm2'`);
  assert.equal(whole.kind, 'Twin');
  assert.equal(whole.rows[0].moduleId, 'm2');
  assert.equal(whole.rows[0].properties.desired.fps, 30);
  await found('tags.n = 6', 6);
});

test('queries that cannot be read are ArgumentError', async () => {
  for (const text of [
    'SELECT', 'SELECT *', 'SELECT * FROM', 'SELECT * FROM twins', 'SELECT * FROM devices WHERE', 'SELECT * FROM devices WHERE tags.a =',
    'SELECT * FROM devices ORDER BY deviceId', 'SELECT * FROM devices LIMIT 5', 'SELECT DISTINCT tags.a FROM devices',
    "SELECT * FROM devices WHERE tags.a LIKE 'x%'", 'SELECT * FROM devices WHERE tags.a BETWEEN 1 AND 2', 'SELECT * FROM devices WHERE tags.a IS NULL',
    "SELECT * FROM devices WHERE CONTAINS(tags.a, 'x')", "SELECT * FROM devices WHERE STARTS_WITH(tags.a, 'x')", "SELECT * FROM devices WHERE tags.group = 'a'",
    "SELECT * FROM devices WHERE tags.a = 'x", 'SELECT * FROM devices WHERE (tags.a = 1', 'SELECT * FROM devices WHERE tags.a[0] = 1',
    'SELECT COUNT(*) AS n FROM devices', 'SELECT tags.a, COUNT() AS n FROM devices', 'UPDATE devices SET tags.a = 1',
  ]) {
    await refused(registry.createQuery(text).next(), 'ArgumentError', 400, 'ArgumentInvalid');
  }
});

test('a query has 8,192 characters', async () => {
  const text = (length) => {
    const start = `SELECT deviceId FROM devices WHERE deviceId = '${ids[0]}' AND tags.n != '`;
    return start + 'x'.repeat(length - start.length - 1) + "'";
  };
  await rows(text(8192), [{ deviceId: ids[0] }]);
  await refused(registry.createQuery(text(8193)).next(), 'ArgumentError', 400, 'ArgumentInvalid');
});
