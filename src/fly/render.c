#include "fly/render.h"

#include "fly/table.h"

#include <string.h>
#include <time.h>

#define BOLD(text) "\033[1m" text "\033[0m"
#define NO_TIME "          "

/* ---- writing with timestamps ---- */

static void write_prefix(Render *render, int64_t seconds) {
        char text[16] = NO_TIME;
        struct tm local;
        time_t time = (time_t) seconds;

        if (seconds && localtime_r(&time, &local))
                strftime(text, sizeof text, "%H:%M:%S  ", &local);
        fputs(text, render->out);
}

/* The prefix is that of the event that begins the line. */
static void write_text(Render *render, int64_t seconds, const char *text, size_t length) {
        while (render->timestamps && length > 0) {
                const char *newline = memchr(text, '\n', length);
                size_t line = newline ? (size_t) (newline - text) + 1 : length;
                if (!render->middle_of_line)
                        write_prefix(render, seconds);
                fwrite(text, 1, line, render->out);
                render->middle_of_line = !newline;
                text += line;
                length -= line;
        }
        fwrite(text, 1, length, render->out);
}

static void write_format(Render *render, int64_t seconds, const char *format, ...)
        G_GNUC_PRINTF(3, 4);
static void write_format(Render *render, int64_t seconds, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        g_autofree char *text = g_strdup_vprintf(format, arguments);
        va_end(arguments);
        write_text(render, seconds, text, strlen(text));
}

static void write_colored(Render *render, int64_t seconds, Color color, const char *text) {
        if (render->timestamps && !render->middle_of_line)
                write_prefix(render, seconds);
        color_print(render->fly, render->out, color, text);
        fputc('\n', render->out);
        render->middle_of_line = false;
}

/* ---- events ---- */

static bool on_log(Render *render, const Value *data, int64_t time, GError **error) {
        const Value *payload = value_get(data, "payload");

        if (value_is(payload, VALUE_STRING))
                write_text(render, time, value_text(payload), value_text_length(payload));
        return true;
}

static bool on_waiting_for_worker(Render *render, const Value *data, int64_t time, GError **error) {
        write_format(render, time, BOLD("no suitable workers found, waiting for worker...") "\n");
        return true;
}

static bool on_selected_worker(Render *render, const Value *data, int64_t time, GError **error) {
        write_format(render, time, BOLD("selected worker:") " %s\n",
                     value_get_string(data, "selected_worker", ""));
        return true;
}

static bool on_streaming_volume(Render *render, const Value *data, int64_t time, GError **error) {
        write_format(render, time, BOLD("streaming volume") " %s " BOLD("from worker") " %s\n",
                     value_get_string(data, "volume", ""),
                     value_get_string(data, "source_worker", ""));
        return true;
}

static bool on_waiting_for_volume(Render *render, const Value *data, int64_t time, GError **error) {
        write_format(render, time,
                     BOLD("waiting for volume") " %s " BOLD("to be streamed by another step") "\n",
                     value_get_string(data, "volume", ""));
        return true;
}

static bool on_initialize_check(Render *render, const Value *data, int64_t time, GError **error) {
        write_format(render, time, BOLD("initializing check:") " %s\n",
                     value_get_string(data, "name", ""));
        return true;
}

static bool on_initialize_task(Render *render, const Value *data, int64_t time, GError **error) {
        write_format(render, time, BOLD("initializing") "\n");
        return true;
}

static bool on_start_task(Render *render, const Value *data, int64_t time, GError **error) {
        const Value *run = value_get(value_get(data, "config"), "run");
        const Value *args = value_get(run, "args");
        g_autoptr(GString) line = g_string_new(value_get_string(run, "path", ""));

        for (size_t i = 0; i < value_length(args); i++) {
                const char *text = value_text(value_at(args, i));
                g_string_append_printf(line, " %s", text ? text : "");
        }
        write_format(render, time, BOLD("running %s") "\n", line->str);
        return true;
}

static bool on_finish_task(Render *render, const Value *data, int64_t time, GError **error) {
        render->exit_status = (int) value_get_int(data, "exit_status", 0);
        return true;
}

static bool on_error(Render *render, const Value *data, int64_t time, GError **error) {
        write_colored(render, 0, COLOR_ERRORED, value_get_string(data, "message", ""));
        return true;
}

static bool on_status(Render *render, const Value *data, int64_t time, GError **error) {
        static const struct {
                const char *status;
                int exit_status;
        } finals[] = { { "succeeded", 0 }, { "failed", 1 }, { "errored", 2 }, { "aborted", 3 } };
        const char *status = value_get_string(data, "status", "");

        if (g_str_equal(status, "started"))
                return true;
        for (size_t i = 0; i < G_N_ELEMENTS(finals); i++) {
                if (!g_str_equal(finals[i].status, status))
                        continue;
                write_colored(render, time, color_of_status(status), status);
                if (render->exit_status == 0)
                        render->exit_status = finals[i].exit_status;
                return render->finished = true;
        }
        fprintf(render->out, "unknown status: %s\n", status);
        render->exit_status = 255;
        return render->finished = true;
}

static const struct {
        const char *name;
        bool (*print)(Render *render, const Value *data, int64_t time, GError **error);
} printers[] = {
        { "log", on_log },
        { "waiting-for-worker", on_waiting_for_worker },
        { "selected-worker", on_selected_worker },
        { "streaming-volume", on_streaming_volume },
        { "waiting-for-streamed-volume", on_waiting_for_volume },
        { "initialize-check", on_initialize_check },
        { "initialize-task", on_initialize_task },
        { "start-task", on_start_task },
        { "finish-task", on_finish_task },
        { "error", on_error },
        { "status", on_status },
};

bool render_event(Render *render, const Event *event, GError **error) {
        bool current = false;
        g_autofree char *supported = NULL;

        switch (event_known(event, &current, &supported)) {
        case EVENT_UNKNOWN_TYPE:
                g_set_error(error, ERROR, ERROR_UNSUPPORTED, "unknown event type: %s", event->name);
                return false;
        case EVENT_UNKNOWN_VERSION:
                g_set_error(error, ERROR, ERROR_UNSUPPORTED,
                            "unknown event version: %s version %s (supported versions: %s)",
                            event->name, event->version, supported);
                return false;
        case EVENT_KNOWN:
                break;
        }
        if (!current)
                return true; /* what older servers sent is known and says nothing */
        for (size_t i = 0; i < G_N_ELEMENTS(printers); i++)
                if (g_str_equal(printers[i].name, event->name))
                        return printers[i].print(render, event->data,
                                                 value_get_int(event->data, "time", 0), error);
        return true;
}

void render_parse_failure(Render *render, const char *message) {
        if (render->timestamps)
                write_prefix(render, 0);
        fputs("failed to parse next event: ", render->out);
        color_print(render->fly, render->out, COLOR_ERRORED, message);
        fputc('\n', render->out);
        render->exit_status = 255;
        render->finished = true;
}
