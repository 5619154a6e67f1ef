#include "store/internal.h"

#include "base/files.h"
#include "base/log.h"

#define FLUSH_PERIOD (10 * DURATION_SECOND)

static void store_flush_loop(void *data) {
        Store *store = data;

        mutex_lock(&store->flush_lock);
        while (!store->closing) {
                if (!store->dirty) {
                        condition_wait(&store->flush_wake, &store->flush_lock);
                        continue;
                }
                Duration deadline = clock_monotonic() + store->flush_period;
                while (!store->closing &&
                       condition_wait_until(&store->flush_wake, &store->flush_lock, deadline))
                        ;
                if (store->closing)
                        break;
                mutex_unlock(&store->flush_lock);
                g_autoptr(GError) error = NULL;
                if (!store_flush(store, &error))
                        log_error("store", "flush-failed", error);
                mutex_lock(&store->flush_lock);
        }
        mutex_unlock(&store->flush_lock);
}

void store_mark_dirty(Store *store) {
        MUTEX_SCOPE(&store->flush_lock);
        if (!store->dirty) {
                store->dirty = true;
                condition_signal(&store->flush_wake);
        }
}

bool store_flush(Store *store, GError **error) {
        mutex_lock(&store->flush_lock);
        store->dirty = false;
        bool closing = store->closing;
        mutex_unlock(&store->flush_lock);
        if (!scope_checks_flush(store, error) || !heartbeats_flush(store, error) ||
            !components_flush(store, closing, error)) {
                store_mark_dirty(store);
                return false;
        }
        return true;
}

Store *store_open(const StoreSpec *spec, GError **error) {
        g_autoptr(Db) db = db_open(&spec->db, error);
        if (!db)
                return NULL;
        bool postgres = db_kind(db) == DB_POSTGRES;
        if (!postgres && !directory_make(spec->log_directory, 0700, error))
                return NULL;

        Store *store = g_new0(Store, 1);
        store->db = g_steal_pointer(&db);
        store->postgres = postgres;
        store->log_directory = g_strdup(spec->log_directory);
        store->node = g_strdup(spec->node);
        store->flush_period = spec->flush ? spec->flush : FLUSH_PERIOD;
        mutex_init(&store->flush_lock);
        condition_init(&store->flush_wake);
        store->bus = bus_new(store->db);
        store->configs = config_cache_new();
        store->checks = scope_checks_new();
        store->heartbeats = heartbeats_new();
        store->components = components_new(store);
        store->memory_builds = memory_builds_new();
        store->logs = logs_new(store);
        store->flusher = thread_start("store-flush", store_flush_loop, store);

        /* What a crash left between the commit and the deletion of logs. */
        if (!logs_sweep_dead(store, error)) {
                store_close(store);
                return NULL;
        }
        return store;
}

void store_close(Store *store) {
        if (!store)
                return;
        mutex_lock(&store->flush_lock);
        store->closing = true;
        condition_broadcast(&store->flush_wake);
        mutex_unlock(&store->flush_lock);
        thread_join(store->flusher);

        g_autoptr(GError) error = NULL;
        if (!store_flush(store, &error))
                log_error("store", "flush-failed", error);
        logs_free(store->logs);
        components_free(store, store->components);
        db_close(store->db);
        bus_free(store->bus);
        memory_builds_free(store->memory_builds);
        heartbeats_free(store->heartbeats);
        scope_checks_free(store->checks);
        config_cache_free(store->configs);
        condition_destroy(&store->flush_wake);
        mutex_destroy(&store->flush_lock);
        g_free(store->log_directory);
        g_free(store->node);
        g_free(store);
}

Db *store_db(Store *store) {
        return store->db;
}
