/* JSON: what is read must be written to a text that reads as the same. */
#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const JsonFlags flags[] = { JSON_COMPACT, JSON_SORTED | JSON_INDENT, JSON_NO_HTML };
        g_autoptr(Value) value = json_parse((const char *) data, size, NULL, NULL);

        for (size_t i = 0; value && i < G_N_ELEMENTS(flags); i++) {
                size_t length;
                g_autofree char *text = json_write(value, flags[i], &length);
                g_autoptr(GError) error = NULL;
                g_autoptr(Value) again = json_parse(text, length, NULL, &error);
                g_assert_no_error(error);
                g_assert_true(value_equal(value, again));
        }
        return 0;
}
