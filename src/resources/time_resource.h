/* The time resource type: a version each time a clock or a calendar says so (reference 09 §5). */
#pragma once

#include "base/duration.h"
#include "base/value.h"
#include "resources/zone.h"

typedef struct {
        bool set;
        int hour, minute;
} TimeOfDay;

/* The most entries `days` may have; beyond them ERROR_LIMIT. */
#define TIME_DAYS_LIMIT ((size_t) 100)

/* A source as it was decoded. */
typedef struct {
        bool initial_version;
        bool has_interval;
        Duration interval;
        TimeOfDay start, stop;
        bool has_days;
        int days[TIME_DAYS_LIMIT]; /* 0 is Sunday */
        size_t day_count;
        Zone *location; /* NULL: not given, UTC */
        bool has_start_after;
        Wall start_after;
} TimeSource;

typedef struct {
        TimeSource source;
        bool has_version;
        Moment version;
        int32_t version_offset; /* as it was written */
} TimeRequest;

/*
 * Decodes a whole request; unknown keys are ignored, names match without regard to case.
 * Returns new, or NULL with ERROR_INVALID and Go's text, without "parse error: ".
 */
TimeRequest *time_request_parse(const Value *request, GError **error);
void time_request_free(TimeRequest *request);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TimeRequest, time_request_free)

/* What check refuses beyond what does not decode. */
bool time_source_validate(const TimeSource *source, GError **error);

/* source and version as the file `input` has them. Returns new. */
Value *time_request_format(const TimeRequest *request);

/*
 * Each takes the whole request and the time it is. *ret is new; the message of a failure is what the program says.
 * time_in makes the directory and writes `input`, `timestamp` and `epoch` there.
 */
bool time_check(const Value *request, const Moment *now, Value **ret, GError **error);
bool time_in(const Value *request, const Moment *now, const char *destination, Value **ret,
             GError **error);
bool time_out(const Value *request, const Moment *now, Value **ret, GError **error);
