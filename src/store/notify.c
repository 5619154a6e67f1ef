#include "store/notify.h"

#include "store/internal.h"

/* Distinct topics a subscription remembers; beyond it "everything of this kind". */
#define PENDING_MAX 4096

static const char *const channels[NOTIFY_KINDS] = {
        [NOTIFY_BUILD_EVENTS] = "build_events",
        [NOTIFY_BUILD_STARTED] = "build_started",
        [NOTIFY_BUILD_ABORT] = "build_abort",
        [NOTIFY_BUILD_FINISHED] = "build_finished",
        [NOTIFY_JOB_SCHEDULE] = "job_schedule",
        [NOTIFY_SCOPE] = "scope",
        [NOTIFY_CHECKED] = "checked",
        [NOTIFY_CHECK_REQUEST] = "check_request",
        [NOTIFY_RESOURCES] = "resources",
        [NOTIFY_WORKERS] = "workers",
        [NOTIFY_TEAMS] = "teams",
        [NOTIFY_LOCKS] = "locks",
        [NOTIFY_COMPONENTS] = "components",
};

typedef struct {
        uint64_t handle;
        NotifyKind kind;
        int64_t id; /* 0: every id */
        NotifyFn fn;
        void *data;
        unsigned running; /* calls under way */
        bool removed;
} Watch;

/* Of one id, or of every id of a kind. */
typedef struct {
        int64_t kind, id;
} Topic;

struct Bus {
        Mutex lock;
        Condition idle;      /* a call ended */
        GHashTable *topics;  /* Topic → GPtrArray of Watch, borrowed */
        GHashTable *watches; /* handle → Watch */
        uint64_t last_handle;
};

static guint topic_hash(const void *key) {
        const Topic *topic = key;
        return (guint) ((uint64_t) topic->id * 31 + (uint64_t) topic->kind);
}

static int topic_equal(const void *a, const void *b) {
        const Topic *left = a, *right = b;
        return left->kind == right->kind && left->id == right->id;
}

/* Calls every watch in `called`, which each count as running, without the lock. */
static void bus_call(Bus *bus, GPtrArray *called, NotifyKind kind, int64_t id) {
        for (guint i = 0; i < called->len; i++) {
                Watch *watch = called->pdata[i];
                watch->fn(kind, id, watch->data);
        }
        MUTEX_SCOPE(&bus->lock);
        for (guint i = 0; i < called->len; i++) {
                Watch *watch = called->pdata[i];
                if (--watch->running == 0 && watch->removed)
                        condition_broadcast(&bus->idle);
        }
}

static void watch_collect(Watch *watch, GPtrArray *called) {
        watch->running++;
        g_ptr_array_add(called, watch);
}

void bus_deliver(Bus *bus, NotifyKind kind, int64_t id) {
        g_autoptr(GPtrArray) called = g_ptr_array_new();
        mutex_lock(&bus->lock);
        if (id == 0) {
                GHashTableIter iter;
                void *value;
                g_hash_table_iter_init(&iter, bus->watches);
                while (g_hash_table_iter_next(&iter, NULL, &value))
                        if (((Watch *) value)->kind == kind)
                                watch_collect(value, called);
        } else
                for (int every = 0; every < 2; every++) {
                        Topic topic = { kind, every ? 0 : id };
                        GPtrArray *list = g_hash_table_lookup(bus->topics, &topic);
                        for (guint i = 0; list && i < list->len; i++)
                                watch_collect(list->pdata[i], called);
                }
        mutex_unlock(&bus->lock);
        if (called->len > 0)
                bus_call(bus, called, kind, id);
}

static void bus_listen(const char *channel, const char *payload, void *data) {
        Bus *bus = data;
        for (int kind = 0; kind < NOTIFY_KINDS; kind++)
                if (!payload || !channel)
                        bus_deliver(bus, kind, 0);
                else if (g_str_equal(channels[kind], channel))
                        bus_deliver(bus, kind, g_ascii_strtoll(payload, NULL, 10));
}

Bus *bus_new(Db *db) {
        Bus *bus = g_new0(Bus, 1);
        mutex_init(&bus->lock);
        condition_init(&bus->idle);
        bus->topics = g_hash_table_new_full(topic_hash, topic_equal, g_free,
                                            (GDestroyNotify) g_ptr_array_unref);
        bus->watches = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
        db_listen(db, bus_listen, bus);
        return bus;
}

void bus_free(Bus *bus) {
        g_hash_table_unref(bus->topics);
        g_hash_table_unref(bus->watches);
        condition_destroy(&bus->idle);
        mutex_destroy(&bus->lock);
        g_free(bus);
}

void tx_notify(DbTx *tx, NotifyKind kind, int64_t id) {
        char payload[24];
        g_snprintf(payload, sizeof payload, "%" G_GINT64_FORMAT, id);
        db_notify(tx, channels[kind], payload);
}

uint64_t notify_watch(Store *store, NotifyKind kind, int64_t id, NotifyFn fn, void *data) {
        Bus *bus = store->bus;
        Watch *watch = g_new0(Watch, 1);
        *watch = (Watch){ .kind = kind, .id = id, .fn = fn, .data = data };

        MUTEX_SCOPE(&bus->lock);
        watch->handle = ++bus->last_handle;
        Topic topic = { kind, id };
        GPtrArray *list = g_hash_table_lookup(bus->topics, &topic);
        if (!list) {
                list = g_ptr_array_new();
                g_hash_table_insert(bus->topics, g_memdup2(&topic, sizeof topic), list);
        }
        g_ptr_array_add(list, watch);
        g_hash_table_insert(bus->watches, &watch->handle, watch);
        return watch->handle;
}

void notify_unwatch(Store *store, uint64_t handle) {
        Bus *bus = store->bus;
        MUTEX_SCOPE(&bus->lock);
        Watch *watch = g_hash_table_lookup(bus->watches, &handle);
        if (!watch)
                return;
        Topic topic = { watch->kind, watch->id };
        GPtrArray *list = g_hash_table_lookup(bus->topics, &topic);
        g_ptr_array_remove_fast(list, watch);
        if (list->len == 0)
                g_hash_table_remove(bus->topics, &topic);
        watch->removed = true;
        g_hash_table_steal(bus->watches, &handle);
        while (watch->running > 0)
                condition_wait(&bus->idle, &bus->lock);
        g_free(watch);
}

typedef struct {
        NotifyKind kind;
        int64_t id;
} Send;

static bool send_in(DbTx *tx, void *data, GError **error) {
        Send *send = data;
        tx_notify(tx, send->kind, send->id);
        return true;
}

bool notify_send(Store *store, NotifyKind kind, int64_t id, GError **error) {
        if (!store->postgres) {
                bus_deliver(store->bus, kind, id);
                return true;
        }
        Send send = { kind, id };
        return db_write(store->db, send_in, &send, error);
}

/* ---- subscriptions ---- */

struct Subscription {
        Store *store;
        Mutex lock;
        Condition wake;
        GHashTable *pending; /* Topic, a set */
        GArray *watches;     /* uint64_t */
};

static void subscription_notified(NotifyKind kind, int64_t id, void *data) {
        Subscription *subscription = data;
        MUTEX_SCOPE(&subscription->lock);
        Topic topic = { kind, g_hash_table_size(subscription->pending) < PENDING_MAX ? id : 0 };
        g_hash_table_add(subscription->pending, g_memdup2(&topic, sizeof topic));
        condition_signal(&subscription->wake);
}

Subscription *subscription_new(Store *store, const SubscriptionTopic *topics, size_t count) {
        Subscription *subscription = g_new0(Subscription, 1);
        subscription->store = store;
        mutex_init(&subscription->lock);
        condition_init(&subscription->wake);
        subscription->pending = g_hash_table_new_full(topic_hash, topic_equal, g_free, NULL);
        subscription->watches = g_array_new(false, false, sizeof(uint64_t));
        for (size_t i = 0; i < count; i++) {
                uint64_t watch = notify_watch(store, topics[i].kind, topics[i].id,
                                              subscription_notified, subscription);
                g_array_append_val(subscription->watches, watch);
        }
        return subscription;
}

void subscription_free(Subscription *subscription) {
        if (!subscription)
                return;
        for (guint i = 0; i < subscription->watches->len; i++)
                notify_unwatch(subscription->store,
                               g_array_index(subscription->watches, uint64_t, i));
        g_array_unref(subscription->watches);
        g_hash_table_unref(subscription->pending);
        condition_destroy(&subscription->wake);
        mutex_destroy(&subscription->lock);
        g_free(subscription);
}

static void subscription_cancelled(void *data) {
        Subscription *subscription = data;
        MUTEX_SCOPE(&subscription->lock);
        condition_signal(&subscription->wake);
}

static GArray *subscription_take(Subscription *subscription) {
        GArray *topics = g_array_new(false, false, sizeof(SubscriptionTopic));
        GHashTableIter iter;
        void *key;
        g_hash_table_iter_init(&iter, subscription->pending);
        while (g_hash_table_iter_next(&iter, &key, NULL)) {
                const Topic *topic = key;
                SubscriptionTopic taken = { (NotifyKind) topic->kind, topic->id };
                g_array_append_val(topics, taken);
        }
        g_hash_table_remove_all(subscription->pending);
        return topics;
}

bool subscription_wait(Subscription *subscription, Duration deadline, Cancel *cancel,
                       GArray **ret_topics, GError **error) {
        g_autoptr(GArray) topics = NULL;
        uint64_t watch = cancel ? cancel_watch(cancel, subscription_cancelled, subscription) : 0;
        mutex_lock(&subscription->lock);
        while (g_hash_table_size(subscription->pending) == 0 && !cancel_fired(cancel))
                if (!condition_wait_until(&subscription->wake, &subscription->lock, deadline))
                        break;
        if (!cancel_fired(cancel))
                topics = subscription_take(subscription);
        mutex_unlock(&subscription->lock);
        if (cancel)
                cancel_unwatch(cancel, watch);
        if (!topics) {
                cancel_check(cancel, error);
                return false;
        }
        if (ret_topics)
                *ret_topics = g_steal_pointer(&topics);
        return true;
}
