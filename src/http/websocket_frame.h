/* Frames of RFC 6455 §5: strict and pure. */
#pragma once

#include "base/error.h"

typedef struct {
        bool final, masked;
        int opcode;
        uint8_t mask[4];
        size_t header; /* bytes before the payload */
        size_t length; /* of the payload */
} WebSocketFrame;

enum {
        FRAME_CONTINUATION = 0,
        FRAME_TEXT = 1,
        FRAME_BINARY = 2,
        FRAME_SHUT = 8,
        FRAME_PING = 9,
        FRAME_PONG = 10,
};

/*
 * Reads a frame's header from the front of bytes. Returns false when it is not all there. A header
 * that breaks the protocol, or a payload over payload_max, is *ret_code 1002 or 1009 (and true); else
 * *ret_code is 0.
 */
bool websocket_frame_parse(const uint8_t *bytes, size_t length, bool from_client,
                           size_t payload_max, WebSocketFrame *ret, int *ret_code);
/* mask NULL: a server's frame. */
void websocket_frame_append(GByteArray *out, int opcode, const uint8_t *mask, const void *payload,
                            size_t length);
/* What a server answers to this Sec-WebSocket-Key. Returns new. */
char *websocket_accept_key(const char *key);
void websocket_mask(uint8_t *payload, size_t length, const uint8_t mask[4]);
