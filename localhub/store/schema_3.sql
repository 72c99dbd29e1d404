-- From version 2 to 3: scheduled jobs and what became of each of their devices.

-- work is what is done to each device, as it was asked for: a JSON object, the
-- updateTwin or cloudToDeviceMethod of the request. policy is who asked.
-- Statuses and types are IoT Hub's words. A job is active until it has ended.
-- place is how far the choice of devices has come, the continuation of a query;
-- chosen says that it is complete. A job that a crash interrupts goes on from
-- there.
CREATE TABLE jobs (
  id        INTEGER PRIMARY KEY AUTOINCREMENT,
  job_id    TEXT NOT NULL UNIQUE,
  type      TEXT NOT NULL,
  status    TEXT NOT NULL,
  condition TEXT NOT NULL,
  work      TEXT NOT NULL,
  policy    TEXT NOT NULL,
  created   TEXT NOT NULL,
  start     TEXT NOT NULL,
  seconds   INTEGER NOT NULL,
  ended     TEXT NOT NULL DEFAULT '',
  failure   TEXT NOT NULL DEFAULT '',
  place     TEXT NOT NULL DEFAULT '',
  chosen    INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX jobs_active ON jobs (start) WHERE ended = '';

-- One device's part of a job. It names the device by its id, not by its row: what
-- became of it outlives the device. id counts in the order of work, which
-- queries page through. outcome and error are JSON objects, '' when there is none.
CREATE TABLE job_devices (
  id        INTEGER PRIMARY KEY AUTOINCREMENT,
  job       INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  device_id TEXT NOT NULL,
  status    TEXT NOT NULL,
  created   TEXT NOT NULL,
  updated   TEXT NOT NULL,
  outcome   TEXT NOT NULL DEFAULT '',
  error     TEXT NOT NULL DEFAULT '',
  UNIQUE (device_id, job)
);
-- The first finds a job's rows in their order, the second those still to do, and
-- counts.
CREATE INDEX job_devices_order ON job_devices (job, id);
CREATE INDEX job_devices_status ON job_devices (job, status, id);
