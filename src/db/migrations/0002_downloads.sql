-- What gets of one resource config keep for each other on a worker (docs/decisions/0006). janitor: with the config
ALTER TABLE volumes ADD COLUMN downloads_config_id BIGINT REFERENCES resource_configs (id) ON DELETE SET NULL;
CREATE UNIQUE INDEX volumes_downloads_config_id_index ON volumes (downloads_config_id, worker_id)
    WHERE downloads_config_id IS NOT NULL AND state IN ('creating', 'created');
