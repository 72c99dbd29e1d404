-- What the dashboard itself remembers. Nothing here is the truth about a hub: a
-- hub's devices and twins live in the hub.
--
-- Each step below moves the file one version on (PRAGMA user_version). Steps are
-- only ever added, never changed, so that a file of any age can be opened.

-- step 1
-- Settings of a hub, by the hub's slug: the grace time, for example.
CREATE TABLE setting (
	hub   TEXT NOT NULL,
	name  TEXT NOT NULL,
	value TEXT NOT NULL,
	PRIMARY KEY (hub, name)
) STRICT, WITHOUT ROWID;

-- Where the learner stands in the tutorial of a hub: the device chosen, and when
-- the walk began, so that what happened before it proves nothing.
CREATE TABLE tutorial (
	hub       TEXT PRIMARY KEY,
	device_id TEXT NOT NULL,
	started   INTEGER NOT NULL -- Unix time in microseconds, as all times here
) STRICT, WITHOUT ROWID;

CREATE TABLE tutorial_step (
	hub    TEXT NOT NULL REFERENCES tutorial (hub) ON DELETE CASCADE,
	step   TEXT NOT NULL,
	state  TEXT NOT NULL,
	at     INTEGER NOT NULL,
	detail TEXT NOT NULL, -- JSON, whatever the page wants to show again
	PRIMARY KEY (hub, step)
) STRICT, WITHOUT ROWID;

-- Changes of tags and desired properties made through this dashboard: what an
-- undo needs. old holds the values that patch replaced, null for what was new.
CREATE TABLE journal (
	id        INTEGER PRIMARY KEY AUTOINCREMENT,
	at        INTEGER NOT NULL,
	hub       TEXT NOT NULL,
	device_id TEXT NOT NULL,
	module_id TEXT NOT NULL,
	section   TEXT NOT NULL CHECK (section IN ('tags', 'desired')),
	patch     TEXT NOT NULL, -- JSON
	old       TEXT NOT NULL, -- JSON
	who       TEXT NOT NULL,
	screen    TEXT NOT NULL,
	etag      TEXT NOT NULL, -- of the twin after the change
	undoes    INTEGER NOT NULL DEFAULT 0 -- the entry this one takes back, or 0
) STRICT;
CREATE INDEX journal_device ON journal (hub, device_id, module_id, id);

-- step 2
-- The journal also keeps what others changed, and changes of a device's state.
-- source is who told us: 'dashboard' made the change itself, 'feed' is the hub's
-- change feed, 'read' a twin that was different when it was read again. who is a
-- shared access policy for 'feed', '' where nobody knows or it is ourselves.
CREATE TABLE journal_of_all (
	id        INTEGER PRIMARY KEY AUTOINCREMENT,
	at        INTEGER NOT NULL,
	hub       TEXT NOT NULL,
	device_id TEXT NOT NULL,
	module_id TEXT NOT NULL,
	section   TEXT NOT NULL CHECK (section IN ('tags', 'desired', 'state')),
	patch     TEXT NOT NULL, -- JSON, null for a state
	old       TEXT NOT NULL, -- JSON, null for a state
	was       TEXT NOT NULL DEFAULT '', -- the state before
	state     TEXT NOT NULL DEFAULT '', -- the state after
	source    TEXT NOT NULL CHECK (source IN ('dashboard', 'feed', 'read')),
	own       INTEGER GENERATED ALWAYS AS (source = 'dashboard') STORED,
	who       TEXT NOT NULL,
	screen    TEXT NOT NULL,
	etag      TEXT NOT NULL, -- of the twin after the change
	version   INTEGER NOT NULL DEFAULT 0, -- $version of desired after the change, 0 unknown
	undoes    INTEGER NOT NULL DEFAULT 0 -- the entry this one takes back, or 0
) STRICT;
INSERT INTO journal_of_all (id, at, hub, device_id, module_id, section, patch, old, source, who, screen, etag, undoes)
	SELECT id, at, hub, device_id, module_id, section, patch, old, 'dashboard', who, screen, etag, undoes FROM journal;
DROP TABLE journal;
ALTER TABLE journal_of_all RENAME TO journal;
CREATE INDEX journal_device ON journal (hub, device_id, module_id, id);
CREATE INDEX journal_own ON journal (hub, own, id);
-- One write is told about twice, by whoever made it and by the feed.
CREATE INDEX journal_write ON journal (hub, device_id, etag) WHERE section <> 'state';

-- When the changes of a hub were watched. What lies between two rows was not.
CREATE TABLE watched (
	id    INTEGER PRIMARY KEY,
	hub   TEXT NOT NULL,
	since INTEGER NOT NULL,
	until INTEGER NOT NULL
) STRICT;
CREATE INDEX watched_hub ON watched (hub, id);

-- step 3
-- Lists read the newest entries of a hub, or of one section, in the order of
-- their ids; without these, each would sort the whole journal. An index ends in
-- the id by itself.
CREATE INDEX journal_hub ON journal (hub);
CREATE INDEX journal_section ON journal (hub, section);

-- step 4

-- Acts on many devices, with what became of each: after a restart one can see
-- what was done and go on. The keys that a new device was to get are not in it.
CREATE TABLE bulk (
	id    TEXT PRIMARY KEY,
	hub   TEXT NOT NULL,
	act   TEXT NOT NULL,
	phase TEXT NOT NULL,
	at    INTEGER NOT NULL -- when it began
) STRICT, WITHOUT ROWID;

CREATE INDEX bulk_hub ON bulk (hub, at);

CREATE TABLE bulk_item (
	bulk      TEXT NOT NULL REFERENCES bulk (id) ON DELETE CASCADE,
	place     INTEGER NOT NULL, -- in the order of the act, from 0
	device_id TEXT NOT NULL,
	etag      TEXT NOT NULL, -- of the identity that the person saw, '' for any
	line      INTEGER NOT NULL, -- of the text it comes from, 0 for none
	made      TEXT NOT NULL, -- JSON, what to register
	state     TEXT NOT NULL,
	error     TEXT NOT NULL, -- JSON, why it failed
	PRIMARY KEY (bulk, place)
) STRICT, WITHOUT ROWID;

-- step 5
-- Lists are in the order of time. A state is written down when it has held for a
-- while, after what happened meanwhile: the order of ids is another one.
DROP INDEX journal_device;
DROP INDEX journal_own;
DROP INDEX journal_hub;
DROP INDEX journal_section;
CREATE INDEX journal_device ON journal (hub, device_id, module_id, at);
CREATE INDEX journal_own ON journal (hub, own, at);
CREATE INDEX journal_hub ON journal (hub, at);
CREATE INDEX journal_section ON journal (hub, section, at);

-- step 6
-- Acts that change a section of many twins: what each gets, and what that
-- replaced, null for what was new. An act that takes another back keeps the
-- other's patch, and as old what to put back.
ALTER TABLE bulk ADD COLUMN patch TEXT NOT NULL DEFAULT 'null';
ALTER TABLE bulk_item ADD COLUMN old TEXT NOT NULL DEFAULT 'null';

-- step 7
-- Acts that set the status of devices: the reason that each status gets, and the
-- one it had. They stood among the values of twins.
ALTER TABLE bulk_item ADD COLUMN reason TEXT NOT NULL DEFAULT '';
ALTER TABLE bulk_item ADD COLUMN reason_was TEXT NOT NULL DEFAULT '';
UPDATE bulk_item SET reason = coalesce(old ->> 'statusReasonBack', ''), reason_was = coalesce(old ->> 'statusReason', ''), old = 'null'
	WHERE bulk IN (SELECT id FROM bulk WHERE act IN ('enable', 'disable'));

-- step 8
-- The deletion of a device is found among its many changes.
CREATE INDEX journal_deleted ON journal (hub, device_id, module_id, at) WHERE section = 'state' AND state = '';

-- step 9
-- The entry of the journal that an act on a twin wrote, 0 for none; for an act that
-- takes another back, the one that it takes back.
ALTER TABLE bulk_item ADD COLUMN entry INTEGER NOT NULL DEFAULT 0;

-- step 10
-- The version of the whole twin after the change, 0 unknown: whoever reads a twin
-- again sees by it which writes came between.
ALTER TABLE journal ADD COLUMN twin_version INTEGER NOT NULL DEFAULT 0;
