#include "http/chunked.h"

#include <string.h>

/* Feeds the text in two pieces; returns new payload, *ret_used bytes were the body's. */
static char *decode(const char *text, size_t cut, ChunkedState *ret_state, size_t *ret_used) {
        ChunkedDecoder decoder = { 0 };
        GString *payload = g_string_new(NULL);
        size_t ends[] = { cut, strlen(text) };
        size_t at = 0;
        *ret_state = CHUNKED_MORE;
        for (size_t i = 0; i < 2; i++)
                while (at < ends[i] && *ret_state == CHUNKED_MORE) {
                        size_t used, length;
                        const char *run;
                        *ret_state = chunked_feed(&decoder, text + at, ends[i] - at, &used, &run,
                                                  &length);
                        g_assert_cmpuint(used, >, 0);
                        g_string_append_len(payload, run, (gssize) length);
                        at += used;
                }
        *ret_used = at;
        return g_string_free(payload, false);
}

static void decodes_in_any_cut(void) {
        static const struct {
                const char *text, *payload;
                ChunkedState state;
                size_t rest; /* bytes that are not the body's */
        } cases[] = {
                { "3\r\nabc\r\n0\r\n\r\nrest", "abc", CHUNKED_DONE, 4 },
                { "0\r\n\r\n", "", CHUNKED_DONE, 0 },
                { "A;x=\"y\"\r\n0123456789\r\n00\r\nT: x\r\nU:\r\n\r\n", "0123456789", CHUNKED_DONE,
                  0 },
                { "3\r\nabc\r\n", "abc", CHUNKED_MORE, 0 },
                { "3\r\nab", "ab", CHUNKED_MORE, 0 },
                { "3\r\nabc\r\n0\r\n\r", "abc", CHUNKED_MORE, 0 },
                { "3\r\nabcd", "abc", CHUNKED_BAD, 0 },
                { "0\r\nbad trailer\r\n", "", CHUNKED_BAD, 0 },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
                for (size_t cut = 0; cut <= strlen(cases[i].text); cut++) {
                        ChunkedState state;
                        size_t used;
                        g_autofree char *payload = decode(cases[i].text, cut, &state, &used);
                        g_assert_cmpint(state, ==, cases[i].state);
                        g_assert_cmpstr(payload, ==, cases[i].payload);
                        if (state == CHUNKED_DONE)
                                g_assert_cmpuint(strlen(cases[i].text) - used, ==, cases[i].rest);
                }
}

static void limits_trailers(void) {
        ChunkedState state;
        size_t used;
        g_autofree char *value = g_strnfill(CHUNK_TRAILER_MAX, 'x');
        g_autofree char *text = g_strdup_printf("0\r\nT: %s\r\n\r\n", value);
        g_autofree char *payload = decode(text, 10, &state, &used);
        g_assert_cmpint(state, ==, CHUNKED_BAD);
        g_assert_cmpstr(payload, ==, "");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/chunked/decode", decodes_in_any_cut);
        g_test_add_func("/chunked/trailer", limits_trailers);
        return g_test_run();
}
