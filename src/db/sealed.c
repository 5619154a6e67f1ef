/*
 * Encrypted columns (reference 08 D.6): AES-GCM with a key from the settings. A canary in
 * weir_settings says under which key the columns are, so that an unchanged key costs one row at
 * start and not all of them; it is written last, and a second one first, so that an interrupted
 * change is taken up again, and with no other keys.
 */
#include "db/driver.h"

#include "base/crypto.h"

#include <string.h>

#define CANARY_NAME "encryption"
#define CHANGE_NAME "encryption-change" /* while a change is under way: sealed with its new key */
#define CANARY_TEXT "weir"
#define ROWS_AT_ONCE 100

const DbSealed db_sealed_columns[] = {
        { "teams", "auth", "auth_nonce" },           { "server_secrets", "secret", "secret_nonce" },
        { "pipelines", "config", "config_nonce" },   { "builds", "plan", "plan_nonce" },
        { "build_steps", "result", "result_nonce" }, { "signing_keys", "pem", "pem_nonce" },
};
const size_t db_sealed_count = G_N_ELEMENTS(db_sealed_columns);

static bool seal(GBytes *key, const char *plain, char **ret_text, char **ret_nonce,
                 GError **error) {
        if (!key) {
                *ret_text = g_strdup(plain);
                *ret_nonce = NULL;
                return true;
        }
        size_t length;
        const void *bytes = g_bytes_get_data(key, &length);
        return crypto_seal(bytes, length, plain, strlen(plain), ret_text, ret_nonce, error);
}

/* Key NULL opens what is plain. */
static bool unseal(GBytes *key, const char *text, const char *nonce, char **ret, GError **error) {
        if (!nonce) {
                *ret = g_strdup(text);
                return true;
        }
        if (!key) {
                g_set_error_literal(error, ERROR, ERROR_DENIED, "encrypted, and no key was given");
                return false;
        }
        size_t length;
        const void *bytes = g_bytes_get_data(key, &length);
        g_autoptr(GBytes) plain = NULL;
        if (!crypto_open(bytes, length, text, nonce, &plain, error))
                return false;
        *ret = g_strndup(g_bytes_get_data(plain, NULL), g_bytes_get_size(plain));
        return true;
}

bool db_seal(Db *db, const char *plain, char **ret_text, char **ret_nonce, GError **error) {
        return seal(db->key, plain, ret_text, ret_nonce, error);
}

bool db_unseal(Db *db, const char *text, const char *nonce, char **ret, GError **error) {
        return unseal(db->key, text, nonce, ret, error);
}

/* ---- the change from one key to another ---- */

typedef struct {
        GBytes *new_key, *old_key; /* NULL: none */
        const DbSealed *columns;
        int64_t after; /* ids up to this one are done */
        int64_t reached;
} Change;

typedef struct {
        char *text, *nonce;
} Sealed;

static void sealed_clear(Sealed *sealed) {
        g_free(sealed->text);
        g_free(sealed->nonce);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Sealed, sealed_clear)

/* What is under the new key (or plain, when there is none) stays as it is: ret->text is NULL. */
static bool reseal(const Change *change, const char *text, const char *nonce, Sealed *ret,
                   GError **error) {
        g_autofree char *plain = NULL;
        if (nonce ? unseal(change->new_key, text, nonce, &plain, NULL) : !change->new_key)
                return true;
        if (!unseal(change->old_key, text, nonce, &plain, NULL)) {
                g_set_error(error, ERROR, ERROR_DENIED,
                            "row encrypted with neither old nor new key (%s.%s)",
                            change->columns->table, change->columns->column);
                return false;
        }
        return seal(change->new_key, plain, &ret->text, &ret->nonce, error);
}

static bool change_row(DbTx *tx, Change *change, int64_t id, const char *text, const char *nonce,
                       GError **error) {
        g_auto(Sealed) sealed = { 0 };
        if (!reseal(change, text, nonce, &sealed, error))
                return false;
        if (!sealed.text)
                return true;
        const DbSealed *columns = change->columns;
        g_autofree char *sql = g_strdup_printf("UPDATE %s SET %s = $1, %s = $2 WHERE id = $3",
                                               columns->table, columns->column, columns->nonce);
        return db_exec(tx, error, sql, DB_TEXT(sealed.text), DB_TEXT(sealed.nonce), DB_INT(id));
}

/* One page of a table; change->reached is its last id, or 0 after the last page. */
static bool change_page(DbTx *tx, void *data, GError **error) {
        Change *change = data;
        const DbSealed *columns = change->columns;
        g_autofree char *sql = g_strdup_printf(
                "SELECT id, %s, %s FROM %s WHERE id > $1 ORDER BY id LIMIT $2", columns->column,
                columns->nonce, columns->table);
        g_autoptr(DbRows)
                rows = db_query(tx, error, sql, DB_INT(change->after), DB_INT(ROWS_AT_ONCE));
        if (!rows)
                return false;
        change->reached = 0;
        while (db_next(rows)) {
                change->reached = db_int(rows, 0);
                if (!db_is_null(rows, 1) && !change_row(tx, change, change->reached,
                                                        db_text(rows, 1), db_text(rows, 2), error))
                        return false;
        }
        return db_done(rows, error);
}

static bool change_table(Db *db, Change *change, GError **error) {
        for (change->after = 0;; change->after = change->reached) {
                if (!db_write(db, change_page, change, error))
                        return false;
                if (change->reached == 0)
                        return true;
        }
}

/* ---- the canary ---- */

typedef struct {
        Sealed canary, change;
} Canaries;

static void canaries_clear(Canaries *canaries) {
        sealed_clear(&canaries->canary);
        sealed_clear(&canaries->change);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Canaries, canaries_clear)

static bool read_one(DbTx *tx, const char *name, Sealed *ret, GError **error) {
        g_autoptr(DbRows) rows = db_query(
                tx, error, "SELECT value, nonce FROM weir_settings WHERE name = $1", DB_TEXT(name));
        if (!rows)
                return false;
        sealed_clear(ret);
        *ret = (Sealed){ 0 };
        if (db_next(rows))
                *ret = (Sealed){ g_strdup(db_text(rows, 0)), g_strdup(db_text(rows, 1)) };
        return db_done(rows, error);
}

static bool canaries_read(DbTx *tx, void *data, GError **error) {
        Canaries *ret = data;
        return read_one(tx, CANARY_NAME, &ret->canary, error) &&
               read_one(tx, CHANGE_NAME, &ret->change, error);
}

static bool write_one(DbTx *tx, const char *name, const Sealed *sealed, GError **error) {
        return db_exec(tx, error,
                       "INSERT INTO weir_settings (name, value, nonce) VALUES ($1, $2, $3) "
                       "ON CONFLICT (name) DO UPDATE SET value = excluded.value, "
                       "nonce = excluded.nonce",
                       DB_TEXT(name), DB_TEXT(sealed->text), DB_TEXT(sealed->nonce));
}

static bool change_begin(DbTx *tx, void *data, GError **error) {
        return write_one(tx, CHANGE_NAME, data, error);
}

static bool change_end(DbTx *tx, void *data, GError **error) {
        return write_one(tx, CANARY_NAME, data, error) &&
               db_exec(tx, error, "DELETE FROM weir_settings WHERE name = $1",
                       DB_TEXT(CHANGE_NAME));
}

/* Whether all columns are under key already. */
static bool canary_holds(const Sealed *canary, GBytes *key) {
        g_autofree char *plain = NULL;
        if (!canary->text || (canary->nonce == NULL) != (key == NULL))
                return false;
        return unseal(key, canary->text, canary->nonce, &plain, NULL) &&
               g_str_equal(plain, CANARY_TEXT);
}

/* Whether what is sealed, if anything, is so with one of these keys. */
static bool canary_opens(const Sealed *canary, GBytes *key, GBytes *other) {
        return !canary->nonce || canary_holds(canary, key) || canary_holds(canary, other);
}

static bool change_key(Db *db, Change *change, const DbSchema *schema, GError **error) {
        g_auto(Sealed) canary = { 0 };
        if (!seal(change->new_key, CANARY_TEXT, &canary.text, &canary.nonce, error) ||
            !db_write(db, change_begin, &canary, error))
                return false;
        for (size_t i = 0; i < schema->sealed_count; i++) {
                change->columns = &schema->sealed[i];
                if (!change_table(db, change, error))
                        return false;
        }
        return db_write(db, change_end, &canary, error);
}

/* Returns new; NULL for no key. */
static GBytes *key_bytes(const char *key) {
        return key && *key ? g_bytes_new(key, strlen(key)) : NULL;
}

/* Whether one of these keys opens it, if anything is sealed. */
static bool check_canaries(const Canaries *canaries, GBytes *key, GBytes *old_key, GError **error) {
        if (canary_opens(&canaries->canary, key, old_key) &&
            canary_opens(&canaries->change, key, old_key))
                return true;
        g_set_error_literal(error, ERROR, ERROR_DENIED,
                            key || old_key ? "row encrypted with neither old nor new key"
                                           : "database is encrypted: an encryption key is needed");
        return false;
}

bool db_check_keys(Db *db, const DbSpec *spec, GError **error) {
        g_autoptr(GBytes) key = key_bytes(spec->encryption_key);
        g_autoptr(GBytes) old_key = key_bytes(spec->old_encryption_key);
        g_auto(Canaries) canaries = { 0 };
        return db->version == 0 || (db_read(db, canaries_read, &canaries, error) &&
                                    check_canaries(&canaries, key, old_key, error));
}

bool sealed_open(Db *db, const DbSpec *spec, const DbSchema *schema, GError **error) {
        g_autoptr(GBytes) old_key = key_bytes(spec->old_encryption_key);
        g_auto(Canaries) canaries = { 0 };
        db->key = key_bytes(spec->encryption_key);
        if (!db_read(db, canaries_read, &canaries, error))
                return false;
        if (!canaries.change.text && canary_holds(&canaries.canary, db->key))
                return true;
        /* Nothing is touched unless we have the keys that are in use. */
        if (!check_canaries(&canaries, db->key, old_key, error))
                return false;
        Change change = { .new_key = db->key, .old_key = old_key };
        return change_key(db, &change, schema, error);
}
