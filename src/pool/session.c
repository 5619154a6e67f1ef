/* A person's process in a container: typed into, resized, and ended when the person goes (reference 06 §6.7). */
#include "pool/process_stream.h"

#include "base/files.h"
#include "base/thread.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define INPUT_MAX ((size_t) 1024 * 1024)     /* on its way; then who types waits */
#define END_GRACE (10 * DURATION_SECOND)     /* between hanging up and killing, and after that */
#define SHUTDOWN_GRACE (2 * DURATION_SECOND) /* to tell the worker */
#define CHARACTER_MAX 4                      /* bytes of one in UTF-8 */

struct PoolSession {
        ProcessStream stream; /* of the thread that runs it */
        char *id;             /* the process's; constant, as is: */
        bool binary;          /* the worker takes any byte */
        Cancel *cancel;
        int client;
        int wake;   /* an event: there is something in the queue */
        Mutex lock; /* of all below */
        Condition room;
        GString *queue;   /* messages on their way to stream.input */
        GString *tail;    /* the beginning of a character, where the worker wants UTF-8 */
        size_t unwritten; /* of stream.input */
        bool input_ended, over;
};

/* ---- what is typed; any thread ---- */

/* With the lock held. */
static void wake(PoolSession *session) {
        uint64_t one = 1;

        (void) !write(session->wake, &one, sizeof one);
}

/* How many bytes at the end are the beginning of a character. */
static size_t cut_length(const GString *text) {
        for (size_t back = 1; back < CHARACTER_MAX && back <= text->len; back++) {
                unsigned char byte = (unsigned char) text->str[text->len - back];
                size_t whole = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
                if (byte < 0x80 || byte >= 0xc0)
                        return whole > back ? back : 0;
        }
        return 0;
}

static void append_data(PoolSession *session, const char *bytes, size_t length) {
        const GardenPayload payload = { .has = GARDEN_HAS_SOURCE | GARDEN_HAS_DATA,
                                        .process_id = session->id,
                                        .source = GARDEN_STDIN,
                                        .data = (char *) bytes,
                                        .data_length = length,
                                        .binary = session->binary };

        if (length > 0) /* a message without data is the end of input */
                garden_payload_append(session->queue, &payload);
}

/* With the lock held. */
static void append_input(PoolSession *session, const char *bytes, size_t length) {
        if (session->binary) {
                append_data(session, bytes, length);
                return;
        }
        GString *text = session->tail;
        g_string_append_len(text, bytes, (gssize) length);
        size_t whole = text->len - cut_length(text);
        append_data(session, text->str, whole);
        g_string_erase(text, 0, (gssize) whole);
}

static void wake_waiting(void *data) {
        PoolSession *session = data;

        MUTEX_SCOPE(&session->lock);
        condition_broadcast(&session->room);
}

bool pool_session_input(PoolSession *session, const void *bytes, size_t length, Cancel *cancel,
                        GError **error) {
        uint64_t watch = cancel ? cancel_watch(cancel, wake_waiting, session) : 0;
        {
                MUTEX_SCOPE(&session->lock);
                while (!session->over && !cancel_fired(cancel) &&
                       session->queue->len + session->unwritten >= INPUT_MAX)
                        condition_wait(&session->room, &session->lock);
                if (!session->over && !session->input_ended && !cancel_fired(cancel)) {
                        append_input(session, bytes, length);
                        wake(session);
                }
        }
        if (cancel)
                cancel_unwatch(cancel, watch);
        return cancel_check(cancel, error);
}

void pool_session_input_end(PoolSession *session) {
        MUTEX_SCOPE(&session->lock);
        if (session->over || session->input_ended)
                return;
        append_data(session, session->tail->str, session->tail->len);
        garden_append_input_end(session->queue, session->id);
        session->input_ended = true;
        wake(session);
}

void pool_session_resize(PoolSession *session, GardenWindow window) {
        MUTEX_SCOPE(&session->lock);
        if (session->over || window.columns == 0)
                return;
        garden_append_window(session->queue, session->id, window);
        wake(session);
}

/* ---- starting ---- */

static bool fill_spec(PoolContainer *container, const GardenProcessSpec *asked, Cancel *cancel,
                      GardenProcessSpec *ret, GError **error) {
        garden_process_spec_init(ret);
        ret->path = g_strdup(asked->path);
        ret->directory = g_strdup(asked->directory);
        ret->tty = asked->tty;
        ret->window = asked->window;
        for (guint i = 0; asked->args && i < asked->args->len; i++)
                g_ptr_array_add(ret->args, g_strdup(g_ptr_array_index(asked->args, i)));
        for (guint i = 0; asked->env && i < asked->env->len; i++)
                g_ptr_array_add(ret->env, g_strdup(g_ptr_array_index(asked->env, i)));
        return pool_container_user(container, asked->user, cancel, &ret->user, error);
}

PoolSession *pool_session_start(PoolContainer *container, const SessionNeed *need, Cancel *cancel,
                                GError **error) {
        g_autoptr(PoolSession) session = g_new0(PoolSession, 1);
        g_auto(GardenProcessSpec) spec = { 0 };

        process_stream_init(&session->stream, container, cancel);
        session->stream.take[STREAM_OUTPUT] = need->output;
        session->stream.take[STREAM_ERRORS] = need->error;
        session->stream.data = need->data;
        session->cancel = cancel;
        session->client = need->client;
        session->queue = g_string_new(NULL);
        session->tail = g_string_new(NULL);
        mutex_init(&session->lock);
        condition_init(&session->room);
        session->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (session->wake < 0) {
                error_set_errno(error, errno, "eventfd");
                return NULL;
        }
        if (!fill_spec(container, need->spec, cancel, &spec, error) ||
            !process_stream_start(&session->stream, &spec, error))
                return NULL;
        session->id = g_strdup(session->stream.id);
        session->binary = session->stream.sessions;
        return g_steal_pointer(&session);
}

void pool_session_free(PoolSession *session) {
        if (!session)
                return;
        process_stream_clear(&session->stream);
        fd_close(session->wake);
        condition_destroy(&session->room);
        mutex_destroy(&session->lock);
        g_string_free(session->queue, TRUE);
        g_string_free(session->tail, TRUE);
        g_free(session->id);
        g_free(session);
}

/* ---- running ---- */

static void take_queue(PoolSession *session) {
        uint64_t count;

        MUTEX_SCOPE(&session->lock);
        (void) !read(session->wake, &count, sizeof count);
        g_string_append_len(session->stream.input, session->queue->str,
                            (gssize) session->queue->len);
        g_string_truncate(session->queue, 0);
        session->unwritten = session->stream.input->len;
}

static void tell_room(PoolSession *session) {
        MUTEX_SCOPE(&session->lock);
        session->unwritten = session->stream.input->len;
        condition_broadcast(&session->room);
}

static bool turn(PoolSession *session, GError **error) {
        struct pollfd others[] = {
                { .fd = session->wake, .events = POLLIN },
                { .fd = session->client, .events = POLLRDHUP },
                { .fd = cancel_fd(session->cancel), .events = POLLIN },
        };

        if (!process_stream_turn(&session->stream, others, G_N_ELEMENTS(others), -1, error) ||
            (others[2].revents && !cancel_check(session->cancel, error)))
                return false;
        if (others[1].revents && !process_stream_complete(&session->stream)) {
                g_set_error(error, ERROR, ERROR_CANCELLED, "client hung up");
                return false;
        }
        if (others[0].revents)
                take_queue(session);
        tell_room(session);
        return true;
}

static bool pump(PoolSession *session, GError **error) {
        if (!process_stream_begin(&session->stream, error))
                return false;
        while (!process_stream_complete(&session->stream))
                if (!turn(session, error))
                        return false;
        return true;
}

/* Reads on without taking; whether it has ended within the grace. */
static bool drain(ProcessStream *stream, Duration grace) {
        Duration end = clock_monotonic() + grace, left;

        if (!process_stream_begin(stream, NULL))
                return false;
        while (!process_stream_complete(stream) && (left = end - clock_monotonic()) > 0)
                if (!process_stream_turn(stream, NULL, 0, (int) (left / DURATION_MILLISECOND) + 1,
                                         NULL))
                        return false;
        return process_stream_complete(stream);
}

static void append_signal(ProcessStream *stream, int64_t number) {
        const GardenPayload payload = { .has = GARDEN_HAS_SIGNAL,
                                        .process_id = stream->id,
                                        .signal = number };

        garden_payload_append(stream->input, &payload);
}

/*
 * On connections of their own: in the old ones a signal may wait behind what nobody reads. An upstream worker knows no
 * signals, and its stop would end the build's own process too (upstream does that); there the end of input is all.
 */
static void end_process(PoolSession *session) {
        ProcessStream *stream = &session->stream;
        bool shutdown = cancel_reason(session->cancel) == CANCEL_SHUTDOWN;
        g_autoptr(Cancel) limit = cancel_new_deadline(NULL, shutdown ? SHUTDOWN_GRACE : END_GRACE);

        process_stream_disconnect(stream);
        g_string_truncate(stream->input, 0);
        stream->take[STREAM_OUTPUT] = stream->take[STREAM_ERRORS] = NULL;
        stream->cancel = limit;
        if (!stream->sessions || stream->ended || !process_stream_attach(stream, session->id, NULL))
                return;
        append_signal(stream, GARDEN_SIGNAL_HANG_UP);
        if (drain(stream, shutdown ? SHUTDOWN_GRACE : END_GRACE) || shutdown)
                return;
        append_signal(stream, GARDEN_SIGNAL_KILL);
        drain(stream, END_GRACE);
}

static bool follow(PoolSession *session, GError **error) {
        for (;;) {
                g_autoptr(GError) local = NULL;
                if (pump(session, &local))
                        return true;
                if (!error_is(local, ERROR_UNAVAILABLE) || cancel_fired(session->cancel)) {
                        g_propagate_error(error, g_steal_pointer(&local));
                        return false;
                }
                if (!process_stream_reattach(&session->stream, session->cancel, error))
                        return false;
        }
}

bool pool_session_run(PoolSession *session, int *ret_status, GError **error) {
        bool ended = follow(session, error);

        {
                MUTEX_SCOPE(&session->lock);
                session->over = true;
                condition_broadcast(&session->room);
        }
        if (!ended) {
                end_process(session);
                return false;
        }
        process_stream_disconnect(&session->stream);
        if (session->stream.failure) {
                g_set_error(error, ERROR, ERROR_PROTOCOL, "connection: process error: %s",
                            session->stream.failure);
                return false;
        }
        *ret_status = (int) session->stream.status;
        return true;
}
