#include "resources/time_text.h"

#include <string.h>

#define RFC3339 "2006-01-02T15:04:05Z07:00"

typedef struct {
        const char *name; /* how the layout spells the field */
        int digits;       /* at least */
        int most;         /* digits at most */
        int low, high;    /* the values it may have */
        size_t place;     /* in Wall, where it is an int */
} Field;

#define PLACE(field) offsetof(Wall, field)

static const Field fields[] = {
        { "01", 2, 2, 1, 12, PLACE(month) },  { "02", 2, 2, 1, 31, PLACE(day) },
        { "15", 1, 2, 0, 23, PLACE(hour) },   { "3", 1, 2, 0, 12, PLACE(hour) },
        { "04", 2, 2, 0, 59, PLACE(minute) }, { "05", 2, 2, 0, 59, PLACE(second) },
};

static bool read_digits(const char **text, int digits, int most, int64_t *ret) {
        int64_t value = 0;
        int count = 0;
        for (; count < most && g_ascii_isdigit((*text)[count]); count++)
                value = value * 10 + ((*text)[count] - '0');
        if (count < digits)
                return false;
        *text += count;
        *ret = value;
        return true;
}

/* A fraction may follow the seconds, whatever the layout says. */
static void skip_fraction(const char **text) {
        if (((*text)[0] != '.' && (*text)[0] != ',') || !g_ascii_isdigit((*text)[1]))
                return;
        (*text)++;
        while (g_ascii_isdigit(**text))
                (*text)++;
}

static const Field *field_at(const char *layout) {
        for (size_t i = 0; i < G_N_ELEMENTS(fields); i++)
                if (g_str_has_prefix(layout, fields[i].name))
                        return &fields[i];
        return NULL;
}

/* "-0700" and, with colon, "-07:00". */
static bool read_offset(const char **text, bool colon, int32_t *ret) {
        int sign = **text == '-' ? -1 : 1;
        int64_t hours, minutes;
        if (**text != '-' && **text != '+')
                return false;
        (*text)++;
        if (!read_digits(text, 2, 2, &hours) || (colon && *(*text)++ != ':') ||
            !read_digits(text, 2, 2, &minutes) || hours > 24 || minutes > 60)
                return false;
        *ret = sign * (int32_t) (hours * 3600 + minutes * 60);
        return true;
}

static bool days_fit(const Wall *wall) {
        static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
        bool leap = wall->year % 4 == 0 && (wall->year % 100 != 0 || wall->year % 400 == 0);
        return wall->day <= days[wall->month - 1] + (leap && wall->month == 2);
}

static bool read_field(const Field *field, const char **text, Wall *wall) {
        int64_t value;
        if (!read_digits(text, field->digits, field->most, &value) || value < field->low ||
            value > field->high)
                return false;
        *(int *) ((char *) wall + field->place) = (int) value;
        if (field->place == PLACE(second))
                skip_fraction(text);
        return true;
}

/* AM and PM bend an hour of the twelve that was read before them. */
static bool read_half(const char **text, Wall *wall) {
        bool afternoon = g_str_has_prefix(*text, "PM");
        if (!afternoon && !g_str_has_prefix(*text, "AM"))
                return false;
        *text += 2;
        if (afternoon && wall->hour < 12)
                wall->hour += 12;
        else if (!afternoon && wall->hour == 12)
                wall->hour = 0;
        return true;
}

bool layout_parse(const char *layout, const char *text, Wall *ret, int32_t *ret_offset) {
        Wall wall = { .year = 0, .month = 1, .day = 1 };
        int32_t offset = 0;
        while (*layout) {
                const Field *field = field_at(layout);
                bool fits;
                size_t used;
                if (g_str_has_prefix(layout, "2006")) {
                        used = 4;
                        fits = read_digits(&text, 4, 4, &wall.year);
                } else if (g_str_has_prefix(layout, "-0700")) {
                        used = 5;
                        fits = read_offset(&text, false, &offset);
                } else if (g_str_has_prefix(layout, "PM")) {
                        used = 2;
                        fits = read_half(&text, &wall);
                } else if (field) {
                        used = strlen(field->name);
                        fits = read_field(field, &text, &wall);
                } else {
                        used = 1;
                        fits = *text == *layout;
                        text += *layout == ' ' ? strspn(text, " ") : fits;
                }
                if (!fits)
                        return false;
                layout += used;
        }
        if (*text != '\0' || !days_fit(&wall))
                return false;
        *ret = wall;
        *ret_offset = offset;
        return true;
}

/* The digits behind the seconds, as nanoseconds; what is finer is cut off. */
static int32_t read_fraction(const char **text) {
        int32_t value = 0;
        int count = 0;
        if (**text != '.' || !g_ascii_isdigit((*text)[1]))
                return 0;
        for ((*text)++; g_ascii_isdigit(**text); (*text)++)
                if (count < 9) {
                        value = value * 10 + (**text - '0');
                        count++;
                }
        for (; count < 9; count++)
                value *= 10;
        return value;
}

bool rfc3339_parse(const char *text, Moment *ret, int32_t *ret_offset, GError **error) {
        size_t head = strlen("2006-01-02T15:04:05");
        g_autofree char *start = g_strndup(text, head);
        g_autoptr(Zone) utc = zone_open("", NULL);
        Wall wall;
        int32_t offset = 0, unused;
        Moment moment = { 0 };
        bool fits = strlen(text) > head &&
                    layout_parse("2006-01-02T15:04:05", start, &wall, &unused);
        if (fits) {
                const char *rest = text + head;
                moment.nanoseconds = read_fraction(&rest);
                fits = g_str_equal(rest, "Z") ||
                       (read_offset(&rest, true, &offset) && *rest == '\0');
        }
        if (!fits) {
                g_set_error(error, ERROR, ERROR_INVALID,
                            "parsing time \"%s\" as \"" RFC3339
                            "\": cannot parse \"%s\" as \"2006\"",
                            text, text);
                return false;
        }
        moment.seconds = zone_seconds(utc, &wall) - offset;
        *ret = moment;
        *ret_offset = offset;
        return true;
}

/* ".5", ".123456789" or "". Returns new. */
static char *fraction_format(int32_t nanoseconds) {
        if (nanoseconds == 0)
                return g_strdup("");
        char *text = g_strdup_printf(".%09d", nanoseconds);
        for (size_t length = strlen(text); text[length - 1] == '0'; length--)
                text[length - 1] = '\0';
        return text;
}

static Wall wall_at(const Moment *moment, int32_t offset) {
        g_autoptr(Zone) utc = zone_open("", NULL);
        return zone_wall(utc, moment->seconds + offset);
}

char *rfc3339_format(const Moment *moment, int32_t offset) {
        Wall wall = wall_at(moment, offset);
        g_autofree char *fraction = fraction_format(moment->nanoseconds);
        int minutes = ABS(offset) / 60;
        g_autofree char *zone = offset == 0 ? g_strdup("Z")
                                            : g_strdup_printf("%c%02d:%02d", offset < 0 ? '-' : '+',
                                                              minutes / 60, minutes % 60);
        return g_strdup_printf("%04" G_GINT64_FORMAT "-%02d-%02dT%02d:%02d:%02d%s%s", wall.year,
                               wall.month, wall.day, wall.hour, wall.minute, wall.second, fraction,
                               zone);
}

char *timestamp_format(const Moment *moment, int32_t offset) {
        Wall wall = wall_at(moment, offset);
        g_autofree char *fraction = fraction_format(moment->nanoseconds);
        int minutes = ABS(offset) / 60;
        g_autofree char *zone = g_strdup_printf("%c%02d%02d", offset < 0 ? '-' : '+', minutes / 60,
                                                minutes % 60);
        return g_strdup_printf("%04" G_GINT64_FORMAT "-%02d-%02d %02d:%02d:%02d%s %s %s", wall.year,
                               wall.month, wall.day, wall.hour, wall.minute, wall.second, fraction,
                               zone, offset == 0 ? "UTC" : zone);
}
