/*
 * The bus: what happened, to whom it may concern. In process with SQLite, LISTEN/NOTIFY with
 * PostgreSQL. A notification says that something changed, never what to; several may come as one.
 */
#pragma once

#include "base/cancel.h"
#include "store/handle.h"

typedef enum {
        NOTIFY_BUILD_EVENTS,   /* id: build. Its log grew, or it was completed */
        NOTIFY_BUILD_STARTED,  /* id: build. Somebody should run it */
        NOTIFY_BUILD_ABORT,    /* id: build. Its abort was requested */
        NOTIFY_BUILD_FINISHED, /* id: build */
        NOTIFY_JOB_SCHEDULE,   /* id: job. Its scheduling was requested */
        NOTIFY_SCOPE,          /* id: scope. New versions */
        NOTIFY_CHECKED,        /* id: scope. A check of it ended */
        NOTIFY_CHECK_REQUEST,  /* id: resource. Somebody wants it checked now; 0: see who */
        NOTIFY_RESOURCES,      /* id: pipeline. What is to be checked may have changed */
        NOTIFY_WORKERS,        /* id: worker. Registered, left, changed state or has room again */
        NOTIFY_TEAMS,          /* id: team. Its auth changed */
        NOTIFY_LOCKS,          /* id: 0. A work lock was released */
        NOTIFY_COMPONENTS,     /* Some were paused, or are not any more */
        NOTIFY_KINDS,
} NotifyKind;

/* fn runs on the notifier's thread and must not block. id 0: everything of this kind may have
 * changed (a connection was lost, or a queue was full). */
typedef void (*NotifyFn)(NotifyKind kind, int64_t id, void *data);

/* Calls fn for one kind; id 0: every id. Returns a handle for notify_unwatch(), which returns only
 * when fn is not running and will not run. */
uint64_t notify_watch(Store *store, NotifyKind kind, int64_t id, NotifyFn fn, void *data);
void notify_unwatch(Store *store, uint64_t watch);

/* Sends one outside any transaction: for what is not in the database. */
bool notify_send(Store *store, NotifyKind kind, int64_t id, GError **error);

/* The same to wait for. One waiter at a time. */
typedef struct Subscription Subscription;

typedef struct {
        NotifyKind kind;
        int64_t id; /* 0: every id */
} SubscriptionTopic;

Subscription *subscription_new(Store *store, const SubscriptionTopic *topics, size_t count);
void subscription_free(Subscription *subscription); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Subscription, subscription_free)

/*
 * Waits until something came since the last wait ended (or since it was made), or until `deadline`
 * (clock_monotonic time; DURATION_NEVER: none). *ret_topics (may be NULL) is a new array of distinct
 * SubscriptionTopics that came, empty at the deadline. Returns false as cancel_check().
 */
bool subscription_wait(Subscription *subscription, Duration deadline, Cancel *cancel,
                       GArray **ret_topics, GError **error);
