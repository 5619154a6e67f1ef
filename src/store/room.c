#include "store/room.h"

#include "base/files.h"
#include "base/log.h"
#include "store/internal.h"

#define RESERVE ((uint64_t) 64 * 1024 * 1024)
#define RESERVE_PART 20 /* of a small disk */

static bool web_has_room(Store *store) {
        uint64_t left, total;
        if (store->postgres || !disk_free(store->log_directory, &left, &total, NULL))
                return true;
        bool was_low = atomic_load(&store->disk_low);
        uint64_t mark = MIN(RESERVE, total / RESERVE_PART);
        bool low = left < (was_low ? mark + mark / 2 : mark);
        if (low != was_low && atomic_compare_exchange_strong(&store->disk_low, &was_low, low))
                log_info("store", low ? "disk-low" : "disk-has-room", "free", LOG_INT(left),
                         "total", LOG_INT(total));
        return !low;
}

typedef struct {
        int64_t team_id;
        bool any_roomy;
        GString *low; /* names */
} Look;

static bool look_in(DbTx *tx, void *data, GError **error) {
        Look *look = data;
        look->any_roomy = false;
        g_string_truncate(look->low, 0);
        g_autoptr(DbRows) rows = db_query(
                tx, error,
                "SELECT name, disk_low FROM workers WHERE state = 'running' AND (team_id IS NULL "
                "OR team_id = $1) ORDER BY name",
                DB_INT(look->team_id));
        if (!rows)
                return false;
        while (db_next(rows)) {
                if (db_bool(rows, 1))
                        g_string_append_printf(look->low, "%s%s", look->low->len ? ", " : "",
                                               db_text(rows, 0));
                else
                        look->any_roomy = true;
        }
        return db_done(rows, error);
}

bool room_for_build(Store *store, int64_t team_id, char **ret, GError **error) {
        g_autoptr(GString) low = g_string_new(NULL);
        Look look = { .team_id = team_id, .low = low };
        if (!web_has_room(store)) {
                *ret = g_strdup("no room on the web node's disk");
                return true;
        }
        if (!db_read(store->db, look_in, &look, error))
                return false;
        *ret = look.any_roomy || low->len == 0
                       ? NULL
                       : g_strdup_printf("no room on the disk of any worker: %s", low->str);
        return true;
}
