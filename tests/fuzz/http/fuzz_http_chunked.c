/* The chunked decoder: the same payload and end, however the bytes are cut. */
#include "http/chunked.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ChunkedState decode(const char *bytes, size_t length, size_t step, GString *payload,
                           size_t *ret_at) {
        ChunkedDecoder decoder = { 0 };
        ChunkedState state = CHUNKED_MORE;
        *ret_at = 0;
        while (*ret_at < length && state == CHUNKED_MORE) {
                size_t used, run_length;
                const char *run;
                state = chunked_feed(&decoder, bytes + *ret_at, MIN(step, length - *ret_at), &used,
                                     &run, &run_length);
                g_assert_cmpuint(used, >, 0);
                g_assert_cmpuint(run_length, <=, used);
                g_string_append_len(payload, run, (gssize) run_length);
                *ret_at += used;
        }
        return state;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autoptr(GString) whole = g_string_new(NULL);
        g_autoptr(GString) cut = g_string_new(NULL);
        size_t whole_at, cut_at;
        ChunkedState state = decode((const char *) data, size, SIZE_MAX, whole, &whole_at);
        g_assert_cmpint(decode((const char *) data, size, 1, cut, &cut_at), ==, state);
        g_assert_cmpuint(whole_at, ==, cut_at);
        g_assert_true(g_string_equal(whole, cut));
        return 0;
}
