#include "steps/script.h"

#include "base/fault.h"
#include "base/json.h"

#include <string.h>

#define PROPERTY_RESULT "concourse:resource-result"
#define PROCESS_ID "resource"
/* The answer of a script: version lists of large histories are a few hundred KiB. */
#define OUTPUT_MAX (16 * 1024 * 1024)

void script_result_clear(ScriptResult *result) {
        g_free(result->output);
        value_free(result->version);
        value_free(result->metadata);
        *result = (ScriptResult){ 0 };
}

static char *request(const Script *script, size_t *ret_length) {
        g_autoptr(Value) map = value_map();

        value_map_set(map, "source", script->source ? value_sorted(script->source) : value_null());
        if (value_length(script->params) > 0)
                value_map_set(map, "params", value_sorted(script->params));
        if (value_length(script->version) > 0)
                value_map_set(map, "version", value_sorted(script->version));
        return json_write(map, JSON_COMPACT, ret_length);
}

static bool collect(const void *bytes, size_t length, int64_t offset, void *data, GError **error) {
        GString *output = data;

        if (output->len + length > OUTPUT_MAX) {
                g_set_error(error, ERROR, ERROR_LIMIT,
                            "resource script wrote more than %d bytes to stdout", OUTPUT_MAX);
                return false;
        }
        g_string_append_len(output, bytes, (gssize) length);
        return true;
}

static bool log_stderr(const void *bytes, size_t length, int64_t offset, void *data,
                       GError **error) {
        return run_output_write(data, bytes, length, offset, error);
}

/* pool_process_run has one data for both streams. */
typedef struct {
        GString *output;
        RunOutput *log;
} Streams;

static bool take_output(const void *bytes, size_t length, int64_t offset, void *data,
                        GError **error) {
        return collect(bytes, length, offset, ((Streams *) data)->output, error);
}

static bool take_error(const void *bytes, size_t length, int64_t offset, void *data,
                       GError **error) {
        return log_stderr(bytes, length, offset, ((Streams *) data)->log, error);
}

/* ---- reading the answer ---- */

static bool wrong_type(const Value *value, const char *field, GError **error) {
        static const char *const kinds[] = {
                "null", "bool", "number", "string", "array", "object"
        };

        g_set_error(error, ERROR, ERROR_PROTOCOL,
                    "json: cannot unmarshal %s into Go struct field %s of type string",
                    kinds[value_kind(value)], field);
        return false;
}

static bool check_version(const Value *version, const char *field, GError **error) {
        for (size_t i = 0; i < value_length(version); i++)
                if (!value_is(value_at(version, i), VALUE_STRING) &&
                    !value_is_null(value_at(version, i)))
                        return wrong_type(value_at(version, i), field, error);
        return true;
}

static bool check_metadata(const Value *metadata, GError **error) {
        for (size_t i = 0; i < value_length(metadata); i++) {
                const Value *field = value_at(metadata, i);
                for (size_t k = 0; k < 2; k++) {
                        const char *key = k == 0 ? "name" : "value";
                        const Value *value = value_get(field, key);
                        g_autofree char *name = g_strdup_printf("MetadataField.metadata.%s", key);
                        if (value && !value_is_null(value) && !value_is(value, VALUE_STRING))
                                return wrong_type(value, name, error);
                }
        }
        return true;
}

/* Only the first value counts; what follows it is ignored. */
static bool read_answer(const Script *script, const char *text, size_t length, ScriptResult *ret,
                        GError **error) {
        g_autoptr(Value) answer = NULL;
        size_t used;

        if (length > 0) {
                answer = json_parse_first(text, length, NULL, &used, error);
                if (!answer)
                        return false;
        }
        const Value *version = value_get(answer, "version");
        if (!value_is(version, VALUE_MAP)) {
                g_set_error(error, ERROR, ERROR_PROTOCOL,
                            "resource script (%s %s) output a null version", script->path,
                            script->directory);
                return false;
        }
        if (!check_version(version, "VersionResult.version", error) ||
            !check_metadata(value_get(answer, "metadata"), error))
                return false;
        ret->version = value_ref(version);
        if (value_length(value_get(answer, "metadata")) > 0)
                ret->metadata = value_ref(value_get(answer, "metadata"));
        return true;
}

static bool kept_result(const Script *script, Cancel *cancel, bool *ret_found, ScriptResult *ret,
                        GError **error) {
        g_autofree char *text = NULL;

        *ret_found = false;
        if (!script->keep_result || pool_container_created(script->container))
                return true;
        if (!pool_container_property(script->container, PROPERTY_RESULT, cancel, &text, error))
                return false;
        *ret_found = text != NULL;
        return !text || read_answer(script, text, strlen(text), ret, error);
}

static bool keep_result(const Script *script, const ScriptResult *result, Cancel *cancel,
                        GError **error) {
        g_autoptr(Value) map = value_map();

        value_map_set(map, "version", value_ref(result->version));
        value_map_set(map, "metadata",
                      result->metadata ? value_ref(result->metadata) : value_null());
        g_autofree char *text = json_write(map, JSON_COMPACT, NULL);
        return pool_container_set_property(script->container, PROPERTY_RESULT, text, cancel, error);
}

bool script_run(const StepCall *call, const Script *script, Cancel *cancel, ScriptResult *ret,
                GError **error) {
        g_auto(ScriptResult) result = { 0 };
        bool found;

        if (!kept_result(script, cancel, &found, &result, error))
                return false;
        if (found) {
                *ret = result;
                result = (ScriptResult){ 0 };
                return true;
        }

        size_t length;
        int64_t logged = 0;
        g_autofree char *input = request(script, &length);
        g_autoptr(GString) output = g_string_new(NULL);
        g_autoptr(RunOutput)
                log = run_output_new(call->run, call->plan->id, call->attempt, "stderr");
        const StreamOffset stream = { .plan_id = call->plan->id,
                                      .attempt = call->attempt,
                                      .source = "stderr" };
        if (!run_stored_offset(call->run, &stream, &logged, error))
                return false;

        Streams streams = { .output = output, .log = log };
        const char *const args[] = { script->directory, NULL };
        bool ended = pool_process_run(script->container,
                                      &(ProcessNeed){
                                              .id = script->keep_result ? PROCESS_ID : NULL,
                                              .path = script->path,
                                              .args = args,
                                              .input = input,
                                              .input_length = length,
                                              .output = take_output,
                                              .error = take_error,
                                              .data = &streams,
                                              .error_from = logged,
                                              .attach_only = script->attach_only,
                                              .once = script->once,
                                              .ret_lost = script->ret_lost,
                                      },
                                      cancel, &result.status, error);
        if (!run_output_flush(log, ended ? error : NULL) || !ended)
                return false;

        fault_here("process-ended");
        if (script->keep_result && result.status == 0) {
                if (!read_answer(script, output->str, output->len, &result, error) ||
                    !keep_result(script, &result, cancel, error))
                        return false;
                fault_here("result-kept");
        }
        result.length = output->len;
        result.output = g_string_free(g_steal_pointer(&output), FALSE);
        *ret = result;
        result = (ScriptResult){ 0 };
        return true;
}

Value *script_versions(const ScriptResult *result, GError **error) {
        size_t used;

        if (result->length == 0)
                return value_list();
        g_autoptr(Value)
                list = json_parse_first(result->output, result->length, NULL, &used, error);
        if (!list)
                return NULL;
        if (value_is_null(list))
                return value_list();
        if (!value_is(list, VALUE_LIST)) {
                g_set_error(error, ERROR, ERROR_PROTOCOL,
                            "json: cannot unmarshal into Go value of type []atc.Version");
                return NULL;
        }
        for (size_t i = 0; i < value_length(list); i++) {
                const Value *version = value_at(list, i);
                if (!value_is(version, VALUE_MAP)) {
                        g_set_error(error, ERROR, ERROR_PROTOCOL,
                                    "json: cannot unmarshal into Go value of type atc.Version");
                        return NULL;
                }
                if (!check_version(version, "of type atc.Version", error))
                        return NULL;
        }
        return g_steal_pointer(&list);
}
