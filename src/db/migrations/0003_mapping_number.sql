-- Counts the mappings that were saved for a job: a scheduling pass whose snapshot is older saves nothing.
ALTER TABLE jobs ADD COLUMN mapping_number BIGINT NOT NULL DEFAULT 0;
