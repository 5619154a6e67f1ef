#include "web/metrics.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct Metrics {
        MetricsSpec spec;
        Time started;
};

Metrics *metrics_new(const MetricsSpec *spec) {
        Metrics *metrics = g_new0(Metrics, 1);
        metrics->spec = *spec;
        metrics->started = clock_now();
        return metrics;
}

void metrics_free(Metrics *metrics) {
        g_free(metrics);
}

/* One line of the table that a source of numbers fills. */
typedef struct {
        const char *name, *type, *help;
        double value;
} Metric;

static void append(GString *text, const Metric *table, size_t count) {
        char number[G_ASCII_DTOSTR_BUF_SIZE];
        for (size_t i = 0; i < count; i++)
                g_string_append_printf(
                        text, "# HELP %s %s\n# TYPE %s %s\n%s %s\n", table[i].name, table[i].help,
                        table[i].name, table[i].type, table[i].name,
                        g_ascii_formatd(number, sizeof(number), "%.15g", table[i].value));
}

/* ---- builds and checks ---- */

static void append_builds(Metrics *metrics, GString *text) {
        EngineStats stats = { 0 };
        engine_stats(metrics->spec.engine, &stats);
        uint64_t finished = stats.succeeded + stats.failed + stats.errored + stats.aborted;
        const Metric table[] = {
                { "concourse_builds_started_total", "counter",
                  "Total number of Concourse builds started.", (double) stats.started },
                { "concourse_builds_running", "gauge",
                  "Number of Concourse builds currently running.", (double) stats.running },
                { "concourse_builds_succeeded_total", "counter",
                  "Total number of Concourse builds succeeded.", (double) stats.succeeded },
                { "concourse_builds_failed_total", "counter",
                  "Total number of Concourse builds failed.", (double) stats.failed },
                { "concourse_builds_errored_total", "counter",
                  "Total number of Concourse builds errored.", (double) stats.errored },
                { "concourse_builds_aborted_total", "counter",
                  "Total number of Concourse builds aborted.", (double) stats.aborted },
                { "concourse_builds_finished_total", "counter",
                  "Total number of Concourse builds finished.", (double) finished },
                { "weir_builds_queued", "gauge",
                  "Builds that are started and wait for a place to run.", (double) stats.queued },
        };
        append(text, table, G_N_ELEMENTS(table));
}

static void append_checks(Metrics *metrics, GString *text) {
        CheckerStats stats = { 0 };
        checker_stats(metrics->spec.checker, &stats);
        const Metric table[] = {
                { "concourse_lidar_checks_started_total", "counter",
                  "Total number of checks started.", (double) stats.started },
                { "concourse_lidar_checks_finished_total", "counter",
                  "Total number of checks finished.", (double) (stats.succeeded + stats.failed) },
                { "weir_checks_succeeded_total", "counter", "Checks that found what there is.",
                  (double) stats.succeeded },
                { "weir_checks_failed_total", "counter", "Checks that failed.",
                  (double) stats.failed },
                { "weir_checks_running", "gauge", "Checks that run now.", (double) stats.running },
                { "weir_checks_waiting", "gauge", "Checks that are due and wait.",
                  (double) stats.waiting },
        };
        append(text, table, G_N_ELEMENTS(table));
}

/* ---- workers ---- */

static void append_label(GString *text, const char *value) {
        for (; *value; value++) {
                if (*value == '"' || *value == '\\')
                        g_string_append_c(text, '\\');
                if (*value == '\n')
                        g_string_append(text, "\\n");
                else
                        g_string_append_c(text, *value);
        }
}

static void append_per_worker(GString *text, const GPtrArray *workers, const char *name,
                              const char *help, size_t offset) {
        g_string_append_printf(text, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name);
        for (guint i = 0; i < workers->len; i++) {
                const Worker *worker = g_ptr_array_index(workers, i);
                g_string_append_printf(text, "%s{worker=\"", name);
                append_label(text, worker->name);
                g_string_append_printf(text, "\"} %" G_GINT64_FORMAT "\n",
                                       *(const int64_t *) ((const char *) worker + offset));
        }
}

static void append_workers(Metrics *metrics, GString *text) {
        static const char *const states[] = { "running", "stalled",  "landing",
                                              "landed",  "retiring", NULL };
        g_autoptr(GPtrArray) workers = worker_list(metrics->spec.store, NULL);
        if (!workers)
                return;
        g_string_append(text, "# HELP concourse_workers_registered Number of workers per state\n"
                              "# TYPE concourse_workers_registered gauge\n");
        for (size_t s = 0; states[s]; s++) {
                unsigned count = 0;
                for (guint i = 0; i < workers->len; i++) {
                        const Worker *worker = g_ptr_array_index(workers, i);
                        count += g_str_equal(worker_state_name(worker->state), states[s]);
                }
                g_string_append_printf(text, "concourse_workers_registered{state=\"%s\"} %u\n",
                                       states[s], count);
        }
        unsigned low = 0;
        for (guint i = 0; i < workers->len; i++)
                low += ((const Worker *) g_ptr_array_index(workers, i))->disk_low;
        const Metric room = { "weir_workers_without_room", "gauge",
                              "Workers whose disk has no room for another container.", low };
        append(text, &room, 1);
        append_per_worker(text, workers, "concourse_workers_containers",
                          "Number of containers per worker", offsetof(Worker, active_containers));
        append_per_worker(text, workers, "concourse_workers_volumes",
                          "Number of volumes per worker", offsetof(Worker, active_volumes));
        append_per_worker(text, workers, "concourse_workers_tasks",
                          "Number of active tasks per worker", offsetof(Worker, active_tasks));
}

/* ---- this process ---- */

static void append_http(HttpServer *server, GString *text) {
        HttpServerStats stats = { 0 };
        if (!server)
                return;
        http_server_stats(server, &stats);
        const Metric table[] = {
                { "weir_http_connections_accepted_total", "counter", "Connections accepted.",
                  (double) stats.accepted },
                { "weir_http_connections_refused_total", "counter",
                  "Connections refused at a ceiling.", (double) stats.refused },
                { "weir_http_requests_read_total", "counter", "Requests read.",
                  (double) stats.requests },
                { "weir_http_connections", "gauge", "Open connections.",
                  (double) stats.connections },
                { "weir_http_streams", "gauge", "Open event streams.", (double) stats.streams },
                { "weir_http_queued_bytes", "gauge", "Bytes queued for clients.",
                  (double) stats.queued_bytes },
        };
        append(text, table, G_N_ELEMENTS(table));
}

static double seconds(struct timeval time) {
        return (double) time.tv_sec + (double) time.tv_usec / 1e6;
}

/* Pages of address space, and those in memory. */
static void read_pages(double *ret_all, double *ret_resident) {
        unsigned long all = 0, resident = 0;
        FILE *file = fopen("/proc/self/statm", "re");
        if (file && fscanf(file, "%lu %lu", &all, &resident) == 2) {
                *ret_all = (double) all;
                *ret_resident = (double) resident;
        }
        if (file)
                fclose(file);
}

static unsigned count_descriptors(void) {
        unsigned count = 0;
        g_autoptr(GDir) directory = g_dir_open("/proc/self/fd", 0, NULL);
        while (directory && g_dir_read_name(directory))
                count++;
        return count > 0 ? count - 1 : 0; /* without the one that looks */
}

static void append_process(Metrics *metrics, GString *text) {
        struct rusage usage = { 0 };
        struct rlimit files = { 0 };
        double all = 0, resident = 0, page = (double) sysconf(_SC_PAGESIZE);
        getrusage(RUSAGE_SELF, &usage);
        getrlimit(RLIMIT_NOFILE, &files);
        read_pages(&all, &resident);
        const Metric table[] = {
                { "process_cpu_seconds_total", "counter",
                  "Total user and system CPU time spent in seconds.",
                  seconds(usage.ru_utime) + seconds(usage.ru_stime) },
                { "process_max_fds", "gauge", "Maximum number of open file descriptors.",
                  (double) files.rlim_cur },
                { "process_open_fds", "gauge", "Number of open file descriptors.",
                  count_descriptors() },
                { "process_resident_memory_bytes", "gauge", "Resident memory size in bytes.",
                  resident * page },
                { "process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.",
                  all * page },
                { "process_start_time_seconds", "gauge",
                  "Start time of the process since unix epoch in seconds.",
                  (double) metrics->started / 1e6 },
        };
        append(text, table, G_N_ELEMENTS(table));
}

void metrics_append(Metrics *metrics, HttpServer *server, GString *text) {
        append_builds(metrics, text);
        append_checks(metrics, text);
        append_workers(metrics, text);
        append_http(server, text);
        append_process(metrics, text);
}
