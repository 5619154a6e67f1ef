#include "resources/loose_version.h"

#include <string.h>

void loose_version_clear(LooseVersion *version) {
        g_free(version->pre_release);
        g_free(version->build);
        *version = (LooseVersion){ 0 };
}

/* Reads digits at *cursor and moves past them. Returns false when there are none, or too many. */
static bool read_number(const char **cursor, uint64_t *ret) {
        uint64_t value = 0;
        if (!g_ascii_isdigit(**cursor))
                return false;
        for (; g_ascii_isdigit(**cursor); (*cursor)++)
                if (__builtin_mul_overflow(value, 10, &value) ||
                    __builtin_add_overflow(value, (uint64_t) (**cursor - '0'), &value))
                        return false;
        *ret = value;
        return true;
}

static bool is_numeric(const char *text, size_t length) {
        return length > 0 && strspn(text, "0123456789") >= length;
}

/* Reads "rc.1" at *cursor and moves past it. strict: numbers must not begin with a zero. Returns new; NULL when an
 * identifier is empty. */
static char *read_identifiers(const char **cursor, bool strict) {
        static const char letters[] =
                "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-";
        const char *start = *cursor;
        for (;; (*cursor)++) {
                size_t length = strspn(*cursor, letters);
                if (length == 0)
                        return NULL;
                if (strict && length > 1 && **cursor == '0' && is_numeric(*cursor, length))
                        return NULL;
                *cursor += length;
                if (**cursor != '.')
                        return g_strndup(start, (size_t) (*cursor - start));
        }
}

bool loose_version_parse(const char *text, LooseVersion *ret) {
        g_auto(LooseVersion) version = { 0 };
        const char *cursor = text + (*text == 'v');
        for (size_t i = 0; i < G_N_ELEMENTS(version.part); i++) {
                if (i > 0 && *cursor != '.')
                        break;
                cursor += i > 0;
                if (!read_number(&cursor, &version.part[i]))
                        return false;
        }
        if (*cursor == '-') {
                cursor++;
                version.pre_release = read_identifiers(&cursor, true);
                if (!version.pre_release)
                        return false;
        }
        if (*cursor == '+') {
                cursor++;
                version.build = read_identifiers(&cursor, false);
                if (!version.build)
                        return false;
        }
        if (*cursor)
                return false;
        if (!version.pre_release)
                version.pre_release = g_strdup("");
        if (!version.build)
                version.build = g_strdup("");
        *ret = version;
        version = (LooseVersion){ 0 };
        return true;
}

static int compare_numbers(uint64_t a, uint64_t b) {
        return (a > b) - (a < b);
}

/* Of two identifiers: numbers by value and below words, words by their bytes. */
static int compare_identifiers(const char *a, size_t a_length, const char *b, size_t b_length) {
        bool a_number = is_numeric(a, a_length), b_number = is_numeric(b, b_length);
        if (a_number != b_number)
                return a_number ? -1 : 1;
        if (a_number && a_length != b_length) /* they have no leading zeros */
                return a_length < b_length ? -1 : 1;
        int order = memcmp(a, b, MIN(a_length, b_length));
        return order ? order : compare_numbers(a_length, b_length);
}

static int compare_pre_releases(const char *a, const char *b) {
        if (!*a || !*b)
                return (*b != '\0') - (*a != '\0');
        for (;;) {
                size_t a_length = strcspn(a, "."), b_length = strcspn(b, ".");
                int order = compare_identifiers(a, a_length, b, b_length);
                if (order)
                        return order;
                a += a_length;
                b += b_length;
                if (!*a || !*b)
                        return (*a != '\0') - (*b != '\0');
                a++;
                b++;
        }
}

int loose_version_compare(const LooseVersion *a, const LooseVersion *b) {
        for (size_t i = 0; i < G_N_ELEMENTS(a->part); i++)
                if (a->part[i] != b->part[i])
                        return compare_numbers(a->part[i], b->part[i]);
        return compare_pre_releases(a->pre_release, b->pre_release);
}

char *loose_version_text(const LooseVersion *version) {
        return g_strdup_printf("%" G_GUINT64_FORMAT ".%" G_GUINT64_FORMAT ".%" G_GUINT64_FORMAT
                               "%s%s%s%s",
                               version->part[0], version->part[1], version->part[2],
                               *version->pre_release ? "-" : "", version->pre_release,
                               *version->build ? "+" : "", version->build);
}
