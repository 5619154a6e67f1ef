#include "desk.h"

#include "base/thread.h"
#include "store/build_log.h"

#define END "event: end\ndata\n\n"
#define LOG_TIME ((Time) 1700000000 * 1000000)

/* ---- a watcher, as a browser is one ---- */

typedef struct {
        Desk *desk;
        char *path;
        const char *last; /* Last-Event-ID; NULL: the header is not sent */
        Thread *thread;
        Mutex mutex;
        Condition changed;
        GString *text;    /* what came; all below under mutex */
        GString *headers; /* those of 01 §9, in the order of the table */
} Watch;

static bool take_head(const HttpReply *reply, void *data, GError **error) {
        static const char *const names[] = { "Content-Type", "Cache-Control", "X-Accel-Buffering",
                                             "X-ATC-Stream-Version" };
        Watch *watch = data;

        g_assert_cmpint(reply->status, ==, 200);
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
                g_string_append_printf(watch->headers, "%s: %s\n", names[i],
                                       http_reply_header(reply, names[i]));
        return true;
}

/* Hangs up after the end frame, as clients do. */
static bool take_text(const void *bytes, size_t length, void *data, GError **error) {
        Watch *watch = data;

        MUTEX_SCOPE(&watch->mutex);
        g_string_append_len(watch->text, bytes, (gssize) length);
        condition_broadcast(&watch->changed);
        if (!g_str_has_suffix(watch->text->str, END))
                return true;
        g_set_error(error, ERROR, ERROR_CANCELLED, "end");
        return false;
}

static void watch_run(void *data) {
        Watch *watch = data;
        g_autofree char *url = desk_url(watch->desk, watch->path);
        g_autofree char *last = watch->last ? g_strconcat("Last-Event-ID: ", watch->last, NULL)
                                            : NULL;
        const char *headers[] = { "Authorization: Bearer viewer", last, NULL };
        const HttpCall call = { .method = "GET",
                                .url = url,
                                .headers = headers,
                                .head = take_head,
                                .sink = take_text,
                                .data = watch };
        g_auto(HttpReply) reply = { 0 };

        FAILS(http_call(watch->desk->client, &call, NULL, &reply, &error), ERROR_CANCELLED);
}

static void watch_start(Watch *watch, Desk *desk, int64_t build_id, const char *last) {
        *watch = (Watch){ .desk = desk, .last = last };
        watch->path = g_strdup_printf("/api/v1/builds/%" G_GINT64_FORMAT "/events", build_id);
        watch->text = g_string_new(NULL);
        watch->headers = g_string_new(NULL);
        mutex_init(&watch->mutex);
        condition_init(&watch->changed);
        watch->thread = thread_start("viewer", watch_run, watch);
}

static void watch_wait(Watch *watch, const char *text) {
        MUTEX_SCOPE(&watch->mutex);
        while (!strstr(watch->text->str, text))
                condition_wait(&watch->changed, &watch->mutex);
}

/* Until the end. The times of the build itself are its own: they come out as T. Returns new. */
static char *watch_end(Watch *watch, char **ret_headers) {
        g_autoptr(GRegex) times = g_regex_new("\"time\":(?!1700000000)[0-9]{10}", 0, 0, NULL);

        thread_join(watch->thread);
        char *text = g_regex_replace_literal(times, watch->text->str, -1, 0, "\"time\":T", 0, NULL);
        if (ret_headers)
                *ret_headers = g_strdup(watch->headers->str);
        g_string_free(watch->text, true);
        g_string_free(watch->headers, true);
        g_free(watch->path);
        condition_destroy(&watch->changed);
        mutex_destroy(&watch->mutex);
        return text;
}

static void assert_stream(Desk *desk, int64_t build_id, const char *last, const char *expect) {
        Watch watch;

        watch_start(&watch, desk, build_id, last);
        g_autofree char *text = watch_end(&watch, NULL);
        g_assert_cmpstr(text, ==, expect);
}

/* ---- what is watched ---- */

static void append(House *house, const BuildLease *lease, const char *text) {
        g_autoptr(BuildLogWriter) writer = OK(build_log_writer_new(house->store, lease, &error));
        g_autoptr(Event) event = event_log("5f", "stdout", text, strlen(text), LOG_TIME);

        OK(build_log_append(writer, event, NULL, &error));
        OK(build_log_flush(writer, &error));
}

#define STARTED                                                                                    \
        "id: 0\nevent: event\ndata: {\"data\":{\"status\":\"started\",\"time\":T},"                \
        "\"event\":\"status\",\"version\":\"1.0\",\"event_id\":\"0\"}\n\n"
#define HELLO                                                                                      \
        "id: 1\nevent: event\ndata: {\"data\":{\"time\":1700000000,\"origin\":{\"id\":\"5f\","     \
        "\"source\":\"stdout\"},\"payload\":\"hello\\n\"},"                                        \
        "\"event\":\"log\",\"version\":\"5.1\",\"event_id\":\"1\"}\n\n"
#define SUCCEEDED                                                                                  \
        "id: 2\nevent: event\ndata: {\"data\":{\"status\":\"succeeded\",\"time\":T},"              \
        "\"event\":\"status\",\"version\":\"1.0\",\"event_id\":\"2\"}\n\n"

static int64_t finished_build(House *house) {
        BuildLease lease;
        int64_t id = started_build(house, "unit", &lease);

        append(house, &lease, "hello\n");
        finish(house, &lease, BUILD_SUCCEEDED);
        return id;
}

/* ---- tests ---- */

static void a_finished_build_is_told_and_ends(House *house) {
        g_autofree char *headers = NULL;
        Watch watch;
        Desk desk;

        desk_open(&desk, house);
        watch_start(&watch, &desk, finished_build(house), NULL);
        g_autofree char *text = watch_end(&watch, &headers);
        g_assert_cmpstr(text, ==, STARTED HELLO SUCCEEDED "id: 3\n" END);
        g_assert_cmpstr(headers, ==,
                        "Content-Type: text/event-stream; charset=utf-8\n"
                        "Cache-Control: no-cache, no-store, must-revalidate\n"
                        "X-Accel-Buffering: no\n"
                        "X-ATC-Stream-Version: 2.0\n");
        desk_close(&desk);
}

static void a_watcher_goes_on_where_it_was(House *house) {
        static const struct {
                const char *last, *expect;
        } cases[] = {
                { "", STARTED HELLO SUCCEEDED "id: 3\n" END },
                { "0", HELLO SUCCEEDED "id: 3\n" END },
                { "1", SUCCEEDED "id: 3\n" END },
                { "2", "id: 3\n" END },
                { "3", "id: 4\n" END },
                { "0041", "id: 42\n" END },
        };
        Desk desk;

        desk_open(&desk, house);
        int64_t id = finished_build(house);
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
                assert_stream(&desk, id, cases[i].last, cases[i].expect);
        desk_close(&desk);
}

static void what_is_no_event_id_is_refused(House *house) {
        static const char *const cases[] = {
                "x",
                "-1",
                "+1",
                "1x",
                "0x1",
                "1.0",
                "1 2",
                "9223372036854775807" /* the next does not fit */,
                "18446744073709551615",
                "18446744073709551616",
        };
        Desk desk;

        desk_open(&desk, house);
        g_autofree char *path = g_strdup_printf("/api/v1/builds/%" G_GINT64_FORMAT "/events",
                                                finished_build(house));
        g_autofree char *url = desk_url(&desk, path);
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *last = g_strconcat("Last-Event-ID: ", cases[i], NULL);
                const char *headers[] = { "Authorization: Bearer viewer", last, NULL };
                const HttpCall call = { .method = "GET", .url = url, .headers = headers };
                g_autoptr(Cancel) patience = cancel_new_deadline(NULL, 10 * DURATION_SECOND);
                g_auto(HttpReply) reply = { 0 };
                g_test_message("%s", last);
                OK(http_call(desk.client, &call, patience, &reply, &error));
                g_assert_cmpint(reply.status, ==, 400);
                g_assert_cmpstr(reply.body, ==, "");
        }
        desk_close(&desk);
}

static void events_arrive_while_the_build_runs(House *house) {
        BuildLease lease;
        Watch early, late;
        Desk desk;

        desk_open(&desk, house);
        int64_t id = started_build(house, "unit", &lease);
        watch_start(&early, &desk, id, NULL);
        watch_wait(&early, "id: 0\n");
        append(house, &lease, "hello\n");
        watch_wait(&early, "hello");
        watch_start(&late, &desk, id, "0");
        watch_wait(&late, "hello");
        finish(house, &lease, BUILD_SUCCEEDED);
        g_autofree char *all = watch_end(&early, NULL), *rest = watch_end(&late, NULL);
        g_assert_cmpstr(all, ==, STARTED HELLO SUCCEEDED "id: 3\n" END);
        g_assert_cmpstr(rest, ==, HELLO SUCCEEDED "id: 3\n" END);
        desk_close(&desk);
}

static void a_reaped_build_only_ends(House *house) {
        g_autoptr(GArray) ids = g_array_new(false, false, sizeof(int64_t));
        Desk desk;

        desk_open(&desk, house);
        int64_t id = finished_build(house);
        g_array_append_val(ids, id);
        OK(build_reap(house->store, ids, clock_now(), &error));
        assert_stream(&desk, id, NULL, "id: 0\n" END);
        desk_close(&desk);
}

/* ---- links between pages ---- */

#define BUILDS "/api/v1/teams/t/pipelines/p/jobs/unit/builds"

/* All Link headers, a line each. Returns new. */
static char *links_of(Desk *desk, const char *path) {
        g_auto(HttpReply) reply = { 0 };
        GString *text = g_string_new(NULL);

        desk_ask(desk, &(Ask){ "GET", path, "viewer" }, &reply);
        g_assert_cmpint(reply.status, ==, 200);
        for (size_t i = 0; i < reply.headers->len; i++) {
                const char *header = g_ptr_array_index(reply.headers, i);
                if (g_ascii_strncasecmp(header, "Link: ", 6) == 0)
                        g_string_append_printf(text, "%s\n", header + 6);
        }
        return g_string_free(text, false);
}

/* next and previous: offsets from the first build's id; -1: no such link. */
static char *expected_links(int64_t first, int next, int previous, const char *limit) {
        GString *text = g_string_new(NULL);
        const struct {
                int offset;
                const char *key, *relation;
        } links[] = { { next, "to", "next" }, { previous, "from", "previous" } };

        for (size_t i = 0; i < G_N_ELEMENTS(links); i++)
                if (links[i].offset >= 0)
                        g_string_append_printf(text,
                                               "<http://ci" BUILDS "?%s=%d&limit=%s>; rel=\"%s\"\n",
                                               links[i].key, (int) first + links[i].offset, limit,
                                               links[i].relation);
        return g_string_free(text, false);
}

static void pages_link_to_their_neighbours(House *house) {
        static const struct {
                const char *key; /* takes the id of the build `at`, from the first */
                int at;
                const char *rest;
                int next, previous;
                const char *limit;
        } cases[] = {
                { NULL, 0, "", -1, -1, NULL }, /* all on one page */
                { NULL, 0, "limit=0", -1, -1, NULL },
                { NULL, 0, "limit=x", -1, -1, NULL },
                { NULL, 0, "limit=2", 1, -1, "2" },
                { "to", 2, "&limit=1", 1, 3, "1" },
                { "to", 0, "&limit=2", -1, 1, "2" },
                { "from", 1, "&limit=2", 0, 3, "2" },
                { "from", 2, "", 1, -1, "100" },
                { NULL, 0, "timestamps=false&limit=1", -1, -1, NULL },
                { "to", -1, "", -1, -1, NULL }, /* an empty page */
        };
        Desk desk;
        int64_t first = 0;

        desk_open(&desk, house);
        for (size_t i = 0; i < 4; i++) {
                g_autoptr(Build) build = pending_build(house, "unit");
                first = first ? first : build->id;
        }
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *range = cases[i].key ? g_strdup_printf("%s=%d", cases[i].key,
                                                                        (int) first + cases[i].at)
                                                      : g_strdup("");
                g_autofree char *path = g_strconcat(BUILDS "?", range, cases[i].rest, NULL);
                g_autofree char *links = links_of(&desk, path);
                g_autofree char *expect = expected_links(first, cases[i].next, cases[i].previous,
                                                         cases[i].limit);
                g_test_message("%s", path);
                g_assert_cmpstr(links, ==, expect);
        }
        desk_close(&desk);
}

static void links_carry_the_instance(House *house) {
        static const char branch[] = "?vars.branch=%22main%22";
        static const char config[] =
                "{\"jobs\":[{\"name\":\"unit\",\"plan\":[{\"load_var\":\"v\",\"file\":\"f\"}]}]}";
        g_autofree char *save = g_strconcat("/api/v1/teams/t/pipelines/p/config", branch, NULL);
        g_autofree char *builds = g_strconcat(BUILDS, branch, NULL);
        g_autofree char *page = g_strconcat(builds, "&limit=1", NULL);
        Desk desk;

        desk_open(&desk, house);
        desk_expect(&desk, &(Ask){ "PUT", save, "member", config }, 201, NULL);
        desk_expect(&desk, &(Ask){ "POST", builds, "member" }, 200, NULL);
        desk_expect(&desk, &(Ask){ "POST", builds, "member" }, 200, NULL);
        g_autofree char *links = links_of(&desk, page);
        g_assert_cmpstr(links, ==,
                        "<http://ci" BUILDS
                        "?to=1&limit=1&vars.branch=%22main%22>; rel=\"next\"\n");
        desk_close(&desk);
}

static void add(void) {
        house_add("/events/finished", a_finished_build_is_told_and_ends);
        house_add("/events/resumed", a_watcher_goes_on_where_it_was);
        house_add("/events/refused", what_is_no_event_id_is_refused);
        house_add("/events/live", events_arrive_while_the_build_runs);
        house_add("/events/reaped", a_reaped_build_only_ends);
        house_add("/pages/links", pages_link_to_their_neighbours);
        house_add("/pages/instance", links_carry_the_instance);
}

int main(int argc, char **argv) {
        return house_main(argc, argv, add);
}
