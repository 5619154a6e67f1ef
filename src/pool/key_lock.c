#include "pool/key_lock.h"

#include "base/thread.h"

static struct {
        pthread_once_t once;
        Mutex mutex;
        Condition released;
        GHashTable *held; /* of keys */
} locks = { .once = PTHREAD_ONCE_INIT };

static void init(void) {
        mutex_init(&locks.mutex);
        condition_init(&locks.released);
        locks.held = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

bool key_lock_try(const char *key) {
        pthread_once(&locks.once, init);
        MUTEX_SCOPE(&locks.mutex);
        return g_hash_table_add(locks.held, g_strdup(key));
}

static void wake(void *data) {
        MUTEX_SCOPE(&locks.mutex);
        condition_broadcast(&locks.released);
}

bool key_lock_wait(const char *key, Cancel *cancel, GError **error) {
        pthread_once(&locks.once, init);
        uint64_t watch = cancel ? cancel_watch(cancel, wake, NULL) : 0;

        mutex_lock(&locks.mutex);
        while (g_hash_table_contains(locks.held, key) && !cancel_fired(cancel))
                condition_wait(&locks.released, &locks.mutex);
        mutex_unlock(&locks.mutex);
        if (cancel)
                cancel_unwatch(cancel, watch);
        return cancel_check(cancel, error);
}

bool key_lock_take(const char *key, Cancel *cancel, GError **error) {
        while (!key_lock_try(key))
                if (!key_lock_wait(key, cancel, error))
                        return false;
        return true;
}

void key_lock_release(const char *key) {
        MUTEX_SCOPE(&locks.mutex);
        g_hash_table_remove(locks.held, key);
        condition_broadcast(&locks.released);
}
