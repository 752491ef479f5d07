-- Up Migration

-- Cells of closed buckets, as they were in Redis: one row per counter, window, bucket, owner and partition. Rows of a
-- correction are added to those of the cell.
CREATE TABLE cells (
  generation integer NOT NULL,
  window_s integer NOT NULL,
  -- Start of the bucket, milliseconds since the epoch.
  bucket bigint NOT NULL,
  -- 't': the total; 'o': the keys refused by keysMax; 'k' and the key's text. A long one ends in a digest, since an index
  -- takes 2,700 bytes at most, and stands in full beside.
  owner bytea NOT NULL,
  owner_long bytea,
  partition smallint NOT NULL,
  -- 0: the cell itself; else the number of a correction in its partition.
  correction bigint NOT NULL,
  count bigint NOT NULL,
  -- Sum in millionths.
  micro numeric NOT NULL,
  -- HyperLogLog in Redis's own bytes.
  sketch bytea,
  -- With the numbers in it, lookups of one owner read its leaves alone. Rows lie bucket by bucket, so that in the table
  -- each of them would be a page of its own.
  PRIMARY KEY (generation, window_s, owner, bucket, partition, correction) INCLUDE (count, micro)
) PARTITION BY RANGE (window_s, bucket);

-- Rankings read all keys of some buckets, and say so in these words. Lookups of one owner do not, so they cannot be
-- planned with this index, which without statistics looks as good to Postgres as the primary key and reads everybody.
CREATE INDEX cells_ranked ON cells (generation, window_s, bucket) WHERE substr(owner, 1, 1) = '\x6b';

-- Down Migration

DROP TABLE cells;
