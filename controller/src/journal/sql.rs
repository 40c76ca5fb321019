//! Every statement that the store runs, so that one test can prepare them all on each engine.
//!
//! Parameters are `$1`…, which SQLite takes as well as PostgreSQL. No `query!`: it would bind the
//! build to one database.

/// Begins a write. `IMMEDIATE` takes the write lock at once instead of failing half-way.
pub(super) const BEGIN: &str = "BEGIN IMMEDIATE";

pub(super) const RECORD_INSERT: &str = "\
    INSERT INTO records \
        (agent, spool, seq, format, kind, version, run, payload, content_sha, received_ms) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
    ON CONFLICT (agent, spool, seq) DO NOTHING";

pub(super) const RECORD_SHA: &str =
    "SELECT content_sha FROM records WHERE agent = $1 AND spool = $2 AND seq = $3";

pub(super) const RECORD_SEQS_AFTER: &str =
    "SELECT seq FROM records WHERE agent = $1 AND spool = $2 AND seq > $3 ORDER BY seq";

pub(super) const RECORDS_OF_RUN: &str = "\
    SELECT agent, spool, seq, format, kind, version, run, payload \
    FROM records WHERE run = $1 ORDER BY agent, spool, seq";

pub(super) const RECORDS_OF_KIND: &str = "\
    SELECT agent, spool, seq, format, kind, version, run, payload \
    FROM records WHERE run = $1 AND kind = $2 ORDER BY agent, spool, seq";

pub(super) const RECORDS_OF_AUTHOR: &str = "\
    SELECT agent, spool, seq, format, kind, version, run, payload \
    FROM records WHERE run = $1 AND agent = $2 ORDER BY agent, spool, seq";

pub(super) const RECORDS_OF_BLOCK: &str = "\
    SELECT agent, spool, seq, format, kind, version, run, payload \
    FROM records WHERE agent = $1 AND spool = $2 AND seq > $3 AND seq <= $4 AND kind = $5 \
    ORDER BY seq";

/// A number lies in the block that a roll-up is of: 64 is `rollup::RECORDS`, and a test holds it.
macro_rules! is_rolled {
    () => {
        "EXISTS (SELECT 1 FROM rollups WHERE rollups.run = records.run \
            AND rollups.agent = records.agent AND rollups.spool = records.spool \
            AND rollups.block = (records.seq - 1) / 64)"
    };
}

pub(super) const RECORDS_NOT_ROLLED: &str = concat!(
    "SELECT agent, spool, seq, format, kind, version, run, payload \
    FROM records WHERE run = $1 AND NOT (kind = $2 AND ",
    is_rolled!(),
    ") ORDER BY agent, spool, seq"
);

pub(super) const RECORDS_ROLLED: &str = concat!(
    "SELECT agent, spool, seq FROM records WHERE run = $1 AND kind = $2 AND ",
    is_rolled!()
);

/// A spool that holds so many more numbers than were looked through.
pub(super) const ROLLUP_DUE: &str = "\
    SELECT agent, spool, rolled_seq FROM spools WHERE durable_seq >= rolled_seq + $1 LIMIT 1";

pub(super) const ROLLUP_INSERT: &str = "\
    INSERT INTO rollups \
        (run, agent, spool, block, part, parts, attempt, records, held, grain, version, payload) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
    ON CONFLICT (run, agent, spool, block, part) DO NOTHING";

pub(super) const ROLLUPS_OF_RUN: &str = "\
    SELECT agent, spool, block, parts, attempt, records, held, grain, version, payload \
    FROM rollups WHERE run = $1 ORDER BY agent, spool, block, part";

pub(super) const ROLLUPS_FORGET: &str = "DELETE FROM rollups";

pub(super) const SPOOL_ROLLED: &str =
    "UPDATE spools SET rolled_seq = $3 WHERE agent = $1 AND spool = $2";

pub(super) const SPOOLS_FORGET: &str = "UPDATE spools SET rolled_seq = 0";

pub(super) const RECORDS_OF_AGENTS: &str =
    "SELECT COUNT(*) FROM records WHERE run = $1 AND agent <> $2";

pub(super) const SPOOL_DURABLE: &str =
    "SELECT durable_seq FROM spools WHERE agent = $1 AND spool = $2";

pub(super) const SPOOLS_OF_AGENT: &str =
    "SELECT spool, durable_seq FROM spools WHERE agent = $1 ORDER BY spool";

pub(super) const SPOOL_ADVANCE: &str = "\
    INSERT INTO spools (agent, spool, durable_seq) VALUES ($1, $2, $3) \
    ON CONFLICT (agent, spool) DO UPDATE SET durable_seq = excluded.durable_seq";

pub(super) const RUN_INSERT: &str = "\
    INSERT INTO runs (run, plan, scenario, state, verdict, created_ms, ended_ms, requested_by) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
    ON CONFLICT (run) DO NOTHING";

pub(super) const RUN_SET_STATE: &str = "UPDATE runs SET state = $2 WHERE run = $1";

pub(super) const RUN_END: &str = "\
    UPDATE runs SET state = $2, verdict = $3, ended_ms = COALESCE(ended_ms, $4), \
        revision = $5, known_records = $6 \
    WHERE run = $1";

pub(super) const RUN: &str = "\
    SELECT run, plan, scenario, state, verdict, created_ms, ended_ms, requested_by, \
        revision, known_records \
    FROM runs WHERE run = $1";

pub(super) const RUNS: &str = "\
    SELECT run, plan, scenario, state, verdict, created_ms, ended_ms, requested_by, \
        revision, known_records \
    FROM runs ORDER BY created_ms DESC, run DESC";

pub(super) const LEASE: &str = "SELECT holder, clock, fence, until_ms FROM leases WHERE run = $1";

pub(super) const LEASE_PUT: &str = "\
    INSERT INTO leases (run, holder, clock, fence, until_ms) VALUES ($1, $2, $3, $4, $5) \
    ON CONFLICT (run) DO UPDATE SET \
        holder = excluded.holder, clock = excluded.clock, fence = excluded.fence, \
        until_ms = excluded.until_ms";

pub(super) const LEASE_RENEW: &str = "UPDATE leases SET until_ms = $2 WHERE holder = $1";

pub(super) const TOKEN_INSERT: &str = "\
    INSERT INTO tokens (secret_sha, environment, agent, expires_ms) VALUES ($1, $2, $3, $4)";

/// Compare and swap: of any number of hosts with one token, one gets a changed row.
pub(super) const TOKEN_USE: &str = "\
    UPDATE tokens SET used_ms = $2, used_by_key = $3 \
    WHERE secret_sha = $1 AND used_ms IS NULL AND expires_ms > $2";

pub(super) const TOKEN: &str = "\
    SELECT environment, agent, used_ms, used_by_key FROM tokens WHERE secret_sha = $1";

pub(super) const AGENT_PUT: &str = "\
    INSERT INTO agents \
        (agent, environment, serial, key_sha, not_after_ms, enrolled_ms, revoked_ms, \
         next_serial, next_key_sha, next_not_after_ms) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
    ON CONFLICT (agent) DO UPDATE SET \
        environment = excluded.environment, serial = excluded.serial, \
        key_sha = excluded.key_sha, not_after_ms = excluded.not_after_ms, \
        enrolled_ms = excluded.enrolled_ms, revoked_ms = excluded.revoked_ms, \
        next_serial = excluded.next_serial, next_key_sha = excluded.next_key_sha, \
        next_not_after_ms = excluded.next_not_after_ms";

pub(super) const AGENT_REVOKE: &str =
    "UPDATE agents SET revoked_ms = $2 WHERE agent = $1 AND revoked_ms IS NULL";

pub(super) const AGENT_OFFER: &str = "\
    UPDATE agents SET next_serial = $2, next_key_sha = $3, next_not_after_ms = $4 \
    WHERE agent = $1 AND revoked_ms IS NULL";

pub(super) const AGENT_PROMOTE: &str = "\
    UPDATE agents SET \
        serial = next_serial, key_sha = next_key_sha, not_after_ms = next_not_after_ms, \
        next_serial = NULL, next_key_sha = NULL, next_not_after_ms = NULL \
    WHERE agent = $1 AND next_serial = $2 AND revoked_ms IS NULL";

pub(super) const AGENT: &str = "\
    SELECT agent, environment, serial, key_sha, not_after_ms, enrolled_ms, revoked_ms, \
        next_serial, next_key_sha, next_not_after_ms \
    FROM agents WHERE agent = $1";

pub(super) const AGENT_OF_KEY: &str = "\
    SELECT agent, environment, serial, key_sha, not_after_ms, enrolled_ms, revoked_ms, \
        next_serial, next_key_sha, next_not_after_ms \
    FROM agents WHERE key_sha = $1 AND environment = $2 ORDER BY agent";

pub(super) const AGENTS: &str = "\
    SELECT agent, environment, serial, key_sha, not_after_ms, enrolled_ms, revoked_ms, \
        next_serial, next_key_sha, next_not_after_ms \
    FROM agents ORDER BY agent";

pub(super) const SCHEMA_TABLE: &str =
    "CREATE TABLE IF NOT EXISTS nepho_schema (version BIGINT NOT NULL PRIMARY KEY)";

pub(super) const SCHEMA_VERSION: &str = "SELECT COALESCE(MAX(version), 0) FROM nepho_schema";

pub(super) const SCHEMA_APPLIED: &str = "INSERT INTO nepho_schema (version) VALUES ($1)";

/// All of them but the ones that make tables, for the test that prepares each.
#[cfg(test)]
pub(super) const ALL: [&str; 39] = [
    RECORD_INSERT,
    RECORD_SHA,
    RECORD_SEQS_AFTER,
    RECORDS_OF_RUN,
    RECORDS_OF_KIND,
    RECORDS_OF_AGENTS,
    RECORDS_OF_AUTHOR,
    RECORDS_OF_BLOCK,
    RECORDS_NOT_ROLLED,
    RECORDS_ROLLED,
    ROLLUP_DUE,
    ROLLUP_INSERT,
    ROLLUPS_OF_RUN,
    ROLLUPS_FORGET,
    SPOOL_ROLLED,
    SPOOLS_FORGET,
    SPOOL_DURABLE,
    SPOOLS_OF_AGENT,
    SPOOL_ADVANCE,
    RUN_INSERT,
    RUN_SET_STATE,
    RUN_END,
    RUN,
    RUNS,
    LEASE,
    LEASE_PUT,
    LEASE_RENEW,
    TOKEN_INSERT,
    TOKEN_USE,
    TOKEN,
    AGENT_PUT,
    AGENT_REVOKE,
    AGENT_OFFER,
    AGENT_PROMOTE,
    AGENT,
    AGENT_OF_KEY,
    AGENTS,
    SCHEMA_VERSION,
    SCHEMA_APPLIED,
];
