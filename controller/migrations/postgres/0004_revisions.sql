-- The latest revision of a run's report, and how many records of agents it was made from.
ALTER TABLE runs ADD COLUMN revision BIGINT;
ALTER TABLE runs ADD COLUMN known_records BIGINT;
