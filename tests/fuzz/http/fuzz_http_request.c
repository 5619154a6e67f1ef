/* The head of a request. What is accepted must not depend on how the bytes were cut. */
#include "http/server/parser.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Returns the status that refuses, 0 when accepted (then *ret is to be cleared), -1 for more. */
static int parse(const char *bytes, size_t length, size_t step, RequestHead *ret) {
        HeadScanner scanner = { 0 };
        int status = -1;
        for (size_t at = 0; at < length;) {
                size_t used;
                HeadState state = head_scan(&scanner, bytes + at, MIN(step, length - at), &used,
                                            &status);
                g_assert_cmpuint(used, <=, MIN(step, length - at));
                at += used;
                if (state == HEAD_WHOLE)
                        return head_parse(&scanner, ret);
                if (state == HEAD_BAD)
                        break;
                g_assert_cmpuint(used, >, 0);
                status = -1;
        }
        head_scanner_clear(&scanner);
        return status;
}

static void check_accepted(const RequestHead *head) {
        g_assert_true(!head->chunked || head->content_length == -1);
        for (size_t i = 0; i < head->segments_length; i++)
                g_assert_cmpstr(head->segments[i], !=, "..");
        for (size_t i = 0; i < head->fields_length; i++)
                g_assert_null(strpbrk(head->fields[i].value, "\r\n"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        RequestHead whole = { 0 }, cut = { 0 };
        int status = parse((const char *) data, size, SIZE_MAX, &whole);
        g_assert_cmpint(parse((const char *) data, size, 1, &cut), ==, status);
        if (status == 0) {
                check_accepted(&whole);
                g_assert_cmpstr(whole.path, ==, cut.path);
                g_assert_cmpuint(whole.fields_length, ==, cut.fields_length);
        }
        request_head_clear(&whole);
        request_head_clear(&cut);
        return 0;
}
