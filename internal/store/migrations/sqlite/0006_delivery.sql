-- What is delivered is read from the log. A queue is a destination, or a replay for one
-- ("name/replay"); its cursor says up to where everything is settled. Only what deviates
-- has rows: done above the cursor, blocked lanes, dead deliveries, attempts.
CREATE TABLE cursor (
  queue TEXT NOT NULL,
  shard INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  start INTEGER NOT NULL,
  seq   INTEGER NOT NULL,
  up_to INTEGER NOT NULL,
  PRIMARY KEY (queue, shard)
) STRICT, WITHOUT ROWID;

CREATE TABLE done (
  queue TEXT NOT NULL,
  seq   INTEGER NOT NULL,
  PRIMARY KEY (queue, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE blocked (
  queue     TEXT NOT NULL,
  lane      INTEGER NOT NULL,
  first_seq INTEGER NOT NULL,
  attempts  INTEGER NOT NULL,
  next_at   INTEGER,
  held      INTEGER NOT NULL,
  reason    TEXT NOT NULL,
  PRIMARY KEY (queue, lane)
) STRICT, WITHOUT ROWID;

CREATE INDEX blocked_due ON blocked (queue, next_at) WHERE next_at IS NOT NULL;

CREATE INDEX blocked_first ON blocked (first_seq);

CREATE TABLE dead (
  queue    TEXT NOT NULL,
  seq      INTEGER NOT NULL,
  lane     INTEGER NOT NULL,
  reason   TEXT NOT NULL,
  at       INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  next_at  INTEGER,
  PRIMARY KEY (queue, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX dead_retried ON dead (queue, lane, seq) WHERE next_at IS NOT NULL;

CREATE INDEX dead_due ON dead (queue, next_at) WHERE next_at IS NOT NULL;

CREATE TABLE attempt (
  queue      TEXT NOT NULL,
  seq        INTEGER NOT NULL,
  n          INTEGER NOT NULL,
  at         INTEGER NOT NULL,
  status     INTEGER NOT NULL,
  latency_us INTEGER NOT NULL,
  body       TEXT NOT NULL,
  PRIMARY KEY (queue, seq, n)
) STRICT, WITHOUT ROWID;

-- What was owed to platforms is delivered like everything else from now on: owed says
-- only that the platform does not know it, and stays. Destinations begin at the end of
-- the log; what is owed already is like what a person wants to have tried again.
DROP INDEX event_owed;

INSERT INTO cursor (queue, shard, epoch, start, seq, up_to)
SELECT name, 0, 1, head, head, 0 FROM destination, (SELECT coalesce(max(seq), 0) AS head FROM event)
WHERE json_extract(doc, '$.wait') IS NOT TRUE;

INSERT INTO dead (queue, seq, lane, reason, at, attempts, next_at)
SELECT destination.name, event.seq, orders.id * 4, 'not sent yet', event.at, 0, event.at
FROM event JOIN orders ON orders.id = order_id JOIN destination
WHERE owed IS NOT NULL AND json_extract(doc, '$.kind') = 'top'
AND (json_extract(doc, '$.sellers') IS NULL OR orders.seller IN (SELECT value FROM json_each(doc, '$.sellers')))
AND (json_extract(doc, '$.apis') IS NULL OR api IN (SELECT value FROM json_each(doc, '$.apis')));

-- Somebody decides about the event who has not (1), or who said no (2): it is delivered
-- to nobody. Once it is a fact (3), it is delivered from another place of the log: where
-- that was settled. All others are delivered from seq.
ALTER TABLE event ADD COLUMN asked INTEGER;
ALTER TABLE event ADD COLUMN place INTEGER;

CREATE INDEX event_asked ON event (id) WHERE asked = 1;

CREATE UNIQUE INDEX event_place ON event (place) WHERE place IS NOT NULL;
