#include "worker/worker.h"

#include "base/files.h"
#include "base/json.h"
#include "base/log.h"
#include "worker/beacon.h"
#include "worker/garden/server.h"
#include "worker/health.h"
#include "worker/oci/hooks.h"
#include "worker/types.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

/* When nothing came or went for so long, what the last burst of work needed is given back to the system. */
#define TRIM_MILLISECONDS 10000
#define DISK_RESERVE ((uint64_t) 256 * 1024 * 1024)
#define SECCOMP_MAX ((size_t) 4 * 1024 * 1024)

typedef struct {
        const WorkerOptions *options;
        char *work_directory;
        int lock;
        Value *seccomp, *types, *hooks;
        Helper *helper;
        Volumes *volumes;
        Network *network;
        Runtime *runtime;
        Containers *containers;
        VolumesServer *volumes_server;
        GardenServer *garden;
        Health *health;
        Beacon *beacon;
        uint64_t disk_reserve; /* bytes */
        int changed;           /* eventfd of containers coming and going */
} Worker;

static const int signals_read[] = { SIGTERM, SIGINT, SIGUSR1, SIGUSR2 };

static void signals_set(sigset_t *ret) {
        sigemptyset(ret);
        for (size_t i = 0; i < G_N_ELEMENTS(signals_read); i++)
                sigaddset(ret, signals_read[i]);
}

void worker_block_signals(void) {
        sigset_t set;
        signals_set(&set);
        sigprocmask(SIG_BLOCK, &set, NULL);
        signal(SIGPIPE, SIG_IGN);
}

/* ---- starting ---- */

/* Each process takes a handful of descriptors, and there may be many; the hard limit is the host's
 * say. */
static void raise_file_limit(void) {
        struct rlimit limit;
        if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
                limit.rlim_cur = limit.rlim_max;
                setrlimit(RLIMIT_NOFILE, &limit);
        }
}

/* Runtimes refuse a root file system whose path goes through a link. */
static void use_real_path(Worker *worker) {
        char *real = realpath(worker->work_directory, NULL);
        if (!real)
                return;
        g_free(worker->work_directory);
        worker->work_directory = g_strdup(real);
        free(real);
}

static bool lock_directory(Worker *worker, GError **error) {
        g_autofree char *path = g_build_filename(worker->work_directory, "worker.lock", NULL);
        if (!directory_make(worker->work_directory, 0711, error))
                return false;
        use_real_path(worker);
        worker->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (worker->lock < 0) {
                error_set_errno(error, errno, "open %s", path);
                return false;
        }
        if (flock(worker->lock, LOCK_EX | LOCK_NB) == 0)
                return true;
        g_set_error(error, ERROR, ERROR_BUSY, "work directory %s is in use by another worker",
                    worker->work_directory);
        return false;
}

static bool read_seccomp(Worker *worker, GError **error) {
        const char *path = worker->options->seccomp_profile;
        size_t length;
        if (!path)
                return true;
        g_autofree char *text = file_read(path, SECCOMP_MAX, &length, error);
        worker->seccomp = text ? json_parse(text, length, NULL, error) : NULL;
        if (text && !worker->seccomp)
                g_prefix_error(error, "seccomp profile %s: ", path);
        return worker->seccomp != NULL;
}

static bool check_devices(const WorkerOptions *options, GError **error) {
        for (guint i = 0; options->allowed_devices && i < options->allowed_devices->len; i++) {
                Value *rule = spec_device_rule(g_ptr_array_index(options->allowed_devices, i),
                                               error);
                if (!rule)
                        return false;
                value_free(rule);
        }
        return true;
}

/* A list of options as a NULL-terminated array, borrowed; free only the array. */
static const char *const *list_texts(const GPtrArray *list) {
        const char **texts = g_new0(const char *, (list ? list->len : 0) + 1);
        for (guint i = 0; list && i < list->len; i++)
                texts[i] = g_ptr_array_index(list, i);
        return texts;
}

static bool open_network(Worker *worker, GError **error) {
        const WorkerOptions *options = worker->options;
        g_autofree const char *const *restricted = list_texts(options->restricted_networks);
        g_autofree const char *const *servers = list_texts(options->dns_servers);
        g_autofree const char *const *hosts = list_texts(options->additional_hosts);
        NetworkSpec spec = { .work_directory = worker->work_directory,
                             .helper = worker->helper,
                             .pool = options->network_pool,
                             .restricted = restricted,
                             .dns_servers = servers,
                             .additional_hosts = hosts,
                             .mtu = (unsigned) options->mtu,
                             .external_ip = options->external_ip,
                             .dns_proxy = options->dns_proxy || options->dns_proxy_ours,
                             .v6 = options->v6,
                             .pool6 = options->v6_pool,
                             .plain6 = options->v6_plain,
                             .allow_host_access = options->allow_host_access };
        worker->network = network_open(&spec, error);
        return worker->network != NULL;
}

static void containers_changed(void *data) {
        Worker *worker = data;
        uint64_t one = 1;
        (void) !write(worker->changed, &one, sizeof(one));
}

/* Returns new: weir-init beside this program, or where the build has it. */
static char *find_init(const WorkerOptions *options, GError **error) {
        static const char *const places[] = { "weir-init", "../worker/init/weir-init",
                                              "../libexec/weir/weir-init", NULL };
        if (options->init_bin)
                return g_canonicalize_filename(options->init_bin, NULL);
        char *found = program_beside(places, X_OK);
        if (!found)
                g_set_error(
                        error, ERROR, ERROR_NOT_FOUND,
                        "could not find init binary. Try setting the --containerd-init-bin flag");
        return found;
}

static bool open_containers(Worker *worker, GError **error) {
        const WorkerOptions *options = worker->options;
        g_autofree char *state = g_build_filename(worker->work_directory, "runtime", NULL);
        g_autofree char *init = find_init(options, error);
        ContainersSpec spec = { .work_directory = worker->work_directory,
                                .init = init,
                                .helper = worker->helper,
                                .volumes = worker->volumes,
                                .network = worker->network,
                                .max = options->max_containers,
                                .seccomp = worker->seccomp,
                                .devices = options->allowed_devices,
                                .hooks = worker->hooks,
                                .create_timeout = options->request_timeout,
                                .changed = containers_changed,
                                .data = worker };
        if (!init || !privileged_mode_parse(options->privileged_mode, &spec.mode, error))
                return false;
        worker->runtime = runtime_find(options->oci_runtime, state, error);
        if (!worker->runtime)
                return false;
        spec.runtime = worker->runtime;
        worker->containers = containers_open(&spec, error);
        return worker->containers != NULL;
}

/* Upstream's settings of another runtime: one that denies a network must not be passed over in silence. */
static bool check_environment(GError **error) {
        static const char prefix[] = "CONCOURSE_GARDEN_";
        g_auto(GStrv) names = g_listenv();
        for (char **name = names; *name; name++)
                /* Upstream's sweeper waits so long for its own Garden server; ours needs none. */
                if (g_str_has_prefix(*name, prefix) &&
                    !g_str_equal(*name, "CONCOURSE_GARDEN_REQUEST_TIMEOUT")) {
                        g_set_error(error, ERROR, ERROR_INVALID,
                                    "cannot use CONCOURSE_GARDEN_ environment variables with "
                                    "Containerd: %s",
                                    *name);
                        return false;
                }
        return true;
}

/* What can be known to be wrong before anything is touched. */
static bool read_settings(Worker *worker, GError **error) {
        const WorkerOptions *options = worker->options;
        g_autofree char *runtime = runtime_which(options->oci_runtime, error);
        g_autofree char *init = runtime ? find_init(options, error) : NULL;
        if (!init || !read_seccomp(worker, error) || !check_devices(options, error) ||
            !check_environment(error) ||
            (options->hooks_dir && !(worker->hooks = hooks_read(options->hooks_dir, error))))
                return false;
        return !options->resource_types ||
               (worker->types = resource_types_read(options->resource_types, error));
}

/* What streams leave free: enough for what runs to end, and little of a small disk. */
static uint64_t choose_reserve(const char *path) {
        uint64_t left, total;
        return disk_free(path, &left, &total, NULL) ? MIN(DISK_RESERVE, total / 20 + 1)
                                                    : DISK_RESERVE;
}

static bool open_parts(Worker *worker, GError **error) {
        const WorkerOptions *options = worker->options;
        worker->disk_reserve = choose_reserve(worker->work_directory);
        VolumesSpec volumes = { .work_directory = worker->work_directory,
                                .disk_reserve = worker->disk_reserve };
        if (!(worker->helper = helper_start(worker->work_directory, error)))
                return false;
        volumes.helper = worker->helper;
        if (!volumes_driver_parse(options->driver, &volumes.driver, error) ||
            !(worker->volumes = volumes_open(&volumes, error)))
                return false;
        return open_network(worker, error) && open_containers(worker, error);
}

static void say_unused(const WorkerOptions *options) {
        for (const Option *option = worker_options; option->name; option++) {
                size_t place = option->offset -
                               offsetof(WorkerOptions, unused); /* huge before it */
                if (place >= sizeof options->unused)
                        continue;
                const char *value = options->unused[place / sizeof *options->unused];
                if (value)
                        log_info("worker", "setting-without-effect", "flag", option->name, "value",
                                 value);
        }
}

/* What was found and chosen, once. */
static void say_found(Worker *worker) {
        const HelperFeatures *features = helper_features(worker->helper);
        uint64_t free_bytes = 0, total = 0;
        disk_free(worker->work_directory, &free_bytes, &total, NULL);
        log_info("worker", "found", "oci-runtime", runtime_path(worker->runtime),
                 "oci-runtime-version", runtime_version(worker->runtime), "cgroup",
                 cgroup_mode_name(containers_cgroup(worker->containers)->mode), "volume-driver",
                 volumes_driver_name(volumes_driver(worker->volumes)), "user-namespaces",
                 features->user_namespaces ? "yes" : "no", "overlay",
                 features->overlay ? "yes" : "no", "id-mapped-mounts",
                 features->mapped ? "yes" : "no", "why-not",
                 *features->reason ? features->reason : NULL, "network",
                 network_pool(worker->network), "ipv6-network", network_pool6(worker->network),
                 "mtu", LOG_INT(network_mtu(worker->network)), "disk-free", LOG_INT(free_bytes),
                 "disk-total", LOG_INT(total));
}

static bool start_servers(Worker *worker, GError **error) {
        const WorkerOptions *options = worker->options;
        VolumesServerSpec volumes = { .volumes = worker->volumes,
                                      .address = options->baggageclaim_bind_ip,
                                      .port = (uint16_t) options->baggageclaim_bind_port,
                                      .p2p_interface_pattern = options->p2p_pattern,
                                      .p2p_family = options->p2p_family[0] - '0' };
        GardenServerSpec garden = { .containers = worker->containers,
                                    .address = options->bind_ip,
                                    .port = (uint16_t) options->bind_port };
        return (worker->volumes_server = volumes_server_start(&volumes, error)) &&
               (worker->garden = garden_server_start(&garden, error));
}

/* Where a web node on this machine reaches a server bound there. Returns new. */
static char *reach(const char *address, uint16_t port, const char *scheme) {
        bool any = g_str_equal(address, "0.0.0.0") || g_str_equal(address, "::");
        const char *host = any ? "127.0.0.1" : address;
        return strchr(host, ':') ? g_strdup_printf("%s[%s]:%u", scheme, host, port)
                                 : g_strdup_printf("%s%s:%u", scheme, host, port);
}

static void start_beacon(Worker *worker, const char *garden, const char *baggageclaim) {
        const WorkerOptions *options = worker->options;
        BeaconWorker described = {
                .name = options->name && *options->name ? options->name : g_get_host_name(),
                .team = options->team,
                .platform = "linux",
                .version = WORKER_PROTOCOL_VERSION,
                .tags = options->tags,
                .address = garden,
                .baggageclaim_url = baggageclaim,
                .certs_path = options->certs_dir,
                .http_proxy = options->http_proxy,
                .https_proxy = options->https_proxy,
                .no_proxy = options->no_proxy,
                .max_active_tasks = options->max_active_tasks,
                .start_time = time_seconds(clock_now()),
                .ephemeral = options->ephemeral,
                .resource_types = worker->types,
        };
        g_autoptr(Value) value = beacon_worker_value(&described);
        BeaconSpec spec = { .web_socket = options->web_socket,
                            .worker = value,
                            .containers = worker->containers,
                            .volumes = worker->volumes,
                            .disk = worker->work_directory,
                            .disk_reserve = worker->disk_reserve,
                            .sweep_interval = options->sweep_interval,
                            .containers_at_once = options->containers_at_once,
                            .volumes_at_once = options->volumes_at_once };
        if (options->web_socket)
                worker->beacon = beacon_start(&spec);
}

static bool start_all(Worker *worker, GError **error) {
        const WorkerOptions *options = worker->options;
        if (!start_servers(worker, error))
                return false;
        uint16_t garden_port = garden_server_port(worker->garden);
        uint16_t volumes_port = volumes_server_port(worker->volumes_server);
        g_autofree char *address = reach(options->bind_ip, garden_port, "");
        g_autofree char *garden = reach(options->bind_ip, garden_port, "http://");
        g_autofree char *volumes = reach(options->baggageclaim_bind_ip, volumes_port, "http://");
        HealthSpec health = { .address = options->healthcheck_bind_ip,
                              .port = (uint16_t) options->healthcheck_bind_port,
                              .garden_url = garden,
                              .baggageclaim_url = volumes,
                              .timeout = options->healthcheck_timeout };
        if (!(worker->health = health_start(&health, error)))
                return false;
        start_beacon(worker, address, volumes);
        log_info("worker", "started", "garden", garden, "baggageclaim", volumes);
        return true;
}

/* ---- running ---- */

/* Returns false when the worker is to stop. */
static bool obey_signal(Worker *worker, int signals) {
        struct signalfd_siginfo info;
        if (read(signals, &info, sizeof(info)) != (ssize_t) sizeof(info))
                return true;
        bool drains = info.ssi_signo == SIGUSR1 || info.ssi_signo == SIGUSR2;
        log_info("worker", "signalled", "signal", strsignal((int) info.ssi_signo));
        if (drains && worker->beacon)
                beacon_drain(worker->beacon,
                             info.ssi_signo == SIGUSR1 ? BEACON_LAND : BEACON_RETIRE);
        return drains && worker->beacon;
}

static void wait_for_end(Worker *worker, Cancel *cancel) {
        sigset_t set;
        signals_set(&set);
        autofd signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        g_assert(signals >= 0);
        for (;;) {
                struct pollfd polls[] = {
                        { .fd = signals, .events = POLLIN },
                        { .fd = cancel_fd(cancel), .events = POLLIN },
                        { .fd = worker->beacon ? beacon_ended_fd(worker->beacon) : -1,
                          .events = POLLIN },
                        { .fd = worker->changed, .events = POLLIN },
                };
                uint64_t count;
                int ready = poll(polls, G_N_ELEMENTS(polls), TRIM_MILLISECONDS);
                if (ready == 0)
                        malloc_trim(0);
                if (ready <= 0)
                        continue;
                if (polls[0].revents && !obey_signal(worker, signals))
                        return;
                if (polls[1].revents || polls[2].revents)
                        return;
                if (polls[3].revents && read(worker->changed, &count, sizeof(count)) > 0 &&
                    worker->beacon)
                        beacon_containers_changed(worker->beacon);
        }
}

/* Ends what an earlier run left, and nothing new: the work directory is given up. */
static bool dismantle(Worker *worker, GError **error) {
        g_autoptr(GPtrArray) handles = containers_list(worker->containers, NULL);
        for (guint i = 0; i < handles->len; i++)
                if (!containers_destroy(worker->containers, handles->pdata[i], error)) {
                        g_prefix_error(error,
                                       "destroy container %s: ", (const char *) handles->pdata[i]);
                        return false;
                }
        log_info("worker", "dismantled", "containers", LOG_INT(handles->len));
        return true;
}

static void stop(Worker *worker) {
        Duration grace = worker->options->drain_timeout;
        beacon_stop(worker->beacon);
        health_stop(worker->health);
        garden_server_stop(worker->garden, MIN(grace, 10 * DURATION_SECOND));
        volumes_server_stop(worker->volumes_server, grace ? grace : DURATION_NEVER / 2);
        containers_free(worker->containers);
        runtime_free(worker->runtime);
        if (worker->network)
                network_close(worker->network, !network_in_use(worker->network));
        volumes_free(worker->volumes);
        helper_stop(worker->helper);
        value_free(worker->seccomp);
        value_free(worker->types);
        value_free(worker->hooks);
        fd_close(worker->changed);
        fd_close(worker->lock);
        g_free(worker->work_directory);
}

/* Containers share the worker's session keyring: an empty one of its own, not that of whoever started it. */
static bool leave_keyring(GError **error) {
        if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) >= 0 || errno == ENOSYS)
                return true;
        error_set_errno(error, errno, "make a session keyring");
        return false;
}

bool worker_run(const WorkerOptions *options, Cancel *cancel, GError **error) {
        if (geteuid() != 0) {
                g_set_error(error, ERROR, ERROR_DENIED, "worker must be run as root");
                return false;
        }
        Worker worker = { .options = options,
                          .work_directory = g_canonicalize_filename(options->work_dir, NULL),
                          .lock = -1,
                          .changed = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
        raise_file_limit();
        bool started = read_settings(&worker, error) && leave_keyring(error) &&
                       lock_directory(&worker, error) && open_parts(&worker, error);
        if (started && options->dismantle)
                started = dismantle(&worker, error);
        else if (started) {
                say_unused(options);
                say_found(&worker);
                started = start_all(&worker, error);
                if (started)
                        wait_for_end(&worker, cancel);
        }
        stop(&worker);
        return started;
}
