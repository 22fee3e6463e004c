-- Work orders (工单), as their last events left them.
CREATE TABLE work_order (
  id         INTEGER PRIMARY KEY,
  number     TEXT NOT NULL,
  tenant     TEXT NOT NULL,
  app        TEXT NOT NULL,
  type       TEXT NOT NULL,
  status     TEXT NOT NULL,
  plan_id    TEXT NOT NULL,
  order_no   TEXT NOT NULL,
  ts         TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  UNIQUE (number, tenant, app)
) STRICT;

-- Event ids that were used, with a digest of what was sent under each.
CREATE TABLE event_id (
  app     TEXT NOT NULL,
  tenant  TEXT NOT NULL,
  id      TEXT NOT NULL,
  content TEXT NOT NULL,
  PRIMARY KEY (app, tenant, id)
) STRICT, WITHOUT ROWID;

ALTER TABLE event ADD COLUMN work_order_id INTEGER REFERENCES work_order (id);

CREATE INDEX event_work_order ON event (work_order_id, seq) WHERE work_order_id IS NOT NULL;
