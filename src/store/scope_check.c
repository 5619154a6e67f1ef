/* When scopes were checked: in memory, so that an unchanged check writes nothing; flushed in batches. */
#include "store/internal.h"

typedef struct {
        int64_t scope_id;
        ScopeCheck check;
        bool dirty;
} Checked;

struct ScopeChecks {
        Mutex lock;
        GHashTable *scopes; /* scope id → Checked */
};

static void checked_free(void *data) {
        Checked *checked = data;
        scope_check_clear(&checked->check);
        g_free(checked);
}

void scope_check_clear(ScopeCheck *check) {
        g_clear_pointer(&check->last_plan, value_free);
}

ScopeChecks *scope_checks_new(void) {
        ScopeChecks *checks = g_new0(ScopeChecks, 1);
        mutex_init(&checks->lock);
        checks->scopes = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, checked_free);
        return checks;
}

void scope_checks_free(ScopeChecks *checks) {
        g_hash_table_unref(checks->scopes);
        mutex_destroy(&checks->lock);
        g_free(checks);
}

static void *row_checked(Store *store, DbRows *rows, GError **error) {
        Checked *checked = g_new0(Checked, 1);
        checked->check = (ScopeCheck){
                .last_start = db_int(rows, 0),
                .last_end = db_int(rows, 1),
                .next = db_int(rows, 2),
                .last_succeeded = db_bool(rows, 3),
                .last_build_id = db_int(rows, 4),
        };
        return checked;
}

/* Makes sure memory knows the scope. */
static bool load(Store *store, int64_t scope_id, GError **error) {
        mutex_lock(&store->checks->lock);
        bool known = g_hash_table_contains(store->checks->scopes, &scope_id);
        mutex_unlock(&store->checks->lock);
        if (known)
                return true;

        Checked *checked = store_one(store, row_checked, "scope",
                                     SQL("SELECT last_check_start, last_check_end, next_check, "
                                         "last_check_succeeded, last_check_build_id FROM "
                                         "resource_scopes WHERE id = $1",
                                         DB_INT(scope_id)),
                                     error);
        if (!checked)
                return false;
        checked->scope_id = scope_id;
        MUTEX_SCOPE(&store->checks->lock);
        if (g_hash_table_contains(store->checks->scopes, &scope_id))
                checked_free(checked);
        else
                g_hash_table_insert(store->checks->scopes, &checked->scope_id, checked);
        return true;
}

/* With PostgreSQL another node may have checked: what is not ours to write is read again. */
static bool refresh(Store *store, int64_t scope_id, GError **error) {
        if (store->postgres) {
                MUTEX_SCOPE(&store->checks->lock);
                Checked *checked = g_hash_table_lookup(store->checks->scopes, &scope_id);
                if (checked && !checked->dirty)
                        g_hash_table_remove(store->checks->scopes, &scope_id);
        }
        return load(store, scope_id, error);
}

bool scope_check_get(Store *store, int64_t scope_id, ScopeCheck *ret, GError **error) {
        if (!refresh(store, scope_id, error))
                return false;
        MUTEX_SCOPE(&store->checks->lock);
        Checked *checked = g_hash_table_lookup(store->checks->scopes, &scope_id);
        *ret = (ScopeCheck){ 0 };
        if (checked) {
                *ret = checked->check;
                ret->last_plan = value_ref(checked->check.last_plan);
        }
        return true;
}

bool scope_check_started(Store *store, int64_t scope_id, int64_t build_id, const Value *public_plan,
                         Time now, GError **error) {
        if (!load(store, scope_id, error))
                return false;
        mutex_lock(&store->checks->lock);
        Checked *checked = g_hash_table_lookup(store->checks->scopes, &scope_id);
        if (checked) {
                scope_check_clear(&checked->check);
                checked->check.last_start = now;
                checked->check.last_build_id = build_id;
                checked->check.last_plan = value_ref(public_plan);
        }
        mutex_unlock(&store->checks->lock);
        return true;
}

/* Fails when the scope went away meanwhile, as a write would. */
static bool change(Store *store, int64_t scope_id, void (*fn)(ScopeCheck *check, void *data),
                   void *data, GError **error) {
        if (!load(store, scope_id, error))
                return false;
        mutex_lock(&store->checks->lock);
        Checked *checked = g_hash_table_lookup(store->checks->scopes, &scope_id);
        if (checked) {
                fn(&checked->check, data);
                checked->dirty = true;
        }
        mutex_unlock(&store->checks->lock);
        store_mark_dirty(store);
        return true;
}

static void end_check(ScopeCheck *check, void *data) {
        const ScopeCheck *end = data;
        check->last_end = end->last_end;
        check->next = end->next;
        check->last_succeeded = end->last_succeeded;
}

bool scope_check_ended(Store *store, int64_t scope_id, bool succeeded, Time now, Time next,
                       GError **error) {
        ScopeCheck end = { .last_end = now, .next = next, .last_succeeded = succeeded };
        return change(store, scope_id, end_check, &end, error) &&
               notify_send(store, NOTIFY_CHECKED, scope_id, error);
}

static void expire_check(ScopeCheck *check, void *data) {
        check->next = 0;
}

bool scope_check_expire(Store *store, int64_t scope_id, GError **error) {
        return change(store, scope_id, expire_check, NULL, error);
}

/* ---- flushing ---- */

static bool flush_in(DbTx *tx, void *data, GError **error) {
        const GArray *dirty = data;
        for (guint i = 0; i < dirty->len; i++) {
                const Checked *checked = &g_array_index(dirty, Checked, i);
                const ScopeCheck *check = &checked->check;
                if (!tx_exec(tx,
                             SQL("UPDATE resource_scopes SET last_check_start = $2, last_check_end "
                                 "= $3, next_check = $4, last_check_succeeded = $5, "
                                 "last_check_build_id = $6 WHERE id = $1",
                                 DB_INT(checked->scope_id), DB_INT(check->last_start),
                                 DB_INT(check->last_end), DB_INT(check->next),
                                 DB_BOOL(check->last_succeeded),
                                 DB_INT_OR_NULL(check->last_build_id)),
                             NULL, error))
                        return false;
        }
        return true;
}

bool scope_checks_flush(Store *store, GError **error) {
        g_autoptr(GArray) dirty = g_array_new(false, false, sizeof(Checked));
        mutex_lock(&store->checks->lock);
        GHashTableIter iter;
        void *value;
        g_hash_table_iter_init(&iter, store->checks->scopes);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                Checked *checked = value;
                if (checked->dirty)
                        g_array_append_val(dirty, *checked);
                checked->dirty = false;
        }
        mutex_unlock(&store->checks->lock);
        if (dirty->len == 0 || db_write(store->db, flush_in, dirty, error))
                return true;

        MUTEX_SCOPE(&store->checks->lock);
        for (guint i = 0; i < dirty->len; i++) {
                Checked *checked = g_hash_table_lookup(store->checks->scopes,
                                                       &g_array_index(dirty, Checked, i).scope_id);
                if (checked)
                        checked->dirty = true;
        }
        return false;
}
