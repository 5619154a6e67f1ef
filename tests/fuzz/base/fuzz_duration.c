/* Durations: what is read must be formatted to a text that reads as the same. */
#include "base/duration.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autofree char *text = g_strndup((const char *) data, size);
        Duration duration, again;

        if (!duration_parse(text, &duration, NULL))
                return 0;
        g_autofree char *formatted = duration_format(duration);
        g_assert_true(duration_parse(formatted, &again, NULL));
        g_assert_cmpint(duration, ==, again);
        return 0;
}
