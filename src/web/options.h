/* The settings of `weir web`: upstream's names as far as what they set exists (reference 08 §B.2),
 * and a few of our own. */
#pragma once

#include "base/options.h"

typedef struct {
        char *work_dir, *log_level;

        char *bind_ip, *external_url, *cluster_name, *cli_artifacts_dir;
        int64_t bind_port;
        int64_t listener; /* descriptor of a socket that the supervisor listens on; 0: none */

        char *encryption_key, *old_encryption_key;
        char *postgres_host, *postgres_socket, *postgres_user, *postgres_password;
        char *postgres_application_name, *postgres_sslmode, *postgres_database;
        char *postgres_ca_cert, *postgres_client_cert, *postgres_client_key;
        int64_t postgres_port;
        Duration postgres_connect_timeout;
        int64_t backend_max_conns;
        Duration node_lease;

        GPtrArray *local_users, *main_team_local_users;
        char *session_signing_key;
        Duration auth_duration;

        Duration checking_interval, type_checking_interval, check_timeout;
        int64_t checks_per_second, scheduling_max_in_flight;
        char *base_resource_type_defaults;

        Duration get_timeout, put_timeout, task_timeout, garden_request_timeout;
        int64_t task_cpu_limit, task_memory_limit; /* shares; bytes */
        GPtrArray *placement_strategies, *no_input_strategies, *check_strategies;
        int64_t max_active_tasks, max_active_containers, max_active_volumes;
        bool disable_redact_secrets, global_resources;

        int64_t default_builds_to_retain, max_builds_to_retain;
        int64_t default_days_to_retain, max_days_to_retain;
        int64_t gc_builds, gc_versions; /* how many stay; 0: all */
        Duration gc_interval, gc_one_off_grace, gc_missing_grace, gc_hijack_grace, gc_failed_grace;
        Duration stalled_worker_timeout;
        Duration intercept_idle_timeout; /* 0: none */
        int64_t pause_pipelines_after;   /* days; 0: never */
        bool resource_causality;

        char *prometheus_bind_ip;
        int64_t prometheus_bind_port;
} WebOptions;

/* Ends with a NULL name; for `weir web` and `weir quickstart`. */
extern const Option web_options[];

/* Whether PostgreSQL is asked for: somebody named a server, a user or a database. */
bool web_options_postgres(const WebOptions *options);
