#include "resources/decoder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The most that one input may become: bombs are the disk's problem, not the decoder's. */
#define UNPACKED_MAX ((size_t) 64 << 20)

static bool count(const void *bytes, size_t length, void *data, GError **error) {
        size_t *total = data;
        *total += length;
        if (*total > UNPACKED_MAX)
                g_set_error(error, ERROR, ERROR_LIMIT, "enough");
        return *total <= UNPACKED_MAX;
}

/* The first byte says how large the pieces are. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        if (size == 0)
                return 0;
        size_t piece = (size_t) data[0] + 1, total = 0;
        g_autoptr(Decoder) decoder = decoder_new(count, &total);
        bool ok = true;
        for (size_t at = 1; ok && at < size; at += piece)
                ok = decoder_add(decoder, data + at, MIN(piece, size - at), NULL);
        if (ok)
                decoder_finish(decoder, NULL);
        return 0;
}
