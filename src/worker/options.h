/* The settings of `weir worker`: upstream's names as far as what they set exists (reference 06
 * §5.1), and a few of our own. */
#pragma once

#include "base/options.h"

#define WORKER_OPTIONS_UNUSED 11

typedef struct {
        char *name, *team, *work_dir, *log_level;
        GPtrArray *tags;
        char *http_proxy, *https_proxy, *no_proxy;
        bool ephemeral;
        int64_t max_active_tasks;
        char *certs_dir, *resource_types;
        char *web_socket;
        bool dismantle;

        char *bind_ip, *healthcheck_bind_ip, *baggageclaim_bind_ip;
        int64_t bind_port, healthcheck_bind_port, baggageclaim_bind_port;
        Duration healthcheck_timeout, sweep_interval, drain_timeout;
        int64_t volumes_at_once, containers_at_once;

        char *runtime, *oci_runtime, *init_bin;
        char *seccomp_profile, *privileged_mode;
        int64_t max_containers;
        GPtrArray *allowed_devices, *dns_servers, *additional_hosts, *restricted_networks;
        char *network_pool, *v6_pool, *external_ip;
        int64_t mtu;
        bool allow_host_access, dns_proxy, dns_proxy_ours, v6, v6_plain;
        Duration request_timeout;
        char *hooks_dir;
        char *unused
                [WORKER_OPTIONS_UNUSED]; /* upstream's, of what is not here: taken, and said in the log */

        char *driver, *p2p_pattern, *p2p_family;
} WorkerOptions;

/* Ends with a NULL name; for `weir worker`, and with a prefix for `weir quickstart`. */
extern const Option worker_options[];
