/* Teams and who may act for them (reference 07 §10; 01 §14). */
#pragma once

#include "store/handle.h"

typedef struct {
        int64_t id;
        char *name;
        bool admin;
        Value *auth; /* {"owner":{"users":[…],"groups":[…]},…} as given; sealed at rest */
} Team;

void team_free(Team *team);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Team, team_free)

/* Names are found whatever their case. Return new. */
Team *team_find(Store *store, const char *name, GError **error);
Team *team_get(Store *store, int64_t id, GError **error);
GPtrArray *team_list(Store *store, GError **error); /* Team, by name */

/* Creates the team or replaces its auth. *ret (may be NULL) is new. */
bool team_save(Store *store, const char *name, const Value *auth, bool *ret_created, Team **ret,
               GError **error);
/* The team "main", admin, with this auth: at every start (07 §10). */
bool team_save_main(Store *store, const Value *auth, GError **error);
bool team_rename(Store *store, int64_t id, const char *name, GError **error); /* ERROR_EXISTS */
/* With its pipelines, builds and workers. ERROR_DENIED for the last admin team. */
bool team_delete(Store *store, int64_t id, GError **error);
