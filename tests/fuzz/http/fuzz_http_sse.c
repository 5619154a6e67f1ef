/* The event stream reader: the same messages, however the bytes are cut. */
#include "http/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool note(const SseMessage *message, void *data, GError **error) {
        g_string_append_printf(data, "[%s|%s|", message->id ? message->id : "-",
                               message->event ? message->event : "-");
        g_string_append_len(data, message->data, (gssize) message->length);
        return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autoptr(GString) whole = g_string_new(NULL);
        g_autoptr(GString) cut = g_string_new(NULL);
        g_autoptr(SseReader) reader = sse_reader_new(1024, note, whole);
        g_autoptr(SseReader) slow = sse_reader_new(1024, note, cut);
        bool ok = sse_reader_feed(reader, data, size, NULL);
        bool slow_ok = true;
        for (size_t i = 0; i < size && slow_ok; i++)
                slow_ok = sse_reader_feed(slow, data + i, 1, NULL);
        g_assert_cmpint(ok, ==, slow_ok);
        g_assert_true(g_string_equal(whole, cut));
        return 0;
}
