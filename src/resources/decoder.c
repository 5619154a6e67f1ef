#include "resources/decoder.h"

#include <string.h>
#include <zlib.h>
#include <zstd.h>

#define OUTPUT_SIZE ((size_t) 256 * 1024)
#define MAGIC_LENGTH 4
/* zlib's: any window, a gzip header. */
#define GZIP_WINDOW (15 + 16)

typedef enum { CODING_UNKNOWN, CODING_NONE, CODING_GZIP, CODING_ZSTD } Coding;

struct Decoder {
        DecoderSink sink;
        void *data;
        Coding coding;
        uint8_t magic[MAGIC_LENGTH];
        size_t magic_length;
        z_stream gzip;
        ZSTD_DStream *zstd;
        bool between; /* members or frames: the stream may end here */
        bool over;    /* what follows the last member is padding */
        uint8_t *output;
};

Decoder *decoder_new(DecoderSink sink, void *data) {
        Decoder *decoder = g_new0(Decoder, 1);
        decoder->sink = sink;
        decoder->data = data;
        decoder->output = g_malloc(OUTPUT_SIZE);
        return decoder;
}

void decoder_free(Decoder *decoder) {
        if (!decoder)
                return;
        if (decoder->coding == CODING_GZIP)
                inflateEnd(&decoder->gzip);
        ZSTD_freeDStream(decoder->zstd);
        g_free(decoder->output);
        g_free(decoder);
}

static bool add_gzip(Decoder *decoder, const uint8_t *bytes, size_t length, GError **error) {
        z_stream *gzip = &decoder->gzip;
        gzip->next_in = (uint8_t *) bytes;
        gzip->avail_in = (uInt) length;
        do {
                if (decoder->over || (decoder->between && gzip->avail_in == 0))
                        return true;
                if (decoder->between && *gzip->next_in == 0) { /* tape-like padding */
                        decoder->over = true;
                        return true;
                }
                decoder->between = false;
                gzip->next_out = decoder->output;
                gzip->avail_out = OUTPUT_SIZE;
                int status = inflate(gzip, Z_NO_FLUSH);
                if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR) {
                        g_set_error(error, ERROR, ERROR_INVALID, "gzip: %s",
                                    gzip->msg ? gzip->msg : "invalid data");
                        return false;
                }
                size_t made = OUTPUT_SIZE - gzip->avail_out;
                if (made > 0 && !decoder->sink(decoder->output, made, decoder->data, error))
                        return false;
                if (status == Z_STREAM_END) {
                        inflateReset(gzip);
                        decoder->between = true;
                }
        } while (gzip->avail_in > 0 || gzip->avail_out == 0);
        return true;
}

static bool add_zstd(Decoder *decoder, const uint8_t *bytes, size_t length, GError **error) {
        ZSTD_inBuffer input = { bytes, length, 0 };
        ZSTD_outBuffer output;
        do {
                output = (ZSTD_outBuffer){ decoder->output, OUTPUT_SIZE, 0 };
                size_t left = ZSTD_decompressStream(decoder->zstd, &output, &input);
                if (ZSTD_isError(left)) {
                        g_set_error(error, ERROR, ERROR_INVALID, "zstd: %s",
                                    ZSTD_getErrorName(left));
                        return false;
                }
                decoder->between = left == 0;
                if (output.pos > 0 &&
                    !decoder->sink(decoder->output, output.pos, decoder->data, error))
                        return false;
        } while (input.pos < input.size || output.pos == output.size);
        return true;
}

static bool add_known(Decoder *decoder, const uint8_t *bytes, size_t length, GError **error) {
        /* zlib counts its input in unsigned int. */
        for (size_t piece; length > 0; bytes += piece, length -= piece) {
                piece = MIN(length, (size_t) 1 << 30);
                bool ok = decoder->coding == CODING_GZIP ? add_gzip(decoder, bytes, piece, error)
                          : decoder->coding == CODING_ZSTD
                                  ? add_zstd(decoder, bytes, piece, error)
                                  : decoder->sink(bytes, piece, decoder->data, error);
                if (!ok)
                        return false;
        }
        return true;
}

static void start(Decoder *decoder) {
        static const uint8_t gzip[] = { 0x1f, 0x8b }, zstd[] = { 0x28, 0xb5, 0x2f, 0xfd };
        if (decoder->magic_length >= sizeof gzip &&
            memcmp(decoder->magic, gzip, sizeof gzip) == 0) {
                g_assert(inflateInit2(&decoder->gzip, GZIP_WINDOW) == Z_OK);
                decoder->coding = CODING_GZIP;
        } else if (decoder->magic_length == sizeof zstd &&
                   memcmp(decoder->magic, zstd, sizeof zstd) == 0) {
                decoder->zstd = ZSTD_createDStream();
                g_assert(decoder->zstd);
                decoder->coding = CODING_ZSTD;
        } else {
                decoder->coding = CODING_NONE;
                decoder->between = true;
        }
}

bool decoder_add(Decoder *decoder, const void *bytes, size_t length, GError **error) {
        if (decoder->coding == CODING_UNKNOWN) {
                size_t taken = MIN(length, MAGIC_LENGTH - decoder->magic_length);
                memcpy(decoder->magic + decoder->magic_length, bytes, taken);
                decoder->magic_length += taken;
                if (decoder->magic_length < MAGIC_LENGTH)
                        return true;
                start(decoder);
                bytes = (const uint8_t *) bytes + taken;
                length -= taken;
                if (!add_known(decoder, decoder->magic, decoder->magic_length, error))
                        return false;
        }
        return add_known(decoder, bytes, length, error);
}

bool decoder_finish(Decoder *decoder, GError **error) {
        if (decoder->coding == CODING_UNKNOWN) {
                start(decoder);
                if (!add_known(decoder, decoder->magic, decoder->magic_length, error))
                        return false;
        }
        if (decoder->between || decoder->over)
                return true;
        g_set_error(error, ERROR, ERROR_INVALID, "unexpected EOF");
        return false;
}
