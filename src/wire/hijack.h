/* The messages of a hijack's WebSocket, between fly and a web node (reference 01 §17.4, 02 §14.3). */
#pragma once

#include "wire/garden.h"

/*
 * Each message is one JSON object, written with a newline behind it. The first one describes the
 * process: a web node reads it with garden_process_spec_parse(). Bytes travel as base64, so they
 * arrive as they are. A _parse() refuses with ERROR_INVALID; what it fills is freed by _clear(), which
 * accepts a zeroed struct.
 */

/* args, env, directory, user and tty of the spec are sent; id is not. Returns new. */
char *hijack_spec_write(const GardenProcessSpec *spec, size_t *ret_length);

typedef enum {
        HIJACK_INPUT,       /* data for standard input; may be empty */
        HIJACK_INPUT_ENDED, /* no more of it */
        HIJACK_RESIZED,     /* window; 0 × 0: none that a terminal can have */
} HijackInputKind;

typedef struct {
        HijackInputKind kind;
        GBytes *data; /* NULL: none */
        GardenWindow window;
} HijackInput;

void hijack_input_append(GString *text, const HijackInput *input);
bool hijack_input_parse(const char *text, size_t length, HijackInput *ret, GError **error);
void hijack_input_clear(HijackInput *input);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HijackInput, hijack_input_clear)

typedef enum {
        HIJACK_NOTHING, /* a message that says nothing we know */
        HIJACK_STDOUT,
        HIJACK_STDERR,
        HIJACK_EXITED,        /* status; the last message */
        HIJACK_NO_EXECUTABLE, /* an error follows */
        HIJACK_FAILED,        /* error; the last message, but after a failed resize */
} HijackOutputKind;

typedef struct {
        HijackOutputKind kind;
        GBytes *data;
        int64_t status;
        char *error;
} HijackOutput;

void hijack_output_append(GString *text, const HijackOutput *output);
bool hijack_output_parse(const char *text, size_t length, HijackOutput *ret, GError **error);
void hijack_output_clear(HijackOutput *output);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HijackOutput, hijack_output_clear)

/* Whether an error says so: workers of today do not say it by its type (reference 06 §3.3). */
bool hijack_error_is_no_executable(const char *text);
