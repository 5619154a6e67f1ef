/* From a process's bytes to log events. */
#include "steps/run.h"

#include <string.h>

/* With secrets about, an unfinished line waits for its end; not longer than this, and not more than this. */
#define PATIENCE DURATION_SECOND
#define LINE_MAX_BYTES (64 * 1024)

struct RunOutput {
        Run *run;
        char *plan_id, *attempt;
        const char *source;
        GString *waiting;    /* read, not emitted yet */
        int64_t offset;      /* of the stream, after `waiting` */
        Duration last_flush; /* clock_monotonic() */
};

RunOutput *run_output_new(Run *run, const char *plan_id, const char *attempt, const char *source) {
        RunOutput *output = g_new0(RunOutput, 1);

        output->run = run_ref(run);
        output->plan_id = g_strdup(plan_id);
        output->attempt = g_strdup(attempt);
        output->source = source;
        output->waiting = g_string_new(NULL);
        output->last_flush = clock_monotonic();
        return output;
}

void run_output_free(RunOutput *output) {
        if (!output)
                return;
        run_free(output->run);
        g_free(output->plan_id);
        g_free(output->attempt);
        g_string_free(output->waiting, TRUE);
        g_free(output);
}

/* How many bytes at the end begin a UTF-8 sequence that is not complete. */
static size_t incomplete_tail(const char *text, size_t length) {
        for (size_t back = 1; back <= 3 && back <= length; back++) {
                unsigned char byte = (unsigned char) text[length - back];
                if ((byte & 0xc0) == 0x80)
                        continue;
                size_t need = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
                return need > back ? back : 0;
        }
        return 0;
}

/* How many of the waiting bytes may go out now. */
static size_t ready_bytes(const RunOutput *output) {
        const char *text = output->waiting->str;
        size_t length = output->waiting->len;
        const char *end;

        if (!redactor_is_armed(run_redactor(output->run)))
                return length - incomplete_tail(text, length);
        end = memrchr(text, '\n', length);
        if (!end)
                end = memrchr(text, '\r', length);
        if (end)
                return (size_t) (end - text) + 1;
        if (length >= LINE_MAX_BYTES || clock_monotonic() - output->last_flush >= PATIENCE)
                return length - MAX(incomplete_tail(text, length),
                                    redactor_pending(run_redactor(output->run), text, length));
        return 0;
}

static bool emit_log(RunOutput *output, const char *text, size_t length, const StreamOffset *offset,
                     GError **error) {
        g_autofree char *clean = NULL;

        if (run_settings(output->run)->redact_secrets &&
            redactor_is_armed(run_redactor(output->run)))
                text = clean = redactor_apply(run_redactor(output->run), text, length, &length);
        return run_emit_at(output->run,
                           event_log(output->plan_id, output->source, text, length, clock_now()),
                           offset, error);
}

static bool emit_waiting(RunOutput *output, size_t length, GError **error) {
        if (length == 0)
                return true;
        const StreamOffset offset = {
                .plan_id = output->plan_id,
                .attempt = output->attempt,
                .source = output->source,
                .offset = output->offset - (int64_t) (output->waiting->len - length),
        };
        if (!emit_log(output, output->waiting->str, length, &offset, error))
                return false;
        g_string_erase(output->waiting, 0, (gssize) length);
        output->last_flush = clock_monotonic();
        return true;
}

bool run_output_write(RunOutput *output, const void *bytes, size_t length, int64_t offset,
                      GError **error) {
        g_string_append_len(output->waiting, bytes, (gssize) length);
        output->offset = offset + (int64_t) length;
        return emit_waiting(output, ready_bytes(output), error);
}

bool run_output_text(RunOutput *output, const char *text, GError **error) {
        return emit_log(output, text, strlen(text), NULL, error);
}

bool run_output_flush(RunOutput *output, GError **error) {
        return emit_waiting(output, output->waiting->len, error);
}
