#include "store/user.h"

#include "store/internal.h"

void user_free(User *user) {
        if (!user)
                return;
        g_free(user->sub);
        g_free(user->username);
        g_free(user->connector);
        g_free(user);
}

static void *row_user(Store *store, DbRows *rows, GError **error) {
        User *user = g_new0(User, 1);
        user->id = db_int(rows, 0);
        user->sub = g_strdup(db_text(rows, 1));
        user->username = g_strdup(db_text(rows, 2));
        user->connector = g_strdup(db_text(rows, 3));
        user->last_login = db_int(rows, 4);
        return user;
}

bool user_save(Store *store, const char *sub, const char *username, const char *connector, Time now,
               GError **error) {
        return store_exec(
                store,
                SQL("INSERT INTO accounts (sub, username, connector, last_login) VALUES ($1, $2, "
                    "$3, $4) ON CONFLICT (sub) DO UPDATE SET username = excluded.username, "
                    "connector = excluded.connector, last_login = excluded.last_login",
                    DB_TEXT(sub), DB_TEXT(text_or_empty(username)),
                    DB_TEXT(text_or_empty(connector)), DB_INT(now)),
                NULL, error);
}

GPtrArray *user_list(Store *store, Time since, GError **error) {
        return store_list(store, row_user, (GDestroyNotify) user_free,
                          SQL("SELECT id, sub, username, connector, last_login FROM accounts WHERE "
                              "last_login >= $1 ORDER BY id",
                              DB_INT(since)),
                          error);
}
