#include "wire/event.h"

#include "base/json.h"

/* Names, the version written today, and what older servers wrote (reference 04 §10.2, §10.3). */
typedef struct {
        const char *name, *version, *legacy;
} EventKind;

static const EventKind kinds[] = {
        { "status", "1.0", "" },
        { "log", "5.1", "1.0 2.0 3.0 4.0" },
        { "error", "4.1", "1.0 2.0 3.0" },
        { "waiting-for-worker", "1.0", "" },
        { "selected-worker", "1.0", "" },
        { "streaming-volume", "1.0", "" },
        { "waiting-for-streamed-volume", "1.0", "" },
        { "initialize-task", "4.0", "1.0 2.0 3.0" },
        { "start-task", "5.0", "1.0 2.0 3.0 4.0" },
        { "finish-task", "4.0", "1.0 2.0 3.0" },
        { "initialize-check", "1.0", "" },
        { "initialize-get", "2.0", "1.0" },
        { "initialize-put", "2.0", "1.0" },
        { "start-get", "1.0", "" },
        { "start-put", "1.0", "" },
        { "finish-get", "5.1", "1.0 2.0 3.0 4.0" },
        { "finish-put", "5.1", "1.0 2.0 3.0 4.0" },
        { "set-pipeline-changed", "1.0", "" },
        { "initialize", "1.0", "" },
        { "start", "1.0", "" },
        { "finish", "1.0", "" },
        { "image-check", "1.1", "" },
        { "image-get", "1.1", "" },
        { "across-substeps", "1.0", "" },
        { "input", "2.0", "1.0" },
        { "output", "2.0", "1.0" },
};

static const EventKind *kind_find(const char *name) {
        for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
                if (g_str_equal(kinds[i].name, name))
                        return &kinds[i];
        return NULL;
}

void event_free(Event *event) {
        if (!event)
                return;
        g_free(event->name);
        g_free(event->version);
        value_free(event->data);
        g_free(event);
}

Event *event_new(const char *name, Value *data) {
        const EventKind *kind = kind_find(name);
        g_assert(kind);
        Event *event = g_new0(Event, 1);
        event->name = g_strdup(name);
        event->version = g_strdup(kind->version);
        event->data = data;
        return event;
}

static Value *origin_new(const char *plan_id, const char *source) {
        Value *origin = value_map();
        value_map_set_string_opt(origin, "id", plan_id);
        value_map_set_string_opt(origin, "source", source);
        return origin;
}

/* {"time":…,"origin":{…}}: how most events begin. */
static Value *data_timed(const char *plan_id, Time time) {
        Value *data = value_map();
        value_map_set_int(data, "time", time_seconds(time));
        value_map_set(data, "origin", origin_new(plan_id, NULL));
        return data;
}

/* {"origin":{…},"time":…}: get, put, check and the rest; a time of 0 is left out. */
static Value *data_of_origin(const char *plan_id, Time time) {
        Value *data = value_map();
        value_map_set(data, "origin", origin_new(plan_id, NULL));
        value_map_set_int_opt(data, "time", time_seconds(time));
        return data;
}

Event *event_status(const char *status, Time time) {
        Value *data = value_map();
        value_map_set_string(data, "status", status);
        value_map_set_int(data, "time", time_seconds(time));
        return event_new("status", data);
}

Event *event_log(const char *plan_id, const char *source, const char *payload, size_t length,
                 Time time) {
        Value *data = value_map();
        value_map_set_int(data, "time", time_seconds(time));
        value_map_set(data, "origin", origin_new(plan_id, source));
        value_map_set(data, "payload", value_string_sized(payload, length));
        return event_new("log", data);
}

Event *event_error(const char *plan_id, const char *message, Time time) {
        Value *data = value_map();
        value_map_set_string(data, "message", message);
        value_map_set(data, "origin", origin_new(plan_id, NULL));
        value_map_set_int(data, "time", time_seconds(time));
        return event_new("error", data);
}

Event *event_waiting_for_worker(const char *plan_id, Time time) {
        return event_new("waiting-for-worker", data_timed(plan_id, time));
}

Event *event_selected_worker(const char *plan_id, const char *worker, Time time) {
        Value *data = data_timed(plan_id, time);
        value_map_set_string(data, "selected_worker", worker);
        return event_new("selected-worker", data);
}

Event *event_streaming_volume(const char *plan_id, const char *volume, const char *source_worker,
                              const char *destination_worker, Time time) {
        Value *data = data_timed(plan_id, time);
        value_map_set_string(data, "volume", volume);
        value_map_set_string(data, "source_worker", source_worker);
        value_map_set_string(data, "dest_worker", destination_worker);
        return event_new("streaming-volume", data);
}

Event *event_waiting_for_streamed_volume(const char *plan_id, const char *volume,
                                         const char *destination_worker, Time time) {
        Value *data = data_timed(plan_id, time);
        value_map_set_string(data, "volume", volume);
        value_map_set_string(data, "dest_worker", destination_worker);
        return event_new("waiting-for-streamed-volume", data);
}

static Value *value_ref_or_null(const Value *value) {
        return value ? value_ref(value) : value_null();
}

static Value *task_config(const EventTaskConfig *config) {
        Value *run = value_map();
        value_map_set_string(run, "path", config->path ? config->path : "");
        value_map_set(run, "args", value_ref_or_null(config->args));
        value_map_set_string(run, "dir", config->directory ? config->directory : "");

        Value *map = value_map();
        value_map_set_string(map, "platform", config->platform ? config->platform : "");
        value_map_set_string(map, "image", config->image ? config->image : "");
        value_map_set(map, "run", run);
        value_map_set(map, "inputs", value_ref_or_null(config->inputs));
        return map;
}

Event *event_initialize_task(const char *plan_id, Time time) {
        Value *data = data_timed(plan_id, time);
        value_map_set(data, "config", task_config(&(EventTaskConfig){ 0 }));
        return event_new("initialize-task", data);
}

Event *event_start_task(const char *plan_id, const EventTaskConfig *config, Time time) {
        Value *data = data_timed(plan_id, time);
        value_map_set(data, "config", task_config(config));
        return event_new("start-task", data);
}

Event *event_finish_task(const char *plan_id, int exit_status, Time time) {
        Value *data = value_map();
        value_map_set_int(data, "time", time_seconds(time));
        value_map_set_int(data, "exit_status", exit_status);
        value_map_set(data, "origin", origin_new(plan_id, NULL));
        return event_new("finish-task", data);
}

Event *event_initialize_check(const char *plan_id, const char *name, Time time) {
        Value *data = data_of_origin(plan_id, time);
        value_map_set_string(data, "name", name);
        return event_new("initialize-check", data);
}

Event *event_initialize_get(const char *plan_id, Time time) {
        return event_new("initialize-get", data_of_origin(plan_id, time));
}

Event *event_initialize_put(const char *plan_id, Time time) {
        return event_new("initialize-put", data_of_origin(plan_id, time));
}

Event *event_start_get(const char *plan_id, Time time) {
        return event_new("start-get", data_of_origin(plan_id, time));
}

Event *event_start_put(const char *plan_id, Time time) {
        return event_new("start-put", data_of_origin(plan_id, time));
}

static Event *finish_resource(const char *name, const char *plan_id, int exit_status,
                              const Value *version, const Value *metadata, Time time) {
        Value *data = value_map();
        value_map_set(data, "origin", origin_new(plan_id, NULL));
        value_map_set_int(data, "time", time_seconds(time));
        value_map_set_int(data, "exit_status", exit_status);
        value_map_set(data, "version", value_ref_or_null(version));
        if (value_length(metadata) > 0)
                value_map_set(data, "metadata", value_ref(metadata));
        return event_new(name, data);
}

Event *event_finish_get(const char *plan_id, int exit_status, const Value *version,
                        const Value *metadata, Time time) {
        return finish_resource("finish-get", plan_id, exit_status, version, metadata, time);
}

Event *event_finish_put(const char *plan_id, int exit_status, const Value *version,
                        const Value *metadata, Time time) {
        return finish_resource("finish-put", plan_id, exit_status, version, metadata, time);
}

Event *event_set_pipeline_changed(const char *plan_id, bool changed) {
        Value *data = value_map();
        value_map_set(data, "origin", origin_new(plan_id, NULL));
        value_map_set_bool(data, "changed", changed);
        return event_new("set-pipeline-changed", data);
}

Event *event_initialize(const char *plan_id, Time time) {
        return event_new("initialize", data_of_origin(plan_id, time));
}

Event *event_start(const char *plan_id, Time time) {
        return event_new("start", data_of_origin(plan_id, time));
}

Event *event_finish(const char *plan_id, bool succeeded, Time time) {
        Value *data = value_map();
        value_map_set(data, "origin", origin_new(plan_id, NULL));
        value_map_set_int(data, "time", time_seconds(time));
        value_map_set_bool(data, "succeeded", succeeded);
        return event_new("finish", data);
}

static Event *image_event(const char *name, const char *plan_id, const Value *plan, Time time) {
        Value *data = data_timed(plan_id, time);
        value_map_set(data, "plan", value_ref_or_null(plan));
        return event_new(name, data);
}

Event *event_image_check(const char *plan_id, const Value *public_plan, Time time) {
        return image_event("image-check", plan_id, public_plan, time);
}

Event *event_image_get(const char *plan_id, const Value *public_plan, Time time) {
        return image_event("image-get", plan_id, public_plan, time);
}

Event *event_across_substeps(const char *plan_id, const Value *substeps, Time time) {
        Value *data = data_timed(plan_id, time);
        value_map_set(data, "substeps", value_ref_or_null(substeps));
        return event_new("across-substeps", data);
}

/* ---- text ---- */

char *event_write(const Event *event, size_t *ret_length) {
        g_autoptr(GString) text = g_string_sized_new(256);
        g_string_append(text, "{\"data\":");
        json_append(text, event->data, JSON_COMPACT);
        g_string_append(text, ",\"event\":");
        json_append_string(text, event->name, strlen(event->name), JSON_COMPACT);
        g_string_append(text, ",\"version\":");
        json_append_string(text, event->version, strlen(event->version), JSON_COMPACT);
        g_string_append_c(text, '}');
        if (ret_length)
                *ret_length = text->len;
        return g_string_free(g_steal_pointer(&text), false);
}

void event_append_with_id(GString *out, const char *text, size_t length, int64_t event_id) {
        g_assert(length > 1 && text[length - 1] == '}');
        g_string_append_len(out, text, (gssize) length - 1);
        g_string_append_printf(out, ",\"event_id\":\"%" G_GINT64_FORMAT "\"}", event_id);
}

static bool event_id_parse(const Value *envelope, int64_t *ret, GError **error) {
        const char *text = value_get_string(envelope, "event_id", NULL);
        if (!text) {
                *ret = -1;
                return true;
        }
        return g_ascii_string_to_signed(text, 10, 0, INT64_MAX, ret, error);
}

Event *event_parse(const char *text, size_t length, int64_t *ret_event_id, GError **error) {
        g_autoptr(Value) envelope = json_parse(text, length, NULL, error);
        if (!envelope)
                return NULL;
        const char *name = value_get_string(envelope, "event", NULL);
        const char *version = value_get_string(envelope, "version", NULL);
        int64_t event_id = -1;
        if (!name || !version || !event_id_parse(envelope, &event_id, NULL)) {
                g_set_error(error, ERROR, ERROR_INVALID, "malformed event envelope");
                return NULL;
        }
        Event *event = g_new0(Event, 1);
        event->name = g_strdup(name);
        event->version = g_strdup(version);
        event->data = value_ref_or_null(value_get(envelope, "data"));
        if (ret_event_id)
                *ret_event_id = event_id;
        return event;
}

static bool same_major(const char *version, const char *other) {
        size_t length = strcspn(version, ".");
        return strcspn(other, ".") == length && strncmp(version, other, length) == 0;
}

EventKnowledge event_known(const Event *event, bool *ret_current, char **ret_supported) {
        const EventKind *kind = kind_find(event->name);
        if (!kind)
                return EVENT_UNKNOWN_TYPE;

        bool current = same_major(event->version, kind->version);
        bool known = current;
        g_auto(GStrv) legacy = g_strsplit(kind->legacy, " ", -1);
        for (char **version = legacy; *version && !known; version++)
                known = same_major(event->version, *version);

        if (ret_current)
                *ret_current = current;
        if (ret_supported)
                *ret_supported = g_strstrip(g_strdup_printf("%s %s", kind->legacy, kind->version));
        return known ? EVENT_KNOWN : EVENT_UNKNOWN_VERSION;
}
