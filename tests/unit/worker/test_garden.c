#include "base/files.h"
#include "base/json.h"
#include "house.h"
#include "http/client.h"
#include "worker/garden/server.h"

#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
        House *house;
        GardenServer *server;
        HttpClient *client;
        char *url;
} Garden;

static void garden_open(Garden *garden) {
        g_autoptr(GError) error = NULL;
        GardenServerSpec spec = { .containers = garden->house->containers, .address = "127.0.0.1" };
        HttpClientSpec client = { .no_proxy = true };
        garden->server = garden_server_start(&spec, &error);
        g_assert_no_error(error);
        garden->client = http_client_new(&client);
        garden->url = g_strdup_printf("http://127.0.0.1:%u", garden_server_port(garden->server));
}

static void garden_close(Garden *garden) {
        garden_server_stop(garden->server, DURATION_SECOND);
        http_client_free(garden->client);
        g_free(garden->url);
}

/* NULL-terminated texts of what was asked and must be answered, in order. */
typedef struct {
        const char *method, *path, *body;
        int status;
        const char *expect;
} Exchange;

static void exchange(Garden *garden, const Exchange *asked) {
        g_autoptr(GError) error = NULL;
        g_auto(HttpReply) reply = { 0 };
        g_autofree char *url = g_strconcat(garden->url, asked->path, NULL);
        HttpCall call = { .method = asked->method,
                          .url = url,
                          .body = asked->body,
                          .body_length = asked->body ? strlen(asked->body) : 0 };
        http_call(garden->client, &call, NULL, &reply, &error);
        g_assert_no_error(error);
        g_test_message("%s %s", asked->method, asked->path);
        g_assert_cmpstr(reply.body, ==, asked->expect);
        g_assert_cmpint(reply.status, ==, asked->status);
}

#define ERROR_BODY(type, message, handle, process)                                                 \
        "{\"Type\":\"" type "\",\"Message\":\"" message "\",\"Handle\":\"" handle                  \
        "\",\"ProcessID\":\"" process "\",\"Binary\":\"\"}\n"

static const Exchange exchanges[] = {
        { "GET", "/ping", NULL, 200, "{}\n" },
        { "GET", "/capacity", NULL, 500, ERROR_BODY("", "not implemented", "", "") },
        { "GET", "/containers", NULL, 200, "{\"Handles\":[\"box\"]}\n" },
        { "GET", "/containers?a=b", NULL, 200, "{\"Handles\":[]}\n" },
        { "GET", "/containers?a=", NULL, 500,
          ERROR_BODY("", "key or value must not be empty", "", "") },
        { "POST", "/containers", "{\"handle\":\"x\"}", 500,
          ERROR_BODY("", "new container: garden spec to oci spec: rootfs must not be empty", "",
                     "") },
        { "PUT", "/containers/box/properties/a", "{\"value\":\"b\"}", 200, "{}\n" },
        { "PUT", "/containers/box/properties/concourse:exit-status", "{\"value\":\"0\"}", 200,
          "{}\n" },
        { "PUT", "/containers/box/properties/empty", "{\"value\":\"\"}", 200, "{}\n" },
        { "GET", "/containers/box/properties", NULL, 200,
          "{\"a\":\"b\",\"concourse:exit-status\":\"0\"}\n" },
        { "GET", "/containers/box/properties/a", NULL, 200, "{\"value\":\"b\"}\n" },
        { "GET", "/containers/box/properties/c", NULL, 500,
          ERROR_BODY("", "not found: c", "", "") },
        { "GET", "/containers?a=b&a=c", NULL, 200, "{\"Handles\":[\"box\"]}\n" },
        { "GET", "/containers?a=b&d=e", NULL, 200, "{\"Handles\":[]}\n" },
        { "GET", "/containers/box/limits/cpu", NULL, 200, "{}\n" },
        { "GET", "/containers/box/limits/disk", NULL, 200, "{}\n" },
        { "PUT", "/containers/box/grace_time", "1000", 200, "{}\n" },
        { "GET", "/containers/none/properties", NULL, 404,
          ERROR_BODY("ContainerNotFoundError", "unknown handle: none", "none", "") },
        { "DELETE", "/containers/none", NULL, 404,
          ERROR_BODY("ContainerNotFoundError", "unknown handle: none", "none", "") },
        { "GET", "/containers/box/processes/task", NULL, 404,
          ERROR_BODY("ProcessNotFoundError", "unknown process: task", "", "task") },
        { "POST", "/containers/box/processes", "{\"path\":\"nope\"}", 500,
          "{\"Type\":\"\",\"Message\":\"proc start: OCI runtime exec failed: exec failed: unable to "
          "start container process: exec: \\\"nope\\\": executable file not found in $PATH: "
          "unknown\",\"Handle\":\"\",\"ProcessID\":\"\",\"Binary\":\"\"}\n" },
        { "PUT", "/containers/box/stop", "{\"kill\":false}", 200, "{}\n" },
        { "PUT", "/containers", NULL, 405, "Method Not Allowed\n" },
        { "GET", "/nowhere", NULL, 404, "404 page not found\n" },
        { "DELETE", "/containers/box", NULL, 200, "{}\n" },
        { "GET", "/containers", NULL, 200, "{\"Handles\":[]}\n" },
};

static void answers_as_garden(void) {
        g_autoptr(House) house = house_open();
        Garden garden = { .house = house };
        if (!house)
                return;
        house_container(house, "box");
        garden_open(&garden);
        for (size_t i = 0; i < G_N_ELEMENTS(exchanges); i++)
                exchange(&garden, &exchanges[i]);
        garden_close(&garden);
}

/* ---- processes ---- */

/* A taken-over connection; what it said so far. */
typedef struct {
        int fd, status;
        GString *text;
} Line;

static void line_open(Garden *garden, const char *method, const char *path, const char *body,
                      Line *ret) {
        g_autoptr(GError) error = NULL;
        g_auto(HttpReply) reply = { 0 };
        g_autofree char *url = g_strconcat(garden->url, path, NULL), *rest = NULL;
        size_t length = 0;
        HttpCall call = {
                .method = method, .url = url, .body = body, .body_length = body ? strlen(body) : 0
        };
        http_take_over(garden->client, &call, NULL, &reply, &ret->fd, &rest, &length, &error);
        g_assert_no_error(error);
        ret->status = reply.status;
        ret->text = g_string_new_len(rest, (gssize) length);
}

static void line_close(Line *line) {
        fd_close(line->fd);
        g_string_free(line->text, true);
}

static bool line_more(Line *line) {
        char chunk[4096];
        ssize_t n = read(line->fd, chunk, sizeof(chunk));
        if (n > 0)
                g_string_append_len(line->text, chunk, n);
        return n > 0;
}

/* Reads one message. */
static void line_message(Line *line, GardenPayload *ret) {
        g_autoptr(GError) error = NULL;
        char *newline;
        while (!(newline = memchr(line->text->str, '\n', line->text->len)))
                g_assert_true(line_more(line));
        size_t length = (size_t) (newline - line->text->str);
        garden_payload_parse(line->text->str, length, ret, &error);
        g_assert_no_error(error);
        g_string_erase(line->text, 0, (gssize) length + 1);
}

static void line_output(Garden *garden, const GardenPayload *first, const char *name, Line *ret) {
        g_autofree char *path = g_strdup_printf("/containers/box/processes/%s/attaches/%s/%s",
                                                first->process_id, first->stream_id, name);
        line_open(garden, "GET", path, NULL, ret);
        g_assert_cmpint(ret->status, ==, 200);
}

static void line_drain(Line *line) {
        while (line_more(line))
                ;
}

static void say(Line *line, const char *text) {
        g_autoptr(GError) error = NULL;
        write_all(line->fd, text, strlen(text), &error);
        g_assert_no_error(error);
}

static void a_process_is_three_connections(void) {
        g_autoptr(House) house = house_open();
        Garden garden = { .house = house };
        Line control, output, errors;
        g_auto(GardenPayload) first = { 0 }, last = { 0 };
        if (!house)
                return;
        house_container(house, "box");
        garden_open(&garden);
        line_open(&garden, "POST", "/containers/box/processes",
                  "{\"id\":\"resource\",\"path\":\"sh\",\"args\":[\"-c\",\"cat; echo bad >&2; exit "
                  "9\"]}",
                  &control);
        g_assert_cmpint(control.status, ==, 201);
        line_message(&control, &first);
        g_assert_cmpstr(first.process_id, ==, "resource");
        line_output(&garden, &first, "stdout", &output);
        line_output(&garden, &first, "stderr", &errors);
        say(&control, "{\"process_id\":\"resource\",\"source\":0,\"data\":\"one \"}\n"
                      "{\"process_id\":\"resource\",\"source\":0,\"data\":\"two\"}\n"
                      "{\"process_id\":\"resource\",\"source\":0}\n");
        line_message(&control, &last);
        g_assert_cmpint(last.exit_status, ==, 9);
        g_assert_false(line_more(&control));
        line_drain(&output);
        line_drain(&errors);
        g_assert_cmpstr(output.text->str, ==, "one two");
        g_assert_cmpstr(errors.text->str, ==, "bad\n");
        line_close(&control);
        line_close(&output);
        line_close(&errors);
        garden_close(&garden);
}

static void a_terminal_listens_and_is_resized(void) {
        g_autoptr(House) house = house_open();
        Garden garden = { .house = house };
        Line control, output;
        g_auto(GardenPayload) first = { 0 }, last = { 0 };
        if (!house)
                return;
        house_container(house, "box");
        garden_open(&garden);
        line_open(&garden, "POST", "/containers/box/processes",
                  "{\"path\":\"sh\",\"args\":[\"-c\",\"read x; stty size; exit "
                  "3\"],\"tty\":{\"window_size\":{\"columns\":80,\"rows\":24}}}",
                  &control);
        line_message(&control, &first);
        line_output(&garden, &first, "stdout", &output);
        say(&control, "{\"tty\":{\"window_size\":{\"columns\":123,\"rows\":45}}}\n"
                      "{\"source\":0,\"data\":\"go\\n\"}\n");
        line_message(&control, &last);
        line_drain(&output);
        g_assert_cmpint(last.exit_status, ==, 3);
        g_assert_cmpstr(output.text->str, ==, "go\r\n45 123\r\n");
        line_close(&control);
        line_close(&output);
        garden_close(&garden);
}

static void a_signal_reaches_the_process(void) {
        g_autoptr(House) house = house_open();
        Garden garden = { .house = house };
        Line control;
        g_auto(GardenPayload) first = { 0 }, last = { 0 };
        if (!house)
                return;
        house_container(house, "box");
        garden_open(&garden);
        line_open(&garden, "POST", "/containers/box/processes",
                  "{\"path\":\"sleep\",\"args\":[\"1000\"]}", &control);
        line_message(&control, &first);
        say(&control, "{\"signal\":1}\n");
        line_message(&control, &last);
        g_assert_cmpint(last.exit_status, ==, 137);
        line_close(&control);
        garden_close(&garden);
}

static void any_byte_reaches_standard_input(void) {
        g_autoptr(House) house = house_open();
        Garden garden = { .house = house };
        Line control, output;
        g_auto(GardenPayload) first = { 0 }, last = { 0 };
        if (!house)
                return;
        house_container(house, "box");
        garden_open(&garden);
        line_open(&garden, "POST", "/containers/box/processes", "{\"path\":\"cat\"}", &control);
        line_message(&control, &first);
        line_output(&garden, &first, "stdout", &output);
        say(&control, "{\"source\":0,\"bytes\":\"AP/+\"}\n{\"source\":0,\"bytes\":\"w6nD\"}\n"
                      "{\"source\":0}\n");
        line_message(&control, &last);
        line_drain(&output);
        g_assert_cmpint(last.exit_status, ==, 0);
        g_assert_cmpmem(output.text->str, output.text->len, "\0\xff\xfe\xc3\xa9\xc3", 6);
        line_close(&control);
        line_close(&output);
        garden_close(&garden);
}

static void a_hang_up_reaches_the_whole_group_also_after_the_end_of_input(void) {
        g_autoptr(House) house = house_open();
        Garden garden = { .house = house };
        Line control, output;
        g_auto(GardenPayload) first = { 0 }, last = { 0 };
        if (!house)
                return;
        house_container(house, "box");
        garden_open(&garden);
        line_open(
                &garden, "POST", "/containers/box/processes",
                "{\"path\":\"sh\",\"args\":[\"-c\",\"trap 'wait; exit 7' HUP; (trap 'echo child; exit' "
                "HUP; cat; echo ready; sleep 1000 & wait) & wait; wait\"]}",
                &control);
        line_message(&control, &first);
        line_output(&garden, &first, "stdout", &output);
        say(&control, "{\"source\":0}\n");
        while (!strstr(output.text->str, "ready"))
                g_assert_true(line_more(&output));
        say(&control, "{\"signal\":2}\n");
        line_message(&control, &last);
        line_drain(&output);
        g_assert_cmpint(last.exit_status, ==, 7);
        g_assert_nonnull(strstr(output.text->str, "child\n"));
        line_close(&control);
        line_close(&output);
        garden_close(&garden);
}

static void the_death_of_process_1_is_an_error_that_names_it(void) {
        g_autoptr(House) house = house_open();
        Garden garden = { .house = house };
        Line control, again;
        g_auto(GardenPayload) first = { 0 }, second = { 0 }, last = { 0 }, same = { 0 };
        if (!house)
                return;
        house_container(house, "box");
        garden_open(&garden);
        line_open(&garden, "POST", "/containers/box/processes",
                  "{\"id\":\"task\",\"path\":\"sleep\",\"args\":[\"1000\"]}", &control);
        line_message(&control, &first);
        kill(house_init(house, "box"), SIGKILL);
        line_message(&control, &last);
        g_assert_false(last.has & GARDEN_HAS_EXIT_STATUS);
        g_assert_cmpstr(last.error, ==,
                        "process 1 of the container was killed by signal 9 (Killed)");
        line_close(&control);

        line_open(&garden, "GET", "/containers/box/processes/task", NULL, &again);
        line_message(&again, &second);
        line_message(&again, &same);
        g_assert_cmpstr(same.error, ==, last.error);
        line_close(&again);
        garden_close(&garden);
}

static void a_client_that_goes_leaves_the_process_running(void) {
        g_autoptr(House) house = house_open();
        Garden garden = { .house = house };
        Line control, again, output;
        g_auto(GardenPayload) first = { 0 }, second = { 0 }, last = { 0 };
        if (!house)
                return;
        house_container(house, "box");
        garden_open(&garden);
        line_open(&garden, "POST", "/containers/box/processes",
                  "{\"id\":\"task\",\"path\":\"sh\",\"args\":[\"-c\",\"echo before; read x; echo "
                  "$x\"],\"tty\":{}}",
                  &control);
        line_message(&control, &first);
        line_close(&control);

        line_open(&garden, "GET", "/containers/box/processes/task", NULL, &again);
        g_assert_cmpint(again.status, ==, 200);
        line_message(&again, &second);
        line_output(&garden, &second, "stdout?from=0", &output);
        while (!strstr(output.text->str, "before")) /* what is typed is echoed at once */
                g_assert_true(line_more(&output));
        say(&again, "{\"source\":0,\"data\":\"after\\n\"}\n");
        line_message(&again, &last);
        line_drain(&output);
        g_assert_cmpint(last.exit_status, ==, 0);
        g_assert_cmpstr(output.text->str, ==, "before\r\nafter\r\nafter\r\n");
        line_close(&again);
        line_close(&output);
        garden_close(&garden);
}

/* Reads all that the process wrote, which must be `expect`, and its end. */
static void expect_output(Garden *garden, Line *control, const GardenPayload *first,
                          const char *expect) {
        g_auto(GardenPayload) last = { 0 };
        Line output;
        line_output(garden, first, "stdout?from=0", &output);
        line_drain(&output);
        g_assert_cmpstr(output.text->str, ==, expect);
        line_close(&output);
        line_message(control, &last);
        g_assert_cmpint(last.exit_status, ==, 0);
}

static void a_process_that_came_with_its_input_needs_no_client(void) {
        g_autoptr(House) house = house_open();
        Garden garden = { .house = house };
        Line control, again;
        g_auto(GardenPayload) second = { 0 };
        size_t length = 200 * 1024; /* more than a pipe holds by itself */
        if (!house)
                return;
        house_container(house, "box");
        garden_open(&garden);
        g_autofree char *input = g_strnfill(length, 'x');
        g_autofree char *encoded = g_base64_encode((const guchar *) input, length);
        g_autofree char *body = g_strdup_printf(
                "{\"id\":\"resource\",\"path\":\"sh\",\"args\":[\"-c\","
                "\"cat\"],\"weir_input\":\"%s\"}",
                encoded);
        line_open(&garden, "POST", "/containers/box/processes", body, &control);
        g_assert_cmpint(control.status, ==, 201);
        line_close(&control);

        line_open(&garden, "GET", "/containers/box/processes/resource", NULL, &again);
        line_message(&again, &second);
        expect_output(&garden, &again, &second, input);
        line_close(&again);
        garden_close(&garden);
}

static void input_ends_with_a_client_that_went_before_the_answer(void) {
        g_autoptr(House) house = house_open();
        Garden garden = { .house = house };
        Line control, again;
        g_auto(GardenPayload) second = { 0 };
        if (!house)
                return;
        house_container(house, "box");
        garden_open(&garden);
        line_open(&garden, "POST", "/containers/box/processes",
                  "{\"id\":\"resource\",\"path\":\"sh\",\"args\":[\"-c\",\"cat; echo over\"]}",
                  &control);
        struct linger at_once = { .l_onoff = 1 };
        setsockopt(control.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        line_close(&control); /* a reset: writing to it fails */

        line_open(&garden, "GET", "/containers/box/processes/resource", NULL, &again);
        line_message(&again, &second);
        expect_output(&garden, &again, &second, "over\n");
        line_close(&again);
        garden_close(&garden);
}

static void a_stopping_server_says_no_exit_status(void) {
        g_autoptr(House) house = house_open();
        Garden garden = { .house = house };
        Line control, again;
        g_auto(GardenPayload) first = { 0 }, second = { 0 };
        if (!house)
                return;
        house_container(house, "box");
        garden_open(&garden);
        line_open(&garden, "POST", "/containers/box/processes",
                  "{\"id\":\"task\",\"path\":\"sleep\",\"args\":[\"1000\"]}", &control);
        line_message(&control, &first);
        garden_close(&garden);
        g_assert_false(line_more(&control));
        g_assert_cmpuint(control.text->len, ==, 0);
        line_close(&control);

        house_restart(house);
        garden_open(&garden);
        line_open(&garden, "GET", "/containers/box/processes/task", NULL, &again);
        g_assert_cmpint(again.status, ==, 200);
        line_message(&again, &second);
        line_close(&again);
        garden_close(&garden);
}

static void an_unknown_stream_is_empty(void) {
        g_autoptr(House) house = house_open();
        Garden garden = { .house = house };
        Line output;
        if (!house)
                return;
        garden_open(&garden);
        line_open(&garden, "GET", "/containers/x/processes/y/attaches/999/stdout", NULL, &output);
        g_assert_cmpint(output.status, ==, 200);
        g_assert_false(line_more(&output));
        line_close(&output);
        garden_close(&garden);
}

static void garbage_from_a_client_ends_its_input_only(void) {
        g_autoptr(House) house = house_open();
        Garden garden = { .house = house };
        Line control;
        g_auto(GardenPayload) first = { 0 }, last = { 0 };
        if (!house)
                return;
        house_container(house, "box");
        garden_open(&garden);
        line_open(&garden, "POST", "/containers/box/processes",
                  "{\"path\":\"sh\",\"args\":[\"-c\",\"cat; exit 5\"]}", &control);
        line_message(&control, &first);
        say(&control, "this is not JSON\n");
        line_message(&control, &last);
        g_assert_cmpint(last.exit_status, ==, 5);
        line_close(&control);
        garden_close(&garden);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/garden/with-input", a_process_that_came_with_its_input_needs_no_client);
        g_test_add_func("/garden/input-ends", input_ends_with_a_client_that_went_before_the_answer);
        g_test_add_func("/garden/answers", answers_as_garden);
        g_test_add_func("/garden/process", a_process_is_three_connections);
        g_test_add_func("/garden/terminal", a_terminal_listens_and_is_resized);
        g_test_add_func("/garden/signal", a_signal_reaches_the_process);
        g_test_add_func("/garden/init-dies", the_death_of_process_1_is_an_error_that_names_it);
        g_test_add_func("/garden/bytes", any_byte_reaches_standard_input);
        g_test_add_func("/garden/hang-up",
                        a_hang_up_reaches_the_whole_group_also_after_the_end_of_input);
        g_test_add_func("/garden/attach", a_client_that_goes_leaves_the_process_running);
        g_test_add_func("/garden/stopping", a_stopping_server_says_no_exit_status);
        g_test_add_func("/garden/unknown", an_unknown_stream_is_empty);
        g_test_add_func("/garden/garbage", garbage_from_a_client_ends_its_input_only);
        return g_test_run();
}
