-- From version 4 to 5: jobs on modules.

-- One device's or module's part of a job; module_id is '' for a device itself,
-- as in identities. SQLite cannot widen a constraint, so the table is made anew.
CREATE TABLE job_parts (
  id        INTEGER PRIMARY KEY AUTOINCREMENT,
  job       INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  device_id TEXT NOT NULL,
  module_id TEXT NOT NULL DEFAULT '',
  status    TEXT NOT NULL,
  created   TEXT NOT NULL,
  updated   TEXT NOT NULL,
  outcome   TEXT NOT NULL DEFAULT '',
  error     TEXT NOT NULL DEFAULT '',
  UNIQUE (device_id, module_id, job)
);
INSERT INTO job_parts (id, job, device_id, status, created, updated, outcome, error)
  SELECT id, job, device_id, status, created, updated, outcome, error FROM job_devices ORDER BY id;
DROP TABLE job_devices;
ALTER TABLE job_parts RENAME TO job_devices;
CREATE INDEX job_devices_order ON job_devices (job, id);
CREATE INDEX job_devices_status ON job_devices (job, status, id);
