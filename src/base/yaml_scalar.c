#include "base/yaml_scalar.h"

#include "base/number.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The powers of ten from which Go's %g writes an exponent when it may choose the digits. */
#define EXPONENT_FROM 6

/* Words with a meaning. A first letter outside those of the table is never looked up: "<<" is a string here. */
static const struct {
        const char *word;
        ScalarKind kind;
        bool boolean;
} words[] = {
        { "", SCALAR_NULL },
        { "~", SCALAR_NULL },
        { "null", SCALAR_NULL },
        { "Null", SCALAR_NULL },
        { "NULL", SCALAR_NULL },
        { "y", SCALAR_BOOL, true },
        { "Y", SCALAR_BOOL, true },
        { "yes", SCALAR_BOOL, true },
        { "Yes", SCALAR_BOOL, true },
        { "YES", SCALAR_BOOL, true },
        { "true", SCALAR_BOOL, true },
        { "True", SCALAR_BOOL, true },
        { "TRUE", SCALAR_BOOL, true },
        { "on", SCALAR_BOOL, true },
        { "On", SCALAR_BOOL, true },
        { "ON", SCALAR_BOOL, true },
        { "n", SCALAR_BOOL, false },
        { "N", SCALAR_BOOL, false },
        { "no", SCALAR_BOOL, false },
        { "No", SCALAR_BOOL, false },
        { "NO", SCALAR_BOOL, false },
        { "false", SCALAR_BOOL, false },
        { "False", SCALAR_BOOL, false },
        { "FALSE", SCALAR_BOOL, false },
        { "off", SCALAR_BOOL, false },
        { "Off", SCALAR_BOOL, false },
        { "OFF", SCALAR_BOOL, false },
};

static const struct {
        const char *word;
        double number;
} constants[] = {
        { ".nan", NAN },        { ".NaN", NAN },        { ".NAN", NAN },
        { ".inf", INFINITY },   { ".Inf", INFINITY },   { ".INF", INFINITY },
        { "+.inf", INFINITY },  { "+.Inf", INFINITY },  { "+.INF", INFINITY },
        { "-.inf", -INFINITY }, { "-.Inf", -INFINITY }, { "-.INF", -INFINITY },
};

const char *scalar_kind_name(ScalarKind kind) {
        static const char *const names[] = {
                [SCALAR_NULL] = "null",   [SCALAR_BOOL] = "bool",  [SCALAR_INT] = "int",
                [SCALAR_FLOAT] = "float", [SCALAR_STRING] = "str", [SCALAR_TIMESTAMP] = "timestamp",
        };
        return names[kind];
}

static bool find_word(const char *text, Scalar *ret) {
        for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
                if (g_str_equal(words[i].word, text)) {
                        *ret = (Scalar){ .kind = words[i].kind, .boolean = words[i].boolean };
                        return true;
                }
        for (size_t i = 0; i < G_N_ELEMENTS(constants); i++)
                if (g_str_equal(constants[i].word, text)) {
                        *ret = (Scalar){ .kind = SCALAR_FLOAT, .number = constants[i].number };
                        return true;
                }
        return false;
}

/* ---- timestamps ---- */

/* One or two digits, at most `most`; moves past them. */
static bool read_two(const char **cursor, int least, int most, int *ret) {
        int value = 0, digits = 0;

        for (; digits < 2 && g_ascii_isdigit(**cursor); digits++, (*cursor)++)
                value = value * 10 + (**cursor - '0');
        *ret = value;
        return digits > 0 && value >= least && value <= most;
}

static bool read_byte(const char **cursor, char byte) {
        if (**cursor != byte)
                return false;
        (*cursor)++;
        return true;
}

static bool read_zone(const char **cursor) {
        int hours, minutes;

        if (read_byte(cursor, 'Z'))
                return true;
        const char *start = *cursor;
        return (read_byte(cursor, '+') || read_byte(cursor, '-')) &&
               read_two(cursor, 0, 24, &hours) && read_byte(cursor, ':') &&
               read_two(cursor, 0, 60, &minutes) && *cursor - start == 6;
}

static bool read_clock(const char **cursor) {
        int number;

        if (!read_two(cursor, 0, 23, &number) || !read_byte(cursor, ':') ||
            !read_two(cursor, 0, 59, &number) || !read_byte(cursor, ':') ||
            !read_two(cursor, 0, 59, &number))
                return false;
        if ((**cursor == '.' || **cursor == ',') && g_ascii_isdigit((*cursor)[1]))
                for ((*cursor)++; g_ascii_isdigit(**cursor);)
                        (*cursor)++;
        return true;
}

/* "2001-1-2", "2001-01-02T10:20:30.5Z", "2001-01-02 10:20:30". */
static bool is_timestamp(const char *text) {
        int month, day;

        for (size_t i = 0; i < 4; i++)
                if (!g_ascii_isdigit(text[i]))
                        return false;
        const char *cursor = text + 4;
        if (!read_byte(&cursor, '-') || !read_two(&cursor, 1, 12, &month) ||
            !read_byte(&cursor, '-') || !read_two(&cursor, 1, 31, &day))
                return false;
        int year = atoi(text);
        bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        int longest = month == 2                                              ? (leap ? 29 : 28)
                      : month == 4 || month == 6 || month == 9 || month == 11 ? 30
                                                                              : 31;
        if (day > longest)
                return false;
        if (*cursor == '\0')
                return true;
        if (*cursor == 'T' || *cursor == 't') {
                cursor++;
                return read_clock(&cursor) && read_zone(&cursor) && *cursor == '\0';
        }
        if (*cursor != ' ')
                return false;
        while (*cursor == ' ')
                cursor++;
        return read_clock(&cursor) && *cursor == '\0';
}

/* ---- numbers ---- */

/* Digits of the base its prefix tells: "0x1F", "0o17", "017", "0b1". A bad octal is no integer. */
static bool read_integer(const char *text, Scalar *ret) {
        bool sign = *text == '-' || *text == '+', negative = *text == '-';
        const char *digits = text + sign;
        unsigned base = 10;
        uint64_t value = 0;

        if (*digits == '0' && digits[1] != '\0') {
                char mark = g_ascii_tolower(digits[1]);
                base = mark == 'x' ? 16 : mark == 'b' ? 2 : 8;
                digits += mark == 'x' || mark == 'b' || mark == 'o' ? 2 : 1;
        }
        if (*digits == '\0')
                return false;
        for (; *digits; digits++) {
                int digit = g_ascii_xdigit_value(*digits);
                if (digit < 0 || (unsigned) digit >= base ||
                    __builtin_mul_overflow(value, base, &value) ||
                    __builtin_add_overflow(value, (uint64_t) digit, &value))
                        return false;
        }
        uint64_t most = negative ? (uint64_t) 1 << 63 : sign ? INT64_MAX : UINT64_MAX;
        if (value > most)
                return false;
        *ret = (Scalar){ .kind = SCALAR_INT,
                         .negative = negative && value > 0,
                         .magnitude = value,
                         .number = negative ? -(double) value : (double) value };
        return true;
}

static bool is_float(const char *text) {
        size_t digits = 0;

        text += *text == '-' || *text == '+';
        for (; g_ascii_isdigit(*text); text++)
                digits++;
        if (*text == '.')
                for (text++; g_ascii_isdigit(*text); text++)
                        digits++;
        if (digits == 0)
                return false;
        if (*text == 'e' || *text == 'E') {
                text++;
                text += *text == '-' || *text == '+';
                if (!g_ascii_isdigit(*text))
                        return false;
                while (g_ascii_isdigit(*text))
                        text++;
        }
        return *text == '\0';
}

/* What is too large for a float64 is a string. */
static bool read_float(const char *text, Scalar *ret) {
        if (!is_float(text))
                return false;
        double number = g_ascii_strtod(text, NULL);
        if (!isfinite(number))
                return false;
        *ret = (Scalar){ .kind = SCALAR_FLOAT, .number = number };
        return true;
}

static char *without_underscores(const char *text) {
        char *plain = g_strdup(text), *to = plain;

        for (const char *from = plain; *from; from++)
                if (*from != '_')
                        *to++ = *from;
        *to = '\0';
        return plain;
}

/* Behind a leading point they may only stand between digits. */
static bool underscores_separate(const char *text) {
        for (const char *cursor = text; *cursor; cursor++)
                if (*cursor == '_' && (!g_ascii_isdigit(cursor[-1]) || !g_ascii_isdigit(cursor[1])))
                        return false;
        return true;
}

Scalar scalar_resolve(const char *text, size_t length, bool timestamps) {
        const Scalar string = { .kind = SCALAR_STRING };
        Scalar scalar;

        if (memchr(text, '\0', length))
                return string;
        if (find_word(text, &scalar))
                return scalar;
        if (!g_ascii_isdigit(*text) && !strchr("-+.", *text))
                return string;
        if (timestamps && is_timestamp(text))
                return (Scalar){ .kind = SCALAR_TIMESTAMP };
        g_autofree char *plain = without_underscores(text);
        if (*text == '.')
                return underscores_separate(text) && read_float(plain, &scalar) ? scalar : string;
        return read_integer(plain, &scalar) || read_float(plain, &scalar) ? scalar : string;
}

/* ---- texts ---- */

char *scalar_int_text(const Scalar *scalar) {
        return g_strdup_printf("%s%" G_GUINT64_FORMAT, scalar->negative ? "-" : "",
                               scalar->magnitude);
}

char *float_text(double number, int bits) {
        char text[NUMBER_TEXT_MAX];

        if (isnan(number))
                return g_strdup("NaN");
        if (isinf(number) || (bits == 32 && isinf((float) number)))
                return g_strdup(number < 0 ? "-Inf" : "+Inf");
        if (bits == 32)
                number = (float) number;
        number_shortest(number, bits, text);
        int exponent = atoi(strchr(text, 'e') + 1);
        if (exponent < -4 || exponent >= EXPONENT_FROM)
                return g_strdup(text);
        const char *point = strchr(text, '.');
        int decimals = (point ? (int) strcspn(point + 1, "e") : 0) - exponent;
        char format[16];
        g_snprintf(format, sizeof format, "%%.%df", MAX(decimals, 0));
        return g_strdup(g_ascii_formatd(text, sizeof text, format, number));
}

/* The length of the character at bytes; 0: it is none. */
static size_t character_length(const char *bytes, size_t left) {
        if ((unsigned char) *bytes < 0x80)
                return 1;
        gunichar rune = g_utf8_get_char_validated(bytes, (gssize) MIN(left, 4));
        return rune == (gunichar) -1 || rune == (gunichar) -2
                       ? 0
                       : (size_t) g_unichar_to_utf8(rune, NULL);
}

GString *utf8_repaired(const char *bytes, size_t length) {
        size_t valid = 0, taken;

        while (valid < length && (taken = character_length(bytes + valid, length - valid)) > 0)
                valid += taken;
        if (valid == length)
                return NULL;
        GString *text = g_string_new_len(bytes, (gssize) valid);
        for (size_t i = valid; i < length; i += MAX(taken, 1)) {
                taken = character_length(bytes + i, length - i);
                g_string_append_len(text, taken ? bytes + i : "\xef\xbf\xbd",
                                    taken ? (gssize) taken : 3);
        }
        return text;
}
