-- Recordings of 64 numbers of a spool, merged where no report of their plan tells them apart: derived
-- from records that never change, and made from them again at any time. records and held are sets of
-- bits: which of the 64 are in all parts, and which are in this one. grain names what is told apart.
CREATE TABLE rollups (
    run     TEXT COLLATE "C" NOT NULL,
    agent   TEXT COLLATE "C" NOT NULL,
    spool   BYTEA NOT NULL,
    block   BIGINT NOT NULL,
    part    BIGINT NOT NULL,
    parts   BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    records BIGINT NOT NULL,
    held    BIGINT NOT NULL,
    grain   BYTEA NOT NULL,
    version BIGINT NOT NULL,
    payload BYTEA NOT NULL,
    PRIMARY KEY (run, agent, spool, block, part)
);

-- Up to which number a spool was looked through for what can be rolled up.
ALTER TABLE spools ADD COLUMN rolled_seq BIGINT NOT NULL DEFAULT 0;
