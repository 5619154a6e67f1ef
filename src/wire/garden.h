/* Garden's messages (reference 06 §3): what the pool sends and the worker answers, as structs and
 * as JSON. */
#pragma once

#include "base/value.h"

/*
 * Every struct here owns its text and is freed by its _clear(), which accepts a zeroed struct; all
 * are zeroed (absent text is NULL) before a _parse() fills them. _value() returns new and leaves out
 * what Go leaves out. Keys are read in any case, as Go's decoder does; unknown keys are ignored.
 * A _parse() refuses with ERROR_INVALID.
 */

/* ---- errors ---- */

typedef enum {
        GARDEN_OTHER,                /* "": free text, 500 */
        GARDEN_CONTAINER_NOT_FOUND,  /* 404 "unknown handle: H" */
        GARDEN_PROCESS_NOT_FOUND,    /* 404 "unknown process: P" */
        GARDEN_EXECUTABLE_NOT_FOUND, /* 500 */
        GARDEN_SERVICE_UNAVAILABLE,  /* 500, not 503: a quirk clients know */
        GARDEN_UNRECOVERABLE,        /* 500 */
} GardenErrorKind;

typedef struct {
        GardenErrorKind kind;
        char *message;
        char *handle;
        char *process_id;
        char *binary;
} GardenError;

int garden_error_status(GardenErrorKind kind);
Value *garden_error_value(const GardenError *message);
bool garden_error_parse(const Value *value, GardenError *ret, GError **error);
void garden_error_clear(GardenError *message);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(GardenError, garden_error_clear)

/* ---- containers ---- */

typedef struct {
        char *source;      /* src_path */
        char *destination; /* dst_path */
        int64_t mode;      /* 0: read only, 1: writable; others are refused by the worker */
        int64_t origin;    /* 0: a path of the host, 1: of the container */
} GardenMount;

typedef struct {
        char *handle;
        int64_t grace_time; /* ns; 0: never reaped */
        char *rootfs;       /* "raw:///abs/path" */
        char *image_uri;    /* stands in for an empty rootfs */
        GArray *mounts;     /* of GardenMount */
        Value *properties;  /* map of text; may be NULL */
        GPtrArray *env;     /* of "K=V" */
        bool privileged;
        uint64_t cpu_shares; /* limit_in_shares, or weight where that is given; 0: none */
        uint64_t memory_bytes;
        uint64_t pids;
        bool outgoing;  /* netout_rules present and not empty; false: hermetic */
        Value *volumes; /* extension "volumes": list of requests; NULL: none */
} GardenContainerSpec;

/* A zeroed spec with its lists made: fill it, then garden_container_spec_value(). */
void garden_container_spec_init(GardenContainerSpec *spec);
void garden_mount_add(GardenContainerSpec *spec, const char *source, const char *destination,
                      bool writable);
Value *garden_container_spec_value(const GardenContainerSpec *spec);
bool garden_container_spec_parse(const Value *value, GardenContainerSpec *ret, GError **error);
void garden_container_spec_clear(GardenContainerSpec *spec);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(GardenContainerSpec, garden_container_spec_clear)

/* {"Handle":"…"} and {"Handles":[…]}; lists of new text. */
Value *garden_handle_value(const char *handle);
bool garden_handle_parse(const Value *value, char **ret, GError **error);
Value *garden_handles_value(const GPtrArray *handles);
GPtrArray *garden_handles_parse(const Value *value, GError **error);

/* ---- processes ---- */

typedef struct {
        uint32_t columns, rows;
} GardenWindow;

typedef struct {
        char *id; /* NULL: the server makes one */
        char *path;
        GPtrArray *args;
        GPtrArray *env;
        char *directory; /* "dir" */
        char *user;
        bool tty;
        GardenWindow window; /* of a tty; 0: not said */
        char *input; /* extension "input": all of standard input; NULL: it comes by messages */
        size_t input_length;
} GardenProcessSpec;
/* What a pipe holds without anybody who reads. */
#define GARDEN_INPUT_MAX ((size_t) 1024 * 1024)

void garden_process_spec_init(GardenProcessSpec *spec);
Value *garden_process_spec_value(const GardenProcessSpec *spec);
bool garden_process_spec_parse(const Value *value, GardenProcessSpec *ret, GError **error);
void garden_process_spec_clear(GardenProcessSpec *spec);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(GardenProcessSpec, garden_process_spec_clear)

/* One line of a process's control connection, either way (06 §3.6). */
typedef enum {
        GARDEN_HAS_SOURCE = 1 << 0,
        GARDEN_HAS_DATA = 1 << 1, /* a source without data: the end of stdin */
        GARDEN_HAS_WINDOW = 1 << 2,
        GARDEN_HAS_SIGNAL = 1 << 3,
        GARDEN_HAS_EXIT_STATUS = 1 << 4,
        GARDEN_HAS_TTY = 1 << 5, /* "tty" was there, with or without a window */
        GARDEN_HAS_LENGTHS = 1 << 6,
} GardenHas;

enum { GARDEN_STDIN = 0, GARDEN_STDOUT = 1, GARDEN_STDERR = 2 };
enum { GARDEN_SIGNAL_TERMINATE = 0, GARDEN_SIGNAL_KILL = 1, GARDEN_SIGNAL_HANG_UP = 2 };

typedef struct {
        unsigned has; /* of GardenHas */
        char *process_id;
        char *stream_id;
        int64_t source;
        char *data; /* UTF-8 by the format: other bytes become U+FFFD on the way, unless it is binary */
        size_t data_length;
        bool binary; /* data travels as base64; only where "sessions" was agreed on */
        GardenWindow window;
        int64_t signal;
        int64_t exit_status;
        int64_t output_length, error_length; /* extension "exit-status": of all it wrote */
        char *error;
} GardenPayload;

/* The longest line either end accepts: resource scripts get their whole request in one. */
#define GARDEN_PAYLOAD_MAX ((size_t) 64 * 1024 * 1024)

/* Appends the message as one line, newline included. */
void garden_payload_append(GString *text, const GardenPayload *payload);
bool garden_payload_parse(const char *line, size_t length, GardenPayload *ret, GError **error);
void garden_payload_clear(GardenPayload *payload);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(GardenPayload, garden_payload_clear)

/* Short forms for what is sent most. */
void garden_append_input(GString *text, const char *process_id, const char *data, size_t length);
void garden_append_input_end(GString *text, const char *process_id);
void garden_append_window(GString *text, const char *process_id, GardenWindow window);

/* ---- extensions between Weir ends ----
 *
 * A Weir web sends the header with the names it knows on every call; a Weir worker answers with
 * those it serves. An upstream end knows neither and nothing changes.
 *
 * "offsets": GET …/attaches/:stream/stdout?from=N (and stderr) begins at byte N of the stream, counted
 * from the process's first byte; N -1 or no `from` begins after the last byte that any client was sent.
 * GARDEN_OFFSET_HEADER in the answer says where it begins: greater than N when N was dropped already
 * (more than 64 MiB behind what was read).
 *
 * "sessions": what a person at a terminal needs of a control connection. "bytes" (base64) may stand in
 * for "data", so that any byte arrives; "signal" is obeyed, goes to the process's whole group, and 2 is
 * to hang up; messages are read after the end of stdin too.
 *
 * "volumes": POST /containers may carry bodies of POST /volumes as "weir_volumes"; they are made in order
 * before the container, and one that is there already is taken as it is. "volume:H" in place of an absolute
 * path, in rootfs and src_path, is where the volume H is, and "volume:H/rest" something in it.
 *
 * "input": POST …/processes may carry all of standard input, at most GARDEN_INPUT_MAX, as "weir_input" (base64).
 * A process that was started has it then, whichever end dies.
 *
 * "exit-status": the end of a process is kept by the worker for who attaches later; the web node need not
 * tell it by the property concourse:exit-status. With the end come "weir_stdout" and "weir_stderr", how many bytes there
 * are: a connection that closed before all of them broke.
 */
#define GARDEN_EXTENSIONS_HEADER "X-Weir-Extensions"
#define GARDEN_EXTENSIONS "offsets, sessions, volumes, input, exit-status"
#define GARDEN_EXTENSION_SESSIONS "sessions"
#define GARDEN_EXTENSION_VOLUMES "volumes"
#define GARDEN_EXTENSION_INPUT "input"
#define GARDEN_EXTENSION_EXIT_STATUS "exit-status"
#define GARDEN_VOLUME_PREFIX "volume:"
#define GARDEN_OFFSET_HEADER "X-Weir-Offset"
