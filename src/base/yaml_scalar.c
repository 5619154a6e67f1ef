#include "base/yaml_scalar.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static const char *const truths[] = {
        "y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON",
};
static const char *const lies[] = {
        "n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF",
};
static const char *const nulls[] = { "", "~", "null", "Null", "NULL" };

static const struct {
        const char *text, *special;
} specials[] = {
        { ".nan", "NaN" },   { ".NaN", "NaN" },   { ".NAN", "NaN" },   { ".inf", "+Inf" },
        { ".Inf", "+Inf" },  { ".INF", "+Inf" },  { "+.inf", "+Inf" }, { "+.Inf", "+Inf" },
        { "+.INF", "+Inf" }, { "-.inf", "-Inf" }, { "-.Inf", "-Inf" }, { "-.INF", "-Inf" },
};

static bool is_one_of(const char *text, const char *const *list, size_t count) {
        for (size_t i = 0; i < count; i++)
                if (g_str_equal(text, list[i]))
                        return true;
        return false;
}

/* Go's ParseInt with base 0: 0x, 0o, 0b and a leading 0 for octal. digits is behind sign and prefix. */
static const char *find_base(const char *text, int *ret_base) {
        static const struct {
                char letter;
                int base;
        } prefixes[] = { { 'x', 16 }, { 'o', 8 }, { 'b', 2 } };

        *ret_base = 10;
        if (*text != '0' || text[1] == '\0')
                return text;
        for (size_t i = 0; i < G_N_ELEMENTS(prefixes); i++)
                if (g_ascii_tolower(text[1]) == prefixes[i].letter) {
                        *ret_base = prefixes[i].base;
                        return text + 2;
                }
        *ret_base = 8;
        return text + 1;
}

/* Signed within int64, unsigned beyond. NULL: not an integer. */
static Value *integer(const char *text) {
        bool negative = *text == '-';
        const char *digits = text + (*text == '-' || *text == '+');
        char *end, literal[24];
        int base;

        digits = find_base(digits, &base);
        if (!g_ascii_isxdigit(*digits))
                return NULL;
        errno = 0;
        guint64 magnitude = g_ascii_strtoull(digits, &end, (guint) base);
        if (errno != 0 || *end != '\0')
                return NULL;
        if (negative && magnitude > (guint64) 1 << 63)
                return NULL;
        if (*text == '+' && magnitude > INT64_MAX) /* ParseUint takes no sign */
                return NULL;
        g_snprintf(literal, sizeof literal, "%s%" G_GUINT64_FORMAT,
                   negative && magnitude ? "-" : "", magnitude);
        return value_number(literal);
}

/* [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? */
static bool is_float(const char *text) {
        size_t whole, decimals = 0;

        text += *text == '-' || *text == '+';
        whole = strspn(text, "0123456789");
        text += whole;
        if (*text == '.') {
                decimals = strspn(++text, "0123456789");
                text += decimals;
        }
        if (whole == 0 && decimals == 0)
                return false;
        if (*text == 'e' || *text == 'E') {
                text++;
                text += *text == '-' || *text == '+';
                if (!g_ascii_isdigit(*text))
                        return false;
                text += strspn(text, "0123456789");
        }
        return *text == '\0';
}

static Value *number(const char *text) {
        g_autofree char *plain = g_malloc(strlen(text) + 1);
        char *out = plain;

        for (const char *cursor = text; *cursor; cursor++)
                if (*cursor != '_')
                        *out++ = *cursor;
        *out = '\0';
        Value *value = integer(plain);
        if (value || !is_float(plain))
                return value;
        double parsed = g_ascii_strtod(plain, NULL);
        return isfinite(parsed) ? value_float(parsed) : NULL; /* too large: text */
}

Value *yaml_scalar(const char *text, size_t length, const char **ret_special) {
        Value *value = NULL;

        *ret_special = NULL;
        if (memchr(text, '\0', length))
                return value_string_sized(text, length);
        if (is_one_of(text, truths, G_N_ELEMENTS(truths)))
                return value_bool(true);
        if (is_one_of(text, lies, G_N_ELEMENTS(lies)))
                return value_bool(false);
        if (is_one_of(text, nulls, G_N_ELEMENTS(nulls)))
                return value_null();
        for (size_t i = 0; i < G_N_ELEMENTS(specials); i++)
                if (g_str_equal(text, specials[i].text)) {
                        *ret_special = specials[i].special;
                        return value_string(specials[i].special);
                }
        if (g_ascii_isdigit(*text) || strchr("+-.", *text))
                value = number(text);
        return value ? value : value_string_sized(text, length);
}
