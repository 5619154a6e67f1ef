/* The protocol of resource scripts: check, in, out (reference 04 §7). */
#pragma once

#include "steps/step.h"

typedef struct {
        PoolContainer *container;
        const char *path;                       /* "/opt/resource/in" */
        const char *directory;                  /* its argument; NULL: none */
        const Value *source, *params, *version; /* params and version are left out when empty */
        bool keep_result; /* get, put: process "resource", its answer kept as a property */
        bool once;        /* a put: never begun again when it is not known whether it began */
        bool attach_only; /* a put that began in another life: never begin it again */
        bool *ret_lost;   /* as ProcessNeed; may be NULL */
} Script;

typedef struct {
        int status;   /* exit code */
        char *output; /* stdout, NUL-terminated; of checks */
        size_t length;
        Value *version;  /* get, put */
        Value *metadata; /* list; NULL: none */
} ScriptResult;
void script_result_clear(ScriptResult *result);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ScriptResult, script_result_clear)

/* stderr goes to the step's log. A get or put that exits 0 without a version is ERROR_PROTOCOL
 * "resource script (…) output a null version". */
bool script_run(const StepCall *call, const Script *script, Cancel *cancel, ScriptResult *ret,
                GError **error);

/* A check's answer: list of versions. Empty output is an empty list. Returns new. */
Value *script_versions(const ScriptResult *result, GError **error);
