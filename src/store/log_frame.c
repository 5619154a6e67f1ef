#include "store/log_frame.h"

#include <string.h>

#define STREAM_MAX UINT16_MAX

/* Reflected Castagnoli polynomial; four tables so that four bytes go at once. */
static uint32_t tables[4][256];

static void __attribute__((constructor)) crc32c_tables(void) {
        for (uint32_t i = 0; i < 256; i++) {
                uint32_t crc = i;
                for (int bit = 0; bit < 8; bit++)
                        crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78U : 0);
                tables[0][i] = crc;
        }
        for (uint32_t i = 0; i < 256; i++)
                for (int k = 1; k < 4; k++)
                        tables[k][i] = tables[k - 1][i] >> 8 ^ tables[0][tables[k - 1][i] & 255];
}

static uint32_t crc_portable(const uint8_t *bytes, size_t length, uint32_t crc) {
        for (; length >= 4; bytes += 4, length -= 4) {
                uint32_t word;
                memcpy(&word, bytes, sizeof word);
                crc ^= GUINT32_FROM_LE(word);
                crc = tables[3][crc & 255] ^ tables[2][crc >> 8 & 255] ^
                      tables[1][crc >> 16 & 255] ^ tables[0][crc >> 24];
        }
        while (length--)
                crc = crc >> 8 ^ tables[0][(crc ^ *bytes++) & 255];
        return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc_hardware(const uint8_t *bytes, size_t length,
                                                               uint32_t crc) {
        uint64_t wide = crc;
        for (; length >= 8; bytes += 8, length -= 8) {
                uint64_t word;
                memcpy(&word, bytes, sizeof word);
                wide = __builtin_ia32_crc32di(wide, word);
        }
        crc = (uint32_t) wide;
        while (length--)
                crc = __builtin_ia32_crc32qi(crc, *bytes++);
        return crc;
}
#endif

uint32_t crc32c(const void *data, size_t length) {
#if defined(__x86_64__)
        if (__builtin_cpu_supports("sse4.2"))
                return ~crc_hardware(data, length, ~0U);
#endif
        return ~crc_portable(data, length, ~0U);
}

/* length and CRC of the body; the body is: length of the stream's name, and if it is not 0 the
 * offset and the name; then the event. All little endian. */
void frame_append(GByteArray *out, const Frame *frame) {
        g_assert(frame->stream_length <= STREAM_MAX && frame->event_length < FRAME_MAX);
        uint16_t stream_length = GUINT16_TO_LE((uint16_t) frame->stream_length);
        int64_t offset = GINT64_TO_LE(frame->offset);
        guint start = out->len;

        g_byte_array_set_size(out, start + FRAME_HEADER);
        g_byte_array_append(out, (const uint8_t *) &stream_length, sizeof stream_length);
        if (frame->stream_length > 0) {
                g_byte_array_append(out, (const uint8_t *) &offset, sizeof offset);
                g_byte_array_append(out, (const uint8_t *) frame->stream,
                                    (guint) frame->stream_length);
        }
        g_byte_array_append(out, (const uint8_t *) frame->event, (guint) frame->event_length);

        uint32_t length = out->len - start - FRAME_HEADER;
        uint32_t header[2] = { GUINT32_TO_LE(length),
                               GUINT32_TO_LE(crc32c(out->data + start + FRAME_HEADER, length)) };
        memcpy(out->data + start, header, sizeof header);
}

static bool body_read(const uint8_t *body, size_t length, Frame *ret) {
        uint16_t stream_length;
        if (length < sizeof stream_length)
                return false;
        memcpy(&stream_length, body, sizeof stream_length);
        stream_length = GUINT16_FROM_LE(stream_length);
        size_t used = sizeof stream_length;
        *ret = (Frame){ 0 };
        if (stream_length > 0) {
                if (length < used + sizeof ret->offset + stream_length)
                        return false;
                memcpy(&ret->offset, body + used, sizeof ret->offset);
                ret->offset = GINT64_FROM_LE(ret->offset);
                used += sizeof ret->offset;
                ret->stream = (const char *) body + used;
                ret->stream_length = stream_length;
                used += stream_length;
        }
        ret->event = (const char *) body + used;
        ret->event_length = length - used;
        return true;
}

FrameState frame_read(const void *data, size_t length, size_t *position, Frame *ret) {
        const uint8_t *bytes = (const uint8_t *) data + *position;
        size_t left = length - *position;
        uint32_t header[2];
        if (left == 0)
                return FRAME_NONE;
        if (left < FRAME_HEADER)
                return FRAME_TORN;
        memcpy(header, bytes, sizeof header);
        size_t body = GUINT32_FROM_LE(header[0]);
        if (body > FRAME_MAX || left - FRAME_HEADER < body ||
            crc32c(bytes + FRAME_HEADER, body) != GUINT32_FROM_LE(header[1]) ||
            !body_read(bytes + FRAME_HEADER, body, ret))
                return FRAME_TORN;
        *position += FRAME_HEADER + body;
        return FRAME_WHOLE;
}
