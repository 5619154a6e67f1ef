/*
 * Build events: what a build tells its watchers, in upstream's JSON (reference 04 §10.2).
 *
 * An event travels as {"data":…,"event":NAME,"version":V,"event_id":"N"}. In a build's log it is
 * stored without event_id; its place in the log is its id.
 */
#pragma once

#include "base/clock.h"
#include "base/value.h"

/* Immutable once made; one owner. */
typedef struct {
        char *name, *version;
        Value *data;
} Event;

void event_free(Event *event); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Event, event_free)

/*
 * The one builder behind those below: looks the version up by name (asserts that it is a name of
 * 04 §10.2). Takes data. Returns new.
 */
Event *event_new(const char *name, Value *data);

/*
 * Builders, each returns new. plan_id is the origin's id; time is written in whole seconds. Text
 * is borrowed; Values are referenced.
 */
Event *event_status(const char *status, Time time); /* "started", "succeeded", … */
/* source "stdout" or "stderr". Bytes that are not UTF-8 become U+FFFD when written. */
Event *event_log(const char *plan_id, const char *source, const char *payload, size_t length,
                 Time time);
Event *event_error(const char *plan_id, const char *message, Time time);
Event *event_waiting_for_worker(const char *plan_id, Time time);
Event *event_selected_worker(const char *plan_id, const char *worker, Time time);
Event *event_streaming_volume(const char *plan_id, const char *volume, const char *source_worker,
                              const char *destination_worker, Time time);
Event *event_waiting_for_streamed_volume(const char *plan_id, const char *volume,
                                         const char *destination_worker, Time time);

typedef struct {
        const char *platform, *image; /* NULL: "" */
        const char *path, *directory; /* of run; NULL: "" */
        const Value *args;            /* list of strings; NULL: null */
        const Value *inputs;          /* list of {"name","path"}; NULL: null */
} EventTaskConfig;
Event *event_initialize_task(const char *plan_id, Time time); /* its config is always empty */
Event *event_start_task(const char *plan_id, const EventTaskConfig *config, Time time);
Event *event_finish_task(const char *plan_id, int exit_status, Time time);

Event *event_initialize_check(const char *plan_id, const char *name, Time time);
Event *event_initialize_get(const char *plan_id, Time time);
Event *event_initialize_put(const char *plan_id, Time time);
Event *event_start_get(const char *plan_id, Time time);
Event *event_start_put(const char *plan_id, Time time);

/* version may be NULL (null); metadata, a list of {"name","value"}, is left out when empty. */
Event *event_finish_get(const char *plan_id, int exit_status, const Value *version,
                        const Value *metadata, Time time);
Event *event_finish_put(const char *plan_id, int exit_status, const Value *version,
                        const Value *metadata, Time time);

Event *event_set_pipeline_changed(const char *plan_id, bool changed);
/* load_var, set_pipeline, across, run; check uses start and finish only. */
Event *event_initialize(const char *plan_id, Time time);
Event *event_start(const char *plan_id, Time time);
Event *event_finish(const char *plan_id, bool succeeded, Time time);
/* Public plans of a task's image_resource. */
Event *event_image_check(const char *plan_id, const Value *public_plan, Time time);
Event *event_image_get(const char *plan_id, const Value *public_plan, Time time);
/* substeps: list of {"step":<public plan>,"values":[…]}. */
Event *event_across_substeps(const char *plan_id, const Value *substeps, Time time);

/* ---- text ---- */

/* The stored form, without event_id. Returns new. */
char *event_write(const Event *event, size_t *ret_length);
/* Appends the stored form `text` completed with event_id, as the stream sends it. */
void event_append_with_id(GString *out, const char *text, size_t length, int64_t event_id);

/*
 * Reads either form. *ret_event_id (may be NULL) is -1 without one. Unknown names and versions are
 * kept; event_known() says which. ERROR_INVALID when the envelope is broken. Returns new.
 */
Event *event_parse(const char *text, size_t length, int64_t *ret_event_id, GError **error);

typedef enum {
        EVENT_KNOWN,
        EVENT_UNKNOWN_TYPE,    /* no such name */
        EVENT_UNKNOWN_VERSION, /* the name is known, no version of this major is */
} EventKnowledge;
/*
 * Whether a client may interpret it: the major matches a version of 04 §10.2 or §10.3.
 * *ret_current (may be NULL): the major is that of the newest version, so 10.2's shape applies.
 * *ret_supported (may be NULL) is new text "1.0 2.0 …" of the versions known for the name.
 */
EventKnowledge event_known(const Event *event, bool *ret_current, char **ret_supported);
