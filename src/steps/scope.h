/* What the steps of a running build share: artifacts by name and local variables, in nested scopes. */
#pragma once

#include "pool/artifact.h"

/* Reference counted; any thread. A lookup falls through to the parent, a write stays in its own scope (reference 04 §3). */
typedef struct Scope Scope;

Scope *scope_new(Scope *parent); /* parent may be NULL */
Scope *scope_ref(Scope *scope);
void scope_free(Scope *scope); /* drops one reference; accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Scope, scope_free)

void scope_put_artifact(Scope *scope, const char *name,
                        Artifact *artifact);              /* takes a reference of its own */
Artifact *scope_artifact(Scope *scope, const char *name); /* returns new; NULL when unknown */
GPtrArray *scope_artifact_names(Scope *scope);            /* returns new, sorted, each once */

void scope_put_var(Scope *scope, const char *name, const Value *value);
Value *scope_var(Scope *scope, const char *name); /* returns new; NULL when unknown */
