-- The hub's file, version 1. One row per identity and one per twin, so that a
-- twin's write, which is frequent, does not rewrite the identity with its keys.
-- Documents are JSON text: sqlite3 and its json functions read them as they are.

-- id counts up and is never reused: a query pages through identities in its
-- order, and a row added meanwhile can only come after the place reached.
-- module_id is '' for the device itself, because a UNIQUE constraint does not
-- hold for NULL.
-- etag is the number whose decimal digits make the identity's etag.
-- Times are RFC 3339 in UTC with seven digits, as the service prints them;
-- '' means never.
-- authentication is the object of the service API as given, keys included: the
-- file is readable by its owner only.
CREATE TABLE identities (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  device_id      TEXT NOT NULL,
  module_id      TEXT NOT NULL DEFAULT '',
  generation     TEXT NOT NULL,
  etag           INTEGER NOT NULL,
  status         TEXT NOT NULL CHECK (status IN ('enabled', 'disabled')),
  status_reason  TEXT NOT NULL DEFAULT '',
  status_updated TEXT NOT NULL DEFAULT '',
  authentication TEXT NOT NULL,
  iot_edge       INTEGER NOT NULL DEFAULT 0,
  device_scope   TEXT NOT NULL DEFAULT '',
  parent_scopes  TEXT NOT NULL DEFAULT '[]',
  UNIQUE (device_id, module_id)
);

-- etag counts the writes of tags and desired. The twin's version is not stored:
-- it is etag + reported_version.
-- The *_metadata columns hold what a twin shows as $metadata, apart from the
-- values so that a query reads values alone.
CREATE TABLE twins (
  id                INTEGER PRIMARY KEY REFERENCES identities (id) ON DELETE CASCADE,
  etag              INTEGER NOT NULL,
  model_id          TEXT NOT NULL DEFAULT '',
  tags              TEXT NOT NULL,
  desired           TEXT NOT NULL,
  desired_metadata  TEXT NOT NULL,
  desired_version   INTEGER NOT NULL,
  reported          TEXT NOT NULL,
  reported_metadata TEXT NOT NULL,
  reported_version  INTEGER NOT NULL
);

-- When a device was last heard of. Apart and written late: losing the last
-- seconds of it in a crash is harmless, syncing each message is not.
CREATE TABLE activity (
  id                 INTEGER PRIMARY KEY REFERENCES identities (id) ON DELETE CASCADE,
  last_activity      TEXT NOT NULL DEFAULT '',
  connection_updated TEXT NOT NULL DEFAULT ''
);

-- The shared access policies; rights are IoT Hub's names with commas between.
CREATE TABLE policies (
  name          TEXT PRIMARY KEY,
  primary_key   TEXT NOT NULL,
  secondary_key TEXT NOT NULL,
  rights        TEXT NOT NULL
) WITHOUT ROWID;
