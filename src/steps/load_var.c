/* Makes a local var of a file's content (reference 04 §4.6, 03 §10). */
#include "base/fault.h"
#include "base/json.h"
#include "base/yaml.h"
#include "steps/artifact_file.h"
#include "steps/support.h"

#include <string.h>

/* ---- formats ---- */

typedef Value *(*ParseFn)(const char *text, size_t length, GError **error);

static Value *text_value(const char *text, size_t length) {
        g_autofree char *valid = g_utf8_make_valid(text, (gssize) length);

        return value_string(valid);
}

static Value *parse_raw(const char *text, size_t length, GError **error) {
        return text_value(text, length);
}

/* What Go's unicode.IsSpace knows. */
static bool is_space(gunichar rune) {
        return g_unichar_isspace(rune) || rune == '\v' || rune == 0x85;
}

static Value *parse_trim(const char *text, size_t length, GError **error) {
        g_autofree char *valid = g_utf8_make_valid(text, (gssize) length);
        const char *start = valid, *end = valid + strlen(valid);

        while (start < end && is_space(g_utf8_get_char(start)))
                start = g_utf8_next_char(start);
        while (end > start && is_space(g_utf8_get_char(g_utf8_prev_char(end))))
                end = g_utf8_prev_char(end);
        return value_string_sized(start, (size_t) (end - start));
}

static Value *parse_json(const char *text, size_t length, GError **error) {
        size_t used;
        g_autoptr(Value) value = json_parse_first(text, length, NULL, &used, error);

        if (!value)
                return NULL;
        while (used < length && text[used] && strchr(" \t\r\n", text[used]))
                used++;
        if (used == length)
                return g_steal_pointer(&value);
        g_set_error(error, ERROR, ERROR_INVALID,
                    "invalid json: characters found after top-level value");
        return NULL;
}

static Value *parse_yaml(const char *text, size_t length, GError **error) {
        return yaml_parse(text, length, NULL, YAML_DEFAULT, error);
}

typedef struct {
        const char *name;
        ParseFn parse;
        const char *label; /* in error texts */
} Format;

static const Format formats[] = {
        { "raw", parse_raw, "raw" },    { "trim", parse_trim, "trim" },
        { "json", parse_json, "json" }, { "yml", parse_yaml, "yaml" },
        { "yaml", parse_yaml, "yaml" },
};

static const Format *format_named(const char *name) {
        for (size_t i = 0; i < G_N_ELEMENTS(formats); i++)
                if (g_str_equal(formats[i].name, name))
                        return &formats[i];
        return NULL;
}

/* By name, else by the file's extension, else trim. */
static const Format *find_format(const char *name, const char *file, GError **error) {
        const Format *format = format_named(name);

        if (format)
                return format;
        if (*name) {
                g_set_error(error, ERROR, ERROR_INVALID, "invalid format %s", name);
                return NULL;
        }
        g_autofree char *base = g_path_get_basename(file);
        const char *dot = strrchr(base, '.');
        format = dot ? format_named(dot + 1) : NULL;
        return format ? format : format_named("trim");
}

/* ---- the step ---- */

static Value *load(const StepCall *call, const Value *fields, GError **error) {
        const char *path = value_get_string(fields, "file", "");
        g_auto(ArtifactFile) file = { 0 };
        size_t length;

        if (!artifact_file_parse(path, "file", &file, error))
                return NULL;
        const Format *format = find_format(value_get_string(fields, "format", ""), path, error);
        if (!format)
                return NULL;
        g_autofree char *text = artifact_file_read(call, &file, &length, error);
        if (!text)
                return NULL;
        Value *value = format->parse(text, length, error);
        if (!value)
                g_prefix_error(error, "failed to parse %s in format %s: ", path, format->label);
        return value;
}

static void leave(const StepCall *call, const Value *value) {
        const LoadVarPlan *plan = call->plan->load_var;

        if (!plan->reveal)
                run_track_secret(call->run, value);
        scope_put_var(call->scope, plan->name, value);
}

static Value *interpolated_fields(const StepCall *call, GError **error) {
        g_autoptr(Value) fields = value_map();

        value_map_set_string(fields, "file", call->plan->load_var->file);
        value_map_set_string(fields, "format", call->plan->load_var->format);
        return run_interpolate(call->run, call->scope, fields, VARS_LENIENT, error);
}

static bool replay(const StepCall *call, const BuildStep *step, GError **error) {
        if (step_journal_errored(step, error))
                return false;
        leave(call, value_get(step->result, "value"));
        return true;
}

static bool finish(const StepCall *call, const Value *value, GError **error) {
        const char *id = call->plan->id, *name = call->plan->load_var->name;
        g_autoptr(Value) journal = value_map();

        if (!step_say(call, &(StepText){ "fetched", "stdout" }, error, "var %s fetched.\n", name))
                return false;
        leave(call, value);
        value_map_set(journal, "value", value_ref(value));
        return step_say(call, &(StepText){ "added", "stdout" }, error, "added var %s to build.\n",
                        name) &&
               run_emit_once(call->run, id, "finish", event_finish(id, true, clock_now()), error) &&
               step_finish(call, true, journal, error);
}

static bool run_load_var(const StepCall *call, bool *ret_succeeded, GError **error) {
        const char *id = call->plan->id;
        g_autoptr(BuildStep) before = NULL;

        *ret_succeeded = true;
        if (!step_journal_find(call, &before, error))
                return false;
        if (step_journal_is_over(before))
                return replay(call, before, error);
        if (!run_emit_once(call->run, id, "initialize", event_initialize(id, clock_now()), error))
                return false;
        fault_here("step-initialized");
        g_autoptr(Value) fields = interpolated_fields(call, error);
        if (!fields || !run_emit_once(call->run, id, "start", event_start(id, clock_now()), error))
                return false;
        g_autoptr(Value) value = load(call, fields, error);
        return value && finish(call, value, error);
}

bool step_load_var(const StepCall *call, bool *ret_succeeded, GError **error) {
        return step_guard(call, run_load_var, ret_succeeded, error);
}
