-- What the server remembers: reference 05 §1, stored as design §4 says. Logs are not here, checks that nobody
-- asked for neither. What deletes the rows of each table stands beside it.

-- Numbers that never repeat: build ids (also those of checks without a row), config versions, one-off names.
CREATE TABLE counters (
    name  {{text}} NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO counters (name, value) VALUES ('build', 0), ('config_version', 0), ('one_off', 0);

-- deleted by people
CREATE TABLE teams (
    id         {{id}},
    name       {{text}} NOT NULL,
    name_key   {{text}} NOT NULL UNIQUE, -- lower case
    admin      BOOLEAN NOT NULL DEFAULT FALSE,
    auth       {{text}} NOT NULL,        -- JSON, sealed
    auth_nonce {{text}}
);

-- one per person who ever signed in
CREATE TABLE accounts (
    id         {{id}},
    sub        {{text}} NOT NULL UNIQUE,
    username   {{text}} NOT NULL,
    connector  {{text}} NOT NULL,
    last_login BIGINT NOT NULL
);
CREATE INDEX accounts_last_login_index ON accounts (last_login);

-- janitor: expired ones
CREATE TABLE tokens (
    id      {{id}},
    digest  {{text}} NOT NULL UNIQUE, -- SHA-256 of what the client sends
    sub     {{text}} NOT NULL,
    claims  {{text}} NOT NULL,        -- JSON
    expires BIGINT NOT NULL
);
CREATE INDEX tokens_expires_index ON tokens (expires);

-- a handful: signing keys
CREATE TABLE server_secrets (
    id           {{id}},
    name         {{text}} NOT NULL UNIQUE,
    secret       {{text}} NOT NULL, -- sealed
    secret_nonce {{text}}
);

-- deleted by people, or with the team
CREATE TABLE pipelines (
    id                 {{id}},
    team_id            BIGINT NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    name               {{text}} NOT NULL,
    instance_vars      {{text}} NOT NULL DEFAULT '', -- JSON with sorted keys; '' is the plain pipeline
    config             {{text}},                     -- JSON, sealed; NULL when archived
    config_nonce       {{text}},
    shown              {{text}} NOT NULL,            -- JSON of groups, display, user_data: what lists show
    version            BIGINT NOT NULL,
    paused             BOOLEAN NOT NULL DEFAULT FALSE,
    paused_by          {{text}},
    paused_at          BIGINT NOT NULL DEFAULT 0,
    public             BOOLEAN NOT NULL DEFAULT FALSE,
    archived           BOOLEAN NOT NULL DEFAULT FALSE,
    ordering           BIGINT NOT NULL,
    secondary_ordering BIGINT NOT NULL,
    parent_job_id      BIGINT,
    parent_build_id    BIGINT,
    last_updated       BIGINT NOT NULL,
    UNIQUE (team_id, name, instance_vars)
);
CREATE INDEX pipelines_parent_job_id_index ON pipelines (parent_job_id) WHERE parent_job_id IS NOT NULL;

-- with the pipeline; inactive when dropped from the config, so that a job that comes back goes on
CREATE TABLE jobs (
    id                        {{id}},
    pipeline_id               BIGINT NOT NULL REFERENCES pipelines (id) ON DELETE CASCADE,
    name                      {{text}} NOT NULL,
    active                    BOOLEAN NOT NULL DEFAULT TRUE,
    paused                    BOOLEAN NOT NULL DEFAULT FALSE,
    paused_by                 {{text}},
    paused_at                 BIGINT NOT NULL DEFAULT 0,
    public                    BOOLEAN NOT NULL DEFAULT FALSE,
    max_in_flight             BIGINT NOT NULL DEFAULT 0,
    interruptible             BOOLEAN NOT NULL DEFAULT FALSE,
    disable_manual_trigger    BOOLEAN NOT NULL DEFAULT FALSE,
    disable_reruns            BOOLEAN NOT NULL DEFAULT FALSE,
    pipeline_groups           {{text}} NOT NULL DEFAULT '[]', -- JSON list of names
    build_number              BIGINT NOT NULL DEFAULT 0,
    first_logged_build_id     BIGINT NOT NULL DEFAULT 0,
    has_new_inputs            BOOLEAN NOT NULL DEFAULT FALSE,
    inputs_determined         BOOLEAN NOT NULL DEFAULT FALSE,
    max_in_flight_reached     BOOLEAN NOT NULL DEFAULT FALSE,
    schedule_requested        BIGINT NOT NULL DEFAULT 0,
    last_scheduled            BIGINT NOT NULL DEFAULT 0,
    next_build_id             BIGINT,
    latest_completed_build_id BIGINT,
    transition_build_id       BIGINT,
    UNIQUE (pipeline_id, name)
);
CREATE INDEX jobs_due_index ON jobs (id) WHERE active AND schedule_requested > last_scheduled;
CREATE INDEX jobs_latest_completed_build_id_index ON jobs (latest_completed_build_id);

-- rebuilt on each set-pipeline
CREATE TABLE job_serial_groups (
    job_id BIGINT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    name   {{text}} NOT NULL,
    PRIMARY KEY (job_id, name)
);

-- resources (kind 0), resource types (1) and prototypes (2); as jobs
CREATE TABLE resources (
    id                 {{id}},
    pipeline_id        BIGINT NOT NULL REFERENCES pipelines (id) ON DELETE CASCADE,
    kind               BIGINT NOT NULL,
    name               {{text}} NOT NULL,
    type               {{text}} NOT NULL,
    source_digest      {{text}} NOT NULL, -- of the source as written: a change forgets the history
    public             BOOLEAN NOT NULL DEFAULT FALSE,
    active             BOOLEAN NOT NULL DEFAULT TRUE,
    resource_config_id BIGINT,
    resource_scope_id  BIGINT,
    UNIQUE (pipeline_id, kind, name)
);
CREATE INDEX resources_resource_config_id_index ON resources (resource_config_id);
CREATE INDEX resources_resource_scope_id_index ON resources (resource_scope_id);

-- rebuilt on each set-pipeline
CREATE TABLE job_inputs (
    id            {{id}},
    job_id        BIGINT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    name          {{text}} NOT NULL,
    resource_id   BIGINT NOT NULL REFERENCES resources (id) ON DELETE CASCADE,
    passed_job_id BIGINT REFERENCES jobs (id) ON DELETE CASCADE, -- a row for each; NULL: no passed
    triggers      BOOLEAN NOT NULL DEFAULT FALSE,
    version       {{text}}                                       -- JSON as written; NULL: none
);
CREATE INDEX job_inputs_job_id_index ON job_inputs (job_id);
CREATE INDEX job_inputs_resource_id_index ON job_inputs (resource_id);
CREATE INDEX job_inputs_passed_job_id_index ON job_inputs (passed_job_id);
CREATE TABLE job_outputs (
    id          {{id}},
    job_id      BIGINT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    name        {{text}} NOT NULL,
    resource_id BIGINT NOT NULL REFERENCES resources (id) ON DELETE CASCADE
);
CREATE INDEX job_outputs_job_id_index ON job_outputs (job_id);
CREATE INDEX job_outputs_resource_id_index ON job_outputs (resource_id);

-- at most one per resource
CREATE TABLE resource_pins (
    resource_id BIGINT NOT NULL PRIMARY KEY REFERENCES resources (id) ON DELETE CASCADE,
    version     {{text}} NOT NULL, -- JSON
    comment     {{text}} NOT NULL DEFAULT '',
    in_config   BOOLEAN NOT NULL DEFAULT FALSE
);

-- survive the versions: by digest
CREATE TABLE disabled_versions (
    resource_id BIGINT NOT NULL REFERENCES resources (id) ON DELETE CASCADE,
    digest      {{text}} NOT NULL,
    PRIMARY KEY (resource_id, digest)
);

-- a handful
CREATE TABLE base_resource_types (
    id                     {{id}},
    name                   {{text}} NOT NULL UNIQUE,
    unique_version_history BOOLEAN NOT NULL DEFAULT FALSE
);

-- janitor: 05 §6.7
CREATE TABLE resource_configs (
    id                    {{id}},
    base_resource_type_id BIGINT REFERENCES base_resource_types (id),
    resource_cache_id     BIGINT, -- of a custom type's image; the one or the other
    source_digest         {{text}} NOT NULL,
    last_referenced       BIGINT NOT NULL
);
CREATE UNIQUE INDEX resource_configs_base_index ON resource_configs (base_resource_type_id, source_digest)
    WHERE base_resource_type_id IS NOT NULL;
CREATE UNIQUE INDEX resource_configs_cache_index ON resource_configs (resource_cache_id, source_digest)
    WHERE resource_cache_id IS NOT NULL;

-- with the config or the resource
CREATE TABLE resource_scopes (
    id                   {{id}},
    resource_config_id   BIGINT NOT NULL REFERENCES resource_configs (id) ON DELETE CASCADE,
    resource_id          BIGINT REFERENCES resources (id) ON DELETE CASCADE, -- NULL: shared
    last_check_start     BIGINT NOT NULL DEFAULT 0,
    last_check_end       BIGINT NOT NULL DEFAULT 0,
    next_check           BIGINT NOT NULL DEFAULT 0,
    last_check_succeeded BOOLEAN NOT NULL DEFAULT FALSE,
    last_check_build_id  BIGINT
);
CREATE UNIQUE INDEX resource_scopes_shared_index ON resource_scopes (resource_config_id) WHERE resource_id IS NULL;
CREATE UNIQUE INDEX resource_scopes_own_index ON resource_scopes (resource_id, resource_config_id)
    WHERE resource_id IS NOT NULL;
CREATE INDEX resource_scopes_resource_config_id_index ON resource_scopes (resource_config_id);

-- with the scope
CREATE TABLE versions (
    id          {{id}},
    scope_id    BIGINT NOT NULL REFERENCES resource_scopes (id) ON DELETE CASCADE,
    digest      {{text}} NOT NULL, -- SHA-256 of version
    version     {{text}} NOT NULL, -- JSON with sorted keys
    metadata    {{text}},          -- JSON list; NULL: none
    check_order BIGINT NOT NULL,
    UNIQUE (scope_id, digest)
);
CREATE INDEX versions_check_order_index ON versions (scope_id, check_order);

-- janitor: 05 §6.6
CREATE TABLE resource_caches (
    id                 {{id}},
    resource_config_id BIGINT NOT NULL REFERENCES resource_configs (id),
    digest             {{text}} NOT NULL, -- of version
    version            {{text}} NOT NULL,
    params_digest      {{text}} NOT NULL,
    metadata           {{text}},
    UNIQUE (resource_config_id, digest, params_digest)
);

-- rows: only jobs', one-offs' and checks that a person asked for. Job builds stay with their job; old checks
-- go (05 §6.8)
CREATE TABLE builds (
    id               {{id}}, -- from counters
    name             {{text}} NOT NULL,
    team_id          BIGINT NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    pipeline_id      BIGINT REFERENCES pipelines (id) ON DELETE CASCADE,
    job_id           BIGINT REFERENCES jobs (id) ON DELETE CASCADE,
    resource_id      BIGINT REFERENCES resources (id) ON DELETE CASCADE,
    resource_type_id BIGINT REFERENCES resources (id) ON DELETE CASCADE,
    status           {{text}} NOT NULL,
    completed        BOOLEAN NOT NULL DEFAULT FALSE,
    scheduled        BOOLEAN NOT NULL DEFAULT FALSE,
    inputs_ready     BOOLEAN NOT NULL DEFAULT FALSE,
    aborted          BOOLEAN NOT NULL DEFAULT FALSE,
    manual           BOOLEAN NOT NULL DEFAULT FALSE,
    created_by       {{text}},
    rerun_of         BIGINT,
    rerun_number     BIGINT NOT NULL DEFAULT 0,
    sort_id          BIGINT NOT NULL, -- rerun_of, else id: the canonical order is (sort_id, id)
    created          BIGINT NOT NULL,
    started          BIGINT NOT NULL DEFAULT 0,
    ended            BIGINT NOT NULL DEFAULT 0,
    reaped           BIGINT NOT NULL DEFAULT 0,
    interceptible    BOOLEAN NOT NULL DEFAULT TRUE,
    drained          BOOLEAN NOT NULL DEFAULT FALSE,
    comment          {{text}},
    plan             {{text}}, -- JSON, sealed; until it has finished
    plan_nonce       {{text}},
    public_plan      {{text}},
    UNIQUE (job_id, name)
);
CREATE INDEX builds_sort_index ON builds (sort_id, id);
CREATE INDEX builds_team_index ON builds (team_id, sort_id, id);
CREATE INDEX builds_pipeline_index ON builds (pipeline_id, sort_id, id);
CREATE INDEX builds_job_index ON builds (job_id, sort_id, id);
CREATE INDEX builds_running_index ON builds (job_id) WHERE NOT completed;
CREATE INDEX builds_interceptible_index ON builds (id) WHERE completed AND interceptible;
CREATE INDEX builds_resource_id_index ON builds (resource_id) WHERE resource_id IS NOT NULL;
CREATE INDEX builds_resource_type_id_index ON builds (resource_type_id) WHERE resource_type_id IS NOT NULL;
CREATE INDEX builds_rerun_of_index ON builds (rerun_of) WHERE rerun_of IS NOT NULL;

-- with the build
CREATE TABLE build_inputs (
    id               {{id}},
    build_id         BIGINT NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
    name             {{text}} NOT NULL,
    resource_id      BIGINT NOT NULL REFERENCES resources (id) ON DELETE CASCADE,
    digest           {{text}} NOT NULL,
    first_occurrence BOOLEAN NOT NULL DEFAULT FALSE,
    UNIQUE (build_id, resource_id, digest, name)
);
CREATE INDEX build_inputs_resource_id_index ON build_inputs (resource_id, digest);
CREATE TABLE build_outputs (
    id          {{id}},
    build_id    BIGINT NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
    name        {{text}} NOT NULL,
    resource_id BIGINT NOT NULL REFERENCES resources (id) ON DELETE CASCADE,
    digest      {{text}} NOT NULL,
    UNIQUE (build_id, resource_id, digest, name)
);
CREATE INDEX build_outputs_resource_id_index ON build_outputs (resource_id, digest);
CREATE TABLE build_pipes (
    from_build_id BIGINT NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
    to_build_id   BIGINT NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
    PRIMARY KEY (to_build_id, from_build_id)
);
CREATE INDEX build_pipes_from_build_id_index ON build_pipes (from_build_id);

-- from the first taking until the build has finished
CREATE TABLE build_leases (
    build_id BIGINT NOT NULL PRIMARY KEY REFERENCES builds (id) ON DELETE CASCADE,
    epoch    BIGINT NOT NULL,
    node     {{text}} NOT NULL,
    expires  BIGINT NOT NULL -- 0: free
);

-- until the build has finished
CREATE TABLE build_steps (
    id            {{id}},
    build_id      BIGINT NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
    plan_id       {{text}} NOT NULL,
    attempt       {{text}} NOT NULL,
    state         BIGINT NOT NULL,
    worker        {{text}},
    handle        {{text}},
    started       BIGINT NOT NULL,
    schema_number BIGINT NOT NULL,
    result        {{text}}, -- JSON, sealed
    result_nonce  {{text}},
    UNIQUE (build_id, plan_id, attempt)
);

-- PostgreSQL's build logs; with SQLite they are files
CREATE TABLE log_chunks (
    build_id    BIGINT NOT NULL,
    first_event BIGINT NOT NULL,
    events      BIGINT NOT NULL,
    epoch       BIGINT NOT NULL,
    data        {{bytes}} NOT NULL,
    PRIMARY KEY (build_id, first_event)
);
-- logs whose builds are gone or reaped: deleted after the commit, then forgotten
CREATE TABLE dead_logs (
    build_id BIGINT NOT NULL PRIMARY KEY
);

-- replaced by each scheduling pass that changes it
CREATE TABLE next_inputs (
    job_id           BIGINT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    name             {{text}} NOT NULL,
    resource_id      BIGINT,
    digest           {{text}},
    first_occurrence BOOLEAN NOT NULL DEFAULT FALSE,
    resolve_error    {{text}},
    PRIMARY KEY (job_id, name)
);
CREATE TABLE next_pipes (
    job_id        BIGINT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    from_build_id BIGINT NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
    PRIMARY KEY (job_id, from_build_id)
);
CREATE INDEX next_pipes_from_build_id_index ON next_pipes (from_build_id);

-- janitor: 05 §6.9
CREATE TABLE workers (
    id                {{id}},
    name              {{text}} NOT NULL UNIQUE,
    team_id           BIGINT REFERENCES teams (id) ON DELETE CASCADE,
    state             {{text}} NOT NULL,
    address           {{text}},
    baggageclaim_url  {{text}},
    certs_path        {{text}},
    http_proxy_url    {{text}},
    https_proxy_url   {{text}},
    no_proxy          {{text}},
    active_containers BIGINT NOT NULL DEFAULT 0,
    active_volumes    BIGINT NOT NULL DEFAULT 0,
    active_tasks      BIGINT NOT NULL DEFAULT 0,
    max_active_tasks  BIGINT NOT NULL DEFAULT 0,
    resource_types    {{text}} NOT NULL, -- JSON list
    platform          {{text}} NOT NULL,
    version           {{text}} NOT NULL,
    tags              {{text}} NOT NULL, -- JSON list
    started           BIGINT NOT NULL DEFAULT 0, -- seconds, as the worker says
    ephemeral         BOOLEAN NOT NULL DEFAULT FALSE,
    expires           BIGINT NOT NULL DEFAULT 0, -- 0: never
    stalled_since     BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX workers_team_id_index ON workers (team_id);

-- with the worker, or when it has the type no longer
CREATE TABLE worker_base_types (
    id                    {{id}},
    worker_id             BIGINT NOT NULL REFERENCES workers (id) ON DELETE CASCADE,
    base_resource_type_id BIGINT NOT NULL REFERENCES base_resource_types (id),
    image                 {{text}} NOT NULL,
    version               {{text}} NOT NULL,
    UNIQUE (worker_id, base_resource_type_id)
);

-- janitor: 05 §6.4
CREATE TABLE check_sessions (
    id                  {{id}},
    resource_config_id  BIGINT NOT NULL REFERENCES resource_configs (id) ON DELETE CASCADE,
    worker_base_type_id BIGINT NOT NULL REFERENCES worker_base_types (id) ON DELETE CASCADE,
    expires             BIGINT NOT NULL,
    UNIQUE (resource_config_id, worker_base_type_id)
);
CREATE INDEX check_sessions_worker_base_type_id_index ON check_sessions (worker_base_type_id);

-- janitor: 05 §6.3
CREATE TABLE containers (
    id                {{id}},
    handle            {{text}} NOT NULL UNIQUE,
    worker_id         BIGINT NOT NULL REFERENCES workers (id) ON DELETE CASCADE,
    team_id           BIGINT REFERENCES teams (id) ON DELETE SET NULL,
    state             {{text}} NOT NULL,
    build_id          BIGINT REFERENCES builds (id) ON DELETE SET NULL,
    plan_id           {{text}},
    check_session_id  BIGINT REFERENCES check_sessions (id) ON DELETE SET NULL,
    check_key         {{text}},
    created           BIGINT NOT NULL,
    last_hijack       BIGINT NOT NULL DEFAULT 0,
    missing_since     BIGINT NOT NULL DEFAULT 0,
    type              {{text}} NOT NULL DEFAULT '',
    step_name         {{text}} NOT NULL DEFAULT '',
    attempt           {{text}} NOT NULL DEFAULT '',
    working_directory {{text}} NOT NULL DEFAULT '',
    process_user      {{text}} NOT NULL DEFAULT '',
    for_pipeline_id   BIGINT NOT NULL DEFAULT 0, -- what is shown; may be gone
    for_job_id        BIGINT NOT NULL DEFAULT 0,
    for_build_id      BIGINT NOT NULL DEFAULT 0,
    pipeline_name     {{text}} NOT NULL DEFAULT '',
    job_name          {{text}} NOT NULL DEFAULT '',
    build_name        {{text}} NOT NULL DEFAULT '',
    instance_vars     {{text}} NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX containers_build_step_index ON containers (build_id, plan_id)
    WHERE build_id IS NOT NULL AND state IN ('creating', 'created');
CREATE INDEX containers_build_id_index ON containers (build_id);
CREATE INDEX containers_worker_id_index ON containers (worker_id);
CREATE INDEX containers_team_id_index ON containers (team_id);
CREATE INDEX containers_check_session_id_index ON containers (check_session_id) WHERE check_session_id IS NOT NULL;
CREATE INDEX containers_check_key_index ON containers (check_key) WHERE check_key IS NOT NULL;

-- with the cache; janitor: invalid ones
CREATE TABLE worker_resource_caches (
    id                  {{id}},
    worker_id           BIGINT NOT NULL REFERENCES workers (id) ON DELETE CASCADE,
    resource_cache_id   BIGINT NOT NULL REFERENCES resource_caches (id) ON DELETE CASCADE,
    worker_base_type_id BIGINT REFERENCES worker_base_types (id) ON DELETE SET NULL, -- NULL: invalid
    invalid_since       BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX worker_resource_caches_valid_index ON worker_resource_caches (worker_id, resource_cache_id)
    WHERE worker_base_type_id IS NOT NULL;
CREATE INDEX worker_resource_caches_resource_cache_id_index ON worker_resource_caches (resource_cache_id);
CREATE INDEX worker_resource_caches_worker_base_type_id_index ON worker_resource_caches (worker_base_type_id);

-- janitor: 05 §6.6
CREATE TABLE resource_cache_uses (
    id                {{id}},
    resource_cache_id BIGINT NOT NULL REFERENCES resource_caches (id),
    build_id          BIGINT REFERENCES builds (id) ON DELETE CASCADE,
    check_key         {{text}},
    created           BIGINT NOT NULL
);
CREATE UNIQUE INDEX resource_cache_uses_build_index ON resource_cache_uses (build_id, resource_cache_id)
    WHERE build_id IS NOT NULL;
CREATE UNIQUE INDEX resource_cache_uses_check_index ON resource_cache_uses (check_key, resource_cache_id)
    WHERE check_key IS NOT NULL;
CREATE INDEX resource_cache_uses_resource_cache_id_index ON resource_cache_uses (resource_cache_id);
CREATE TABLE build_image_caches (
    resource_cache_id BIGINT NOT NULL REFERENCES resource_caches (id),
    build_id          BIGINT NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
    job_id            BIGINT,
    PRIMARY KEY (build_id, resource_cache_id)
);
CREATE INDEX build_image_caches_resource_cache_id_index ON build_image_caches (resource_cache_id);
CREATE INDEX build_image_caches_job_id_index ON build_image_caches (job_id);

-- janitor: 05 §6.8
CREATE TABLE task_caches (
    id        {{id}},
    job_id    BIGINT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    step_name {{text}} NOT NULL,
    path      {{text}} NOT NULL,
    last_used BIGINT NOT NULL,
    ttl       BIGINT NOT NULL DEFAULT 0, -- nanoseconds; 0: no end
    UNIQUE (job_id, step_name, path)
);
-- janitor: 12 h
CREATE TABLE worker_artifacts (
    id       {{id}},
    name     {{text}} NOT NULL,
    build_id BIGINT REFERENCES builds (id) ON DELETE CASCADE,
    created  BIGINT NOT NULL
);
CREATE INDEX worker_artifacts_build_id_index ON worker_artifacts (build_id);
CREATE INDEX worker_artifacts_created_index ON worker_artifacts (created);

-- janitor: 05 §6.5
CREATE TABLE volumes (
    id                       {{id}},
    handle                   {{text}} NOT NULL UNIQUE,
    worker_id                BIGINT NOT NULL REFERENCES workers (id) ON DELETE CASCADE,
    team_id                  BIGINT REFERENCES teams (id) ON DELETE SET NULL,
    state                    {{text}} NOT NULL,
    container_id             BIGINT REFERENCES containers (id) ON DELETE SET NULL,
    path                     {{text}},
    parent_id                BIGINT REFERENCES volumes (id) ON DELETE CASCADE,
    worker_resource_cache_id BIGINT UNIQUE REFERENCES worker_resource_caches (id) ON DELETE SET NULL,
    task_cache_id            BIGINT REFERENCES task_caches (id) ON DELETE SET NULL,
    artifact_id              BIGINT REFERENCES worker_artifacts (id) ON DELETE SET NULL,
    worker_base_type_id      BIGINT REFERENCES worker_base_types (id) ON DELETE SET NULL,
    certs                    BOOLEAN NOT NULL DEFAULT FALSE,
    missing_since            BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX volumes_worker_id_index ON volumes (worker_id);
CREATE INDEX volumes_team_id_index ON volumes (team_id);
CREATE INDEX volumes_container_id_index ON volumes (container_id);
CREATE INDEX volumes_parent_id_index ON volumes (parent_id);
CREATE UNIQUE INDEX volumes_task_cache_id_index ON volumes (task_cache_id, worker_id) WHERE task_cache_id IS NOT NULL;
CREATE INDEX volumes_artifact_id_index ON volumes (artifact_id);
CREATE INDEX volumes_worker_base_type_id_index ON volumes (worker_base_type_id);

-- 64 rows for each work, and a row per node
CREATE TABLE lease_buckets (
    work    BIGINT NOT NULL,
    bucket  BIGINT NOT NULL,
    epoch   BIGINT NOT NULL,
    node    {{text}} NOT NULL,
    expires BIGINT NOT NULL,
    PRIMARY KEY (work, bucket)
);
CREATE TABLE lease_nodes (
    work    BIGINT NOT NULL,
    node    {{text}} NOT NULL,
    expires BIGINT NOT NULL,
    PRIMARY KEY (work, node)
);
