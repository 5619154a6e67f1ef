/* Base64: what decodes must come out of the encoder as the same bytes. */
#include "base/crypto.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autofree char *text = g_strndup((const char *) data, size);
        g_autoptr(GBytes) bytes = crypto_base64_decode(text, NULL);
        if (!bytes)
                return 0;
        size_t length;
        const void *decoded = g_bytes_get_data(bytes, &length);
        g_autofree char *standard = crypto_base64(decoded, length);
        g_autofree char *url = crypto_base64url(decoded, length);
        g_autoptr(GBytes) first = crypto_base64_decode(standard, NULL);
        g_autoptr(GBytes) second = crypto_base64_decode(url, NULL);
        g_assert(g_bytes_equal(bytes, first) && g_bytes_equal(bytes, second));
        return 0;
}
