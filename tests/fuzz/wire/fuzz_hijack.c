#include "wire/hijack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is accepted can be written, and reads back as the same. */
static void try_input(const char *text, size_t size) {
        g_auto(HijackInput) input = { 0 }, again = { 0 };
        g_autoptr(GString) first = g_string_new(NULL), second = g_string_new(NULL);
        if (!hijack_input_parse(text, size, &input, NULL))
                return;
        hijack_input_append(first, &input);
        g_assert(hijack_input_parse(first->str, first->len, &again, NULL));
        hijack_input_append(second, &again);
        g_assert_cmpstr(first->str, ==, second->str);
}

static void try_output(const char *text, size_t size) {
        g_auto(HijackOutput) output = { 0 }, again = { 0 };
        g_autoptr(GString) first = g_string_new(NULL), second = g_string_new(NULL);
        if (!hijack_output_parse(text, size, &output, NULL))
                return;
        hijack_output_append(first, &output);
        g_assert(hijack_output_parse(first->str, first->len, &again, NULL));
        hijack_output_append(second, &again);
        g_assert_cmpstr(first->str, ==, second->str);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        try_input((const char *) data, size);
        try_output((const char *) data, size);
        return 0;
}
