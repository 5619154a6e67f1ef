#include "resources/time_resource.h"

#include "resources/strict.h"
#include "resources/time_text.h"

#include <string.h>

/* In the order in which they are tried. */
static const char *const time_layouts[] = {
        "3:04 PM -0700", "3PM -0700", "3 PM -0700", "15:04 -0700", "1504 -0700",
        "3:04 PM",       "3PM",       "3 PM",       "15:04",       "1504",
};

static const char *const date_layouts[] = {
        "2006-01-02T15:04:05", "2006-01-02T15:04",    "2006-01-02T15",
        "2006-01-02",          "2006-01-02 15:04:05",
};

static const char *const weekdays[] = {
        "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday",
};

static bool fail_layouts(const char *what, const char *text, const char *const *layouts,
                         size_t count, GError **error) {
        g_autoptr(GString) names = g_string_new(NULL);
        for (size_t i = 0; i < count; i++)
                g_string_append_printf(names, "%s%s", i > 0 ? ", " : "", layouts[i]);
        g_set_error(error, ERROR, ERROR_INVALID, "invalid %s format: %s, must be one of: %s", what,
                    text, names->str);
        return false;
}

/* Fields with a notation of their own are strings first; null in a list is the empty one. */
static const char *text_of(const Value *value, GError **error) {
        if (value_is_null(value))
                return "";
        if (!value_is(value, VALUE_STRING)) {
                g_set_error(error, ERROR, ERROR_INVALID,
                            "json: cannot unmarshal %s into Go value of type string",
                            strict_kind_word(value));
                return NULL;
        }
        return value_text(value);
}

static bool parse_initial_version(const Value *value, TimeSource *source, GError **error) {
        if (!value_is(value, VALUE_BOOL)) {
                g_set_error(error, ERROR, ERROR_INVALID,
                            "json: cannot unmarshal %s into Go struct field "
                            "Source.source.initial_version of type bool",
                            strict_kind_word(value));
                return false;
        }
        source->initial_version = value_as_bool(value);
        return true;
}

static bool parse_interval(const Value *value, TimeSource *source, GError **error) {
        const char *text = text_of(value, error);
        if (!text || !duration_parse(text, &source->interval, error))
                return false;
        source->has_interval = true;
        return true;
}

/* With an offset the hour is taken to UTC, and then read in the location all the same. */
static bool parse_time_of_day(const Value *value, TimeOfDay *ret, GError **error) {
        const char *text = text_of(value, error);
        if (!text)
                return false;
        for (size_t i = 0; i < G_N_ELEMENTS(time_layouts); i++) {
                Wall wall;
                int32_t offset;
                if (!layout_parse(time_layouts[i], text, &wall, &offset))
                        continue;
                int minutes = wall.hour * 60 + wall.minute - offset / 60;
                minutes = (minutes % (24 * 60) + 24 * 60) % (24 * 60);
                *ret = (TimeOfDay){ .set = true, .hour = minutes / 60, .minute = minutes % 60 };
                return true;
        }
        return fail_layouts("time", text, time_layouts, G_N_ELEMENTS(time_layouts), error);
}

static bool parse_start(const Value *value, TimeSource *source, GError **error) {
        return parse_time_of_day(value, &source->start, error);
}

static bool parse_stop(const Value *value, TimeSource *source, GError **error) {
        return parse_time_of_day(value, &source->stop, error);
}

static int weekday_find(const char *text) {
        for (int day = 0; day < (int) G_N_ELEMENTS(weekdays); day++)
                if (g_ascii_strcasecmp(text, weekdays[day]) == 0 ||
                    (strlen(text) == 3 && g_ascii_strncasecmp(text, weekdays[day], 3) == 0))
                        return day;
        return -1;
}

static bool parse_days(const Value *value, TimeSource *source, GError **error) {
        if (!value_is(value, VALUE_LIST)) {
                g_set_error(
                        error, ERROR, ERROR_INVALID,
                        "json: cannot unmarshal %s into Go struct field Source.source.days of type "
                        "[]models.Weekday",
                        strict_kind_word(value));
                return false;
        }
        if (value_length(value) > TIME_DAYS_LIMIT) {
                g_set_error(error, ERROR, ERROR_LIMIT, "more than %zu days", TIME_DAYS_LIMIT);
                return false;
        }
        source->has_days = true;
        source->day_count = 0;
        for (size_t i = 0; i < value_length(value); i++) {
                const char *text = text_of(value_at(value, i), error);
                if (!text)
                        return false;
                int day = weekday_find(text);
                if (day < 0) {
                        g_set_error(error, ERROR, ERROR_INVALID, "unknown weekday: %s", text);
                        return false;
                }
                source->days[source->day_count++] = day;
        }
        return true;
}

static bool parse_location(const Value *value, TimeSource *source, GError **error) {
        const char *text = text_of(value, error);
        Zone *zone = text ? zone_open(text, error) : NULL;
        if (!zone)
                return false;
        zone_free(source->location);
        source->location = zone;
        return true;
}

static bool parse_start_after(const Value *value, TimeSource *source, GError **error) {
        const char *text = text_of(value, error);
        int32_t unused;
        if (!text)
                return false;
        for (size_t i = 0; i < G_N_ELEMENTS(date_layouts); i++)
                if (layout_parse(date_layouts[i], text, &source->start_after, &unused)) {
                        source->has_start_after = true;
                        return true;
                }
        return fail_layouts("date", text, date_layouts, G_N_ELEMENTS(date_layouts), error);
}

static const struct {
        const char *name;
        bool (*parse)(const Value *value, TimeSource *source, GError **error);
} fields[] = {
        { "initial_version", parse_initial_version },
        { "interval", parse_interval },
        { "start", parse_start },
        { "stop", parse_stop },
        { "days", parse_days },
        { "location", parse_location },
        { "start_after", parse_start_after },
};

/* A map's item by name as Go finds it: without regard to case, the last one of several. */
static const Value *item_of(const Value *map, const char *name) {
        const Value *found = NULL;
        for (size_t i = 0; i < value_length(map); i++)
                if (g_ascii_strcasecmp(value_key_at(map, i), name) == 0)
                        found = value_at(map, i);
        return value_is_null(found) ? NULL : found;
}

static bool parse_map(const Value *value, const char *type, GError **error) {
        if (!value || value_is(value, VALUE_MAP))
                return true;
        g_set_error(error, ERROR, ERROR_INVALID,
                    "json: cannot unmarshal %s into Go struct field %s of type models.%s",
                    strict_kind_word(value),
                    type[0] == 'S' ? "CheckRequest.source" : "CheckRequest.version", type);
        return false;
}

static bool parse_version(const Value *version, TimeRequest *ret, GError **error) {
        const Value *time = item_of(version, "time");
        if (!time)
                return true;
        if (!value_is(time, VALUE_STRING)) {
                g_set_error_literal(error, ERROR, ERROR_INVALID,
                                    "Time.UnmarshalJSON: input is not a JSON string");
                return false;
        }
        if (!rfc3339_parse(value_text(time), &ret->version, &ret->version_offset, error))
                return false;
        /* Go's zero time stands for none. */
        ret->has_version = strncmp(value_text(time), "0001-01-01T00:00:00", 19) != 0;
        return true;
}

TimeRequest *time_request_parse(const Value *request, GError **error) {
        g_autoptr(TimeRequest) result = g_new0(TimeRequest, 1);
        if (!value_is_null(request) && !value_is(request, VALUE_MAP)) {
                g_set_error(error, ERROR, ERROR_INVALID,
                            "json: cannot unmarshal %s into Go value of type models.CheckRequest",
                            strict_kind_word(request));
                return NULL;
        }
        const Value *source = item_of(request, "source"), *version = item_of(request, "version");
        if (!parse_map(source, "Source", error) || !parse_map(version, "Version", error))
                return NULL;
        for (size_t i = 0; i < G_N_ELEMENTS(fields); i++) {
                const Value *item = item_of(source, fields[i].name);
                if (item && !fields[i].parse(item, &result->source, error))
                        return NULL;
        }
        if (!parse_version(version, result, error))
                return NULL;
        return g_steal_pointer(&result);
}

void time_request_free(TimeRequest *request) {
        if (!request)
                return;
        zone_free(request->source.location);
        g_free(request);
}

bool time_source_validate(const TimeSource *source, GError **error) {
        if (source->start.set == source->stop.set)
                return true;
        g_set_error(error, ERROR, ERROR_INVALID, "must configure '%s' if '%s' is set",
                    source->start.set ? "stop" : "start", source->start.set ? "start" : "stop");
        return false;
}

static Value *format_time_of_day(const TimeOfDay *time) {
        g_autofree char *text = g_strdup_printf("%d:%02d", time->hour, time->minute);
        return time->set ? value_string(text) : value_null();
}

static Value *format_days(const TimeSource *source) {
        if (!source->has_days)
                return value_null();
        Value *list = value_list();
        for (size_t i = 0; i < source->day_count; i++)
                value_list_add(list, value_string(weekdays[source->days[i]]));
        return list;
}

static Value *format_start_after(const TimeSource *source) {
        const Wall *wall = &source->start_after;
        if (!source->has_start_after)
                return value_null();
        g_autofree char *text = g_strdup_printf("%04" G_GINT64_FORMAT "-%02d-%02dT%02d:%02d:%02d",
                                                wall->year, wall->month, wall->day, wall->hour,
                                                wall->minute, wall->second);
        return value_string(text);
}

Value *time_request_format(const TimeRequest *request) {
        const TimeSource *source = &request->source;
        Value *map = value_map(), *inner = value_map(), *version = value_map();
        g_autofree char *interval = source->has_interval ? duration_format(source->interval) : NULL;
        g_autofree char *time = request->has_version
                                        ? rfc3339_format(&request->version, request->version_offset)
                                        : g_strdup("0001-01-01T00:00:00Z");
        value_map_set_bool(inner, "initial_version", source->initial_version);
        value_map_set(inner, "interval", value_string(interval));
        value_map_set(inner, "start", format_time_of_day(&source->start));
        value_map_set(inner, "stop", format_time_of_day(&source->stop));
        value_map_set(inner, "days", format_days(source));
        value_map_set(inner, "location",
                      source->location ? value_string(zone_name(source->location)) : value_null());
        value_map_set(inner, "start_after", format_start_after(source));
        value_map_set(map, "source", inner);
        value_map_set_string(version, "time", time);
        value_map_set(map, "version", version);
        return map;
}
