#include "store/wall.h"

#include "store/internal.h"

void wall_clear_fields(Wall *wall) {
        g_clear_pointer(&wall->message, g_free);
}

static void *row_wall(Store *store, DbRows *rows, GError **error) {
        Wall *wall = g_new0(Wall, 1);

        wall->message = g_strdup(db_text(rows, 0));
        wall->expires = db_int(rows, 1);
        return wall;
}

bool wall_get(Store *store, Time now, Wall *ret, GError **error) {
        g_autoptr(GError) cause = NULL;
        g_autofree Wall *wall = store_one(store, row_wall, "wall",
                                          SQL("SELECT message, expires FROM walls WHERE expires = "
                                              "0 OR expires > $1",
                                              DB_INT(now)),
                                          &cause);

        if (!wall && !error_is(cause, ERROR_NOT_FOUND)) {
                g_propagate_error(error, g_steal_pointer(&cause));
                return false;
        }
        *ret = wall ? *wall : (Wall){ 0 };
        return true;
}

bool wall_set(Store *store, const char *message, Time expires, GError **error) {
        return store_exec(store,
                          SQL("INSERT INTO walls (id, message, expires) VALUES (1, $1, $2) ON "
                              "CONFLICT (id) DO UPDATE SET message = excluded.message, expires = "
                              "excluded.expires",
                              DB_TEXT(message), DB_INT(expires)),
                          NULL, error);
}

bool wall_clear(Store *store, GError **error) {
        return store_exec(store, SQL("DELETE FROM walls"), NULL, error);
}
