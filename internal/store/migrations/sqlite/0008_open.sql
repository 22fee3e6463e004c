-- Orders of which something is expected, by how long they have not changed. An IN instead
-- of the ORs costs 50 us each time an order is written: SQLite makes a table of its list.
CREATE INDEX orders_open ON orders (stage, updated_at, id, platform) WHERE stage = 'new' OR stage = 'transferred' OR stage = 'checked' OR stage = 'notified' OR stage = 'waiting';

-- Ordergate's own events, alerts among them.
CREATE INDEX event_own ON event (seq) WHERE api >= 'ordergate.' AND api < 'ordergate/';
