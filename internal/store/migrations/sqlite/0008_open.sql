-- Orders of which something is expected, by how long they have not changed.
CREATE INDEX orders_open ON orders (stage, updated_at, id, platform) WHERE stage IN ('new', 'transferred', 'checked', 'notified', 'waiting');

-- Ordergate's own events, alerts among them.
CREATE INDEX event_own ON event (seq) WHERE api >= 'ordergate.' AND api < 'ordergate/';
