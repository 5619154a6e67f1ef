#include "worker/oci/container_private.h"

#include "base/crypto.h"
#include "base/fault.h"
#include "base/files.h"
#include "base/json.h"
#include "base/log.h"
#include "worker/oci/user.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STOP_GRACE (10 * DURATION_SECOND)
#define KILL_TIMEOUT (10 * DURATION_SECOND)
/* An ended process whose id nobody chose is kept this long for late readers. */
#define PROCESS_KEEP (60 * DURATION_SECOND)
/* … and no start pays for removing more than a few. */
#define STALE_MAX 16

/* ---- life ---- */

Container *container_new(Containers *owner, const char *handle) {
        Container *container = g_new0(Container, 1);
        container->references = 1;
        container->owner = owner;
        container->handle = g_strdup(handle);
        container->directory = g_build_filename(owner->directory, handle, NULL);
        container->directory_fd = container->root = -1;
        container->next_number = 1;
        container->last_code = -1;
        container->properties = value_map();
        container->processes = g_ptr_array_new_with_free_func((GDestroyNotify) process_free);
        mutex_init(&container->lock);
        return container;
}

Container *container_ref(Container *container) {
        __atomic_add_fetch(&container->references, 1, __ATOMIC_RELAXED);
        return container;
}

void container_free(Container *container) {
        if (!container || __atomic_sub_fetch(&container->references, 1, __ATOMIC_ACQ_REL) > 0)
                return;
        g_assert(!container->shim);
        g_ptr_array_unref(container->processes);
        fd_close(container->directory_fd);
        fd_close(container->root);
        garden_container_spec_clear(&container->spec);
        value_free(container->properties);
        mutex_destroy(&container->lock);
        g_free(container->handle);
        g_free(container->directory);
        g_free(container);
}

char *container_path(const Container *container, const char *name) {
        return g_build_filename(container->directory, name, NULL);
}

uint64_t container_cpu_shares(const Container *container) {
        return container->spec.cpu_shares;
}

uint64_t container_memory_bytes(const Container *container) {
        return container->spec.memory_bytes;
}

/* ---- properties ---- */

Value *container_properties(Container *container) {
        Value *copy = value_map();
        MUTEX_SCOPE(&container->lock);
        for (size_t i = 0; i < value_length(container->properties); i++) {
                const Value *item = value_at(container->properties, i);
                if (value_text_length(item) > 0) /* an empty one reads back as absent: 06 §5.10 */
                        value_map_set(copy, value_key_at(container->properties, i),
                                      value_ref(item));
        }
        if (container->last_code >= 0)
                value_map_set_string(copy, "garden.process-exit-status",
                                     LOG_INT(container->last_code));
        return copy;
}

bool container_set_property(Container *container, const char *name, const char *value,
                            GError **error) {
        {
                MUTEX_SCOPE(&container->lock);
                Value *properties = value_copy(container->properties);
                value_map_set_string(properties, name, value);
                value_free(container->properties);
                container->properties = properties;
        }
        return container_save(container, error);
}

/* ---- the shim ---- */

static Process *find_number(Container *container, uint32_t number) {
        for (guint i = container->processes->len; i-- > 0;) {
                Process *process = g_ptr_array_index(container->processes, i);
                if (process_number(process) == number)
                        return process_ref(process);
        }
        return NULL;
}

/* Returns new: all of them, referenced. */
static GPtrArray *processes_copy(Container *container) {
        GPtrArray *copy = g_ptr_array_new_with_free_func((GDestroyNotify) process_free);
        MUTEX_SCOPE(&container->lock);
        for (guint i = 0; i < container->processes->len; i++)
                g_ptr_array_add(copy, process_ref(g_ptr_array_index(container->processes, i)));
        return copy;
}

static void drop_process(Container *container, Process *process) {
        g_autofree char *directory = g_strdup_printf("%s/processes/%u", container->directory,
                                                     process_number(process));
        {
                MUTEX_SCOPE(&container->lock);
                g_ptr_array_remove(container->processes, process);
        }
        directory_remove(directory, NULL);
}

static void end_all(Container *container, const char *reason) {
        g_autoptr(GPtrArray) processes = processes_copy(container);
        for (guint i = 0; i < processes->len; i++)
                process_gone(g_ptr_array_index(processes, i), reason);
}

/* Who sees it end: what it did not destroy itself did not end as it should. */
static void init_died(Container *container) {
        g_autofree char *death = NULL, *reason = NULL;
        {
                MUTEX_SCOPE(&container->lock);
                container->dead = true;
                if (!container->killing && container->shim)
                        death = shim_death(container->shim);
        }
        if (death) {
                reason = g_strconcat("process 1 of the container ", death, NULL);
                log_info("containers", "init-died", "handle", container->handle, "reason", reason);
        }
        end_all(container, reason);
}

/* What the shim has not named never reached it: its worker died first. It can be started as if it never was. */
static void drop_doubtful(Container *container) {
        g_autoptr(GPtrArray) processes = processes_copy(container);
        for (guint i = 0; i < processes->len; i++) {
                Process *process = g_ptr_array_index(processes, i);
                if (!process_doubtful(process))
                        continue;
                drop_process(container, process);
                process_gone(process, "it was not started: the worker went away");
        }
}

/* The shim keeps an ended process until we have heard of its end. */
static void forget(Container *container, uint32_t number) {
        const ShimMessage message = { .kind = SHIM_FORGET, .number = number };
        g_autoptr(Shim) shim = NULL;
        {
                MUTEX_SCOPE(&container->lock);
                shim = container->shim ? shim_ref(container->shim) : NULL;
        }
        if (shim)
                shim_try_send(shim, &message);
}

/* On the watching thread. */
static void shim_said(const ShimMessage *message, void *data) {
        Container *container = data;
        if (!message) {
                init_died(container);
                return;
        }
        if (message->kind == SHIM_HELLO) {
                drop_doubtful(container);
                return;
        }
        g_autoptr(Process) process = NULL;
        {
                MUTEX_SCOPE(&container->lock);
                process = find_number(container, message->number);
                if (process && message->kind == SHIM_EXITED)
                        container->last_code = (int) CLAMP(message->value, 0, 255);
        }
        if (process)
                process_told(process, message);
        if (message->kind == SHIM_EXITED)
                forget(container, message->number);
}

bool container_meet(Container *container, pid_t pid, int pidfd, GError **error) {
        ShimMessage hello = { .kind = SHIM_HELLO };
        char path[64];
        snprintf(path, sizeof(path), "/proc/%d/root", pid);
        Shim *shim = shim_connect(container->owner->watch, container->directory_fd, "shim.sock",
                                  pidfd, shim_said, container, error);
        if (!shim)
                return false;
        {
                MUTEX_SCOPE(&container->lock);
                container->shim = shim;
                container->root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        }
        container_load_processes(container, shim);
        return shim_send(shim, &hello, NULL, 0, error);
}

/* Takes it out of the container, when nothing of it is heard any more. */
static void let_go(Container *container) {
        Shim *shim;
        {
                MUTEX_SCOPE(&container->lock);
                shim = container->shim;
        }
        if (!shim)
                return;
        shim_close(shim);
        MUTEX_SCOPE(&container->lock);
        container->shim = NULL;
        fd_close(container->root);
        container->root = -1;
        shim_free(shim);
}

bool container_kill(Container *container, GError **error) {
        g_autofree char *group = g_strconcat("/weir/", container->handle, NULL);
        Shim *shim;
        {
                MUTEX_SCOPE(&container->lock);
                shim = container->shim ? shim_ref(container->shim) : NULL;
                container->killing = true;
        }
        if (!shim)
                return true;
        shim_kill(shim);
        bool dead = shim_wait_dead(shim, KILL_TIMEOUT, NULL);
        if (!dead) { /* frozen, perhaps */
                cgroup_kill(&container->owner->cgroup, group);
                dead = shim_wait_dead(shim, KILL_TIMEOUT, error);
        }
        shim_free(shim);
        if (dead) {
                end_all(container, NULL);
                let_go(container);
        }
        return dead;
}

/* ---- processes ---- */

static int by_number(gconstpointer a, gconstpointer b) {
        uint32_t first = *(const uint32_t *) a, second = *(const uint32_t *) b;
        return first < second ? -1 : first > second;
}

void container_load_processes(Container *container, Shim *shim) {
        g_autofree char *directory = container_path(container, "processes");
        g_autoptr(GDir) entries = g_dir_open(directory, 0, NULL);
        g_autoptr(GArray) numbers = g_array_new(false, false, sizeof(uint32_t));
        for (const char *name; entries && (name = g_dir_read_name(entries));) {
                uint32_t number = (uint32_t) strtoul(name, NULL, 10);
                g_array_append_val(numbers, number);
        }
        g_array_sort(numbers, by_number);

        for (guint i = 0; i < numbers->len; i++) {
                uint32_t number = g_array_index(numbers, uint32_t, i);
                g_autoptr(GError) error = NULL;
                g_autofree char *path = g_strdup_printf("%s/%u", directory, number);
                Process *process = process_load(path, number, shim, &error);
                ProcessState state;
                MUTEX_SCOPE(&container->lock);
                container->next_number = MAX(container->next_number, number + 1);
                if (!process) {
                        log_error("containers", "load-process-failed", error, "path", path);
                        continue;
                }
                process_state(process, &state);
                if (state.ended && !state.failure)
                        container->last_code = state.code;
                g_ptr_array_add(container->processes, process);
        }
}

Process *container_process(Container *container, const char *id, GError **error) {
        MUTEX_SCOPE(&container->lock);
        for (guint i = container->processes->len; i-- > 0;) {
                Process *process = g_ptr_array_index(container->processes, i);
                if (g_str_equal(process_id(process), id))
                        return process_ref(process);
        }
        g_set_error(error, ERROR, ERROR_NOT_FOUND, "unknown process: %s", id);
        return NULL;
}

static bool is_stale(const Container *container, const Process *process,
                     const ProcessState *state) {
        bool ours = strlen(process_id(process)) == 36; /* a UUID */
        Duration keep = state->read ? container->owner->read_keep : PROCESS_KEEP;
        return state->ended && ours && clock_monotonic() - state->ended_at > keep;
}

/* With the lock held: forgets ended processes that a web node cannot ask for any more: their id was
 * ours, or somebody reuses it (NULL: nobody). Returns new: their directories, to be removed. */
static GPtrArray *take_stale(Container *container, const char *reused) {
        GPtrArray *stale = g_ptr_array_new_with_free_func(g_free);
        for (guint i = 0; i < container->processes->len && stale->len < STALE_MAX; i++) {
                Process *process = g_ptr_array_index(container->processes, i);
                ProcessState state;
                process_state(process, &state);
                bool again = state.ended && g_strcmp0(process_id(process), reused) == 0;
                if (!again && !is_stale(container, process, &state))
                        continue;
                g_ptr_array_add(stale, g_strdup_printf("%s/processes/%u", container->directory,
                                                       process_number(process)));
                g_ptr_array_remove_index(container->processes, i--);
        }
        return stale;
}

static void remove_all(const GPtrArray *directories) {
        for (guint i = 0; i < directories->len; i++)
                directory_remove(g_ptr_array_index(directories, i), NULL);
}

void container_tidy(Container *container) {
        for (guint count = STALE_MAX; count == STALE_MAX;) {
                g_autoptr(GPtrArray) stale = NULL;
                {
                        MUTEX_SCOPE(&container->lock);
                        stale = take_stale(container, NULL);
                }
                remove_all(stale);
                count = stale->len;
        }
}

static bool has_variable(const GPtrArray *env, const char *prefix) {
        for (guint i = 0; i < env->len; i++)
                if (g_str_has_prefix(g_ptr_array_index(env, i), prefix))
                        return true;
        return false;
}

/* Reference 06 §5.8 steps 1–3; HOME as runc sets it. Returns new. */
static GPtrArray *make_environment(const Container *container, const GardenProcessSpec *spec,
                                   const User *user) {
        GPtrArray *env = g_ptr_array_new_with_free_func(g_free);
        const GPtrArray *parts[] = { container->spec.env, spec->env };
        for (size_t part = 0; part < G_N_ELEMENTS(parts); part++)
                for (guint i = 0; parts[part] && i < parts[part]->len; i++)
                        g_ptr_array_add(env, g_strdup(g_ptr_array_index(parts[part], i)));
        if (spec->user && *spec->user)
                g_ptr_array_add(env, g_strconcat("USER=", spec->user, NULL));
        if (!has_variable(env, "PATH="))
                g_ptr_array_add(env,
                                g_strdup(user->user == 0 ? "PATH=/usr/local/sbin:/usr/local/bin:"
                                                           "/usr/sbin:/usr/bin:/sbin:/bin"
                                                         : "PATH=/usr/local/bin:/usr/bin:/bin"));
        if (!has_variable(env, "HOME="))
                g_ptr_array_add(env, g_strconcat("HOME=", user->home, NULL));
        return env;
}

/* Below a bind mount nothing is made: upstream makes it underneath, where nobody sees it. */
static bool may_make(const Container *container, const char *directory) {
        for (guint i = 0; i < container->spec.mounts->len; i++) {
                const char *mount = g_array_index(container->spec.mounts, GardenMount, i)
                                            .destination;
                size_t length = strlen(mount);
                if (strncmp(directory, mount, length) == 0 &&
                    (directory[length] == '/' || directory[length] == '\0'))
                        return false;
        }
        return true;
}

static Process *add_process(Container *container, const GardenProcessSpec *spec, GError **error) {
        g_autofree char *made = spec->id && *spec->id ? NULL : crypto_uuid();
        const char *id = made ? made : spec->id;
        g_autoptr(GPtrArray) stale = NULL;
        g_autoptr(Shim) shim = NULL;
        ProcessSetup setup = { .id = id,
                               .tty = spec->tty,
                               .ceiling = container->owner->spool_ceiling };
        g_autoptr(Process) known = container_process(container, id, NULL);
        ProcessState state = { .ended = true };
        if (known)
                process_state(known, &state);
        if (!state.ended) {
                g_set_error(error, ERROR, ERROR_EXISTS, "proc start: process %s already exists",
                            id);
                return NULL;
        }
        {
                MUTEX_SCOPE(&container->lock);
                if (!container->shim || container->dead || container->destroying) {
                        g_set_error(error, ERROR, ERROR_UNAVAILABLE,
                                    "proc start: container is not running");
                        return NULL;
                }
                setup.number = container->next_number++;
                setup.shim = shim = shim_ref(container->shim);
                stale = take_stale(container, id);
        }
        remove_all(stale);

        g_autofree char *directory = g_strdup_printf("%s/processes/%u", container->directory,
                                                     setup.number);
        setup.directory = directory;
        Process *process = process_new(&setup, error);
        if (!process)
                return NULL;
        MUTEX_SCOPE(&container->lock);
        g_ptr_array_add(container->processes, process_ref(process));
        return process;
}

Process *container_run(Container *container, const GardenProcessSpec *spec, Cancel *cancel,
                       GError **error) {
        g_auto(User) user = { 0 };
        int root;
        {
                MUTEX_SCOPE(&container->lock);
                root = container->root < 0 ? -1 : fcntl(container->root, F_DUPFD_CLOEXEC, 3);
        }
        bool found = user_lookup(root, spec->user, &user, error);
        fd_close(root);
        if (!found) {
                g_prefix_error(error, "lookup user: ");
                return NULL;
        }

        g_autoptr(GPtrArray) env = make_environment(container, spec, &user);
        g_autoptr(Process) process = add_process(container, spec, error);
        if (!process)
                return NULL;
        const char *directory = spec->directory && *spec->directory ? spec->directory : "/";
        ProcessStart start = {
                .spec = spec,
                .env = env,
                .user = user.user,
                .group = user.group,
                .owner = container->full ? user.user : container->owner->host.id_base + user.user,
                .make_directory = may_make(container, directory),
        };
        fault_here("process-directory");
        if (!process_start(process, &start, cancel, error)) {
                drop_process(container, process);
                return NULL;
        }
        fault_here("process-running");
        return g_steal_pointer(&process);
}

/* ---- stopping ---- */

/* Signals all that run and waits for them. Returns whether all ended. */
static bool end_processes(Container *container, int signal_number, Cancel *cancel) {
        g_autoptr(GPtrArray) processes = processes_copy(container);
        g_autoptr(Cancel) limit = cancel_new_deadline(cancel, STOP_GRACE);
        ProcessState state;
        int code;
        for (guint i = 0; i < processes->len; i++) {
                process_state(g_ptr_array_index(processes, i), &state);
                if (!state.ended)
                        process_signal(g_ptr_array_index(processes, i), signal_number, NULL);
        }
        for (guint i = 0; i < processes->len; i++) {
                process_state(g_ptr_array_index(processes, i), &state);
                if (!state.ended &&
                    !process_wait(g_ptr_array_index(processes, i), limit, &code, NULL))
                        return false;
        }
        return true;
}

bool container_stop(Container *container, bool kill_now, Cancel *cancel, GError **error) {
        if (!kill_now && end_processes(container, SIGTERM, cancel))
                return true;
        if (end_processes(container, SIGKILL, cancel))
                return true;
        g_set_error(error, ERROR, ERROR_TIMEOUT, "kill: ungraceful kill: grace period timeout");
        return false;
}
