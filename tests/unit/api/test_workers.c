#include "desk.h"

#include "base/json.h"

#define W "/api/v1/workers"
#define ADDRESSES "\"addr\":\"10.0.0.1:7777\",\"baggageclaim_url\":\"http://10.0.0.1:7788\""
#define TYPES                                                                                      \
        "[{\"type\":\"git\",\"image\":\"/git\",\"version\":\"1.2\",\"privileged\":false,"          \
        "\"unique_version_history\":true}]"

/* What a worker says of itself: 06 §2.7. */
#define WORKER(more)                                                                               \
        "{" ADDRESSES ",\"active_containers\":1,\"active_volumes\":2,\"active_tasks\":0,"          \
        "\"max_active_tasks\":7,\"resource_types\":" TYPES ",\"platform\":\"linux\","              \
        "\"tags\":[\"x\",\"\"],\"name\":\"w1\",\"start_time\":5,\"ephemeral\":false," more "}"
#define SOUND WORKER("\"team\":\"\",\"version\":\"3.0\",\"state\":\"\"")

/* What the server says of it: 01 §16.1. */
#define PRESENTED(containers, volumes, state)                                                      \
        "{" ADDRESSES ",\"active_containers\":" containers ",\"active_volumes\":" volumes          \
        ",\"active_tasks\":0,\"max_active_tasks\":0,\"resource_types\":" TYPES                     \
        ",\"platform\":\"linux\",\"tags\":[\"x\"],\"team\":\"\",\"name\":\"w1\","                  \
        "\"version\":\"3.0\",\"start_time\":5,\"ephemeral\":false,\"state\":\"" state "\"}"

static void ask_system(Desk *desk, const char *method, const char *path, const char *body,
                       int status, const char *expect) {
        g_test_message("%s %s %s", method, path, body ? body : "");
        desk_expect(desk, &(Ask){ method, path, "system", body }, status, expect);
}

static void expect_state(House *house, const char *name, WorkerState state) {
        g_autoptr(Worker) worker = OK(worker_find(house->store, name, &error));

        g_assert_cmpint(worker->state, ==, state);
}

static void a_worker_registers_or_is_told_why_not(House *house) {
        static const struct {
                const char *query, *body;
                int status;
                const char *expect;
        } cases[] = {
                { "", SOUND, 200, "" },
                { "?ttl=60s", SOUND, 200, "" },
                { "?ttl=1m0s", SOUND, 200, "" },
                { "?ttl=", SOUND, 200, "" },
                { "?ttl=soon", SOUND, 400, "malformed ttl" },
                { "?ttl=60", SOUND, 400, "malformed ttl" },
                { "", "{", 400, "" },
                { "", "", 400, "" },
                { "", WORKER("\"version\":\"3.0-rc\""), 400,
                  "invalid worker version, only numeric characters are allowed" },
                { "", WORKER("\"version\":\"\""), 200, "" },
                { "", "{\"name\":\"w1\",\"version\":\"3.0\"}", 400, "missing garden address" },
                { "", WORKER("\"version\":\"3.0\",\"team\":\"nobody\""), 400, "" },
                /* It is everybody's already. */
                { "", WORKER("\"version\":\"3.0\",\"team\":\"t\""), 500, NULL },
        };
        Desk desk;

        desk_open(&desk, house);
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *path = g_strconcat(W, cases[i].query, NULL);
                ask_system(&desk, "POST", path, cases[i].body, cases[i].status, cases[i].expect);
        }
        ask_system(&desk, "POST", W, "{\"addr\":\"h:1\",\"version\":\"3.0\"}", 200, "");
        expect_state(house, "h:1", WORKER_RUNNING); /* the address is its name */
        desk_close(&desk);
}

static void a_worker_keeps_alive_until_it_has_landed(House *house) {
        static const char alive[] = "{\"active_containers\":3,\"active_volumes\":4}";
        static const char beat[] = W "/w1/heartbeat?ttl=30s";
        Desk desk;

        desk_open(&desk, house);
        ask_system(&desk, "PUT", beat, alive, 404, NULL);
        ask_system(&desk, "POST", W "?ttl=30s", SOUND, 200, "");
        ask_system(&desk, "PUT", beat, alive, 200, PRESENTED("3", "4", "running") "\n");
        ask_system(&desk, "PUT", W "/w1/heartbeat?ttl=x", alive, 400, "malformed ttl");
        ask_system(&desk, "PUT", beat, "[", 400, "");
        ask_system(&desk, "PUT", W "/w1/land", "{\"team\":\"t\"}", 400, "");
        ask_system(&desk, "PUT", W "/w1/land", "", 400, "");
        ask_system(&desk, "PUT", W "/none/land", "{\"team\":\"\"}", 404, NULL);
        ask_system(&desk, "PUT", W "/w1/prune", NULL, 400,
                   "{\"stderr\":\"cannot prune running worker\"}\n");
        ask_system(&desk, "PUT", W "/w1/land", "{\"team\":\"\"}", 200, "");
        ask_system(&desk, "PUT", beat, alive, 200, PRESENTED("3", "4", "landing") "\n");
        WorkerTick tick;
        OK(worker_tick(house->store, 0, &tick, &error));
        g_assert_cmpint(tick.landed, ==, 1);
        expect_state(house, "w1", WORKER_LANDED);
        ask_system(&desk, "POST", W "?ttl=30s", SOUND, 200, "");
        ask_system(&desk, "PUT", beat, alive, 200, PRESENTED("3", "4", "running") "\n");
        desk_close(&desk);
}

static void a_worker_leaves(House *house) {
        Desk desk;

        desk_open(&desk, house);
        ask_system(&desk, "POST", W, SOUND, 200, "");
        ask_system(&desk, "PUT", W "/none/retire", "{\"team\":\"\"}", 404, NULL);
        ask_system(&desk, "PUT", W "/w1/retire", "{\"team\":\"t\"}", 400, "");
        ask_system(&desk, "PUT", W "/w1/retire", "{\"team\":\"\"}", 200, "");
        expect_state(house, "w1", WORKER_RETIRING);
        ask_system(&desk, "PUT", W "/w1/prune", NULL, 200, "");
        ask_system(&desk, "PUT", W "/w1/prune", NULL, 404, NULL);
        ask_system(&desk, "POST", W, SOUND, 200, "");
        ask_system(&desk, "DELETE", W "/w1", "{\"team\":\"t\"}", 400, "");
        ask_system(&desk, "DELETE", W "/w1", "{\"team\":\"\"}", 200, "");
        ask_system(&desk, "DELETE", W "/w1", "{\"team\":\"\"}", 500, NULL);
        desk_close(&desk);
}

/* Containers and volumes alike. */
static void a_worker_reports_what_it_has_and_learns_what_to_destroy(House *house) {
        static const char *const kinds[] = { "containers", "volumes" };
        static const char *const wrong[] = { "[", "", "{}", "7", "[\"a\",1]" };
        Desk desk;

        desk_open(&desk, house);
        ask_system(&desk, "POST", W, SOUND, 200, "");
        for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
                g_autofree char *list = g_strdup_printf("/api/v1/%s/destroying", kinds[i]);
                g_autofree char *list_w1 = g_strconcat(list, "?worker_name=w1", NULL);
                g_autofree char *report = g_strdup_printf("/api/v1/%s/report", kinds[i]);
                g_autofree char *report_w1 = g_strconcat(report, "?worker_name=w1", NULL);

                ask_system(&desk, "GET", list, NULL, 400, NULL);
                ask_system(&desk, "PUT", report, "[]", 404, NULL);
                for (size_t j = 0; j < G_N_ELEMENTS(wrong); j++)
                        ask_system(&desk, "PUT", report_w1, wrong[j], 400, "");
                ask_system(&desk, "GET", list_w1, NULL, 200, "[]\n");
                ask_system(&desk, "PUT", report_w1, "[\"ghost\",\"shade\"]", 204, NULL);
                ask_system(&desk, "GET", list_w1, NULL, 200, "[\"ghost\",\"shade\"]\n");
                ask_system(&desk, "PUT", report_w1, "[\"shade\"]", 204, NULL);
                ask_system(&desk, "GET", list_w1, NULL, 200, "[\"shade\"]\n");
                ask_system(&desk, "PUT", report_w1, "null", 204, NULL); /* knows nothing */
                ask_system(&desk, "GET", list_w1, NULL, 200, "[\"shade\"]\n");
                ask_system(&desk, "PUT", report_w1, "[]", 204, NULL);
                ask_system(&desk, "GET", list_w1, NULL, 200, "[]\n");
        }
        desk_close(&desk);
}

static void add(void) {
        house_add("/workers/register", a_worker_registers_or_is_told_why_not);
        house_add("/workers/heartbeat", a_worker_keeps_alive_until_it_has_landed);
        house_add("/workers/leave", a_worker_leaves);
        house_add("/workers/report", a_worker_reports_what_it_has_and_learns_what_to_destroy);
}

int main(int argc, char **argv) {
        return house_main(argc, argv, add);
}
