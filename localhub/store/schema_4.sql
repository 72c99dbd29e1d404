-- From version 3 to 4: writes of twins go into a journal first.

-- What was sent to twins and is not in their rows yet, a row for each commit. A
-- row of twins that lags behind is written later, and what stands in the journal
-- for it is then deleted; that takes a fraction of a second, and at most until
-- the hub is stopped or started again.
-- edits is a JSON array in the order of writing. Each edit names a row of twins
-- by id and the version of the twin after it, which is one more than before it:
-- one whose version the row has reached is in the row. tags, desired and reported
-- are merged into their sections; replaceTags and replaceDesired are the whole
-- new section. at is when they were written.
CREATE TABLE journal (
  id    INTEGER PRIMARY KEY,
  at    TEXT NOT NULL,
  edits TEXT NOT NULL
);
