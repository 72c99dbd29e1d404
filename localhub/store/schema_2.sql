-- From version 1 to 2: modules know who manages them, and what devices have
-- subscribed to outlives the hub.

ALTER TABLE identities ADD COLUMN managed_by TEXT NOT NULL DEFAULT '';

-- What a device or module that connected with CleanSession 0 has subscribed to,
-- a JSON array of topic filters. Such a client counts on it after reconnecting,
-- also to a hub that was started anew.
CREATE TABLE subscriptions (
  id      INTEGER PRIMARY KEY REFERENCES identities (id) ON DELETE CASCADE,
  filters TEXT NOT NULL
);
