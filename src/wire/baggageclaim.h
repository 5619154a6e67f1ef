/* Baggageclaim's messages: what travels between the web node and a worker's volumes (reference 06
 * §4). */
#pragma once

#include "base/value.h"

typedef enum {
        VOLUME_STRATEGY_NONE, /* absent: answered "no strategy given" */
        VOLUME_STRATEGY_EMPTY,
        VOLUME_STRATEGY_COW,
        VOLUME_STRATEGY_IMPORT,
        VOLUME_STRATEGY_UNKNOWN, /* answered "unknown strategy" */
} VolumeStrategyKind;

typedef struct {
        VolumeStrategyKind kind;
        char *volume;         /* cow: the parent's handle; NULL when not given */
        char *path;           /* import: absolute, on the worker */
        bool follow_symlinks; /* import */
} VolumeStrategy;

/* The body of POST /volumes and /volumes-async. */
typedef struct {
        char *handle; /* NULL or "": the worker makes one */
        VolumeStrategy strategy;
        Value *properties; /* map of strings; NULL: null, as the web node always sends */
        bool privileged;
        bool has_uid, has_gid; /* else left out */
        int64_t uid, gid;      /* -1: leave owners alone */
} VolumeRequest;

void volume_request_clear(VolumeRequest *request);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VolumeRequest, volume_request_clear)
Value *volume_request_to_value(const VolumeRequest *request); /* returns new */
/* ERROR_INVALID when a member has the wrong kind. Names in any case, unknown ones are ignored, as
 * Go's decoder does. */
bool volume_request_from_value(const Value *value, VolumeRequest *ret, GError **error);

/* What list, get and a finished create answer. */
typedef struct {
        char *handle;
        char *path;        /* absolute, on the worker: goes back to it in container specs */
        Value *properties; /* NULL: null */
        bool privileged;
        bool has_uid, has_gid; /* only in the answer to a create that named them */
        int64_t uid, gid;
} VolumeResponse;

void volume_response_clear(VolumeResponse *response);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VolumeResponse, volume_response_clear)
void volume_response_free(VolumeResponse *response);             /* accepts NULL */
Value *volume_response_to_value(const VolumeResponse *response); /* returns new */
bool volume_response_from_value(const Value *value, VolumeResponse *ret, GError **error);

/* How a stream is compressed: Accept-Encoding of stream-out, Content-Encoding of stream-in. */
typedef enum {
        VOLUME_ENCODING_RAW,
        VOLUME_ENCODING_GZIP,
        VOLUME_ENCODING_ZSTD,
        VOLUME_ENCODING_S2,
} VolumeEncoding;

const char *volume_encoding_name(VolumeEncoding encoding); /* "raw", "gzip", "zstd", "s2" */
/* Exactly one of the names; NULL and all else: ERROR_INVALID. */
bool volume_encoding_parse(const char *name, VolumeEncoding *ret, GError **error);

/* {"value": …} of the property and privileged calls. */
Value *volume_property_to_value(const char *value); /* returns new */
/* Borrowed from body; NULL with ERROR_INVALID. */
const char *volume_property_from_value(const Value *body, GError **error);
Value *volume_privileged_to_value(bool privileged); /* returns new */
bool volume_privileged_from_value(const Value *body, bool *ret, GError **error);

/* {"handle":"H"}, the answer of POST /volumes-async. */
Value *volume_future_to_value(const char *handle);                  /* returns new */
char *volume_future_from_value(const Value *value, GError **error); /* returns new */

/* {"error":"…"}. */
Value *volume_error_to_value(const char *text);         /* returns new */
const char *volume_error_from_value(const Value *body); /* borrowed; NULL when it is none */
