#include "wire/event.h"

#include <string.h>

#define NOW ((Time) 1700000000 * 1000000 + 999999)

static Value *list_of(const char *text) {
        Value *list = value_list();
        value_list_add(list, value_string(text));
        return list;
}

/* Each builder against reference 04 §10.2, byte for byte. */
static void events_are_written_as_upstream_writes_them(void) {
        g_autoptr(Value) args = list_of("-c"), inputs = value_list(), version = value_map(),
                         metadata = value_list(), plan = value_map();
        value_map_set_string(version, "ref", "a<b");
        Value *pair = value_map();
        value_map_set_string(pair, "name", "n");
        value_map_set_string(pair, "value", "v");
        value_list_add(metadata, pair);
        value_map_set_string(plan, "id", "2");
        const EventTaskConfig task = {
                .platform = "linux", .path = "sh", .args = args, .inputs = inputs
        };
        const struct {
                Event *event;
                const char *expected;
        } cases[] = {
                { event_status("started", NOW),
                  "{\"data\":{\"status\":\"started\",\"time\":1700000000},\"event\":\"status\","
                  "\"version\":\"1.0\"}" },
                { event_log("5f", "stdout", "hi\xff\n", 4, NOW),
                  "{\"data\":{\"time\":1700000000,\"origin\":{\"id\":\"5f\",\"source\":\"stdout\"},"
                  "\"payload\":\"hi\\ufffd\\n\"},\"event\":\"log\",\"version\":\"5.1\"}" },
                { event_error("1", "no", NOW),
                  "{\"data\":{\"message\":\"no\",\"origin\":{\"id\":\"1\"},\"time\":1700000000},"
                  "\"event\":\"error\",\"version\":\"4.1\"}" },
                { event_selected_worker("1", "w", NOW),
                  "{\"data\":{\"time\":1700000000,\"origin\":{\"id\":\"1\"},\"selected_worker\":"
                  "\"w\"},\"event\":\"selected-worker\",\"version\":\"1.0\"}" },
                { event_streaming_volume("1", "v", "a", "b", NOW),
                  "{\"data\":{\"time\":1700000000,\"origin\":{\"id\":\"1\"},\"volume\":\"v\","
                  "\"source_worker\":\"a\",\"dest_worker\":\"b\"},\"event\":\"streaming-volume\","
                  "\"version\":\"1.0\"}" },
                { event_initialize_task("1", NOW),
                  "{\"data\":{\"time\":1700000000,\"origin\":{\"id\":\"1\"},\"config\":{"
                  "\"platform\":\"\",\"image\":\"\",\"run\":{\"path\":\"\",\"args\":null,\"dir\":"
                  "\"\"},\"inputs\":null}},\"event\":\"initialize-task\",\"version\":\"4.0\"}" },
                { event_start_task("1", &task, NOW),
                  "{\"data\":{\"time\":1700000000,\"origin\":{\"id\":\"1\"},\"config\":{"
                  "\"platform\":\"linux\",\"image\":\"\",\"run\":{\"path\":\"sh\",\"args\":[\"-c\"],"
                  "\"dir\":\"\"},\"inputs\":[]}},\"event\":\"start-task\",\"version\":\"5.0\"}" },
                { event_finish_task("1", 0, NOW),
                  "{\"data\":{\"time\":1700000000,\"exit_status\":0,\"origin\":{\"id\":\"1\"}},"
                  "\"event\":\"finish-task\",\"version\":\"4.0\"}" },
                { event_initialize_check("1", "repo", NOW),
                  "{\"data\":{\"origin\":{\"id\":\"1\"},\"time\":1700000000,\"name\":\"repo\"},"
                  "\"event\":\"initialize-check\",\"version\":\"1.0\"}" },
                { event_initialize_get("1", 0),
                  "{\"data\":{\"origin\":{\"id\":\"1\"}},\"event\":\"initialize-get\",\"version\":"
                  "\"2.0\"}" },
                { event_finish_get("1", 0, version, metadata, NOW),
                  "{\"data\":{\"origin\":{\"id\":\"1\"},\"time\":1700000000,\"exit_status\":0,"
                  "\"version\":{\"ref\":\"a\\u003cb\"},\"metadata\":[{\"name\":\"n\",\"value\":"
                  "\"v\"}]},\"event\":\"finish-get\",\"version\":\"5.1\"}" },
                { event_finish_put("1", 1, NULL, NULL, NOW),
                  "{\"data\":{\"origin\":{\"id\":\"1\"},\"time\":1700000000,\"exit_status\":1,"
                  "\"version\":null},\"event\":\"finish-put\",\"version\":\"5.1\"}" },
                { event_set_pipeline_changed("1", true),
                  "{\"data\":{\"origin\":{\"id\":\"1\"},\"changed\":true},\"event\":"
                  "\"set-pipeline-changed\",\"version\":\"1.0\"}" },
                { event_finish("1", false, NOW),
                  "{\"data\":{\"origin\":{\"id\":\"1\"},\"time\":1700000000,\"succeeded\":false},"
                  "\"event\":\"finish\",\"version\":\"1.0\"}" },
                { event_image_check("1", plan, NOW),
                  "{\"data\":{\"time\":1700000000,\"origin\":{\"id\":\"1\"},\"plan\":{\"id\":\"2\"}"
                  "},\"event\":\"image-check\",\"version\":\"1.1\"}" },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(Event) event = cases[i].event;
                size_t length;
                g_autofree char *text = event_write(event, &length);
                g_assert_cmpstr(text, ==, cases[i].expected);
                g_assert_cmpuint(length, ==, strlen(text));
        }
}

static void an_event_goes_out_with_its_id_and_comes_back(void) {
        g_autoptr(Event) event = event_status("succeeded", NOW);
        size_t length;
        g_autofree char *text = event_write(event, &length);
        g_autoptr(GString) out = g_string_new(NULL);
        event_append_with_id(out, text, length, 7);
        g_assert_true(g_str_has_suffix(out->str, ",\"version\":\"1.0\",\"event_id\":\"7\"}"));
        int64_t id;
        g_autoptr(GError) error = NULL;
        g_autoptr(Event) back = event_parse(out->str, out->len, &id, &error);
        g_assert_no_error(error);
        g_assert_cmpint(id, ==, 7);
        g_assert_true(value_equal(back->data, event->data));
        g_autoptr(Event) stored = event_parse(text, length, &id, &error);
        g_assert_cmpint(id, ==, -1);
        g_assert_cmpstr(stored->name, ==, "status");
}

static void broken_envelopes_are_refused(void) {
        const char *const broken[] = {
                "",
                "{",
                "[]",
                "{}",
                "{\"event\":\"log\"}",
                "{\"version\":\"1.0\"}",
                "{\"event\":\"log\",\"version\":\"1.0\",\"event_id\":\"x\"}",
        };
        for (size_t i = 0; i < G_N_ELEMENTS(broken); i++) {
                g_autoptr(GError) error = NULL;
                g_assert_null(event_parse(broken[i], strlen(broken[i]), NULL, &error));
                g_assert_error(error, ERROR, ERROR_INVALID);
        }
}

static void a_client_knows_what_it_may_interpret(void) {
        const struct {
                const char *name, *version;
                EventKnowledge expected;
                bool current;
        } cases[] = {
                { "log", "5.1", EVENT_KNOWN, true },
                { "log", "5.9", EVENT_KNOWN, true },
                { "log", "1.0", EVENT_KNOWN, false },
                { "log", "50.1", EVENT_UNKNOWN_VERSION, false },
                { "nope", "1.0", EVENT_UNKNOWN_TYPE, false },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *text = g_strdup_printf(
                        "{\"data\":{},\"event\":\"%s\",\"version\":\"%s\"}", cases[i].name,
                        cases[i].version);
                g_autoptr(Event) event = event_parse(text, strlen(text), NULL, NULL);
                g_autofree char *supported = NULL;
                bool current = false;
                g_assert_cmpint(event_known(event, &current, &supported), ==, cases[i].expected);
                g_assert_cmpint(current, ==, cases[i].current);
                if (g_str_equal(cases[i].name, "log"))
                        g_assert_cmpstr(supported, ==, "1.0 2.0 3.0 4.0 5.1");
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/event/write", events_are_written_as_upstream_writes_them);
        g_test_add_func("/event/id", an_event_goes_out_with_its_id_and_comes_back);
        g_test_add_func("/event/broken", broken_envelopes_are_refused);
        g_test_add_func("/event/known", a_client_knows_what_it_may_interpret);
        return g_test_run();
}
