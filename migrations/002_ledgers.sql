-- Up Migration

-- Entries of the late ledgers and of the dead letters that have left Redis. Texts that came from outside are bytes: they may
-- hold what Postgres's text cannot.
CREATE TABLE ledger_entries (
  partition smallint NOT NULL,
  -- 'late' or 'dead'.
  ledger text NOT NULL,
  -- Id of the entry in its stream, "ms-seq".
  ms bigint NOT NULL,
  seq bigint NOT NULL,
  -- Of the counter that the event was late for; 0 for a dead letter.
  generation integer NOT NULL,
  -- The counter's clock when the event came, ms.
  watermark bigint,
  -- Why it is a dead letter, and the entry of the partition's stream that it was part of.
  reason bytea,
  entry text,
  payload bytea NOT NULL,
  -- Given when the entry is to go back onto the partition's stream, in the order in which they do; until then it waits.
  number bigint,
  numbered_at timestamptz,
  PRIMARY KEY (partition, ledger, ms, seq)
);
CREATE INDEX ledger_entries_waiting ON ledger_entries (partition, ledger, generation, ms, seq) WHERE number IS NULL;
CREATE INDEX ledger_entries_numbered ON ledger_entries (partition, ledger, number) WHERE number IS NOT NULL;

-- The last number given in each ledger. Whoever changes a ledger's entries holds its row.
CREATE TABLE ledgers (
  partition smallint NOT NULL,
  ledger text NOT NULL,
  number bigint NOT NULL,
  PRIMARY KEY (partition, ledger)
);

-- Down Migration

DROP TABLE ledger_entries;
DROP TABLE ledgers;
