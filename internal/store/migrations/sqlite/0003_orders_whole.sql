-- An order with its lines and marks is one row: every call about it reads and
-- writes it whole. Both are JSON arrays of arrays of texts, in this order:
-- lines [number, kind, quantity, state, supplier_code],
-- marks [status, erp_order_id, detail, line].
ALTER TABLE orders ADD COLUMN lines TEXT NOT NULL DEFAULT '[]';
ALTER TABLE orders ADD COLUMN marks TEXT NOT NULL DEFAULT '[]';

UPDATE orders SET
  lines = (SELECT json_group_array(json_array(number, kind, quantity, state, supplier_code)) FROM line WHERE order_id = orders.id),
  marks = (SELECT json_group_array(json_array(status, erp_order_id, detail, line)) FROM mark WHERE order_id = orders.id);

DROP TABLE line;
DROP TABLE mark;
