#include "http/websocket_frame.h"

#include <string.h>

#define CONTROL_MAX 125

static uint64_t read_number(const uint8_t *bytes, size_t length) {
        uint64_t number = 0;
        for (size_t i = 0; i < length; i++)
                number = number << 8 | bytes[i];
        return number;
}

static bool opcode_known(int opcode) {
        return opcode <= FRAME_BINARY || (opcode >= FRAME_SHUT && opcode <= FRAME_PONG);
}

bool websocket_frame_parse(const uint8_t *bytes, size_t length, bool from_client,
                           size_t payload_max, WebSocketFrame *ret, int *ret_code) {
        if (length < 2)
                return false;
        unsigned first = bytes[1] & 0x7f;
        size_t size_bytes = first == 126 ? 2 : first == 127 ? 8 : 0;
        WebSocketFrame frame = { .final = bytes[0] & 0x80,
                                 .masked = bytes[1] & 0x80,
                                 .opcode = bytes[0] & 0x0f };
        *ret_code = 1002;
        *ret = frame;
        bool control = frame.opcode >= FRAME_SHUT;
        if (bytes[0] & 0x70 || !opcode_known(frame.opcode) || frame.masked != from_client ||
            (control && (!frame.final || first > CONTROL_MAX)))
                return true;
        frame.header = 2 + size_bytes + (frame.masked ? 4 : 0);
        if (length < frame.header)
                return false;
        uint64_t payload = size_bytes ? read_number(bytes + 2, size_bytes) : first;
        bool shortest = size_bytes == 0 || payload > (size_bytes == 2 ? 125 : 65535);
        if (!shortest || payload >> 63)
                return true;
        *ret_code = payload > payload_max ? 1009 : 0;
        frame.length = (size_t) payload;
        for (size_t i = 0; frame.masked && i < 4; i++)
                frame.mask[i] = bytes[2 + size_bytes + i];
        *ret = frame;
        return true;
}

void websocket_mask(uint8_t *payload, size_t length, const uint8_t mask[4]) {
        for (size_t i = 0; i < length; i++)
                payload[i] ^= mask[i & 3];
}

void websocket_frame_append(GByteArray *out, int opcode, const uint8_t *mask, const void *payload,
                            size_t length) {
        uint8_t head[10] = { (uint8_t) (0x80 | opcode) };
        unsigned used = length < 126 ? 2 : length < 65536 ? 4 : 10;
        head[1] = (uint8_t) (length < 126 ? length : length < 65536 ? 126 : 127);
        for (unsigned i = 2; i < used; i++)
                head[i] = (uint8_t) (length >> 8 * (used - 1 - i));
        head[1] |= mask ? 0x80 : 0;
        g_byte_array_append(out, head, used);
        if (mask)
                g_byte_array_append(out, mask, 4);
        guint start = out->len;
        if (length > 0)
                g_byte_array_append(out, payload, (guint) length);
        if (mask)
                websocket_mask(out->data + start, length, mask);
}

char *websocket_accept_key(const char *key) {
        static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
        uint8_t digest[20];
        gsize length = sizeof digest;
        g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA1);
        g_checksum_update(checksum, (const guchar *) key, (gssize) strlen(key));
        g_checksum_update(checksum, (const guchar *) guid, sizeof guid - 1);
        g_checksum_get_digest(checksum, digest, &length);
        return g_base64_encode(digest, length);
}
