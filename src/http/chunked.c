#include "http/chunked.h"

#include "http/token.h"

enum {
        AT_SIZE,
        AT_EXTENSION,
        AT_SIZE_LF,
        AT_DATA,
        AT_DATA_CR,
        AT_DATA_LF,
        AT_TRAILER, /* the first byte of a line */
        AT_TRAILER_NAME,
        AT_TRAILER_VALUE,
        AT_TRAILER_LF,
        AT_END_LF,
        AT_DONE,
        AT_BAD,
};

static int after_size_byte(ChunkedDecoder *decoder, unsigned char byte) {
        int digit = g_ascii_xdigit_value((char) byte);
        if (digit >= 0) {
                if (++decoder->digits > CHUNK_DIGITS_MAX)
                        return AT_BAD;
                decoder->left = decoder->left << 4 | (uint64_t) digit;
                return decoder->left > INT64_MAX ? AT_BAD : AT_SIZE;
        }
        if (decoder->digits == 0)
                return AT_BAD;
        return byte == ';' ? AT_EXTENSION : byte == '\r' ? AT_SIZE_LF : AT_BAD;
}

static int after_extension_byte(ChunkedDecoder *decoder, unsigned char byte) {
        if (byte == '\r')
                return AT_SIZE_LF;
        if (!token_is_text(byte) || ++decoder->extra > CHUNK_EXTENSION_MAX)
                return AT_BAD;
        return AT_EXTENSION;
}

static int after_trailer_byte(ChunkedDecoder *decoder, unsigned char byte) {
        if (++decoder->extra > CHUNK_TRAILER_MAX)
                return AT_BAD;
        switch (decoder->state) {
        case AT_TRAILER:
                return byte == '\r' ? AT_END_LF : token_is_char(byte) ? AT_TRAILER_NAME : AT_BAD;
        case AT_TRAILER_NAME:
                return byte == ':'           ? AT_TRAILER_VALUE
                       : token_is_char(byte) ? AT_TRAILER_NAME
                                             : AT_BAD;
        default:
                return byte == '\r'          ? AT_TRAILER_LF
                       : token_is_text(byte) ? AT_TRAILER_VALUE
                                             : AT_BAD;
        }
}

static int after_byte(ChunkedDecoder *decoder, unsigned char byte) {
        switch (decoder->state) {
        case AT_SIZE:
                return after_size_byte(decoder, byte);
        case AT_EXTENSION:
                return after_extension_byte(decoder, byte);
        case AT_SIZE_LF:
                return byte != '\n' ? AT_BAD : decoder->left > 0 ? AT_DATA : AT_TRAILER;
        case AT_DATA_CR:
                return byte == '\r' ? AT_DATA_LF : AT_BAD;
        case AT_DATA_LF:
                return byte == '\n' ? AT_SIZE : AT_BAD;
        case AT_TRAILER_LF:
                return byte == '\n' ? AT_TRAILER : AT_BAD;
        case AT_END_LF:
                return byte == '\n' ? AT_DONE : AT_BAD;
        default:
                return after_trailer_byte(decoder, byte);
        }
}

ChunkedState chunked_feed(ChunkedDecoder *decoder, const char *bytes, size_t length,
                          size_t *ret_used, const char **ret_payload, size_t *ret_payload_length) {
        size_t at = 0;
        *ret_payload = NULL;
        *ret_payload_length = 0;
        while (at < length && decoder->state != AT_DONE && decoder->state != AT_BAD) {
                if (decoder->state == AT_DATA) {
                        size_t run = (size_t) MIN(decoder->left, (uint64_t) (length - at));
                        *ret_payload = bytes + at;
                        *ret_payload_length = run;
                        decoder->left -= run;
                        if (decoder->left == 0)
                                decoder->state = AT_DATA_CR;
                        at += run;
                        break;
                }
                int next = after_byte(decoder, (unsigned char) bytes[at++]);
                if (next == AT_SIZE && decoder->state == AT_DATA_LF) {
                        decoder->digits = 0;
                        decoder->extra = 0;
                        decoder->left = 0;
                } else if (next == AT_TRAILER && decoder->state == AT_SIZE_LF)
                        decoder->extra = 0;
                decoder->state = next;
        }
        *ret_used = at;
        return decoder->state == AT_DONE  ? CHUNKED_DONE
               : decoder->state == AT_BAD ? CHUNKED_BAD
                                          : CHUNKED_MORE;
}
