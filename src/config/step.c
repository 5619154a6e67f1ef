#include "config/step.h"

#include <stddef.h>
#include <string.h>

#include "config/records.h"

#define F(struct_, member_) offsetof(struct_, member_)

/* ---- the fields of each kind; those of modifiers and combinators lie in StepConfig itself ---- */

static const Field get_fields[] = {
        { "get", F(GetStepConfig, name), &codec_text, FIELD_ALWAYS },
        { "resource", F(GetStepConfig, resource), &codec_text },
        { "version", F(GetStepConfig, version), &codec_version },
        { "params", F(GetStepConfig, params), &codec_map, 0, "atc.Params" },
        { "passed", F(GetStepConfig, passed), &codec_texts },
        { "trigger", F(GetStepConfig, trigger), &codec_bool },
        { "tags", F(GetStepConfig, tags), &codec_tags },
        { "timeout", F(GetStepConfig, timeout), &codec_text },
};

static const Field put_fields[] = {
        { "put", F(PutStepConfig, name), &codec_text, FIELD_ALWAYS },
        { "resource", F(PutStepConfig, resource), &codec_text },
        { "params", F(PutStepConfig, params), &codec_map, 0, "atc.Params" },
        { "inputs", F(PutStepConfig, inputs), &codec_put_inputs },
        { "tags", F(PutStepConfig, tags), &codec_tags },
        { "get_params", F(PutStepConfig, get_params), &codec_map, 0, "atc.Params" },
        { "timeout", F(PutStepConfig, timeout), &codec_text },
        { "no_get", F(PutStepConfig, no_get), &codec_bool },
};

static const Field task_fields[] = {
        { "task", F(TaskStepConfig, name), &codec_text, FIELD_ALWAYS },
        { "privileged", F(TaskStepConfig, privileged), &codec_bool },
        { "hermetic", F(TaskStepConfig, hermetic), &codec_bool },
        { "file", F(TaskStepConfig, file), &codec_text },
        { "container_limits", F(TaskStepConfig, container_limits), &codec_pointer, 0, NULL,
          &record_container_limits },
        { "config", F(TaskStepConfig, config), &codec_pointer, 0, NULL, &record_task_config },
        { "params", F(TaskStepConfig, params), &codec_environment },
        { "vars", F(TaskStepConfig, vars), &codec_map, 0, "atc.Params" },
        { "tags", F(TaskStepConfig, tags), &codec_tags },
        { "input_mapping", F(TaskStepConfig, input_mapping), &codec_text_map },
        { "output_mapping", F(TaskStepConfig, output_mapping), &codec_text_map },
        { "image", F(TaskStepConfig, image), &codec_text },
        { "timeout", F(TaskStepConfig, timeout), &codec_text },
};

static const Field run_fields[] = {
        { "run", F(RunStepConfig, message), &codec_text, FIELD_ALWAYS },
        { "type", F(RunStepConfig, type), &codec_text, FIELD_ALWAYS },
        { "params", F(RunStepConfig, params), &codec_map, 0, "atc.Params" },
        { "privileged", F(RunStepConfig, privileged), &codec_bool },
        { "tags", F(RunStepConfig, tags), &codec_tags },
        { "container_limits", F(RunStepConfig, container_limits), &codec_pointer, 0, NULL,
          &record_container_limits },
        { "timeout", F(RunStepConfig, timeout), &codec_text },
};

static const Field set_pipeline_fields[] = {
        { "set_pipeline", F(SetPipelineStepConfig, name), &codec_text, FIELD_ALWAYS },
        { "file", F(SetPipelineStepConfig, file), &codec_text },
        { "team", F(SetPipelineStepConfig, team), &codec_text },
        { "vars", F(SetPipelineStepConfig, vars), &codec_map, 0, "atc.Params" },
        { "var_files", F(SetPipelineStepConfig, var_files), &codec_texts },
        { "instance_vars", F(SetPipelineStepConfig, instance_vars), &codec_map, 0,
          "atc.InstanceVars" },
};

static const Field load_var_fields[] = {
        { "load_var", F(LoadVarStepConfig, name), &codec_text, FIELD_ALWAYS },
        { "file", F(LoadVarStepConfig, file), &codec_text },
        { "format", F(LoadVarStepConfig, format), &codec_text },
        { "reveal", F(LoadVarStepConfig, reveal), &codec_bool },
};

static const Field across_var_fields[] = {
        { "var", F(AcrossVar, var), &codec_text, FIELD_ALWAYS },
        { "values", F(AcrossVar, values), &codec_any },
        { "max_in_flight", F(AcrossVar, max_in_flight), &codec_in_flight },
};
static const Record record_across_table = RECORD("target", "atc.target", AcrossVar,
                                                 across_var_fields);

/* Unknown keys of an across var are refused whatever the outer decoder does. */
static void across_var_decode(Decoder *decoder, const Value *value, void *record) {
        bool strict = decoder->strict;
        if (value_is_null(value))
                return;
        decoder->strict = true;
        record_decode(decoder, &record_across_table, value, record);
        decoder->strict = strict;
}

static const Record record_across_var = {
        .name = "target",
        .type = "atc.target",
        .size = sizeof(AcrossVar),
        .fields = across_var_fields,
        .field_count = G_N_ELEMENTS(across_var_fields),
        .flags = FIELD_OPAQUE,
        .decode = across_var_decode,
};

#define HOOK_FIELDS(name_, key_)                                                                   \
        static const Field name_##_fields[] = { { key_, F(StepConfig, hook), &codec_step_always } }
HOOK_FIELDS(ensure, "ensure");
HOOK_FIELDS(on_error, "on_error");
HOOK_FIELDS(on_abort, "on_abort");
HOOK_FIELDS(on_failure, "on_failure");
HOOK_FIELDS(on_success, "on_success");

static const Field across_fields[] = {
        { "across", F(StepConfig, across_vars), &codec_records_nil, 0, "[]atc.AcrossVarConfig",
          &record_across_var },
        { "fail_fast", F(StepConfig, fail_fast), &codec_bool },
};
static const Field attempts_fields[] = { { "attempts", F(StepConfig, attempts), &codec_int,
                                           FIELD_ALWAYS } };
static const Field timeout_fields[] = { { "timeout", F(StepConfig, duration), &codec_text,
                                          FIELD_ALWAYS } };
static const Field try_fields[] = { { "try", F(StepConfig, step), &codec_step_always } };
static const Field do_fields[] = {
        { "do", F(StepConfig, steps), &codec_steps },
        { "tags", F(StepConfig, tags), &codec_tags },
};

static const Codec codec_steps_omit; /* left out when empty */
static const Field parallel_fields[] = {
        { "steps", F(StepConfig, steps), &codec_steps_omit },
        { "limit", F(StepConfig, limit), &codec_int },
        { "fail_fast", F(StepConfig, fail_fast), &codec_bool },
};
static const Record record_parallel = RECORD("target", "atc.target", StepConfig, parallel_fields);

/* A list of steps, or the long form. */
static void parallel_decode(Decoder *decoder, const Field *field, const Value *value, void *data) {
        g_auto(Decoder) inner;
        const char *what;

        decoder_init(&inner);
        if (value_is(value, VALUE_LIST)) {
                StepConfig *step = data;
                what = "steps";
                inner.record = NULL;
                codec_steps.decode(&inner, &parallel_fields[0], value, &step->steps);
        } else if (value_is(value, VALUE_MAP)) {
                what = "config";
                record_decode(&inner, &record_parallel, value, data);
        } else {
                g_autofree char *shown = go_show(value);
                decoder_fail(decoder, "wrong type for parallel config: %s", shown);
                return;
        }
        if (inner.failed) {
                g_autofree char *message = decoder_message(&inner);
                decoder_fail(decoder, "failed to unmarshal parallel %s: %s", what, message);
        }
}

static Value *parallel_encode(const Field *field, const void *data) {
        return record_encode(&record_parallel, data);
}

static const Codec codec_parallel = { parallel_decode, parallel_encode, NULL, NULL, true };
/* offset 0: the codec sees the whole step */
static const Field in_parallel_fields[] = {
        { "in_parallel", 0, &codec_parallel },
        { "tags", F(StepConfig, tags), &codec_tags },
};

typedef struct {
        const char *key;
        Record record; /* size 0: the fields lie in StepConfig */
        bool core;
} KindEntry;

#define INSIDE(name_, fields_)                                                                     \
        { .name = (name_), .fields = (fields_), .field_count = G_N_ELEMENTS(fields_) }
#define LEAF(name_, struct_, fields_) RECORD(name_, "atc." name_, struct_, fields_)

static const KindEntry kinds[] = {
        [STEP_ENSURE] = { "ensure", INSIDE("EnsureStep", ensure_fields), false },
        [STEP_ON_ERROR] = { "on_error", INSIDE("OnErrorStep", on_error_fields), false },
        [STEP_ON_ABORT] = { "on_abort", INSIDE("OnAbortStep", on_abort_fields), false },
        [STEP_ON_FAILURE] = { "on_failure", INSIDE("OnFailureStep", on_failure_fields), false },
        [STEP_ON_SUCCESS] = { "on_success", INSIDE("OnSuccessStep", on_success_fields), false },
        [STEP_ACROSS] = { "across", INSIDE("AcrossStep", across_fields), false },
        [STEP_ATTEMPTS] = { "attempts", INSIDE("RetryStep", attempts_fields), false },
        [STEP_RUN] = { "run", LEAF("RunStep", RunStepConfig, run_fields), true },
        [STEP_TASK] = { "task", LEAF("TaskStep", TaskStepConfig, task_fields), true },
        [STEP_PUT] = { "put", LEAF("PutStep", PutStepConfig, put_fields), true },
        [STEP_GET] = { "get", LEAF("GetStep", GetStepConfig, get_fields), true },
        [STEP_TIMEOUT] = { "timeout", INSIDE("TimeoutStep", timeout_fields), false },
        [STEP_SET_PIPELINE] = { "set_pipeline",
                                LEAF("SetPipelineStep", SetPipelineStepConfig, set_pipeline_fields),
                                true },
        [STEP_LOAD_VAR] = { "load_var", LEAF("LoadVarStep", LoadVarStepConfig, load_var_fields),
                            true },
        [STEP_TRY] = { "try", INSIDE("TryStep", try_fields), true },
        [STEP_DO] = { "do", INSIDE("DoStep", do_fields), true },
        [STEP_IN_PARALLEL] = { "in_parallel", INSIDE("InParallelStep", in_parallel_fields), true },
};

const char *step_kind_key(StepKind kind) {
        return kinds[kind].key;
}

/* ---- making and freeing ---- */

static StepConfig *step_new(StepKind kind) {
        StepConfig *step = g_new0(StepConfig, 1);
        step->kind = kind;
        step->duration = g_strdup("");
        if (kinds[kind].record.size > 0)
                step->fields = record_new(&kinds[kind].record);
        return step;
}

static void across_vars_free(StepConfig *step) {
        const Field *field = &across_fields[0];
        field->codec->clear(field, &step->across_vars);
}

void step_config_free(StepConfig *step) {
        if (!step)
                return;
        if (kinds[step->kind].record.size > 0)
                record_free(&kinds[step->kind].record, step->fields);
        value_free(step->unknown);
        step_config_free(step->step);
        step_config_free(step->hook);
        if (step->steps)
                g_ptr_array_unref(step->steps);
        across_vars_free(step);
        g_strfreev(step->tags);
        g_free(step->duration);
        g_free(step);
}

/* ---- reading ---- */

/* Reads one layer's keys from the whole map and takes those that it knows out of rest. */
static bool layer_decode(Decoder *decoder, StepConfig *step, const Value *map, Value *rest) {
        const KindEntry *kind = &kinds[step->kind];
        g_auto(Decoder) inner;

        decoder_init(&inner);
        record_decode(&inner, &kind->record, map, kind->record.size > 0 ? step->fields : step);
        if (inner.failed) {
                g_autofree char *message = decoder_message(&inner);
                decoder_fail(decoder, "malformed %s step: %s", kind->key, message);
                return false;
        }
        for (size_t i = 0; i < kind->record.field_count; i++)
                value_map_remove(rest, kind->record.fields[i].key);
        return true;
}

static StepConfig *decode_layers(Decoder *decoder, const Value *map, Value *rest) {
        g_autoptr(StepConfig) outermost = NULL;
        StepConfig *innermost = NULL;

        for (StepKind kind = 0; kind < G_N_ELEMENTS(kinds); kind++) {
                if (!value_has(map, kinds[kind].key) || !value_has(rest, kinds[kind].key))
                        continue;
                StepConfig *step = step_new(kind);
                if (innermost)
                        innermost->step = step;
                else
                        outermost = step;
                if (!layer_decode(decoder, step, map, rest))
                        return NULL;
                if (kinds[kind].core)
                        return g_steal_pointer(&outermost);
                innermost = step;
        }
        decoder_fail(decoder, "%s",
                     outermost ? "no core step type declared (e.g. get, put, task, etc.)"
                               : "no step configured");
        return NULL;
}

static StepConfig *step_decode(Decoder *decoder, const Value *value) {
        if (!value_is_null(value) && !value_is(value, VALUE_MAP)) {
                decoder_fail_type(decoder, value, "map[string]*json.RawMessage");
                return NULL;
        }
        g_autoptr(Value) map = value_is_null(value) ? value_map() : value_sorted(value);
        g_autoptr(Value) rest = value_map(); /* of map, what no layer has taken yet */
        for (size_t i = 0; i < value_length(map); i++)
                value_map_set_sized(rest, value_key_at(map, i), value_key_length_at(map, i),
                                    value_ref(value_at(map, i)));
        StepConfig *step = decode_layers(decoder, map, rest);
        if (step && value_length(rest) > 0)
                step->unknown = g_steal_pointer(&rest);
        return step;
}

static void step_clear(const Field *field, void *data) {
        g_clear_pointer((StepConfig **) data, step_config_free);
}

static void step_always_decode(Decoder *decoder, const Field *field, const Value *value,
                               void *data) {
        step_clear(field, data);
        *(StepConfig **) data = step_decode(decoder, value);
}

static void step_field_decode(Decoder *decoder, const Field *field, const Value *value,
                              void *data) {
        step_clear(field, data);
        if (!value_is_null(value))
                *(StepConfig **) data = step_decode(decoder, value);
}

static Value *step_field_encode(const Field *field, const void *data) {
        const StepConfig *step = *(StepConfig *const *) data;
        return step ? step_config_to_value(step) : NULL;
}

const Codec codec_step = { step_field_decode, step_field_encode, step_clear, NULL, true };
const Codec codec_step_always = { step_always_decode, step_field_encode, step_clear, NULL, true };

static void steps_clear(const Field *field, void *data) {
        g_clear_pointer((GPtrArray **) data, g_ptr_array_unref);
}

static void steps_decode(Decoder *decoder, const Field *field, const Value *value, void *data) {
        steps_clear(field, data);
        if (value_is_null(value))
                return;
        if (!value_is(value, VALUE_LIST)) {
                decoder_fail_type(decoder, value, "[]atc.Step");
                return;
        }
        GPtrArray *steps = g_ptr_array_new_with_free_func((GDestroyNotify) step_config_free);
        *(GPtrArray **) data = steps;
        for (size_t i = 0; i < value_length(value) && !decoder->stopped; i++) {
                DecodeFault before;
                decoder_enter(decoder, &before);
                StepConfig *step = step_decode(decoder, value_at(value, i));
                decoder_leave(decoder, &before);
                if (step)
                        g_ptr_array_add(steps, step);
        }
}

static Value *steps_encode(const Field *field, const void *data) {
        const GPtrArray *steps = *(GPtrArray *const *) data;
        if (!steps)
                return value_null();
        Value *list = value_list();
        for (size_t i = 0; i < steps->len; i++)
                value_list_add(list, step_config_to_value(g_ptr_array_index(steps, i)));
        return list;
}

static Value *steps_encode_omit(const Field *field, const void *data) {
        const GPtrArray *steps = *(GPtrArray *const *) data;
        return steps && steps->len > 0 ? steps_encode(field, data) : NULL;
}

const Codec codec_steps = { steps_decode, steps_encode, steps_clear, NULL };
static const Codec codec_steps_omit = { steps_decode, steps_encode_omit, steps_clear, NULL };

StepConfig *step_config_from_value(const Value *value, GError **error) {
        g_auto(Decoder) decoder;
        decoder_init(&decoder);
        g_autoptr(StepConfig) step = step_decode(&decoder, value);
        return decoder_finish(&decoder, error) ? g_steal_pointer(&step) : NULL;
}

/* ---- writing ---- */

static int compare_texts(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

Value *step_config_to_value(const StepConfig *step) {
        g_autoptr(Value) flat = value_map();
        for (size_t i = 0; i < value_length(step->unknown); i++)
                value_map_set_sized(flat, value_key_at(step->unknown, i),
                                    value_key_length_at(step->unknown, i),
                                    value_ref(value_at(step->unknown, i)));
        for (const StepConfig *layer = step; layer;
             layer = kinds[layer->kind].core ? NULL : layer->step) {
                const Record *record = &kinds[layer->kind].record;
                record_encode_into(record, record->size > 0 ? layer->fields : layer, flat);
        }
        /* Sorted at this level only: structs inside keep their order. */
        Value *sorted = value_map();
        g_autoptr(GPtrArray) keys = g_ptr_array_new();
        for (size_t i = 0; i < value_length(flat); i++)
                g_ptr_array_add(keys, (void *) value_key_at(flat, i));
        g_ptr_array_sort(keys, compare_texts);
        for (size_t i = 0; i < keys->len; i++) {
                const char *key = g_ptr_array_index(keys, i);
                value_map_set(sorted, key, value_ref(value_get(flat, key)));
        }
        return sorted;
}

/* ---- asking ---- */

const char *step_config_resource(const StepConfig *step) {
        switch (step->kind) {
        case STEP_GET:
                return *step->get->resource ? step->get->resource : step->get->name;
        case STEP_PUT:
                return *step->put->resource ? step->put->resource : step->put->name;
        default:
                return "";
        }
}

const char *step_config_name(const StepConfig *step) {
        /* The name is the first member of all of these. */
        return kinds[step->kind].record.size > 0 ? *(char *const *) step->fields : "";
}

void step_config_each(const StepConfig *step, void (*fn)(const StepConfig *step, void *data),
                      void *data) {
        if (!step)
                return;
        if (kinds[step->kind].record.size > 0)
                fn(step, data);
        step_config_each(step->step, fn, data);
        for (size_t i = 0; step->steps && i < step->steps->len; i++)
                step_config_each(g_ptr_array_index(step->steps, i), fn, data);
        step_config_each(step->hook, fn, data);
}
