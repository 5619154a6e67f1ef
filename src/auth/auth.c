#include "auth/auth_internal.h"

#include <string.h>

#define DURATION_STANDARD (24 * DURATION_HOUR)

static void free_user(void *user) {
        local_user_free(user);
}

void auth_forget_teams(Auth *auth) {
        MUTEX_SCOPE(&auth->mutex);
        g_clear_pointer(&auth->teams, g_ptr_array_unref);
        auth->changes++;
}

/* Runs on the notifier's thread. */
static void forget_teams(NotifyKind kind, int64_t id, void *data) {
        auth_forget_teams(data);
}

GPtrArray *auth_teams(Auth *auth, GError **error) {
        mutex_lock(&auth->mutex);
        GPtrArray *teams = auth->teams ? g_ptr_array_ref(auth->teams) : NULL;
        uint64_t changes = auth->changes;
        mutex_unlock(&auth->mutex);
        if (teams)
                return teams;

        teams = team_list(auth->store, error);
        if (!teams)
                return NULL;
        /* What changed while we read may not be in what we read. */
        MUTEX_SCOPE(&auth->mutex);
        if (!auth->teams && auth->changes == changes)
                auth->teams = g_ptr_array_ref(teams);
        return teams;
}

Auth *auth_new(const AuthSpec *spec, GError **error) {
        g_autoptr(Auth) auth = g_new0(Auth, 1);

        auth->store = spec->store;
        auth->issuer = g_strconcat(spec->external_url, "/sky/issuer", NULL);
        auth->signing_key_path = g_strdup(spec->signing_key);
        auth->worker_secret = g_strdup(spec->worker_secret);
        auth->duration = spec->duration ? spec->duration : DURATION_STANDARD;
        auth->users = g_ptr_array_new_with_free_func(free_user);
        crypto_random(auth->salt, sizeof auth->salt);
        mutex_init(&auth->mutex);
        for (size_t i = 0; spec->local_users && i < spec->local_users->len; i++)
                if (!local_user_parse(auth, g_ptr_array_index(spec->local_users, i), error))
                        return NULL;
        auth->watch = notify_watch(spec->store, NOTIFY_TEAMS, 0, forget_teams, auth);
        return g_steal_pointer(&auth);
}

void auth_free(Auth *auth) {
        if (!auth)
                return;
        if (auth->watch)
                notify_unwatch(auth->store, auth->watch);
        g_clear_pointer(&auth->teams, g_ptr_array_unref);
        g_ptr_array_unref(auth->users);
        key_free(auth->key);
        mutex_destroy(&auth->mutex);
        g_free(auth->issuer);
        g_free(auth->signing_key_path);
        g_free(auth->worker_secret);
        g_free(auth);
}
