#include "store/team.h"

#include "store/internal.h"

void team_free(Team *team) {
        if (!team)
                return;
        g_free(team->name);
        value_free(team->auth);
        g_free(team);
}

#define COLUMNS "id, name, admin, auth, auth_nonce"

static void *row_team(Store *store, DbRows *rows, GError **error) {
        g_autoptr(Team) team = g_new0(Team, 1);
        team->id = db_int(rows, 0);
        team->name = g_strdup(db_text(rows, 1));
        team->admin = db_bool(rows, 2);
        team->auth = unseal_json(store, db_text(rows, 3), db_text(rows, 4), error);
        return team->auth ? g_steal_pointer(&team) : NULL;
}

static char *name_key(const char *name) {
        return g_utf8_strdown(name, -1);
}

Team *team_find(Store *store, const char *name, GError **error) {
        g_autofree char *key = name_key(name);
        return store_one(store, row_team, "team",
                         SQL("SELECT " COLUMNS " FROM teams WHERE name_key = $1", DB_TEXT(key)),
                         error);
}

Team *team_get(Store *store, int64_t id, GError **error) {
        return store_one(store, row_team, "team",
                         SQL("SELECT " COLUMNS " FROM teams WHERE id = $1", DB_INT(id)), error);
}

GPtrArray *team_list(Store *store, GError **error) {
        return store_list(store, row_team, (GDestroyNotify) team_free,
                          SQL("SELECT " COLUMNS " FROM teams ORDER BY name, id"), error);
}

typedef struct {
        Store *store;
        const char *name, *key, *auth, *nonce;
        bool admin; /* also make it an admin team */
        bool created;
        int64_t id;
} Save;

static bool save_in(DbTx *tx, void *data, GError **error) {
        Save *save = data;
        if (!tx_int(tx, 0, &save->id,
                    SQL("SELECT id FROM teams WHERE name_key = $1", DB_TEXT(save->key)), error))
                return false;
        save->created = save->id == 0;
        if (save->created) {
                if (!tx_insert(tx, &save->id,
                               SQL("INSERT INTO teams (name, name_key, admin, auth, auth_nonce) "
                                   "VALUES ($1, $2, $3, $4, $5) RETURNING id",
                                   DB_TEXT(save->name), DB_TEXT(save->key), DB_BOOL(save->admin),
                                   DB_TEXT(save->auth), DB_TEXT(save->nonce)),
                               error))
                        return false;
        } else if (!tx_exec(tx,
                            SQL("UPDATE teams SET auth = $2, auth_nonce = $3, admin = (admin OR "
                                "$4) WHERE id = $1",
                                DB_INT(save->id), DB_TEXT(save->auth), DB_TEXT(save->nonce),
                                DB_BOOL(save->admin)),
                            NULL, error))
                return false;
        tx_notify(tx, NOTIFY_TEAMS, save->id);
        return true;
}

static bool save_run(Store *store, Save *save, const Value *auth, GError **error) {
        g_autofree char *key = name_key(save->name), *text = NULL, *nonce = NULL;
        if (!*save->name) {
                g_set_error(error, ERROR, ERROR_INVALID, "team name is empty");
                return false;
        }
        if (!seal_json(store, auth, &text, &nonce, error))
                return false;
        save->key = key;
        save->auth = text;
        save->nonce = nonce;
        return db_write(store->db, save_in, save, error);
}

bool team_save(Store *store, const char *name, const Value *auth, bool *ret_created, Team **ret,
               GError **error) {
        Save save = { .name = name };
        if (!save_run(store, &save, auth, error))
                return false;
        Team *team = ret ? team_get(store, save.id, error) : NULL;
        if (ret && !team)
                return false;
        if (ret)
                *ret = team;
        if (ret_created)
                *ret_created = save.created;
        return true;
}

bool team_save_main(Store *store, const Value *auth, GError **error) {
        Save save = { .name = "main", .admin = true };
        return save_run(store, &save, auth, error);
}

typedef struct {
        int64_t id;
        const char *name, *key;
} Rename;

static bool rename_in(DbTx *tx, void *data, GError **error) {
        Rename *rename = data;
        int64_t changed = 0;
        if (!tx_exec(tx,
                     SQL("UPDATE teams SET name = $2, name_key = $3 WHERE id = $1",
                         DB_INT(rename->id), DB_TEXT(rename->name), DB_TEXT(rename->key)),
                     &changed, error))
                return false;
        tx_notify(tx, NOTIFY_TEAMS, rename->id);
        return changed_or_not_found(changed, "team", error);
}

bool team_rename(Store *store, int64_t id, const char *name, GError **error) {
        g_autofree char *key = name_key(name);
        Rename rename = { .id = id, .name = name, .key = key };
        return db_write(store->db, rename_in, &rename, error);
}

static bool delete_in(DbTx *tx, void *data, GError **error) {
        int64_t id = *(int64_t *) data, admins = 0, deleted = 0;
        if (!tx_int(tx, 0, &admins,
                    SQL("SELECT count(*) FROM teams WHERE admin AND id <> $1", DB_INT(id)), error))
                return false;
        if (admins == 0) {
                g_set_error(error, ERROR, ERROR_DENIED, "the last admin team cannot be deleted");
                return false;
        }
        if (!tx_bury_logs(tx,
                          SQL("INSERT INTO dead_logs (build_id) SELECT id FROM builds WHERE "
                              "team_id = $1 ON CONFLICT (build_id) DO NOTHING",
                              DB_INT(id)),
                          error) ||
            !tx_exec(tx, SQL("DELETE FROM teams WHERE id = $1", DB_INT(id)), &deleted, error))
                return false;
        tx_notify(tx, NOTIFY_TEAMS, id);
        tx_notify(tx, NOTIFY_RESOURCES, 0);
        tx_notify(tx, NOTIFY_WORKERS, 0);
        return changed_or_not_found(deleted, "team", error);
}

bool team_delete(Store *store, int64_t id, GError **error) {
        return db_write(store->db, delete_in, &id, error) && logs_sweep_dead(store, error);
}
