#include "base/duration.h"

#include <string.h>

/* The magnitude of the smallest Duration; the largest is one less. */
#define MAGNITUDE_MAX ((uint64_t) 1 << 63)

typedef struct {
        const char *name;
        uint64_t nanoseconds;
} Unit;

/* "ms" and "m": a unit is everything up to the next digit or point, so no name hides another. */
static const Unit units[] = {
        { "ns", 1 },
        { "us", 1000 },
        { "\u00b5s", 1000 }, /* micro sign */
        { "\u03bcs", 1000 }, /* Greek letter mu */
        { "ms", 1000 * 1000 },
        { "s", 1000 * 1000 * 1000 },
        { "m", 60ULL * 1000 * 1000 * 1000 },
        { "h", 3600ULL * 1000 * 1000 * 1000 },
};

static const Unit *unit_find(const char *name, size_t length) {
        for (size_t i = 0; i < G_N_ELEMENTS(units); i++)
                if (strlen(units[i].name) == length && memcmp(units[i].name, name, length) == 0)
                        return &units[i];
        return NULL;
}

/* Reads digits at *cursor and moves past them. Returns false when they exceed MAGNITUDE_MAX. */
static bool read_whole(const char **cursor, uint64_t *ret) {
        uint64_t value = 0;
        for (; g_ascii_isdigit(**cursor); (*cursor)++)
                if (__builtin_mul_overflow(value, 10, &value) ||
                    __builtin_add_overflow(value, (uint64_t) (**cursor - '0'), &value) ||
                    value > MAGNITUDE_MAX)
                        return false;
        *ret = value;
        return true;
}

/* Reads digits at *cursor as decimals: returns their value, *ret_scale is the power of ten below. */
static uint64_t read_decimals(const char **cursor, double *ret_scale) {
        uint64_t value = 0;
        *ret_scale = 1;
        for (; g_ascii_isdigit(**cursor); (*cursor)++)
                if (value < MAGNITUDE_MAX / 10) { /* further digits cannot matter */
                        value = value * 10 + (uint64_t) (**cursor - '0');
                        *ret_scale *= 10;
                }
        return value;
}

/* Reads one "12.5h" at *cursor, adds it to *total and moves past it. */
static bool add_term(const char **cursor, uint64_t *total) {
        const char *start = *cursor;
        uint64_t whole, decimals = 0;
        double scale = 1;

        if (!read_whole(cursor, &whole))
                return false;
        size_t digits = (size_t) (*cursor - start);
        if (**cursor == '.') {
                const char *first = ++*cursor;
                decimals = read_decimals(cursor, &scale);
                digits += (size_t) (*cursor - first);
        }

        size_t length = strcspn(*cursor, ".0123456789");
        const Unit *unit = digits > 0 ? unit_find(*cursor, length) : NULL;
        if (!unit)
                return false;
        *cursor += length;

        /* Only the fraction goes through floating point, as in Go: "0.333…h" must come out alike. */
        uint64_t value,
                fraction = (uint64_t) ((double) decimals * ((double) unit->nanoseconds / scale));
        return !__builtin_mul_overflow(whole, unit->nanoseconds, &value) &&
               !__builtin_add_overflow(value, fraction, &value) &&
               !__builtin_add_overflow(*total, value, total) && *total <= MAGNITUDE_MAX;
}

bool duration_parse(const char *text, Duration *ret, GError **error) {
        bool negative = *text == '-';
        const char *cursor = text + (*text == '-' || *text == '+');
        uint64_t total = 0;
        bool valid = g_str_equal(cursor, "0");

        if (!valid)
                do
                        valid = add_term(&cursor, &total);
                while (valid && *cursor);

        if (!valid || (!negative && total == MAGNITUDE_MAX)) {
                g_set_error(error, ERROR, ERROR_INVALID, "invalid duration '%s'", text);
                return false;
        }

        /* Negation in unsigned arithmetic: -MAGNITUDE_MAX has no positive twin. */
        *ret = (Duration) (negative ? 0 - total : total);
        return true;
}

/* Seconds with up to nine decimals, no zeros at the end. */
static void append_seconds(GString *text, uint64_t nanoseconds) {
        uint64_t decimals = nanoseconds % 1000000000;
        int width = 9;

        g_string_append_printf(text, "%" G_GUINT64_FORMAT, nanoseconds / 1000000000);
        if (decimals > 0) {
                for (; decimals % 10 == 0; decimals /= 10)
                        width--;
                g_string_append_printf(text, ".%0*" G_GUINT64_FORMAT, width, decimals);
        }
        g_string_append_c(text, 's');
}

/* Below a second: one unit with decimals. */
static void append_small(GString *text, uint64_t nanoseconds) {
        static const Unit small[] = {
                { "ms", 1000 * 1000 },
                { "\u00b5s", 1000 },
                { "ns", 1 },
        };
        const Unit *unit = small;

        while (nanoseconds < unit->nanoseconds)
                unit++;
        uint64_t decimals = nanoseconds % unit->nanoseconds;
        g_string_append_printf(text, "%" G_GUINT64_FORMAT, nanoseconds / unit->nanoseconds);
        if (decimals > 0) {
                int width = unit->nanoseconds == 1000 ? 3 : 6;
                for (; decimals % 10 == 0; decimals /= 10)
                        width--;
                g_string_append_printf(text, ".%0*" G_GUINT64_FORMAT, width, decimals);
        }
        g_string_append(text, unit->name);
}

char *duration_format(Duration duration) {
        GString *text = g_string_new(duration < 0 ? "-" : NULL);
        uint64_t rest = duration < 0 ? 0 - (uint64_t) duration : (uint64_t) duration;

        if (rest == 0)
                g_string_append(text, "0s");
        else if (rest < DURATION_SECOND)
                append_small(text, rest);
        else {
                uint64_t hours = rest / DURATION_HOUR, minutes = rest / DURATION_MINUTE % 60;
                if (hours > 0)
                        g_string_append_printf(text, "%" G_GUINT64_FORMAT "h", hours);
                if (hours > 0 || minutes > 0)
                        g_string_append_printf(text, "%" G_GUINT64_FORMAT "m", minutes);
                append_seconds(text, rest % DURATION_MINUTE);
        }
        return g_string_free(text, FALSE);
}
