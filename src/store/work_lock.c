#include "store/work_lock.h"

#include "store/internal.h"

/* A node that died tells nobody. */
#define LOOK_AGAIN DURATION_SECOND

typedef struct {
        const char *key, *node;
        int64_t taken;
} Lock;

static bool try_in(DbTx *tx, void *data, GError **error) {
        Lock *lock = data;
        Time now;
        return db_now(tx, &now, error) &&
               tx_exec(tx,
                       SQL("INSERT INTO work_locks (key, node) VALUES ($1, $2) ON CONFLICT (key) "
                           "DO UPDATE SET node = excluded.node WHERE work_locks.node = "
                           "excluded.node OR NOT EXISTS (SELECT 1 FROM lease_nodes n WHERE n.node "
                           "= work_locks.node AND n.expires > $3)",
                           DB_TEXT(lock->key), DB_TEXT(lock->node), DB_INT(now)),
                       &lock->taken, error);
}

bool work_lock_try(Store *store, const char *key, bool *ret, GError **error) {
        Lock lock = { .key = key, .node = store->node };
        if (store->postgres && store->node && !db_write(store->db, try_in, &lock, error))
                return false;
        *ret = lock.taken || !store->postgres || !store->node;
        return true;
}

bool work_lock_wait(Store *store, Cancel *cancel, GError **error) {
        static const SubscriptionTopic topic = { NOTIFY_LOCKS, 0 };
        g_autoptr(Subscription) subscription = subscription_new(store, &topic, 1);
        return subscription_wait(subscription, clock_monotonic() + LOOK_AGAIN, cancel, NULL, error);
}

bool work_lock_take(Store *store, const char *key, Cancel *cancel, GError **error) {
        for (bool taken;;) {
                if (!work_lock_try(store, key, &taken, error))
                        return false;
                if (taken)
                        return true;
                if (!work_lock_wait(store, cancel, error))
                        return false;
        }
}

static bool release_in(DbTx *tx, void *data, GError **error) {
        const Lock *lock = data;
        if (!tx_exec(tx,
                     SQL("DELETE FROM work_locks WHERE key = $1 AND node = $2", DB_TEXT(lock->key),
                         DB_TEXT(lock->node)),
                     NULL, error))
                return false;
        tx_notify(tx, NOTIFY_LOCKS, 0);
        return true;
}

void work_lock_release(Store *store, const char *key) {
        Lock lock = { .key = key, .node = store->node };
        if (store->postgres && store->node)
                db_write(store->db, release_in, &lock, NULL);
}
