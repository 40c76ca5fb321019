-- A certificate that was issued and not yet shown; it takes the place of the current one when it is.
ALTER TABLE agents ADD COLUMN next_serial TEXT;
ALTER TABLE agents ADD COLUMN next_key_sha BLOB;
ALTER TABLE agents ADD COLUMN next_not_after_ms BIGINT;
