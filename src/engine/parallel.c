#include "engine/parallel.h"

#include "base/thread.h"

typedef struct Group Group;

typedef struct {
        Group *group;
        size_t index;
        Thread *thread;
        bool succeeded;
        GError *error;
} Member;

struct Group {
        const Parallel *parallel;
        Cancel *cancel; /* fires with the surrounding one, and on the first failure when fail_fast */
        Mutex mutex;
        Condition ended;
        size_t running;
};

static void run_member(void *data) {
        Member *member = data;
        Group *group = member->group;
        bool succeeded = false;

        if (group->parallel->run(group->parallel->data, member->index, group->cancel, &succeeded,
                                 &member->error))
                member->succeeded = succeeded;
        if (!member->succeeded && group->parallel->fail_fast)
                cancel_fire(group->cancel, CANCEL_ABORT);

        MUTEX_SCOPE(&group->mutex);
        group->running--;
        condition_signal(&group->ended);
}

/* Returns how many were started: a group that is cancelled starts no more. */
static size_t start_members(Group *group, Member *members) {
        const Parallel *parallel = group->parallel;
        size_t limit = parallel->limit ? parallel->limit : parallel->count, started = 0;

        for (; started < parallel->count; started++) {
                Member *member = &members[started];
                mutex_lock(&group->mutex);
                while (group->running >= limit)
                        condition_wait(&group->ended, &group->mutex);
                mutex_unlock(&group->mutex);
                if (cancel_fired(group->cancel) &&
                    !(parallel->begun && parallel->begun(parallel->data, started)))
                        break;
                mutex_lock(&group->mutex);
                group->running++;
                mutex_unlock(&group->mutex);
                *member = (Member){ .group = group, .index = started };
                member->thread = thread_start("branch", run_member, member);
        }
        return started;
}

bool parallel_run(const Parallel *parallel, bool *ret_succeeded, GError **error) {
        Group group = { .parallel = parallel, .cancel = cancel_new(parallel->cancel) };
        g_autofree Member *members = g_new0(Member, parallel->count);
        g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func((GDestroyNotify) g_error_free);
        bool succeeded = true, stale = false;

        mutex_init(&group.mutex);
        condition_init(&group.ended);
        size_t started = start_members(&group, members);
        for (size_t i = 0; i < started; i++) {
                thread_join(members[i].thread);
                stale = stale || error_is(members[i].error, ERROR_STALE);
                succeeded = succeeded && (members[i].succeeded || members[i].error);
                if (members[i].error && !error_is(members[i].error, ERROR_CANCELLED))
                        g_ptr_array_add(errors, members[i].error);
                else
                        g_clear_error(&members[i].error);
        }
        condition_destroy(&group.ended);
        mutex_destroy(&group.mutex);
        cancel_free(group.cancel);

        if (!cancel_check(parallel->cancel, error))
                return false;
        if (stale) {
                g_set_error(error, ERROR, ERROR_STALE, "%s",
                            ((GError *) g_ptr_array_index(errors, 0))->message);
                return false;
        }
        if (errors->len > 0) {
                error_join(error, errors);
                return false;
        }
        *ret_succeeded = succeeded && started == parallel->count;
        return true;
}
