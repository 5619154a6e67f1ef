/* The error domain of the whole house: the code says what a caller can do, the message what
 * happened. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ERROR (error_quark())

typedef enum {
        ERROR_INVALID,     /* the input is wrong: tell who sent it */
        ERROR_NOT_FOUND,   /* what was named does not exist */
        ERROR_EXISTS,      /* what should be new exists already */
        ERROR_DENIED,      /* the caller may not do this, or is not known */
        ERROR_LIMIT,       /* a named limit of ours was reached */
        ERROR_CANCELLED,   /* a Cancel token fired: abort or shutdown */
        ERROR_TIMEOUT,     /* a deadline passed */
        ERROR_UNAVAILABLE, /* the other side cannot be reached now: try again */
        ERROR_PROTOCOL,    /* the other side broke its protocol */
        ERROR_STALE, /* a lease or epoch is no longer ours: stop the work, somebody else has it */
        ERROR_BUSY,  /* taken by somebody else now */
        ERROR_UNSUPPORTED, /* known, but not part of this program */
        ERROR_IO,          /* the system refused: errno text in the message */
        ERROR_INTERNAL,    /* a state that should not be */
} ErrorCode;

GQuark error_quark(void);

/* Sets ERROR_IO (or ERROR_NOT_FOUND, ERROR_DENIED where errno says so) to "<formatted>:
 * <strerror>". */
void error_set_errno(GError **error, int error_number, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* Whether error is of our domain and has one of these codes. A NULL error is neither. */
bool error_is(const GError *error, ErrorCode code);

/*
 * Sets "N errors occurred:\n\t* a\n\t* b\n\n", with the code of the first. errors: GError *; at least one. One that was
 * joined itself counts as what it was made of.
 */
void error_join(GError **error, const GPtrArray *errors);
