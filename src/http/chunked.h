/* Takes the framing off a chunked body (RFC 9112 §7.1): incremental, strict, pure. */
#pragma once

#include "base/error.h"

#define CHUNK_DIGITS_MAX 16
#define CHUNK_EXTENSION_MAX 256
#define CHUNK_TRAILER_MAX 8192 /* of all trailer lines; they are checked and thrown away */

/* Zeroed: at the start of a body. */
typedef struct {
        int state;
        unsigned digits;
        size_t extra; /* bytes of this extension, or of the trailer */
        uint64_t left;
} ChunkedDecoder;

typedef enum { CHUNKED_MORE, CHUNKED_DONE, CHUNKED_BAD } ChunkedState;

/*
 * Looks at bytes until a run of payload, the end of the body, an error or the end of bytes.
 * *ret_used is how many it took; *ret_payload_length of them, at *ret_payload, are payload (may be
 * 0). Call again with the rest. After DONE the rest belongs to what follows the body.
 */
ChunkedState chunked_feed(ChunkedDecoder *decoder, const char *bytes, size_t length,
                          size_t *ret_used, const char **ret_payload, size_t *ret_payload_length);
