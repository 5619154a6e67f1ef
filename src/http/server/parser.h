/* The head of a request: strict, bounded, pure. What it refuses and why: http/README.md. */
#pragma once

#include "base/error.h"

#define HEAD_LINE_MAX (16 * 1024) /* of the request line: 414 */
#define HEAD_MAX (64 * 1024)      /* of the whole head: 431 */
#define HEAD_FIELDS_MAX 128       /* header lines: 431 */
#define HEAD_METHOD_MAX 32

/* Gathers the lines of a head as they come. Zeroed: at the start of a request. */
typedef struct {
        GString *text; /* NULL until the first byte */
        size_t line;   /* where the unfinished line begins in it */
        size_t lines;  /* finished ones */
        bool skipped;  /* the one empty line a client may send before its request */
} HeadScanner;

typedef enum { HEAD_MORE, HEAD_WHOLE, HEAD_BAD } HeadState;

/* Takes bytes up to the end of the head; *ret_used is how many. BAD: *ret_status is the answer
 * (400, 414, 431). */
HeadState head_scan(HeadScanner *scanner, const char *bytes, size_t length, size_t *ret_used,
                    int *ret_status);
void head_scanner_clear(HeadScanner *scanner);

typedef struct {
        const char *name, *value;
} HeadField;

typedef struct {
        char *text; /* owned; the pointers below look into it */
        const char *method, *path, *query;
        int minor; /* HTTP/1.minor */
        HeadField *fields;
        size_t fields_length;
        char **segments; /* of the path, decoded */
        size_t segments_length;
        int64_t content_length; /* -1: none given */
        bool chunked, keep_alive, expects_continue;
} RequestHead;

/* Reads a whole head (takes the scanner's text). Returns 0, or the status that refuses it: 400, 417,
 * 431, 501, 505. */
int head_parse(HeadScanner *scanner, RequestHead *ret);
void request_head_clear(RequestHead *head);
/* The first value of the field, any case; NULL when absent. */
const char *head_field(const RequestHead *head, const char *name);
