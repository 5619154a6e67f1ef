/* A step's process in a container: started or found again, its streams, its end (reference 06 §3.6). */
#include "pool/process_stream.h"

#include "base/fault.h"
#include "base/thread.h"
#include "http/url.h"

/* Upstream's rhythm on abort: SIGTERM, 10 s, SIGKILL, 10 s. The worker does the first part by itself. */
#define STOP_GENTLE (12 * DURATION_SECOND)
#define STOP_HARD (10 * DURATION_SECOND)

typedef struct {
        PoolContainer *container;
        const ProcessNeed *need;
        Cancel *cancel; /* of the step */
        ProcessStream stream;
        bool with_input; /* it was asked to start with all of its input */
} Run;

/* ---- reading ---- */

/*
 * Reads until all is there (true), the connection breaks (ERROR_UNAVAILABLE), or `cancel` fires or the deadline passes
 * (as cancel_check()).
 */
static bool pump(ProcessStream *stream, Cancel *cancel, Duration deadline, GError **error) {
        if (!process_stream_begin(stream, error))
                return false;
        while (!process_stream_complete(stream)) {
                struct pollfd fired = { .fd = cancel_fd(cancel), .events = POLLIN };
                Duration left = deadline == DURATION_NEVER ? 0
                                                           : MAX(deadline - clock_monotonic(), 0);
                int timeout = deadline == DURATION_NEVER ? -1
                                                         : (int) (left / DURATION_MILLISECOND) + 1;
                if (!process_stream_turn(stream, &fired, 1, timeout, error))
                        return false;
                if (fired.revents && !cancel_check(cancel, error))
                        return false;
                if (deadline != DURATION_NEVER && clock_monotonic() >= deadline) {
                        g_set_error(error, ERROR, ERROR_TIMEOUT, "process did not end in time");
                        return false;
                }
        }
        return true;
}

/* ---- stopping ---- */

typedef struct {
        PoolContainer *container;
        Cancel *cancel;
        bool kill;
} Stop;

static void send_stop(void *data) {
        const Stop *stop = data;
        g_autofree char *handle = url_encode_path(pool_container_handle(stop->container));
        g_autofree char *path = g_strconcat("/containers/", handle, "/stop", NULL);
        g_autoptr(Value) body = value_map();
        g_auto(HttpReply) reply = { 0 };

        value_map_set_bool(body, "kill", stop->kill);
        worker_request(&(WorkerRequest){ .pool = stop->container->pool,
                                         .worker = stop->container->worker,
                                         .api = WORKER_GARDEN,
                                         .method = "PUT",
                                         .path = path,
                                         .body = body },
                       stop->cancel, &reply, NULL);
}

/* Asks the worker to stop the process, and reads what it still says until it is over or patience is. */
static bool stop_and_drain(Run *run, bool kill, Duration patience) {
        g_autoptr(Cancel) cancel = cancel_new_deadline(NULL, patience);
        Stop stop = { .container = run->container, .cancel = cancel, .kill = kill };
        Thread *thread = thread_start("stop", send_stop, &stop);
        bool drained = pump(&run->stream, NULL, clock_monotonic() + patience, NULL);

        thread_join(thread);
        return drained;
}

static void stop_process(Run *run) {
        if (!stop_and_drain(run, false, STOP_GENTLE))
                stop_and_drain(run, true, STOP_HARD);
}

/* ---- the whole life ---- */

static void write_input(Run *run) {
        const ProcessNeed *need = run->need;

        if (!need->input || run->with_input)
                return;
        garden_append_input(run->stream.input, run->stream.id, need->input, need->input_length);
        garden_append_input_end(run->stream.input, run->stream.id);
        process_stream_write(&run->stream); /* all of it, mostly: should we die now */
}

/* Input that comes along is there or the process is not: nobody can die between the two. */
static void add_input(Run *run, GardenProcessSpec *spec) {
        const ProcessNeed *need = run->need;

        run->with_input = need->input && need->input_length <= GARDEN_INPUT_MAX &&
                          worker_serves(run->container->pool, run->container->worker,
                                        GARDEN_EXTENSION_INPUT, run->cancel);
        if (!run->with_input)
                return;
        spec->input = g_memdup2(need->input, need->input_length);
        if (!spec->input)
                spec->input = g_strdup("");
        spec->input_length = need->input_length;
}

static bool start(Run *run, GError **error) {
        const ProcessNeed *need = run->need;
        g_auto(GardenProcessSpec) spec = { 0 };

        garden_process_spec_init(&spec);
        spec.id = g_strdup(need->id);
        spec.path = g_strdup(need->path);
        for (size_t i = 0; need->args && need->args[i]; i++)
                g_ptr_array_add(spec.args, g_strdup(need->args[i]));
        spec.directory = g_strdup(need->directory);
        if (!pool_container_user(run->container, need->user, run->cancel, &spec.user, error))
                return false;
        spec.tty = need->tty;
        if (need->tty)
                spec.window = (GardenWindow){ 500, 500 };
        add_input(run, &spec);
        if (!process_stream_start(&run->stream, &spec, error))
                return false;
        write_input(run);
        return true;
}

/* As long as it cannot be reached at all. */
static bool wait_for_worker(Run *run, GError **error) {
        const WorkerRequest ping = { .pool = run->container->pool,
                                     .worker = run->container->worker,
                                     .api = WORKER_GARDEN,
                                     .method = "GET",
                                     .path = "/ping" };
        g_auto(HttpReply) reply = { 0 };

        return worker_request(&ping, run->cancel, &reply, error);
}

/* Only a worker that does not know it lets us start it: one that is away may have it. Upstream's workers answer 500. */
static bool is_unknown(const GError *error) {
        return error_is(error, ERROR_NOT_FOUND) || error_is(error, ERROR_PROTOCOL);
}

/* Attaches to the process. *ret_unknown: the worker does not know it. */
static bool find(Run *run, const char *id, bool *ret_unknown, GError **error) {
        g_autoptr(GError) local = NULL;

        *ret_unknown = false;
        g_free(run->stream.id);
        run->stream.id = g_strdup(id);
        if (process_stream_reattach(&run->stream, run->cancel, &local))
                return true;
        process_stream_disconnect(&run->stream);
        *ret_unknown = is_unknown(local);
        if (*ret_unknown)
                local->code = ERROR_NOT_FOUND;
        g_propagate_error(error, g_steal_pointer(&local));
        return false;
}

static bool begin(Run *run, GError **error) {
        const ProcessNeed *need = run->need;
        g_autofree char *id = pool_container_created(run->container) ? NULL : g_strdup(need->id);
        bool may_start = !need->attach_only, unknown, lost = false;

        for (;;) {
                g_autoptr(GError) local = NULL;
                if (id) {
                        if (find(run, id, &unknown, &local)) {
                                if (lost) /* it began, and has nothing to read yet */
                                        write_input(run);
                                return true;
                        }
                        if (!unknown || !may_start) {
                                g_propagate_error(error, g_steal_pointer(&local));
                                return false;
                        }
                        g_clear_error(&local);
                }
                g_clear_pointer(&run->stream.id, g_free);
                if (start(run, &local)) {
                        fault_here("process-started");
                        return true;
                }
                if (!error_is(local, ERROR_UNAVAILABLE)) {
                        g_propagate_error(error, g_steal_pointer(&local));
                        return false;
                }
                /* The answer was lost: whether it began the worker says, once it is back. */
                process_stream_disconnect(&run->stream);
                may_start = !need->once;
                lost = true;
                g_free(id);
                id = g_strdup(run->stream.id ? run->stream.id : need->id);
                if (!id && !wait_for_worker(run, error))
                        return false;
        }
}

static bool follow(Run *run, GError **error) {
        for (;;) {
                g_autoptr(GError) local = NULL;
                if (pump(&run->stream, run->cancel, DURATION_NEVER, &local))
                        return true;
                if (cancel_fired(run->cancel)) {
                        if (cancel_reason(run->cancel) != CANCEL_SHUTDOWN)
                                stop_process(run);
                        g_propagate_error(error, g_steal_pointer(&local));
                        return false;
                }
                if (!error_is(local, ERROR_UNAVAILABLE) || !run->stream.id) {
                        g_propagate_error(error, g_steal_pointer(&local));
                        return false;
                }
                if (!process_stream_reattach(&run->stream, run->cancel, error))
                        return false;
        }
}

static void tell_exit_status(const Run *run) {
        g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, run->stream.status);

        /* Another kind of web node may take the container over later; a failure changes nothing for this one. */
        pool_container_set_property(run->container, "concourse:exit-status", text, run->cancel,
                                    NULL);
}

static void tell_lost(const Run *run) {
        if (run->need->ret_lost)
                *run->need->ret_lost = !cancel_fired(run->cancel);
}

static void run_clear(Run *run) {
        process_stream_clear(&run->stream);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Run, run_clear)

bool pool_process_run(PoolContainer *container, const ProcessNeed *need, Cancel *cancel,
                      int *ret_status, GError **error) {
        g_auto(Run) run = { .container = container, .need = need, .cancel = cancel };

        process_stream_init(&run.stream, container, cancel);
        run.stream.take[STREAM_OUTPUT] = need->output;
        run.stream.take[STREAM_ERRORS] = need->error;
        run.stream.data = need->data;
        run.stream.offsets[STREAM_OUTPUT] = need->output_from;
        run.stream.offsets[STREAM_ERRORS] = need->error_from;
        if (!begin(&run, error) || !container_await_mark(container, error))
                return false;
        if (!follow(&run, error)) {
                tell_lost(&run);
                return false;
        }
        process_stream_disconnect(&run.stream);
        if (run.stream.failure) {
                tell_lost(&run);
                g_set_error(error, ERROR, ERROR_PROTOCOL, "connection: process error: %s",
                            run.stream.failure);
                return false;
        }
        *ret_status = (int) run.stream.status;
        if (need->id && !worker_serves(container->pool, container->worker,
                                       GARDEN_EXTENSION_EXIT_STATUS, cancel))
                tell_exit_status(&run);
        return true;
}
