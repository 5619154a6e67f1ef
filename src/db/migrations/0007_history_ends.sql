-- What store/forget.c goes by: how many versions a check told at most, whose builds lost their log, one-off builds, and
-- up to which version histories were looked at.
ALTER TABLE resource_scopes ADD COLUMN listed BIGINT NOT NULL DEFAULT 0;
CREATE INDEX builds_reaped_index ON builds (job_id, sort_id, id) WHERE reaped > 0;
CREATE INDEX builds_one_off_index ON builds (team_id, id)
    WHERE job_id IS NULL AND resource_id IS NULL AND resource_type_id IS NULL;
INSERT INTO counters (name, value) VALUES ('versions_swept', 0);
