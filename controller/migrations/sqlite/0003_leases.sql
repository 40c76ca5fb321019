-- Who drives a run. The fence rises whenever another process takes it up; clock names the boot of
-- the host whose monotonic clock the run's events are stamped with.
CREATE TABLE leases (
    run      TEXT NOT NULL PRIMARY KEY,
    holder   TEXT   NOT NULL,
    clock    TEXT   NOT NULL,
    fence    BIGINT NOT NULL,
    until_ms BIGINT NOT NULL
);
