/* Who has signed in (reference 07 §6.4). */
#pragma once

#include "base/clock.h"
#include "store/handle.h"

typedef struct {
        int64_t id;
        char *sub, *username, *connector;
        Time last_login;
} User;

void user_free(User *user);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(User, user_free)

/* Upserts by sub and stamps the login. */
bool user_save(Store *store, const char *sub, const char *username, const char *connector, Time now,
               GError **error);
GPtrArray *user_list(Store *store, Time since, GError **error); /* User; since 0: all */
