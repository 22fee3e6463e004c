-- The ledger. Times are Unix milliseconds. Integer keys keep related rows on
-- neighbouring pages: random text keys cost a third of the write rate.

CREATE TABLE orders (
  id             INTEGER PRIMARY KEY,
  number         TEXT NOT NULL,
  platform       TEXT NOT NULL,
  seller         TEXT NOT NULL,
  stage          TEXT NOT NULL,
  reached        TEXT NOT NULL,
  buyer          TEXT NOT NULL,
  buyer_open_uid TEXT NOT NULL,
  paid_at        INTEGER,
  created_at     INTEGER NOT NULL,
  updated_at     INTEGER NOT NULL,
  UNIQUE (number, platform, seller)
) STRICT;

CREATE TABLE line (
  order_id      INTEGER NOT NULL REFERENCES orders (id),
  number        TEXT NOT NULL,
  kind          TEXT NOT NULL,
  quantity      TEXT NOT NULL,
  state         TEXT NOT NULL,
  supplier_code TEXT NOT NULL,
  PRIMARY KEY (order_id, number)
) STRICT, WITHOUT ROWID;

-- What flowed back. The key is the rule: the same mark is accepted once.
CREATE TABLE mark (
  order_id     INTEGER NOT NULL REFERENCES orders (id),
  status       TEXT NOT NULL,
  erp_order_id TEXT NOT NULL,
  detail       TEXT NOT NULL,
  line         TEXT NOT NULL,
  PRIMARY KEY (order_id, status, erp_order_id, detail, line)
) STRICT, WITHOUT ROWID;

-- The log: seq is the queue that destinations read. Rows are never changed.
CREATE TABLE event (
  seq      INTEGER PRIMARY KEY,
  order_id INTEGER REFERENCES orders (id),
  id       TEXT NOT NULL,
  api      TEXT NOT NULL,
  app      TEXT NOT NULL,
  at       INTEGER NOT NULL,
  lines    TEXT NOT NULL,
  record   TEXT NOT NULL,
  answer   TEXT NOT NULL,
  warnings TEXT NOT NULL
) STRICT;

CREATE INDEX event_order ON event (order_id, seq);

CREATE TABLE app (
  key        TEXT PRIMARY KEY,
  secret     BLOB NOT NULL,
  old_secret BLOB,
  doc        TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- A session is found by a keyed MAC of its token.
CREATE TABLE session (
  id         INTEGER PRIMARY KEY,
  mark       BLOB NOT NULL UNIQUE,
  token      BLOB NOT NULL,
  app_key    TEXT NOT NULL,
  seller     TEXT NOT NULL,
  expires_at INTEGER
) STRICT;

CREATE INDEX session_app ON session (app_key);

CREATE TABLE usage (
  day   TEXT NOT NULL,
  app   TEXT NOT NULL,
  calls INTEGER NOT NULL,
  PRIMARY KEY (day, app)
) STRICT, WITHOUT ROWID;

CREATE TABLE meta (
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
