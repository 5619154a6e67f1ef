/* YAML: no text is too much, and a template that was written is written alike when it is read again. */
#include "base/yaml.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Texts that are not read again as they are: a quoted "<<" becomes a merge, line separators are folded. */
static bool is_plain(const uint8_t *data, size_t size) {
        return !memmem(data, size, "<<", 2) && !memmem(data, size, "\\", 1) &&
               !memmem(data, size, "\xe2\x80", 2) && !memmem(data, size, "\xc2\x85", 2) &&
               !memmem(data, size, "!!", 2);
}

/* Reads and writes a template. Returns new; NULL when it cannot be read. */
static char *rewrite(const char *text, size_t size, const YamlLimits *limits) {
        g_autoptr(Value) value = yaml_parse(text, size, limits, YAML_TEMPLATE, NULL);
        g_autoptr(GError) error = NULL;
        char *written = value ? yaml_write_template(value, &error) : NULL;

        g_assert_no_error(error);
        return written;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const char *text = (const char *) data;
        const YamlLimits limits = { .bytes = 1 << 16, .depth = 50, .nodes = 10000 };

        yaml_check_keys(text, size, &limits, NULL);
        g_autoptr(Value) strict = yaml_parse(text, size, &limits, YAML_STRICT_KEYS, NULL);
        g_autoptr(Value) value = yaml_parse(text, size, &limits, YAML_DEFAULT, NULL);
        g_assert_true(!strict || value_equal(strict, value));
        G_GNUC_UNUSED g_autofree char *plain = value ? yaml_write(value, NULL) : NULL;

        /* Numbers may lose their sign or point the first time (-0., 1e6). */
        g_autofree char *first = rewrite(text, size, &limits);
        if (!first || !is_plain(data, size))
                return 0;
        g_autofree char *second = rewrite(first, strlen(first), NULL);
        g_assert_nonnull(second);
        g_autofree char *third = rewrite(second, strlen(second), NULL);
        g_assert_cmpstr(second, ==, third);
        return 0;
}
