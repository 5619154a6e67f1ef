#include "base/files.h"
#include "base/json.h"
#include "house.h"
#include "http/server.h"
#include "worker/beacon.h"
#include "worker/types.h"

#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- a web node that says what it is told to ---- */

typedef struct {
        char *method, *path, *query, *body;
} Asked;

typedef struct {
        char *directory, *socket;
        HttpServer *server;
        Queue *asked;
        Mutex lock; /* of what follows */
        int heartbeat_status;
        const char *state;      /* in the answer to a heartbeat */
        const char *destroying; /* JSON, of containers */
} Web;

static Helper *helper; /* made before there are threads */

static void asked_free(Asked *asked) {
        g_free(asked->method);
        g_free(asked->path);
        g_free(asked->query);
        g_free(asked->body);
        g_free(asked);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Asked, asked_free)

static void serve(HttpRequest *request, void *data) {
        Web *web = data;
        Asked *asked = g_new0(Asked, 1);
        asked->method = g_strdup(http_method(request));
        asked->path = g_strdup(http_path(request));
        asked->query = g_strdup(http_query_raw(request));
        asked->body = http_body(request, 0, NULL, NULL);
        int status = 200;
        g_autofree char *body = g_strdup("[]");
        {
                MUTEX_SCOPE(&web->lock);
                if (g_str_has_suffix(asked->path, "/heartbeat")) {
                        status = web->heartbeat_status;
                        g_free(body);
                        body = g_strdup_printf("{\"state\":\"%s\"}", web->state);
                } else if (g_str_has_suffix(asked->path, "/report"))
                        status = 204;
                else if (g_str_equal(asked->path, "/api/v1/containers/destroying")) {
                        g_free(body);
                        body = g_strdup(web->destroying);
                }
        }
        if (!queue_try_push(web->asked, asked))
                asked_free(asked);
        http_answer(request, status, "application/json", body, strlen(body));
}

static void web_open(Web *web) {
        g_autoptr(GError) error = NULL;
        *web = (Web){ .heartbeat_status = 200, .state = "running", .destroying = "[]" };
        mutex_init(&web->lock);
        web->directory = g_dir_make_tmp("weir-web-XXXXXX", NULL);
        web->socket = g_build_filename(web->directory, "web.sock", NULL);
        web->asked = queue_new(1000);
        HttpServerSpec spec = { .unix_path = web->socket,
                                .unix_mode = 0600,
                                .handler = serve,
                                .data = web,
                                .name = "web" };
        web->server = http_server_start(&spec, &error);
        g_assert_no_error(error);
}

static void web_close(Web *web) {
        void *item;
        http_server_stop(web->server, 0);
        queue_close(web->asked);
        while (queue_pop(web->asked, &item, DURATION_NEVER, NULL, NULL))
                asked_free(item);
        queue_free(web->asked);
        directory_remove(web->directory, NULL);
        mutex_destroy(&web->lock);
        g_free(web->directory);
        g_free(web->socket);
}

/* Waits for the next request of that kind; others are dropped. */
static Asked *web_await(Web *web, const char *method, const char *path) {
        for (;;) {
                g_autoptr(GError) error = NULL;
                void *item;
                queue_pop(web->asked, &item, clock_monotonic() + 20 * DURATION_SECOND, NULL,
                          &error);
                g_assert_no_error(error);
                Asked *asked = item;
                if (g_str_equal(asked->method, method) && g_str_equal(asked->path, path))
                        return asked;
                asked_free(asked);
        }
}

/* ---- the beacon ---- */

typedef struct {
        Web web;
        House *house;
        Volumes *volumes;
        Beacon *beacon;
} Setting;

static bool setting_open(Setting *setting, Duration sweep_interval) {
        g_autoptr(GError) error = NULL;
        setting->house = helper ? house_open() : NULL;
        if (!setting->house) {
                g_test_skip("cannot run containers here");
                return false;
        }
        web_open(&setting->web);
        VolumesSpec volumes = { .work_directory = g_getenv("WEIR_TEST_WORK"),
                                .helper = helper,
                                .driver = VOLUMES_DETECT };
        setting->volumes = volumes_open(&volumes, &error);
        g_assert_no_error(error);

        BeaconWorker described = { .name = "w 1",
                                   .platform = "linux",
                                   .version = "3.0",
                                   .address = "127.0.0.1:7777",
                                   .baggageclaim_url = "http://127.0.0.1:7788",
                                   .start_time = 42 };
        g_autoptr(Value) worker = beacon_worker_value(&described);
        BeaconSpec spec = { .web_socket = setting->web.socket,
                            .worker = worker,
                            .containers = setting->house->containers,
                            .volumes = setting->volumes,
                            .sweep_interval = sweep_interval };
        setting->beacon = beacon_start(&spec);
        return true;
}

static void setting_close(Setting *setting) {
        beacon_stop(setting->beacon);
        volumes_free(setting->volumes);
        web_close(&setting->web);
        house_close(setting->house);
}

static void await_end(Setting *setting) {
        struct pollfd end = { .fd = beacon_ended_fd(setting->beacon), .events = POLLIN };
        g_assert_cmpint(poll(&end, 1, 20000), ==, 1);
}

static void registers_and_tells_what_changes(void) {
        Setting setting;
        if (!setting_open(&setting, DURATION_HOUR))
                return;
        g_autoptr(Asked) first = web_await(&setting.web, "POST", "/api/v1/workers");
        g_assert_cmpstr(first->query, ==, "ttl=1m0s");
        g_assert_cmpstr(
                first->body, ==,
                "{\"addr\":\"127.0.0.1:7777\",\"baggageclaim_url\":\"http://127.0.0.1:7788\","
                "\"active_containers\":0,\"active_volumes\":0,\"active_tasks\":0,"
                "\"max_active_tasks\":0,\"resource_types\":null,\"platform\":\"linux\","
                "\"tags\":[],\"team\":\"\",\"name\":\"w 1\",\"version\":\"3.0\","
                "\"start_time\":42,\"ephemeral\":false,\"state\":\"\"}");
        house_container(setting.house, "box");
        beacon_poke(setting.beacon);
        g_autoptr(Asked) beat = web_await(&setting.web, "PUT", "/api/v1/workers/w%201/heartbeat");
        g_assert_nonnull(strstr(beat->body, "\"active_containers\":1"));
        setting_close(&setting);
}

static void ends_when_the_web_node_knows_it_no_more(void) {
        Setting setting;
        if (!setting_open(&setting, DURATION_HOUR))
                return;
        asked_free(web_await(&setting.web, "POST", "/api/v1/workers"));
        {
                MUTEX_SCOPE(&setting.web.lock);
                setting.web.heartbeat_status = 404;
        }
        beacon_poke(setting.beacon);
        await_end(&setting);
        setting_close(&setting);
}

static void lands_and_then_ends(void) {
        Setting setting;
        if (!setting_open(&setting, DURATION_HOUR))
                return;
        asked_free(web_await(&setting.web, "POST", "/api/v1/workers"));
        {
                MUTEX_SCOPE(&setting.web.lock);
                setting.web.state = "landed";
        }
        beacon_drain(setting.beacon, BEACON_LAND);
        asked_free(web_await(&setting.web, "PUT", "/api/v1/workers/w%201/land"));
        await_end(&setting);
        setting_close(&setting);
}

static void a_retiring_worker_that_must_stop_is_deleted(void) {
        Setting setting;
        if (!setting_open(&setting, DURATION_HOUR))
                return;
        asked_free(web_await(&setting.web, "POST", "/api/v1/workers"));
        beacon_drain(setting.beacon, BEACON_RETIRE);
        asked_free(web_await(&setting.web, "PUT", "/api/v1/workers/w%201/retire"));
        g_clear_pointer(&setting.beacon, beacon_stop);
        asked_free(web_await(&setting.web, "DELETE", "/api/v1/workers/w%201"));
        setting_close(&setting);
}

static void sweeps_what_is_not_wanted(void) {
        Setting setting;
        if (!setting_open(&setting, 100 * DURATION_MILLISECOND))
                return;
        house_container(setting.house, "wanted");
        house_container(setting.house, "unwanted");
        g_autoptr(Asked) before = NULL;
        do {
                g_clear_pointer(&before, asked_free);
                before = web_await(&setting.web, "PUT", "/api/v1/containers/report");
        } while (!g_str_equal(before->body, "[\"unwanted\",\"wanted\"]"));
        g_assert_cmpstr(before->query, ==, "worker_name=w+1");
        {
                MUTEX_SCOPE(&setting.web.lock);
                setting.web.destroying = "[\"unwanted\",\"unknown\"]";
        }
        g_autoptr(Asked) after = NULL;
        do {
                g_clear_pointer(&after, asked_free);
                after = web_await(&setting.web, "PUT", "/api/v1/containers/report");
        } while (!g_str_equal(after->body, "[\"wanted\"]"));
        setting_close(&setting);
}

/* ---- resource types ---- */

static void put(const char *directory, const char *name, const char *text) {
        g_autofree char *path = g_build_filename(directory, name, NULL);
        g_autofree char *parent = g_path_get_dirname(path);
        g_mkdir_with_parents(parent, 0755);
        g_file_set_contents(path, text, -1, NULL);
}

static void reads_resource_types(void) {
        g_autoptr(GError) error = NULL;
        g_autofree char *directory = g_dir_make_tmp("weir-types-XXXXXX", NULL), *expect = NULL;
        put(directory, "time/resource_metadata.json",
            "{\"type\":\"time\",\"version\":\"2\",\"unique_version_history\":true,"
            "\"cache\":\"/var/cache/x\"}");
        put(directory, "time/rootfs.tgz", "");
        put(directory, "git/resource_metadata.json",
            "{\"type\":\"git\",\"version\":\"1.19.0\",\"privileged\":true,\"image\":\"other\"}");
        put(directory, "git/rootfs.tgz", "");
        g_autoptr(Value) types = resource_types_read(directory, &error);
        g_assert_no_error(error);
        g_autofree char *text = json_write(types, JSON_COMPACT, NULL);
        expect = g_strdup_printf("[{\"type\":\"git\",\"image\":\"%s/git/"
                                 "rootfs.tgz\",\"version\":\"1.19.0\",\"privileged\":true,\"unique_"
                                 "version_history\":false},{\"type\":\"time\",\"image\":\"%s/time/"
                                 "rootfs.tgz\",\"version\":\"2\",\"privileged\":false,\"unique_"
                                 "version_history\":true,\"cache\":\"/var/cache/x\"}]",
                                 directory, directory);
        g_assert_cmpstr(text, ==, expect);

        put(directory, "broken/resource_metadata.json", "{}");
        g_assert_null(resource_types_read(directory, &error));
        g_assert_nonnull(strstr(error->message, "broken/resource_metadata.json: no type"));
        directory_remove(directory, NULL);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_autofree char *work = g_dir_make_tmp("weir-beacon-XXXXXX", NULL);
        g_autoptr(GError) error = NULL;
        g_setenv("WEIR_TEST_WORK", work, true);
        helper = geteuid() == 0 ? helper_start(work, &error) : NULL;
        g_test_add_func("/beacon/registers", registers_and_tells_what_changes);
        g_test_add_func("/beacon/unknown", ends_when_the_web_node_knows_it_no_more);
        g_test_add_func("/beacon/lands", lands_and_then_ends);
        g_test_add_func("/beacon/retires", a_retiring_worker_that_must_stop_is_deleted);
        g_test_add_func("/beacon/sweeps", sweeps_what_is_not_wanted);
        g_test_add_func("/types/reads", reads_resource_types);
        int result = g_test_run();
        helper_stop(helper);
        directory_remove(work, NULL);
        return result;
}
