-- Locks of an order's lines, as a JSON array of objects; see order.Lock.
ALTER TABLE orders ADD COLUMN locks TEXT NOT NULL DEFAULT '[]';

CREATE INDEX orders_locked ON orders (id) WHERE locks <> '[]';

-- Those of which a merchant was asked and has not answered yet.
CREATE INDEX orders_asked ON orders (id) WHERE instr(locks, '"asked"') > 0;

CREATE INDEX app_seller ON app (json_extract(doc, '$.seller'));

CREATE TABLE destination (
  name    TEXT PRIMARY KEY,
  secrets BLOB NOT NULL,
  doc     TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Rows of event change in two ways from now on: a call that waits for a merchant gets
-- its answer when that is known, and what is owed to a platform is paid.
ALTER TABLE event ADD COLUMN owed INTEGER;

CREATE INDEX event_owed ON event (seq) WHERE owed IS NOT NULL;
