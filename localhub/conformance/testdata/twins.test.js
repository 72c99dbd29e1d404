// What the service SDK promises about the twins of devices.
'use strict';

const test = require('node:test');
const assert = require('./assert.js');
const { registry, prefix, fresh, twinOf, patched, refused } = require('./support.js');

const desired = (properties) => ({ properties: { desired: properties } });
const counter = (etag) => Buffer.from(etag, 'base64').readBigUInt64BE();
const invalid = (promise) => refused(promise, 'ArgumentError', 400, 'ArgumentInvalid');

// clean is a section without what the hub adds.
function clean(section) {
  const { $metadata, $version, ...properties } = section;
  return properties;
}

test('a new twin is empty and says so', async () => {
  const device = await fresh('new');
  const twin = await twinOf(device.deviceId);
  assert.equal(twin.deviceId, device.deviceId);
  assert.equal(twin.etag, 'AAAAAAAAAAE=');
  assert.equal(twin.deviceEtag, device.etag);
  assert.equal(twin.status, 'enabled');
  assert.equal(twin.connectionState, 'Disconnected');
  assert.match(twin.lastActivityTime, /^0001-01-01T00:00:00/);
  assert.equal(twin.cloudToDeviceMessageCount, 0);
  assert.equal(twin.authenticationType, 'sas');
  assert.equal(twin.modelId, '');
  assert.equal(twin.version, 2);
  assert.deepEqual(twin.tags ?? {}, {});
  assert.deepEqual(twin.capabilities, { iotEdge: false });
  for (const section of [twin.properties.desired, twin.properties.reported]) {
    assert.deepEqual(clean(section), {});
    assert.equal(section.$version, 1);
    assert.deepEqual(Object.keys(section.$metadata), ['$lastUpdated']);
    assert.ok(!Number.isNaN(Date.parse(section.$metadata.$lastUpdated)));
  }
});

test('tags move etag and version, not desired', async () => {
  const { deviceId } = await fresh('tags');
  const first = await patched(deviceId, { tags: { site: 'b1' } });
  assert.equal(counter(first.etag), 2n);
  assert.equal(first.version, 3);
  assert.equal(first.properties.desired.$version, 1);
  assert.equal(first.properties.reported.$version, 1);
  const second = await patched(deviceId, { tags: { site: 'b1' } });
  assert.equal(counter(second.etag), 3n);
  assert.equal(second.version, 4);
});

test('desired moves etag, version and its own version', async () => {
  const { deviceId } = await fresh('desired');
  const first = await patched(deviceId, desired({ level: 1 }));
  assert.equal(counter(first.etag), 2n);
  assert.equal(first.version, 3);
  assert.equal(first.properties.desired.$version, 2);
  const same = await patched(deviceId, desired({ level: 1 }));
  assert.equal(same.properties.desired.$version, 3);
  const both = await patched(deviceId, { tags: { a: 1 }, ...desired({ level: 2 }) });
  assert.equal(counter(both.etag), 4n);
  assert.equal(both.version, 5);
  assert.equal(both.properties.desired.$version, 4);
});

test('an update of the identity leaves the twin alone', async () => {
  const device = await fresh('identity');
  const before = await patched(device.deviceId, { tags: { a: 1 } });
  const { responseBody: updated } = await registry.update({ ...device, status: 'disabled', statusReason: 'lost' });
  const after = await twinOf(device.deviceId);
  assert.equal(after.etag, before.etag);
  assert.equal(after.version, before.version);
  assert.equal(after.deviceEtag, updated.etag);
  assert.notEqual(after.deviceEtag, before.deviceEtag);
  assert.equal(after.status, 'disabled');
  assert.equal(after.statusReason, 'lost');
  assert.deepEqual(after.tags, { a: 1 });
});

test('metadata mirrors what was written, down to the leaves', async () => {
  const { deviceId } = await fresh('metadata');
  const first = await patched(deviceId, desired({ fan: { speed: 1, mode: 'a' }, list: [{ x: 1 }] }));
  const meta = first.properties.desired.$metadata;
  assert.deepEqual(Object.keys(meta).sort(), ['$lastUpdated', '$lastUpdatedVersion', 'fan', 'list']);
  assert.deepEqual(Object.keys(meta.fan).sort(), ['$lastUpdated', '$lastUpdatedVersion', 'mode', 'speed']);
  assert.deepEqual(Object.keys(meta.list).sort(), ['$lastUpdated', '$lastUpdatedVersion']);
  assert.equal(meta.fan.speed.$lastUpdatedVersion, 2);
  assert.match(meta.fan.speed.$lastUpdated, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,7})?Z$/);
  const second = await patched(deviceId, desired({ fan: { speed: 2 } }));
  const after = second.properties.desired.$metadata;
  assert.equal(after.$lastUpdatedVersion, 3);
  assert.equal(after.fan.$lastUpdatedVersion, 3);
  assert.equal(after.fan.speed.$lastUpdatedVersion, 3);
  assert.equal(after.fan.mode.$lastUpdatedVersion, 2);
  assert.equal(after.fan.mode.$lastUpdated, meta.fan.mode.$lastUpdated);
  assert.equal(after.list.$lastUpdatedVersion, 2);
  const third = await patched(deviceId, desired({ fan: { mode: null } }));
  assert.ok(!('mode' in third.properties.desired.$metadata.fan));
  assert.equal(third.properties.desired.$metadata.fan.$lastUpdatedVersion, 4);
  assert.equal(third.properties.desired.$metadata.fan.speed.$lastUpdatedVersion, 3);
});

test('tags have no metadata', async () => {
  const { deviceId } = await fresh('plain');
  const twin = await patched(deviceId, { tags: { a: { b: 1 } } });
  assert.deepEqual(twin.tags, { a: { b: 1 } });
});

// Each step is a patch of desired and what desired is then.
const merges = {
  'objects merge at every depth': [[{ a: { b: { c: 1 } } }, { a: { b: { c: 1 } } }], [{ a: { b: { d: 2 }, e: 3 } }, { a: { b: { c: 1, d: 2 }, e: 3 } }]],
  'null removes a scalar': [[{ a: 1, b: 2 }, { a: 1, b: 2 }], [{ a: null }, { b: 2 }]],
  'null removes an object': [[{ a: { b: { c: 1 } }, d: 1 }, { a: { b: { c: 1 } }, d: 1 }], [{ a: null }, { d: 1 }]],
  'null removes an array': [[{ a: [1, 2] }, { a: [1, 2] }], [{ a: null }, {}]],
  'null for what is not there is nothing': [[{ a: null }, {}], [{ b: { c: null } }, { b: {} }]],
  'the last child leaves an empty object': [[{ a: { b: 1 } }, { a: { b: 1 } }], [{ a: { b: null } }, { a: {} }]],
  'an empty object is a value': [[{ a: {} }, { a: {} }], [{ a: {} }, { a: {} }], [{ a: { b: {} } }, { a: { b: {} } }]],
  'an empty object removes nothing': [[{ a: { b: 1 } }, { a: { b: 1 } }], [{ a: {} }, { a: { b: 1 } }]],
  'an array is replaced whole': [[{ a: [1, 2, 3] }, { a: [1, 2, 3] }], [{ a: [9] }, { a: [9] }], [{ a: [] }, { a: [] }]],
  'arrays hold anything but null': [[{ a: [1, 'x', true, [2, [3]], { b: { c: 4 } }] }, { a: [1, 'x', true, [2, [3]], { b: { c: 4 } }] }]],
  'a scalar replaces an object': [[{ a: { b: 1 } }, { a: { b: 1 } }], [{ a: 1 }, { a: 1 }]],
  'an object replaces a scalar': [[{ a: 1 }, { a: 1 }], [{ a: { b: 1 } }, { a: { b: 1 } }]],
  'an array replaces an object': [[{ a: { b: 1 } }, { a: { b: 1 } }], [{ a: [1] }, { a: [1] }], [{ a: { c: 2 } }, { a: { c: 2 } }]],
  'types may change': [[{ a: 1 }, { a: 1 }], [{ a: '1' }, { a: '1' }], [{ a: true }, { a: true }], [{ a: 1.5 }, { a: 1.5 }]],
  'names are case-sensitive': [[{ a: 1, A: 2 }, { a: 1, A: 2 }], [{ A: null }, { a: 1 }]],
  'names and texts may be Unicode': [[{ 'größe': '値', '🙂': 'é' }, { 'größe': '値', '🙂': 'é' }], [{ '🙂': null }, { 'größe': '値' }]],
  'names may be empty or strange': [[{ '': 1, 'a/b': 2, "it's": 3, '"': 4, '<&>': 5, '%41': 6 }, { '': 1, 'a/b': 2, "it's": 3, '"': 4, '<&>': 5, '%41': 6 }]],
  'texts come back as they were': [[{ a: '  ', b: 'a\n\t\\"', c: '2026-11-25T10:00:00Z', d: '<b>&', e: '' }, { a: '  ', b: 'a\n\t\\"', c: '2026-11-25T10:00:00Z', d: '<b>&', e: '' }]],
  'numbers come back as they were': [[{ a: 0, b: -1, c: 1.5, d: 1e21, e: 5e-324, f: 0.1 }, { a: 0, b: -1, c: 1.5, d: 1e21, e: 5e-324, f: 0.1 }]],
};

for (const [n, [name, steps]] of Object.entries(merges).entries()) {
  test(name, async () => {
    const { deviceId } = await fresh('merge' + n);
    let version = 1;
    for (const [patch, want] of steps) {
      const answered = await patched(deviceId, desired(patch));
      assert.deepEqual(clean(answered.properties.desired), want);
      const read = await twinOf(deviceId);
      assert.deepEqual(clean(read.properties.desired), want);
      assert.equal(read.properties.desired.$version, ++version);
      assert.equal(read.etag, answered.etag);
      await patched(deviceId, { tags: patch });
      assert.deepEqual((await twinOf(deviceId)).tags ?? {}, want);
    }
  });
}

test('what a hub writes itself is ignored in a patch', async () => {
  const { deviceId } = await fresh('whole');
  await patched(deviceId, { tags: { a: 1 }, ...desired({ b: 2 }) });
  const twin = await twinOf(deviceId);
  const patch = JSON.parse(JSON.stringify(twin));
  patch.version = 99;
  patch.etag = 'AAAAAAAAAGM=';
  patch.deviceId = 'another';
  patch.status = 'disabled';
  patch.connectionState = 'Connected';
  patch.properties.desired.$version = 99;
  patch.properties.desired.c = 3;
  patch.properties.reported = { invented: true };
  const after = await patched(deviceId, patch);
  assert.equal(after.deviceId, deviceId);
  assert.equal(after.status, 'enabled');
  assert.equal(after.connectionState, 'Disconnected');
  assert.equal(counter(after.etag), 3n);
  assert.equal(after.version, 4);
  assert.deepEqual(clean(after.properties.desired), { b: 2, c: 3 });
  assert.equal(after.properties.desired.$version, 3);
  assert.deepEqual(clean(after.properties.reported), {});
});

test('an etag protects a write', async () => {
  const { deviceId } = await fresh('etag');
  const twin = await twinOf(deviceId);
  const { responseBody: bare } = await registry.updateTwin(deviceId, { tags: { n: 1 } }, twin.etag);
  assert.equal(bare.tags.n, 1);
  const { responseBody: quoted } = await registry.updateTwin(deviceId, { tags: { n: 2 } }, `"${bare.etag}"`);
  assert.equal(quoted.tags.n, 2);
  for (const stale of [twin.etag, bare.etag, 'AAAAAAAAAGM=', 'nonsense']) {
    await refused(registry.updateTwin(deviceId, { tags: { n: 3 } }, stale), 'InvalidEtagError', 412, 'PreconditionFailed');
  }
  const after = await twinOf(deviceId);
  assert.equal(after.tags.n, 2);
  assert.equal(after.etag, quoted.etag);
  const { responseBody: forced } = await registry.updateTwin(deviceId, { tags: { n: 4 } }, '*');
  assert.equal(forced.tags.n, 4);
});

test("a Twin object carries its own etag along", async () => {
  const { deviceId } = await fresh('object');
  const mine = await twinOf(deviceId);
  const theirs = await twinOf(deviceId);
  await mine.update({ tags: { by: 'me' } });
  assert.equal(counter(mine.etag), 2n);
  assert.equal(mine.tags.by, 'me');
  await mine.update({ tags: { again: true } });
  assert.deepEqual(mine.tags, { by: 'me', again: true });
  await assert.rejects(theirs.update({ tags: { by: 'them' } }), { name: 'InvalidEtagError' });
  await theirs.get();
  await theirs.update({ tags: { by: 'them' } });
  assert.deepEqual((await twinOf(deviceId)).tags, { by: 'them', again: true });
});

test('writers without a condition never conflict', async () => {
  const { deviceId } = await fresh('many');
  const all = await Promise.all(Array.from({ length: 30 }, (_, n) => patched(deviceId, desired({ ['w' + n]: n }))));
  assert.equal(new Set(all.map((t) => t.etag)).size, 30);
  const after = await twinOf(deviceId);
  assert.equal(after.version, 32);
  assert.equal(after.properties.desired.$version, 31);
  assert.equal(Object.keys(clean(after.properties.desired)).length, 30);
});

test('of writers with one etag one wins', async () => {
  const { deviceId } = await fresh('race');
  const { etag } = await twinOf(deviceId);
  const all = await Promise.allSettled(Array.from({ length: 10 }, (_, n) => registry.updateTwin(deviceId, { tags: { n } }, etag)));
  assert.equal(all.filter((r) => r.status === 'fulfilled').length, 1);
  assert.ok(all.filter((r) => r.status === 'rejected').every((r) => r.reason.name === 'InvalidEtagError'));
  assert.equal((await twinOf(deviceId)).version, 3);
});

test('missing devices have no twins', async () => {
  await refused(registry.getTwin(prefix + 'missing'), 'DeviceNotFoundError', 404, 'DeviceNotFound');
  await refused(registry.updateTwin(prefix + 'missing', { tags: { a: 1 } }, '*'), 'DeviceNotFoundError', 404, 'DeviceNotFound');
});

test('names with forbidden characters are ArgumentError', async () => {
  const { deviceId } = await fresh('names');
  for (const name of ['a.b', '$a', 'a$', 'a b', 'a#b', 'a\u0001', 'a\u007f', 'a\u0085', '\t']) {
    await invalid(registry.updateTwin(deviceId, { tags: { [name]: 1 } }, '*'));
    await invalid(registry.updateTwin(deviceId, desired({ a: { [name]: 1 } }), '*'));
  }
  assert.equal((await twinOf(deviceId)).version, 2);
});

test('nulls within arrays are ArgumentError', async () => {
  const { deviceId } = await fresh('nulls');
  await invalid(registry.updateTwin(deviceId, desired({ a: [1, null] }), '*'));
  await invalid(registry.updateTwin(deviceId, desired({ a: [[null]] }), '*'));
  await invalid(registry.updateTwin(deviceId, { tags: { a: [{ b: null }] } }, '*'));
});

const nested = (depth) => JSON.parse('{"d":'.repeat(depth) + '1' + '}'.repeat(depth));

// Each limit with a patch of desired just within it and one just beyond.
const limits = {
  'a text has 4,096 bytes': [{ a: 'x'.repeat(4096) }, { a: 'x'.repeat(4097) }],
  'bytes of a text are those of UTF-8': [{ a: 'é' + 'x'.repeat(4094) }, { a: 'é' + 'x'.repeat(4095) }],
  'a name has 1,024 bytes': [{ ['k'.repeat(1024)]: 1 }, { ['k'.repeat(1025)]: 1 }],
  'an integer is at most 2^52 - 1': [{ a: 4503599627370495 }, { a: 4503599627370496 }],
  'an integer is at least -2^52': [{ a: -4503599627370496 }, { a: -4503599627370497 }],
  'objects nest ten deep': [nested(11), nested(12)],
  'arrays count for the depth': [{ a: JSON.parse('['.repeat(10) + ']'.repeat(10)) }, { a: JSON.parse('['.repeat(11) + ']'.repeat(11)) }],
};

for (const [n, [name, [within, beyond]]] of Object.entries(limits).entries()) {
  test(name, async () => {
    const { deviceId } = await fresh('limit' + n);
    await invalid(registry.updateTwin(deviceId, desired(beyond), '*'));
    assert.equal((await twinOf(deviceId)).properties.desired.$version, 1);
    const twin = await patched(deviceId, desired(within));
    assert.deepEqual(clean(twin.properties.desired), within);
  });
}

test('tags have 8 KB, desired has 32', async () => {
  const { deviceId } = await fresh('sizes');
  const filled = (bytes) => {
    const section = {};
    for (let n = 0; bytes > 0; n++) {
      const length = Math.min(bytes - 2, 4000);
      section[String.fromCharCode(97 + n) + 'x'] = 'v'.repeat(length);
      bytes -= length + 2;
    }
    return section;
  };
  await patched(deviceId, { tags: filled(8192) });
  await invalid(registry.updateTwin(deviceId, { tags: { z: 1 } }, '*'));
  await patched(deviceId, desired(filled(32768)));
  await invalid(registry.updateTwin(deviceId, desired({ z: 1 }), '*'));
  const smaller = await patched(deviceId, desired({ ax: null, z: 1 }));
  assert.equal(smaller.properties.desired.z, 1);
  assert.ok(!('ax' in smaller.properties.desired));
});
