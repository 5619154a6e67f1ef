#include "worker/garden/streams.h"

#include "base/files.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK ((size_t) 64 * 1024)
/* How long outputs can still be asked for after their control connection ended. */
#define OUTPUT_KEEP (60 * DURATION_SECOND)

typedef struct {
        Process *process;
        bool fresh;   /* of a run: its outputs begin at 0 */
        Duration end; /* monotonic; DURATION_NEVER: its control connection is open */
} Entry;

struct Streams {
        Cancel *stopping;
        Mutex lock;
        uint64_t next;
        GHashTable *table; /* of id text to Entry */
};

/* ---- ids ---- */

static void entry_free(void *data) {
        Entry *entry = data;
        process_free(entry->process);
        g_free(entry);
}

Streams *streams_new(Cancel *stopping) {
        Streams *streams = g_new0(Streams, 1);
        streams->stopping = stopping;
        streams->next = 1;
        mutex_init(&streams->lock);
        streams->table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, entry_free);
        return streams;
}

void streams_free(Streams *streams) {
        if (!streams)
                return;
        g_hash_table_destroy(streams->table);
        mutex_destroy(&streams->lock);
        g_free(streams);
}

static gboolean is_over(void *key, void *value, void *data) {
        return ((Entry *) value)->end < *(Duration *) data;
}

/* Returns new: the id. */
static char *add_entry(Streams *streams, Process *process, bool fresh) {
        Entry *entry = g_new0(Entry, 1);
        Duration now = clock_monotonic();
        *entry = (Entry){ process_ref(process), fresh, DURATION_NEVER };
        MUTEX_SCOPE(&streams->lock);
        g_hash_table_foreach_remove(streams->table, is_over, &now);
        char *id = g_strdup_printf("%" G_GUINT64_FORMAT, streams->next++);
        g_hash_table_insert(streams->table, g_strdup(id), entry);
        return id;
}

static void end_entry(Streams *streams, const char *id) {
        MUTEX_SCOPE(&streams->lock);
        Entry *entry = g_hash_table_lookup(streams->table, id);
        if (entry)
                entry->end = clock_monotonic() + OUTPUT_KEEP;
}

/* Returns new; NULL when there is none of that id. */
static Process *find_entry(Streams *streams, const char *id, bool *ret_fresh) {
        MUTEX_SCOPE(&streams->lock);
        Entry *entry = g_hash_table_lookup(streams->table, id);
        *ret_fresh = entry && entry->fresh;
        return entry ? process_ref(entry->process) : NULL;
}

/* ---- control ---- */

typedef struct {
        HttpSocket *socket;
        Process *process;
        bool reading; /* further messages are wanted */
        bool closing; /* the end of stdin came; signals and sizes still may */
        GString *line;
        size_t scanned;   /* of line: there is no newline before */
        GString *pending; /* for stdin */
        size_t written;   /* of pending */
        int input;        /* -1: closed */
} Control;

static bool send_payload(Control *control, const GardenPayload *payload, Cancel *cancel) {
        g_autoptr(GString) text = g_string_new(NULL);
        garden_payload_append(text, payload);
        return http_socket_write(control->socket, text->str, text->len, cancel, NULL);
}

static void close_input(Control *control) {
        fd_close(control->input);
        control->input = -1;
        process_close_input(control->process);
}

static void stop_listening(Control *control) {
        close_input(control);
        control->reading = false;
}

static void flush_input(Control *control) {
        while (control->input >= 0 && control->written < control->pending->len) {
                ssize_t n = write(control->input, control->pending->str + control->written,
                                  control->pending->len - control->written);
                if (n < 0 && errno == EAGAIN)
                        return;
                if (n < 0 && errno != EINTR) {
                        close_input(control); /* nobody reads it any more */
                        break;
                }
                if (n > 0)
                        control->written += (size_t) n;
        }
        g_string_truncate(control->pending, 0);
        control->written = 0;
        if (control->closing && control->input >= 0)
                close_input(control);
}

/* 06 §3.6: tty, then source, then signal; anything else ends the listening. */
static void obey(Control *control, const GardenPayload *payload) {
        static const int signals[] = { [GARDEN_SIGNAL_TERMINATE] = SIGTERM,
                                       [GARDEN_SIGNAL_KILL] = SIGKILL,
                                       [GARDEN_SIGNAL_HANG_UP] = SIGHUP };
        if (payload->has & GARDEN_HAS_TTY) {
                if (payload->has & GARDEN_HAS_WINDOW)
                        process_resize(control->process, payload->window, NULL);
        } else if ((payload->has & GARDEN_HAS_SOURCE) && (payload->has & GARDEN_HAS_DATA)) {
                g_string_append_len(control->pending, payload->data, (gssize) payload->data_length);
                flush_input(control);
        } else if (payload->has & GARDEN_HAS_SOURCE) {
                control->closing = true;
                flush_input(control);
        } else if ((payload->has & GARDEN_HAS_SIGNAL) && payload->signal >= 0 &&
                   payload->signal < (int64_t) G_N_ELEMENTS(signals)) {
                process_signal_group(control->process, signals[payload->signal], NULL);
        } else
                stop_listening(control);
}

static void obey_lines(Control *control) {
        while (control->reading && control->pending->len == 0) {
                char *newline = memchr(control->line->str + control->scanned, '\n',
                                       control->line->len - control->scanned);
                if (!newline) {
                        control->scanned = control->line->len;
                        return;
                }
                g_auto(GardenPayload) payload = { 0 };
                size_t length = (size_t) (newline - control->line->str);
                if (garden_payload_parse(control->line->str, length, &payload, NULL))
                        obey(control, &payload);
                else
                        stop_listening(control);
                g_string_erase(control->line, 0, (gssize) length + 1);
                control->scanned = 0;
        }
}

/* Returns false when the client is gone. */
static bool read_socket(Control *control, Cancel *cancel) {
        char chunk[16 * 1024];
        ssize_t n = http_socket_read(control->socket, chunk, sizeof(chunk), cancel, NULL);
        if (n <= 0)
                return false;
        if (control->line->len + (size_t) n > GARDEN_PAYLOAD_MAX)
                stop_listening(control);
        else
                g_string_append_len(control->line, chunk, n);
        obey_lines(control);
        return true;
}

typedef enum { GOES_ON, ENDED, GONE, STOPPED } Turn;

static Turn control_turn(Streams *streams, Control *control, int watch) {
        bool blocked = control->pending->len > 0;
        bool wants = control->reading && !blocked;
        struct pollfd polls[] = {
                { .fd = http_socket_fd(control->socket),
                  .events = (short) (POLLRDHUP | (wants ? POLLIN : 0)) },
                { .fd = watch, .events = POLLIN },
                { .fd = cancel_fd(streams->stopping), .events = POLLIN },
                { .fd = blocked ? control->input : -1, .events = POLLOUT },
        };
        bool over_read = wants && http_socket_pending(control->socket) > 0;
        ProcessState state;
        uint64_t count;

        poll(polls, G_N_ELEMENTS(polls), over_read ? 0 : -1);
        if (polls[2].revents)
                return STOPPED;
        if (polls[3].revents) {
                flush_input(control);
                obey_lines(control);
        }
        if (over_read || (wants && (polls[0].revents & POLLIN))) {
                if (!read_socket(control, streams->stopping))
                        return GONE;
        } else if (polls[0].revents & (POLLRDHUP | POLLHUP | POLLERR))
                return GONE;
        if (polls[1].revents && read(watch, &count, sizeof(count)) > 0) {
                process_state(control->process, &state);
                if (state.ended)
                        return ENDED;
        }
        return GOES_ON;
}

/* What reads standard input must not wait for ever. When we stop, the client comes again. */
static void client_gone(Streams *streams, Control *control) {
        if (control->input >= 0 && !cancel_fired(streams->stopping))
                close_input(control);
}

static void control_run(Streams *streams, Control *control) {
        int watch = process_watch(control->process, PROCESS_WATCH_END, NULL);
        Turn turn = watch < 0 ? STOPPED : GOES_ON; /* the client comes again */
        while (turn == GOES_ON)
                turn = control_turn(streams, control, watch);
        process_unwatch(control->process, watch);

        if (turn == ENDED) {
                ProcessState state;
                process_state(control->process, &state);
                GardenPayload payload = { .has = GARDEN_HAS_LENGTHS |
                                                 (state.failure ? 0U : GARDEN_HAS_EXIT_STATUS),
                                          .process_id = (char *) process_id(control->process),
                                          .exit_status = state.code,
                                          .output_length = state.end[SHIM_STDOUT],
                                          .error_length = state.end[SHIM_STDERR],
                                          .error = (char *) state.failure };
                if (send_payload(control, &payload, streams->stopping))
                        process_mark_told(control->process);
        } else if (turn == GONE)
                client_gone(streams, control);
}

void streams_serve(Streams *streams, HttpRequest *request, int status, Process *process) {
        g_autofree char *id = add_entry(streams, process, status == 201);
        Control control = { .process = process, .reading = true, .input = process_input(process) };
        http_header_set(request, GARDEN_EXTENSIONS_HEADER, GARDEN_EXTENSIONS);
        control.socket = http_hijack(request, status, "application/json");
        if (control.socket) {
                GardenPayload first = { .process_id = (char *) process_id(process),
                                        .stream_id = id };
                control.line = g_string_new(NULL);
                control.pending = g_string_new(NULL);
                if (send_payload(&control, &first, streams->stopping))
                        control_run(streams, &control);
                else
                        client_gone(streams, &control);
                g_string_free(control.line, true);
                g_string_free(control.pending, true);
                http_socket_free(control.socket);
        }
        fd_close(control.input);
        end_entry(streams, id);
}

/* ---- outputs ---- */

typedef struct {
        HttpSocket *socket;
        Process *process;
        unsigned stream, turn;
        bool exclusive; /* stops when another takes over */
        int64_t offset;
        char *chunk;
} Output;

/* Sends all there is. Returns false when there is no more to come, or nobody to send it to. */
static bool output_send(Output *output, Cancel *cancel) {
        for (;;) {
                ProcessState state;
                process_state(output->process, &state);
                if (output->exclusive && state.turn[output->stream] != output->turn)
                        return false;
                ssize_t n = process_read(output->process, output->stream, output->offset,
                                         output->chunk, CHUNK, NULL);
                if (n < 0 || (n == 0 && state.ended))
                        return false;
                if (n == 0)
                        return true;
                if (!http_socket_write(output->socket, output->chunk, (size_t) n, cancel, NULL))
                        return false;
                output->offset += n;
                process_mark_sent(output->process, output->stream, output->offset);
        }
}

static void output_run(Streams *streams, Output *output, int watch) {
        while (output_send(output, streams->stopping)) {
                struct pollfd polls[] = {
                        { .fd = watch, .events = POLLIN },
                        { .fd = http_socket_fd(output->socket), .events = POLLRDHUP },
                        { .fd = cancel_fd(streams->stopping), .events = POLLIN },
                };
                uint64_t count;
                poll(polls, G_N_ELEMENTS(polls), -1);
                if (polls[1].revents || polls[2].revents)
                        break;
                (void) !read(watch, &count, sizeof(count));
        }
}

void streams_serve_output(Streams *streams, HttpRequest *request, const char *id, unsigned stream,
                          int64_t from) {
        bool fresh;
        g_autoptr(Process) process = find_entry(streams, id, &fresh);
        Output output = { .process = process, .stream = stream, .exclusive = from < 0 };
        int watch = process ? process_watch(process, 1U << stream, NULL) : -1;
        if (watch >= 0) {
                char text[24];
                if (from < 0)
                        output.turn = process_take_over(process, stream);
                output.offset = from >= 0 ? from : fresh ? 0 : process_sent(process, stream);
                output.offset = MAX(output.offset, process_first(process, stream));
                snprintf(text, sizeof(text), "%" G_GINT64_FORMAT, output.offset);
                http_header_set(request, GARDEN_OFFSET_HEADER, text);
        }
        output.socket = http_hijack(request, 200, NULL);
        if (watch >= 0 && output.socket) {
                output.chunk = g_malloc(CHUNK);
                output_run(streams, &output, watch);
                g_free(output.chunk);
        }
        if (watch >= 0)
                process_unwatch(process, watch);
        http_socket_free(output.socket);
}
