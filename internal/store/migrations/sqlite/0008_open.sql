-- Orders of which something is expected, by how long they have not changed.
CREATE INDEX orders_open ON orders (stage, updated_at, id, platform) WHERE stage IN ('new', 'transferred', 'checked', 'notified', 'waiting');
