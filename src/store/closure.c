/* Short forms of db_read and db_write, and of reading rows (store/internal.h). */
#include "store/internal.h"

typedef struct {
        Store *store;
        const Statement *statement;
        RowFn row;
        GPtrArray *items;
        GArray *ids;
        void *item;
        GDestroyNotify item_free;
        int64_t changed;
} Closure;

bool tx_exec(DbTx *tx, const Statement *statement, int64_t *ret_changed, GError **error) {
        return db_exec_(tx, ret_changed, error, statement->sql, statement->args, statement->count);
}

static DbRows *tx_query(DbTx *tx, const Statement *statement, GError **error) {
        return db_query_(tx, error, statement->sql, statement->args, statement->count);
}

bool tx_list(DbTx *tx, Store *store, RowFn row, GPtrArray *into, const Statement *statement,
             GError **error) {
        g_ptr_array_set_size(into, 0); /* the closure may be run again */
        g_autoptr(DbRows) rows = tx_query(tx, statement, error);
        if (!rows)
                return false;
        while (db_next(rows)) {
                void *item = row(store, rows, error);
                if (!item)
                        return false;
                g_ptr_array_add(into, item);
        }
        return db_done(rows, error);
}

bool tx_one(DbTx *tx, Store *store, RowFn row, void **ret, const Statement *statement,
            GError **error) {
        g_autoptr(DbRows) rows = tx_query(tx, statement, error);
        if (!rows)
                return false;
        if (!db_next(rows)) {
                if (!db_done(rows, error))
                        return false;
                *ret = NULL;
                return true;
        }
        void *item = row(store, rows, error);
        if (!item)
                return false;
        *ret = item;
        return true;
}

bool tx_int(DbTx *tx, int64_t otherwise, int64_t *ret, const Statement *statement, GError **error) {
        return db_query_int_(tx, otherwise, ret, error, statement->sql, statement->args,
                             statement->count);
}

bool tx_ids(DbTx *tx, GArray *into, const Statement *statement, GError **error) {
        g_array_set_size(into, 0);
        g_autoptr(DbRows) rows = tx_query(tx, statement, error);
        if (!rows)
                return false;
        while (db_next(rows)) {
                int64_t id = db_int(rows, 0);
                g_array_append_val(into, id);
        }
        return db_done(rows, error);
}

bool tx_insert(DbTx *tx, int64_t *ret_id, const Statement *statement, GError **error) {
        int64_t id = 0;
        if (!tx_int(tx, 0, &id, statement, error))
                return false;
        g_assert(id != 0);
        *ret_id = id;
        return true;
}

void *row_text(Store *store, DbRows *rows, GError **error) {
        return g_strdup(text_or_empty(db_text(rows, 0)));
}

bool tx_counter(DbTx *tx, const char *name, int64_t by, int64_t *ret, GError **error) {
        return tx_insert(tx, ret,
                         SQL("UPDATE counters SET value = value + $2 WHERE name = $1 RETURNING "
                             "value",
                             DB_TEXT(name), DB_INT(by)),
                         error);
}

static bool exec_in(DbTx *tx, void *data, GError **error) {
        Closure *closure = data;
        return tx_exec(tx, closure->statement, &closure->changed, error);
}

bool store_exec(Store *store, const Statement *statement, int64_t *ret_changed, GError **error) {
        Closure closure = { .statement = statement };
        if (!db_write(store->db, exec_in, &closure, error))
                return false;
        if (ret_changed)
                *ret_changed = closure.changed;
        return true;
}

static bool list_in(DbTx *tx, void *data, GError **error) {
        Closure *closure = data;
        return tx_list(tx, closure->store, closure->row, closure->items, closure->statement, error);
}

GPtrArray *store_list(Store *store, RowFn row, GDestroyNotify item_free, const Statement *statement,
                      GError **error) {
        g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func(item_free);
        Closure closure = { .store = store, .statement = statement, .row = row, .items = items };
        if (!db_read(store->db, list_in, &closure, error))
                return NULL;
        return g_steal_pointer(&items);
}

static bool one_in(DbTx *tx, void *data, GError **error) {
        Closure *closure = data;
        /* Items are made at most once: a closure that read without an error is not run again. */
        return tx_one(tx, closure->store, closure->row, &closure->item, closure->statement, error);
}

void *store_one(Store *store, RowFn row, const char *what, const Statement *statement,
                GError **error) {
        Closure closure = { .store = store, .statement = statement, .row = row };
        if (!db_read(store->db, one_in, &closure, error))
                return NULL;
        if (!closure.item)
                g_set_error(error, ERROR, ERROR_NOT_FOUND, "%s not found", what);
        return closure.item;
}

static bool ids_in(DbTx *tx, void *data, GError **error) {
        Closure *closure = data;
        return tx_ids(tx, closure->ids, closure->statement, error);
}

GArray *store_ids(Store *store, const Statement *statement, GError **error) {
        g_autoptr(GArray) ids = g_array_new(false, false, sizeof(int64_t));
        Closure closure = { .statement = statement, .ids = ids };
        if (!db_read(store->db, ids_in, &closure, error))
                return NULL;
        return g_steal_pointer(&ids);
}

bool changed_or_not_found(int64_t changed, const char *what, GError **error) {
        if (changed == 0)
                g_set_error(error, ERROR, ERROR_NOT_FOUND, "%s not found", what);
        return changed != 0;
}

/* ---- text and JSON ---- */

const char *text_or_empty(const char *text) {
        return text ? text : "";
}

char *json_or_null(const Value *value) {
        return value_is_null(value) ? NULL : json_write(value, JSON_SORTED, NULL);
}

char *json_canonical(const Value *value) {
        return value_length(value) == 0 ? g_strdup("") : json_write(value, JSON_SORTED, NULL);
}

Value *row_json(DbRows *rows, int column) {
        const char *text = db_text(rows, column);
        return text && *text ? db_json(rows, column) : NULL;
}

bool seal_json(Store *store, const Value *value, char **ret_text, char **ret_nonce,
               GError **error) {
        g_autofree char *plain = json_write(value, JSON_COMPACT, NULL);
        return db_seal(store->db, plain, ret_text, ret_nonce, error);
}

Value *unseal_json(Store *store, const char *text, const char *nonce, GError **error) {
        g_autofree char *plain = NULL;
        if (!db_unseal(store->db, text, nonce, &plain, error))
                return NULL;
        return json_parse(plain, strlen(plain), NULL, error);
}

bool version_contains(const Value *value, const Value *part) {
        for (size_t i = 0; i < value_length(part); i++)
                if (!value_equal(value_get(value, value_key_at(part, i)), value_at(part, i)))
                        return false;
        return true;
}
