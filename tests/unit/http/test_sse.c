#include "http/sse.h"

#include <string.h>

static void frames_as_upstream_does(void) {
        static const struct {
                const char *id, *event, *data, *text;
        } cases[] = {
                { "0", "event", "{}", "id: 0\nevent: event\ndata: {}\n\n" },
                { "7", "end", "", "id: 7\nevent: end\ndata\n\n" },
                { NULL, "event", "a\nb", "event: event\ndata: a\ndata: b\n\n" },
                { NULL, "event", "a\n", "event: event\ndata: a\ndata\n\n" },
                { "1\ndata: forged", "x\r", "y", "id: 1data: forged\nevent: x\ndata: y\n\n" },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GString) text = g_string_new(NULL);
                sse_append(text, cases[i].id, cases[i].event, cases[i].data, strlen(cases[i].data));
                g_assert_cmpstr(text->str, ==, cases[i].text);
        }
}

static bool note(const SseMessage *message, void *data, GError **error) {
        g_string_append_printf(data, "[%s|%s|%.*s]", message->id ? message->id : "-",
                               message->event ? message->event : "-", (int) message->length,
                               message->data);
        return true;
}

static void reads_in_any_cut(void) {
        static const struct {
                const char *text, *seen;
        } cases[] = {
                { "id: 0\nevent: event\ndata: {}\n\nid: 7\nevent: end\ndata\n\n",
                  "[0|event|{}][7|end|]" },
                { "data:a\r\ndata: b\r\n\r\n: comment\rdata:  c\r\r", "[-|-|a\nb][-|-| c]" },
                { "\xef\xbb\xbf"
                  "data: x\n\n\n\nid: 3\n\ndata: y\nretry: 4\nother\n\n",
                  "[-|-|x][-|-|y]" },
                { "data: cut off\n", "" },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
                for (size_t cut = 0; cut <= strlen(cases[i].text); cut++) {
                        g_autoptr(GString) seen = g_string_new(NULL);
                        g_autoptr(SseReader) reader = sse_reader_new(1000, note, seen);
                        size_t length = strlen(cases[i].text);
                        g_assert_true(sse_reader_feed(reader, cases[i].text, cut, NULL));
                        g_assert_true(
                                sse_reader_feed(reader, cases[i].text + cut, length - cut, NULL));
                        g_assert_cmpstr(seen->str, ==, cases[i].seen);
                }
}

static void stops_at_its_limit(void) {
        g_autoptr(GString) seen = g_string_new(NULL);
        g_autoptr(SseReader) reader = sse_reader_new(100, note, seen);
        g_autoptr(GError) error = NULL;
        g_autofree char *text = g_strnfill(1000, 'x');
        g_assert_true(sse_reader_feed(reader, "data: ", 6, NULL));
        g_assert_false(sse_reader_feed(reader, text, 1000, &error));
        g_assert_error(error, ERROR, ERROR_LIMIT);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/sse/append", frames_as_upstream_does);
        g_test_add_func("/sse/reader", reads_in_any_cut);
        g_test_add_func("/sse/limit", stops_at_its_limit);
        return g_test_run();
}
