/* Keys: what is read must be written and read again as the same. */
#include "base/crypto.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autoptr(Key) key = key_parse((const char *) data, size, NULL);
        if (!key)
                return 0;
        g_autofree char *pem = key_public_pem(key);
        g_autoptr(Key) again = key_parse(pem, strlen(pem), NULL);
        g_assert(again);
        g_autofree char *twice = key_public_pem(again);
        g_assert(g_str_equal(pem, twice));
        key_verify(key, "text", 4, pem);
        return 0;
}
