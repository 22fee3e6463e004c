-- Where several processes deliver, each has some of the shards of a queue. SQLite has one
-- process, and everything is in shard 0.
ALTER TABLE blocked ADD COLUMN shard INTEGER NOT NULL DEFAULT 0;
ALTER TABLE dead ADD COLUMN shard INTEGER NOT NULL DEFAULT 0;
