/* The var sources of one pipeline, ready to be asked (reference 03 §6.4, §6.7). */
#pragma once

#include "config/pipeline.h"
#include "config/vars.h"
#include "store/store.h"

/* Who asks: a source looks below these names first. */
typedef struct {
        const char *team;
        const char *pipeline; /* NULL: none */
} CredsScope;

typedef struct Creds Creds; /* immutable once made: any thread */

/*
 * sources: of VarSourceConfig; NULL: none. Opened in the order they need each other, each with the values of those
 * before it. Text is copied. Returns new, or NULL with ERROR_INVALID "unknown credential manager type: t", "evaluate
 * var_source 'n' error: …", "var_source 'n' invalid config", "create var_source 'n' error: …"; ERROR_UNSUPPORTED for a
 * type that is known and not part of this program.
 */
Creds *creds_new(const GPtrArray *sources, const CredsScope *scope, GError **error);
/* Those of a pipeline as it is saved now; 0, one that is gone or archived: no sources. */
Creds *creds_of_pipeline(Store *store, int64_t pipeline_id, const CredsScope *scope,
                         GError **error);
void creds_free(Creds *creds);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Creds, creds_free)

/*
 * VarLookupFn, data is a Creds: answers references with a source. ERROR_INVALID "missing source 's' in var: s:x" when
 * there are sources and this is none of them.
 */
bool creds_lookup(const VarReference *reference, void *data, Value **ret, bool *ret_inexact,
                  GError **error);
