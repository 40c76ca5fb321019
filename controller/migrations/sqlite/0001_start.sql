-- The journal and what the controller must remember across restarts.
-- Only BIGINT, DOUBLE PRECISION, TEXT and BLOB, so that every engine stores the same.

-- One row per record as it was received; the payload is not looked into. received_ms is for
-- display: nothing is ordered by it.
CREATE TABLE records (
    agent       TEXT   NOT NULL,
    spool       BLOB   NOT NULL,
    seq         BIGINT NOT NULL,
    format      BIGINT NOT NULL,
    kind        TEXT   NOT NULL,
    version     BIGINT NOT NULL,
    run         TEXT   NOT NULL,
    payload     BLOB   NOT NULL,
    content_sha BLOB   NOT NULL,
    received_ms BIGINT NOT NULL,
    PRIMARY KEY (agent, spool, seq)
);
CREATE INDEX records_by_run ON records (run, agent, spool, seq);

-- The end of what is stored without a gap, kept in the transaction that moves it.
CREATE TABLE spools (
    agent       TEXT   NOT NULL,
    spool       BLOB   NOT NULL,
    durable_seq BIGINT NOT NULL,
    PRIMARY KEY (agent, spool)
);

CREATE TABLE runs (
    run          TEXT   NOT NULL PRIMARY KEY,
    plan         TEXT   NOT NULL,
    scenario     TEXT   NOT NULL,
    state        TEXT   NOT NULL,
    verdict      TEXT,
    created_ms   BIGINT NOT NULL,
    ended_ms     BIGINT,
    requested_by TEXT   NOT NULL
);

CREATE TABLE agents (
    agent        TEXT   NOT NULL PRIMARY KEY,
    environment  TEXT   NOT NULL,
    serial       TEXT   NOT NULL,
    key_sha      BLOB   NOT NULL,
    not_after_ms BIGINT NOT NULL,
    enrolled_ms  BIGINT NOT NULL,
    revoked_ms   BIGINT
);

-- Used tokens stay, so that a second use is told from an unknown one.
CREATE TABLE tokens (
    secret_sha  BLOB   NOT NULL PRIMARY KEY,
    environment TEXT   NOT NULL,
    agent       TEXT,
    expires_ms  BIGINT NOT NULL,
    used_ms     BIGINT,
    used_by_key BLOB
);
