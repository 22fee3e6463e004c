-- When lines of the order are refunded unless they are shipped; NULL: never.
ALTER TABLE orders ADD COLUMN refund_due INTEGER;

CREATE INDEX orders_refund ON orders (refund_due) WHERE refund_due IS NOT NULL;

UPDATE orders SET refund_due = paid_at + 6000000
WHERE platform = 'suning' AND paid_at IS NOT NULL AND EXISTS (
  SELECT 1 FROM json_each(orders.lines)
  WHERE json_extract(value, '$[1]') IN ('recharge', 'card', 'gift') AND json_extract(value, '$[3]') = 'waiting');

-- Parameters that must not be readable at rest, sealed.
ALTER TABLE event ADD COLUMN sealed BLOB;

-- A line is refunded automatically once for each payment: the id is a hash of both.
CREATE UNIQUE INDEX event_refund ON event (id) WHERE api = 'ordergate.refund.timeout';

-- Behind the five texts of a line there may be three more, from now on; see
-- parts.go.
