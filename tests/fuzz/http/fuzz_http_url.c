/* Instance vars as they come in a query. What is read and written again reads the same. */
#include "base/json.h"
#include "http/url.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autofree char *text = g_strndup((const char *) data, size);
        g_auto(GStrv) lines = g_strsplit(text, "\n", 32);
        const char *names[16], *values[16];
        size_t count = 0;
        for (size_t i = 0; lines[i] && lines[i + 1] && count < 16; i += 2, count++) {
                names[count] = lines[i];
                values[count] = lines[i + 1];
        }
        g_autoptr(Value) vars = url_parse_instance_vars(names, values, count, NULL);
        g_autofree char *query = url_instance_vars(vars);
        g_autofree char *decoded = url_decode(query, strlen(query), true, NULL);
        g_assert_nonnull(decoded);
        g_autofree char *raw = url_decode(text, strlen(text), false, NULL);
        if (raw) {
                g_autofree char *encoded = url_encode_path(raw);
                g_autofree char *again = url_decode(encoded, strlen(encoded), false, NULL);
                g_assert_cmpstr(again, ==, raw);
        }
        return 0;
}
