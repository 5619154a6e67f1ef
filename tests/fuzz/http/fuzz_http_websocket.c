/* Headers of WebSocket frames. An accepted one, written again, is the same. */
#include "http/websocket_frame.h"

#include <string.h>

#define PAYLOAD_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        WebSocketFrame frame;
        int code;
        if (!websocket_frame_parse(data, size, true, PAYLOAD_MAX, &frame, &code) || code)
                return 0;
        g_assert_cmpuint(frame.header, <=, size);
        g_assert_cmpuint(frame.length, <=, PAYLOAD_MAX);
        g_autofree uint8_t *payload = g_malloc0(frame.length + 1);
        g_autoptr(GByteArray) again = g_byte_array_new();
        websocket_frame_append(again, frame.opcode, frame.mask, payload, frame.length);
        if (frame.final)
                g_assert_cmpint(memcmp(again->data, data, frame.header), ==, 0);
        return 0;
}
