#include "resources/time_resource.h"

#include "base/files.h"
#include "base/json.h"
#include "resources/time_text.h"

#include <string.h>

/* The latest window that begins at or before some moment: [start, stop). */
typedef struct {
        Moment start, stop;
} Window;

static const Zone *location_of(const TimeSource *source, Zone *utc) {
        return source->location ? source->location : utc;
}

static Moment moment_at(const Zone *zone, Wall wall, TimeOfDay time) {
        wall.hour = time.hour;
        wall.minute = time.minute;
        wall.second = 0;
        return (Moment){ .seconds = zone_seconds(zone, &wall) };
}

static Window window_before(const TimeSource *source, const Zone *zone, const Moment *now) {
        Wall wall = zone_wall(zone, now->seconds);
        Window window = { .start = moment_at(zone, wall, source->start) };
        if (moment_compare(&window.start, now) > 0) {
                wall.day--;
                window.start = moment_at(zone, wall, source->start);
        }
        wall = zone_wall(zone, window.start.seconds);
        window.stop = moment_at(zone, wall, source->stop);
        if (moment_compare(&window.stop, &window.start) <= 0) {
                wall.day++;
                window.stop = moment_at(zone, wall, source->stop);
        }
        return window;
}

static bool days_allow(const TimeSource *source, const Zone *zone, const Moment *now) {
        Wall wall = zone_wall(zone, now->seconds);
        bool allowed = source->day_count == 0;
        for (size_t i = 0; i < source->day_count; i++)
                allowed = allowed || source->days[i] == wall_weekday(&wall);
        return allowed;
}

static bool has_begun(const TimeSource *source, const Zone *zone, const Moment *now) {
        Moment after = { 0 };
        if (!source->has_start_after)
                return true;
        after.seconds = zone_seconds(zone, &source->start_after);
        return moment_compare(&after, now) < 0;
}

static bool is_due(const TimeRequest *request, const Window *window, const Moment *now) {
        if (!request->has_version)
                return true;
        if (request->source.has_interval)
                return moment_since(now, &request->version) >= request->source.interval;
        return moment_compare(&request->version, &window->start) < 0;
}

static Value *version_of(const Moment *moment, int32_t offset) {
        g_autofree char *text = rfc3339_format(moment, offset);
        Value *version = value_map();
        value_map_set_string(version, "time", text);
        return version;
}

static TimeRequest *decode(const Value *request, GError **error) {
        TimeRequest *decoded = time_request_parse(request, error);
        if (!decoded)
                g_prefix_error(error, "parse error: ");
        return decoded;
}

bool time_check(const Value *request, const Moment *now, Value **ret, GError **error) {
        g_autoptr(TimeRequest) decoded = decode(request, error);
        g_autoptr(Zone) utc = zone_open("", NULL);
        g_autoptr(Value) versions = value_list();
        if (!decoded)
                return false;
        const TimeSource *source = &decoded->source;
        if (!time_source_validate(source, error)) {
                g_prefix_error(error, "running command: ");
                return false;
        }
        const Zone *zone = location_of(source, utc);
        Window window = window_before(source, zone, now);

        if (decoded->has_version)
                value_list_add(versions, version_of(&decoded->version, decoded->version_offset));
        bool first = !decoded->has_version && source->initial_version;
        if (first || (moment_compare(now, &window.stop) < 0 && days_allow(source, zone, now) &&
                      has_begun(source, zone, now) && is_due(decoded, &window, now)))
                value_list_add(versions, version_of(now, zone_offset(zone, now->seconds)));
        *ret = value_length(versions) > 0 ? g_steal_pointer(&versions) : value_null();
        return true;
}

static bool write_text(const char *folder, const char *name, const char *text, GError **error) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        return file_replace(path, text, strlen(text), 0644, error);
}

static Value *answer_of(const Moment *moment, int32_t offset) {
        Value *answer = value_map();
        value_map_set(answer, "version", version_of(moment, offset));
        value_map_set(answer, "metadata", value_null());
        return answer;
}

bool time_in(const Value *request, const Moment *now, const char *destination, Value **ret,
             GError **error) {
        g_autoptr(TimeRequest) decoded = decode(request, error);
        if (!decoded)
                return false;
        Moment moment = decoded->has_version ? decoded->version : *now;
        int32_t offset = decoded->has_version ? decoded->version_offset : 0;

        g_autoptr(Value) input = time_request_format(decoded);
        g_autofree char *input_text = json_write(input, JSON_COMPACT, NULL);
        g_autofree char *input_line = g_strconcat(input_text, "\n", NULL);
        g_autofree char *timestamp = timestamp_format(&moment, offset);
        g_autofree char *epoch = g_strdup_printf("%" G_GINT64_FORMAT, moment.seconds);
        if (!directory_make(destination, 0755, error) ||
            !write_text(destination, "input", input_line, error) ||
            !write_text(destination, "timestamp", timestamp, error) ||
            !write_text(destination, "epoch", epoch, error)) {
                g_prefix_error(error, "running command: ");
                return false;
        }
        *ret = answer_of(&moment, offset);
        return true;
}

bool time_out(const Value *request, const Moment *now, Value **ret, GError **error) {
        g_autoptr(TimeRequest) decoded = decode(request, error);
        g_autoptr(Zone) utc = zone_open("", NULL);
        if (!decoded)
                return false;
        *ret = answer_of(now, zone_offset(location_of(&decoded->source, utc), now->seconds));
        return true;
}
