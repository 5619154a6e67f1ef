#include "base/json.h"
#include "wire/garden.h"

#include <string.h>

static Value *parse(const char *text) {
        g_autoptr(GError) error = NULL;
        Value *value = json_parse(text, strlen(text), NULL, &error);
        g_assert_no_error(error);
        return value;
}

/* What a web node sent, as recorded in form. */
#define CONTAINER                                                                                  \
        "{\"handle\":\"h\",\"rootfs\":\"raw:///x/volume\",\"image\":{},\"bind_mounts\":["          \
        "{\"src_path\":\"/s\",\"dst_path\":\"/scratch\",\"mode\":1},"                              \
        "{\"src_path\":\"/c\",\"dst_path\":\"/certs\"}],"                                          \
        "\"properties\":{\"user\":\"\"},\"env\":[\"A=1\",\"B=2\"],\"privileged\":true,"            \
        "\"limits\":{\"bandwidth_limits\":{},\"cpu_limits\":{\"limit_in_shares\":512},"            \
        "\"disk_limits\":{},\"memory_limits\":{\"limit_in_bytes\":209715200},"                     \
        "\"pid_limits\":{}},\"netout_rules\":[{\"networks\":[{\"start\":\"0.0.0.0\","              \
        "\"end\":\"255.255.255.255\"}]}]}"

static void container_specs_survive_the_way_there_and_back(void) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Value) value = parse(CONTAINER);
        g_auto(GardenContainerSpec) spec = { 0 };
        g_assert_true(garden_container_spec_parse(value, &spec, &error));
        g_assert_cmpstr(spec.handle, ==, "h");
        g_assert_cmpuint(spec.mounts->len, ==, 2);
        g_assert_cmpint(g_array_index(spec.mounts, GardenMount, 0).mode, ==, 1);
        g_assert_cmpint(g_array_index(spec.mounts, GardenMount, 1).mode, ==, 0);
        g_assert_cmpuint(spec.cpu_shares, ==, 512);
        g_assert_cmpuint(spec.memory_bytes, ==, 209715200);
        g_assert_true(spec.privileged);
        g_assert_true(spec.outgoing);

        g_autoptr(Value) again = garden_container_spec_value(&spec);
        g_autofree char *text = json_write(again, JSON_COMPACT, NULL);
        g_assert_cmpstr(text, ==, CONTAINER);
}

static void a_container_without_rules_is_hermetic(void) {
        g_autoptr(Value) value = parse("{\"handle\":\"h\",\"netout_rules\":[]}");
        g_auto(GardenContainerSpec) spec = { 0 };
        g_assert_true(garden_container_spec_parse(value, &spec, NULL));
        g_assert_false(spec.outgoing);
}

static void weight_wins_over_shares(void) {
        g_autoptr(Value) value = parse("{\"limits\":{\"cpu_limits\":{\"limit_in_shares\":5,"
                                       "\"weight\":7}}}");
        g_auto(GardenContainerSpec) spec = { 0 };
        g_assert_true(garden_container_spec_parse(value, &spec, NULL));
        g_assert_cmpuint(spec.cpu_shares, ==, 7);
}

#define PROCESS                                                                                     \
        "{\"id\":\"task\",\"path\":\"sh\",\"args\":[\"-ec\",\"echo hi\"],\"dir\":\"/tmp/build/x\"," \
        "\"user\":\"root\",\"rlimits\":{},\"tty\":{\"window_size\":{\"columns\":500,\"rows\":500}}" \
        ",\"image\":{}}"

static void process_specs_survive_the_way_there_and_back(void) {
        g_autoptr(Value) value = parse(PROCESS);
        g_auto(GardenProcessSpec) spec = { 0 };
        g_assert_true(garden_process_spec_parse(value, &spec, NULL));
        g_assert_true(spec.tty);
        g_assert_cmpuint(spec.window.columns, ==, 500);
        g_autoptr(Value) again = garden_process_spec_value(&spec);
        g_autofree char *text = json_write(again, JSON_COMPACT, NULL);
        g_assert_cmpstr(text, ==, PROCESS);
}

static void any_bytes_may_be_a_process_whole_input(void) {
        static const char bytes[] = "{\"a\":1}\0\xff";
        g_auto(GardenProcessSpec) spec = { 0 }, again = { 0 };
        garden_process_spec_init(&spec);
        spec.input = g_memdup2(bytes, sizeof bytes);
        spec.input_length = sizeof bytes;
        g_autoptr(Value) value = garden_process_spec_value(&spec);
        g_assert_true(garden_process_spec_parse(value, &again, NULL));
        g_assert_cmpmem(again.input, again.input_length, bytes, sizeof bytes);
}

static void input_that_no_pipe_holds_is_refused(void) {
        g_autoptr(GError) error = NULL;
        g_auto(GardenProcessSpec) spec = { 0 }, again = { 0 };
        garden_process_spec_init(&spec);
        spec.input_length = GARDEN_INPUT_MAX + 1;
        spec.input = g_malloc0(spec.input_length);
        g_autoptr(Value) value = garden_process_spec_value(&spec);
        g_assert_false(garden_process_spec_parse(value, &again, &error));
        g_assert_error(error, ERROR, ERROR_LIMIT);
}

/* ---- lines of the control connection ---- */

static const char *const lines[] = {
        "{\"process_id\":\"task\",\"stream_id\":\"7\"}\n",
        "{\"process_id\":\"task\",\"source\":0,\"data\":\"line\\n\"}\n",
        "{\"process_id\":\"task\",\"source\":0}\n",
        "{\"process_id\":\"task\",\"tty\":{\"window_size\":{\"columns\":80,\"rows\":24}}}\n",
        "{\"process_id\":\"task\",\"tty\":{}}\n",
        "{\"process_id\":\"task\",\"signal\":1}\n",
        "{\"process_id\":\"task\",\"exit_status\":0}\n",
        "{\"process_id\":\"task\",\"error\":\"lost\"}\n",
        "{\"process_id\":\"task\",\"source\":0,\"data\":\"a\\u0000\\u003cb\"}\n",
        "{\"process_id\":\"task\",\"source\":0,\"bytes\":\"AP8=\"}\n",
        "{\"process_id\":\"task\",\"source\":0,\"bytes\":\"\"}\n",
};

static void lines_survive_the_way_there_and_back(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(GString) text = g_string_new(NULL);
                g_auto(GardenPayload) payload = { 0 };
                g_assert_true(
                        garden_payload_parse(lines[i], strlen(lines[i]) - 1, &payload, &error));
                garden_payload_append(text, &payload);
                g_assert_cmpstr(text->str, ==, lines[i]);
        }
}

static void malformed_lines_are_refused(void) {
        static const char *const wrong[] = { "",
                                             "[]",
                                             "{\"source\":\"x\"}",
                                             "{\"data\":1}",
                                             "x",
                                             "1",
                                             "{\"signal\":1.5}",
                                             "{\"tty\":{},}",
                                             "{\"bytes\":\"*\"}",
                                             "{\"bytes\":[]}" };
        for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
                g_autoptr(GError) error = NULL;
                g_auto(GardenPayload) payload = { 0 };
                g_assert_false(garden_payload_parse(wrong[i], strlen(wrong[i]), &payload, &error));
                g_assert_nonnull(error);
        }
}

static void sizes_no_terminal_has_are_not_said(void) {
        g_autoptr(Value) value = parse(
                "{\"path\":\"x\",\"tty\":{\"window_size\":{\"columns\":70000,\"rows\":-1}}}");
        g_auto(GardenProcessSpec) spec = { 0 };
        g_assert_true(garden_process_spec_parse(value, &spec, NULL));
        g_assert_true(spec.tty);
        g_assert_cmpuint(spec.window.columns, ==, 0);
}

/* ---- answers ---- */

static void errors_name_their_kind(void) {
        GardenError unknown = { .kind = GARDEN_CONTAINER_NOT_FOUND,
                                .message = (char *) "unknown handle: h",
                                .handle = (char *) "h" };
        g_autoptr(Value) value = garden_error_value(&unknown);
        g_autofree char *text = json_write(value, JSON_COMPACT, NULL);
        g_auto(GardenError) again = { 0 };
        g_assert_cmpstr(text, ==,
                        "{\"Type\":\"ContainerNotFoundError\",\"Message\":\"unknown handle: h\","
                        "\"Handle\":\"h\",\"ProcessID\":\"\",\"Binary\":\"\"}");
        g_assert_cmpint(garden_error_status(unknown.kind), ==, 404);
        g_assert_cmpint(garden_error_status(GARDEN_SERVICE_UNAVAILABLE), ==, 500);
        g_assert_true(garden_error_parse(value, &again, NULL));
        g_assert_cmpint(again.kind, ==, GARDEN_CONTAINER_NOT_FOUND);
}

static void handles_are_read_in_any_case(void) {
        g_autoptr(Value) one = parse("{\"handle\":\"h\"}"), list = parse("{\"HANDLES\":[\"a\"]}");
        g_autofree char *handle = NULL;
        g_assert_true(garden_handle_parse(one, &handle, NULL));
        g_assert_cmpstr(handle, ==, "h");
        g_autoptr(GPtrArray) handles = garden_handles_parse(list, NULL);
        g_assert_cmpuint(handles->len, ==, 1);

        g_autoptr(GPtrArray) none = g_ptr_array_new();
        g_autoptr(Value) empty = garden_handles_value(none);
        g_autofree char *text = json_write(empty, JSON_COMPACT, NULL);
        g_assert_cmpstr(text, ==, "{\"Handles\":[]}");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/garden/container", container_specs_survive_the_way_there_and_back);
        g_test_add_func("/garden/hermetic", a_container_without_rules_is_hermetic);
        g_test_add_func("/garden/weight", weight_wins_over_shares);
        g_test_add_func("/garden/input", any_bytes_may_be_a_process_whole_input);
        g_test_add_func("/garden/input-max", input_that_no_pipe_holds_is_refused);
        g_test_add_func("/garden/process", process_specs_survive_the_way_there_and_back);
        g_test_add_func("/garden/lines", lines_survive_the_way_there_and_back);
        g_test_add_func("/garden/malformed", malformed_lines_are_refused);
        g_test_add_func("/garden/sizes", sizes_no_terminal_has_are_not_said);
        g_test_add_func("/garden/errors", errors_name_their_kind);
        g_test_add_func("/garden/handles", handles_are_read_in_any_case);
        return g_test_run();
}
