/* The parts of `fly hijack` (reference 02 §14). */
#pragma once

#include "fly/api.h"
#include "wire/hijack.h"

/* ---- which container ---- */

typedef struct {
        Globals globals;
        char *job, *handle, *check, *url, *build, *step, *step_type, *attempt, *team;
} HijackOptions;

/* *ret is new: the container as the server shows it; NULL: none was chosen in the menu. */
bool hijack_find_container(Fly *fly, const HijackOptions *options, Value **ret, GError **error);
/* Whether the first sorts before the second in the menu: by build, resource, step, type. */
int hijack_compare_containers(const Value *a, const Value *b);
/* "step: unit, type: task, attempt: 2". Returns new. */
char *hijack_container_text(const Value *container);
/* Where containers are asked for: sorted query of names and values, in pairs, NULL values left out. Returns new. */
char *hijack_query(const char *const *pairs);

/* ---- what goes on in it ---- */

/* What was read from standard input before it was clear whether there is a process to read it. */
typedef struct {
        GByteArray *bytes; /* NULL: nothing is kept any more */
        bool ended;
} HijackTyped;

typedef struct {
        int status;         /* the process's, or 255 */
        bool no_executable; /* it never started; */
        char *failure;      /* why, not yet told */
} HijackEnd;

void hijack_end_clear(HijackEnd *end);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HijackEnd, hijack_end_clear)

/* Runs a process in the container, joined to our standard streams, to its end. typed begins with what an earlier try left. */
bool hijack_session(Fly *fly, const char *handle, const GardenProcessSpec *spec, HijackTyped *typed,
                    HijackEnd *ret, GError **error);
/* In red on standard error. */
void hijack_say_failure(const char *text);
