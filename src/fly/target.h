/* Targets: the servers that fly knows, kept in .flyrc (reference 02 §4). */
#pragma once

#include "base/value.h"

typedef struct {
        char *name;
        char *api; /* without a trailing slash */
        char *team;
        bool insecure;
        bool has_token;   /* never logged in: no Authorization is sent */
        char *token_type; /* "" after logout */
        char *token_value;
        char *ca_cert; /* PEM itself; "" : none */
        char *client_cert_path;
        char *client_key_path;
} Target;

typedef struct {
        char *path;
        GPtrArray *list; /* of Target */
} Targets;

Target *target_new(const char *name);
void target_free(Target *target);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Target, target_free)
void target_set(char **field, const char *text); /* replaces one */

/* Reads $FLY_HOME/.flyrc or $HOME/.flyrc; a missing file has no targets. Returns new. */
Targets *targets_load(GError **error);
void targets_free(Targets *targets);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Targets, targets_free)
Target *targets_find(const Targets *targets, const char *name); /* borrowed; NULL: unknown */
void targets_put(Targets *targets, Target *target);             /* takes; replaces by name */
void targets_remove(Targets *targets, const char *name);
void targets_clear(Targets *targets);
/* Another target of that name is replaced. target must be one of them. */
void targets_rename(Targets *targets, Target *target, const char *name);
/* Writes the whole file, keys sorted; a new one has mode 0600, an existing one keeps its own. */
bool targets_save(const Targets *targets, GError **error);
