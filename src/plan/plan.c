#include "plan/plan.h"

#include <stddef.h>
#include <string.h>

#include "base/json.h"
#include "config/records.h"

#define F(struct_, member_) offsetof(struct_, member_)

static Plan *plan_decode(Decoder *decoder, const Value *value);

/* ---- plans as fields of plans ---- */

static void plan_field_clear(const Field *field, void *data) {
        g_clear_pointer((Plan **) data, plan_free);
}

static void plan_field_decode(Decoder *decoder, const Field *field, const Value *value,
                              void *data) {
        plan_field_clear(field, data);
        if (!value_is_null(value))
                *(Plan **) data = plan_decode(decoder, value);
}

static Value *plan_field_encode(const Field *field, const void *data) {
        const Plan *plan = *(Plan *const *) data;
        if (plan)
                return plan_to_value(plan);
        return field->flags & FIELD_ALWAYS ? value_null() : NULL;
}

static Value *plan_field_public(const Field *field, const void *data) {
        const Plan *plan = *(Plan *const *) data;
        if (plan)
                return plan_to_public(plan);
        return field->flags & FIELD_ALWAYS ? value_null() : NULL;
}

static const Codec codec_plan = { plan_field_decode, plan_field_encode, plan_field_clear, NULL };
static const Codec codec_public = { NULL, plan_field_public, NULL, NULL };

static void plans_clear(const Field *field, void *data) {
        g_clear_pointer((GPtrArray **) data, g_ptr_array_unref);
}

static void plans_decode(Decoder *decoder, const Field *field, const Value *value, void *data) {
        plans_clear(field, data);
        if (value_is_null(value))
                return;
        if (!value_is(value, VALUE_LIST)) {
                decoder_fail_type(decoder, value, "[]atc.Plan");
                return;
        }
        GPtrArray *plans = g_ptr_array_new_with_free_func((GDestroyNotify) plan_free);
        *(GPtrArray **) data = plans;
        for (size_t i = 0; i < value_length(value) && !decoder->stopped; i++) {
                Plan *plan = plan_decode(decoder, value_at(value, i));
                if (plan)
                        g_ptr_array_add(plans, plan);
        }
}

static Value *list_plans(const GPtrArray *plans, Value *(*write)(const Plan *plan)) {
        Value *list = value_list();
        for (size_t i = 0; plans && i < plans->len; i++)
                value_list_add(list, write(g_ptr_array_index(plans, i)));
        return list;
}

static Value *plans_encode(const Field *field, const void *data) {
        const GPtrArray *plans = *(GPtrArray *const *) data;
        return plans ? list_plans(plans, plan_to_value) : value_null();
}

static Value *plans_public(const Field *field, const void *data) {
        return list_plans(*(GPtrArray *const *) data, plan_to_public);
}

static const Codec codec_plans = { plans_decode, plans_encode, plans_clear, NULL };
static const Codec codec_public_list = { NULL, plans_public, NULL, NULL };

/* ---- private fields: the order of the lines is the order of the keys ---- */

static const Field image_fields[] = {
        { "check_plan", F(TypeImage, check_plan), &codec_plan },
        { "get_plan", F(TypeImage, get_plan), &codec_plan },
        { "base_type", F(TypeImage, base_type), &codec_text },
        { "privileged", F(TypeImage, privileged), &codec_bool },
};
static const Record record_image = RECORD("TypeImage", "atc.TypeImage", TypeImage, image_fields);

static const Field get_fields[] = {
        { "name", F(GetPlan, name), &codec_text },
        { "type", F(GetPlan, type), &codec_text, FIELD_ALWAYS },
        { "source", F(GetPlan, source), &codec_map, FIELD_ALWAYS, "atc.Source" },
        { "image", F(GetPlan, image), &codec_record, FIELD_ALWAYS, NULL, &record_image },
        { "version", F(GetPlan, version), &codec_text_map, 0, "atc.Version" },
        { "version_from", F(GetPlan, version_from), &codec_text },
        { "params", F(GetPlan, params), &codec_map, 0, "atc.Params" },
        { "resource", F(GetPlan, resource), &codec_text },
        { "tags", F(GetPlan, tags), &codec_tags },
        { "timeout", F(GetPlan, timeout), &codec_text },
};

static const Field put_fields[] = {
        { "name", F(PutPlan, name), &codec_text, FIELD_ALWAYS },
        { "type", F(PutPlan, type), &codec_text, FIELD_ALWAYS },
        { "source", F(PutPlan, source), &codec_map, FIELD_ALWAYS, "atc.Source" },
        { "image", F(PutPlan, image), &codec_record, FIELD_ALWAYS, NULL, &record_image },
        { "params", F(PutPlan, params), &codec_map, 0, "atc.Params" },
        { "inputs", F(PutPlan, inputs), &codec_put_inputs },
        { "resource", F(PutPlan, resource), &codec_text },
        { "tags", F(PutPlan, tags), &codec_tags },
        { "timeout", F(PutPlan, timeout), &codec_text },
        { "expose_build_created_by", F(PutPlan, expose_build_created_by), &codec_bool },
};

static const Field check_fields[] = {
        { "name", F(CheckPlan, name), &codec_text, FIELD_ALWAYS },
        { "type", F(CheckPlan, type), &codec_text, FIELD_ALWAYS },
        { "source", F(CheckPlan, source), &codec_map, FIELD_ALWAYS, "atc.Source" },
        { "image", F(CheckPlan, image), &codec_record, FIELD_ALWAYS, NULL, &record_image },
        { "from_version", F(CheckPlan, from_version), &codec_text_map, 0, "atc.Version" },
        { "resource", F(CheckPlan, resource), &codec_text },
        { "resource_type", F(CheckPlan, resource_type), &codec_text },
        { "prototype", F(CheckPlan, prototype), &codec_text },
        { "interval", F(CheckPlan, interval), &codec_interval },
        { "skip_interval", F(CheckPlan, skip_interval), &codec_bool },
        { "timeout", F(CheckPlan, timeout), &codec_text },
        { "tags", F(CheckPlan, tags), &codec_tags },
};

static const Field task_fields[] = {
        { "name", F(TaskPlan, name), &codec_text, FIELD_ALWAYS },
        { "privileged", F(TaskPlan, privileged), &codec_bool, FIELD_ALWAYS },
        { "hermetic", F(TaskPlan, hermetic), &codec_bool, FIELD_ALWAYS },
        { "tags", F(TaskPlan, tags), &codec_tags },
        { "config_path", F(TaskPlan, config_path), &codec_text },
        { "config", F(TaskPlan, config), &codec_pointer, 0, NULL, &record_task_config },
        { "container_limits", F(TaskPlan, container_limits), &codec_pointer, 0, NULL,
          &record_container_limits },
        { "image", F(TaskPlan, image), &codec_text },
        { "vars", F(TaskPlan, vars), &codec_map, 0, "atc.Params" },
        { "params", F(TaskPlan, params), &codec_environment },
        { "input_mapping", F(TaskPlan, input_mapping), &codec_text_map },
        { "output_mapping", F(TaskPlan, output_mapping), &codec_text_map },
        { "timeout", F(TaskPlan, timeout), &codec_text },
        { "resource_types", F(TaskPlan, resource_types), &codec_records, 0, "atc.ResourceTypes",
          &record_resource_type },
        { "check_skip_interval", F(TaskPlan, check_skip_interval), &codec_bool },
};

static const Field run_fields[] = {
        { "message", F(RunPlan, message), &codec_text, FIELD_ALWAYS },
        { "type", F(RunPlan, type), &codec_text, FIELD_ALWAYS },
        { "object", F(RunPlan, object), &codec_map, 0, "atc.Params" },
        { "privileged", F(RunPlan, privileged), &codec_bool, FIELD_ALWAYS },
        { "tags", F(RunPlan, tags), &codec_tags },
        { "container_limits", F(RunPlan, container_limits), &codec_pointer, 0, NULL,
          &record_container_limits },
        { "timeout", F(RunPlan, timeout), &codec_text },
};

static const Field set_pipeline_fields[] = {
        { "name", F(SetPipelinePlan, name), &codec_text, FIELD_ALWAYS },
        { "file", F(SetPipelinePlan, file), &codec_text, FIELD_ALWAYS },
        { "team", F(SetPipelinePlan, team), &codec_text },
        { "vars", F(SetPipelinePlan, vars), &codec_map, 0, "map[string]interface {}" },
        { "var_files", F(SetPipelinePlan, var_files), &codec_texts },
        { "instance_vars", F(SetPipelinePlan, instance_vars), &codec_map, 0,
          "map[string]interface {}" },
};

static const Field load_var_fields[] = {
        { "name", F(LoadVarPlan, name), &codec_text, FIELD_ALWAYS },
        { "file", F(LoadVarPlan, file), &codec_text, FIELD_ALWAYS },
        { "format", F(LoadVarPlan, format), &codec_text },
        { "reveal", F(LoadVarPlan, reveal), &codec_bool },
};

static const Field in_parallel_fields[] = {
        { "steps", F(InParallelPlan, steps), &codec_plans },
        { "limit", F(InParallelPlan, limit), &codec_int },
        { "fail_fast", F(InParallelPlan, fail_fast), &codec_bool },
};

static const Field across_var_fields[] = {
        { "name", F(AcrossPlanVar, name), &codec_text, FIELD_ALWAYS },
        { "values", F(AcrossPlanVar, values), &codec_any },
        { "max_in_flight", F(AcrossPlanVar, max_in_flight), &codec_in_flight },
};
static const Record record_across_var = RECORD("AcrossVar", "atc.AcrossVar", AcrossPlanVar,
                                               across_var_fields);

static const Field across_fields[] = {
        { "vars", F(AcrossPlan, vars), &codec_records_nil, 0, "[]atc.AcrossVar",
          &record_across_var },
        { "substep_template", F(AcrossPlan, substep_template), &codec_text, FIELD_ALWAYS },
        { "fail_fast", F(AcrossPlan, fail_fast), &codec_bool },
};

#define HOOK_FIELDS(name_)                                                                         \
        static const Field name_##_fields[] = {                                                    \
                { "step", F(WrapPlan, step), &codec_plan, FIELD_ALWAYS },                          \
                { #name_, F(WrapPlan, hook), &codec_plan, FIELD_ALWAYS },                          \
        };                                                                                         \
        static const Field name_##_public[] = {                                                    \
                { "step", F(WrapPlan, step), &codec_public, FIELD_ALWAYS },                        \
                { #name_, F(WrapPlan, hook), &codec_public, FIELD_ALWAYS },                        \
        }
HOOK_FIELDS(on_success);
HOOK_FIELDS(on_failure);
HOOK_FIELDS(on_abort);
HOOK_FIELDS(on_error);
HOOK_FIELDS(ensure);

static const Field try_fields[] = { { "step", F(WrapPlan, step), &codec_plan, FIELD_ALWAYS } };
static const Field timeout_fields[] = {
        { "step", F(WrapPlan, step), &codec_plan, FIELD_ALWAYS },
        { "duration", F(WrapPlan, duration), &codec_text, FIELD_ALWAYS },
};

static const Field artifact_input_fields[] = {
        { "artifact_id", F(ArtifactPlan, artifact_id), &codec_int, FIELD_ALWAYS },
        { "name", F(ArtifactPlan, name), &codec_text, FIELD_ALWAYS },
};
static const Field artifact_output_fields[] = { { "name", F(ArtifactPlan, name), &codec_text,
                                                  FIELD_ALWAYS } };

static const Field dependent_get_fields[] = {
        { "name", F(DependentGetPlan, name), &codec_text },
        { "type", F(DependentGetPlan, type), &codec_text, FIELD_ALWAYS },
        { "resource", F(DependentGetPlan, resource), &codec_text },
};

/* ---- public fields (reference 04 §1.4) ---- */

static const Field get_public[] = {
        { "name", F(GetPlan, name), &codec_text, FIELD_ALWAYS },
        { "type", F(GetPlan, type), &codec_text, FIELD_ALWAYS },
        { "resource", F(GetPlan, resource), &codec_text },
        { "version", F(GetPlan, version), &codec_text_map },
        { "image_get_plan", F(GetPlan, image.get_plan), &codec_public },
        { "image_check_plan", F(GetPlan, image.check_plan), &codec_public },
};
static const Field put_public[] = {
        { "name", F(PutPlan, name), &codec_text, FIELD_ALWAYS },
        { "type", F(PutPlan, type), &codec_text, FIELD_ALWAYS },
        { "resource", F(PutPlan, resource), &codec_text },
        { "image_get_plan", F(PutPlan, image.get_plan), &codec_public },
        { "image_check_plan", F(PutPlan, image.check_plan), &codec_public },
};
static const Field check_public[] = {
        { "name", F(CheckPlan, name), &codec_text, FIELD_ALWAYS },
        { "type", F(CheckPlan, type), &codec_text, FIELD_ALWAYS },
        { "image_get_plan", F(CheckPlan, image.get_plan), &codec_public },
        { "image_check_plan", F(CheckPlan, image.check_plan), &codec_public },
};
static const Field task_public[] = {
        { "name", F(TaskPlan, name), &codec_text, FIELD_ALWAYS },
        { "privileged", F(TaskPlan, privileged), &codec_bool, FIELD_ALWAYS },
        { "hermetic", F(TaskPlan, hermetic), &codec_bool, FIELD_ALWAYS },
};
static const Field run_public[] = {
        { "message", F(RunPlan, message), &codec_text, FIELD_ALWAYS },
        { "type", F(RunPlan, type), &codec_text, FIELD_ALWAYS },
        { "privileged", F(RunPlan, privileged), &codec_bool, FIELD_ALWAYS },
};
static const Field set_pipeline_public[] = {
        { "name", F(SetPipelinePlan, name), &codec_text, FIELD_ALWAYS },
        { "team", F(SetPipelinePlan, team), &codec_text, FIELD_ALWAYS },
        { "instance_vars", F(SetPipelinePlan, instance_vars), &codec_map, FIELD_ALWAYS },
};
static const Field load_var_public[] = { { "name", F(LoadVarPlan, name), &codec_text,
                                           FIELD_ALWAYS } };
static const Field in_parallel_public[] = {
        { "steps", F(InParallelPlan, steps), &codec_public_list },
        { "limit", F(InParallelPlan, limit), &codec_int },
        { "fail_fast", F(InParallelPlan, fail_fast), &codec_bool },
};
static const Field across_var_public[] = { { "name", F(AcrossPlanVar, name), &codec_text,
                                             FIELD_ALWAYS } };
static const Record record_across_var_public = RECORD("AcrossVar", "atc.AcrossVar", AcrossPlanVar,
                                                      across_var_public);
static const Field across_public[] = {
        { "vars", F(AcrossPlan, vars), &codec_records_nil, 0, NULL, &record_across_var_public },
        { "fail_fast", F(AcrossPlan, fail_fast), &codec_bool },
};
static const Field try_public[] = { { "step", F(WrapPlan, step), &codec_public, FIELD_ALWAYS } };
static const Field timeout_public[] = {
        { "step", F(WrapPlan, step), &codec_public, FIELD_ALWAYS },
        { "duration", F(WrapPlan, duration), &codec_text, FIELD_ALWAYS },
};

typedef struct {
        const char *key;
        Record private; /* no fields: the plan is a list of plans, or of no kind */
        Record public;
} KindEntry;

#define KIND(key_, name_, struct_, private_, public_)                                              \
        {                                                                                          \
                (key_), RECORD(name_, "atc." name_, struct_, private_),                            \
                        RECORD(name_, "", struct_, public_)                                        \
        }

static const KindEntry kinds[] = {
        [PLAN_NONE] = { "", {}, {} },
        [PLAN_IN_PARALLEL] = KIND("in_parallel", "InParallelPlan", InParallelPlan,
                                  in_parallel_fields, in_parallel_public),
        [PLAN_ACROSS] = KIND("across", "AcrossPlan", AcrossPlan, across_fields, across_public),
        [PLAN_DO] = { "do", {}, {} },
        [PLAN_TIMEOUT] = KIND("timeout", "TimeoutPlan", WrapPlan, timeout_fields, timeout_public),
        [PLAN_TRY] = KIND("try", "TryPlan", WrapPlan, try_fields, try_public),
        [PLAN_ON_ABORT] = KIND("on_abort", "OnAbortPlan", WrapPlan, on_abort_fields,
                               on_abort_public),
        [PLAN_ON_ERROR] = KIND("on_error", "OnErrorPlan", WrapPlan, on_error_fields,
                               on_error_public),
        [PLAN_ON_SUCCESS] = KIND("on_success", "OnSuccessPlan", WrapPlan, on_success_fields,
                                 on_success_public),
        [PLAN_ON_FAILURE] = KIND("on_failure", "OnFailurePlan", WrapPlan, on_failure_fields,
                                 on_failure_public),
        [PLAN_ENSURE] = KIND("ensure", "EnsurePlan", WrapPlan, ensure_fields, ensure_public),
        [PLAN_RUN] = KIND("run", "RunPlan", RunPlan, run_fields, run_public),
        [PLAN_TASK] = KIND("task", "TaskPlan", TaskPlan, task_fields, task_public),
        [PLAN_SET_PIPELINE] = KIND("set_pipeline", "SetPipelinePlan", SetPipelinePlan,
                                   set_pipeline_fields, set_pipeline_public),
        [PLAN_LOAD_VAR] = KIND("load_var", "LoadVarPlan", LoadVarPlan, load_var_fields,
                               load_var_public),
        [PLAN_CHECK] = KIND("check", "CheckPlan", CheckPlan, check_fields, check_public),
        [PLAN_GET] = KIND("get", "GetPlan", GetPlan, get_fields, get_public),
        [PLAN_PUT] = KIND("put", "PutPlan", PutPlan, put_fields, put_public),
        [PLAN_RETRY] = { "retry", {}, {} },
        [PLAN_ARTIFACT_INPUT] = KIND("artifact_input", "ArtifactInputPlan", ArtifactPlan,
                                     artifact_input_fields, artifact_input_fields),
        [PLAN_ARTIFACT_OUTPUT] = KIND("artifact_output", "ArtifactOutputPlan", ArtifactPlan,
                                      artifact_output_fields, artifact_output_fields),
        [PLAN_DEPENDENT_GET] = KIND("dependent_get", "DependentGetPlan", DependentGetPlan,
                                    dependent_get_fields, dependent_get_fields),
};

static const Field list_field = { "", 0, &codec_plans };
static const Field public_list_field = { "", 0, &codec_public_list };

static bool is_list(PlanKind kind) {
        return kind == PLAN_DO || kind == PLAN_RETRY;
}

const char *plan_kind_key(PlanKind kind) {
        return kinds[kind].key;
}

/* ---- making and freeing ---- */

/* Whether a kind wraps a plan and has no duration in its table: it must not be NULL there either. */
static bool lacks_duration(PlanKind kind) {
        return kind >= PLAN_TRY && kind <= PLAN_ENSURE;
}

Plan *plan_new(char *id, PlanKind kind) {
        Plan *plan = g_new0(Plan, 1);
        plan->id = id;
        plan->kind = kind;
        if (is_list(kind))
                plan->steps = g_ptr_array_new_with_free_func((GDestroyNotify) plan_free);
        else if (kind != PLAN_NONE)
                plan->fields = record_new(&kinds[kind].private);
        if (lacks_duration(kind))
                plan->wrap->duration = g_strdup("");
        return plan;
}

void plan_free(Plan *plan) {
        if (!plan)
                return;
        if (is_list(plan->kind)) {
                list_field.codec->clear(&list_field, &plan->steps);
        } else if (plan->kind != PLAN_NONE) {
                if (lacks_duration(plan->kind))
                        g_free(plan->wrap->duration);
                record_free(&kinds[plan->kind].private, plan->fields);
        }
        if (plan->attempts)
                g_array_unref(plan->attempts);
        g_free(plan->id);
        g_free(plan);
}

void plan_set_text(char **field, const char *text) {
        char *copy = g_strdup(text ? text : "");
        g_free(*field);
        *field = copy;
}

/* ---- JSON ---- */

/* The kind that a map of a plan has: the first in the order of the enumeration. */
static PlanKind find_kind(const Value *map) {
        for (PlanKind kind = PLAN_NONE + 1; kind < G_N_ELEMENTS(kinds); kind++)
                if (!value_is_null(value_get(map, kinds[kind].key)))
                        return kind;
        return PLAN_NONE;
}

static GArray *decode_attempts(const Value *list) {
        if (value_length(list) == 0)
                return NULL;
        GArray *attempts = g_array_new(FALSE, FALSE, sizeof(int64_t));
        for (size_t i = 0; i < value_length(list); i++) {
                int64_t attempt = 0;
                (void) value_as_int(value_at(list, i), &attempt);
                g_array_append_val(attempts, attempt);
        }
        return attempts;
}

static Plan *plan_decode(Decoder *decoder, const Value *value) {
        if (!value_is(value, VALUE_MAP)) {
                decoder_fail_type(decoder, value, "atc.Plan");
                return NULL;
        }
        PlanKind kind = find_kind(value);
        const Value *fields = value_get(value, kinds[kind].key);
        Plan *plan = plan_new(g_strdup(value_get_string(value, "id", "")), kind);
        plan->attempts = decode_attempts(value_get(value, "attempts"));
        if (is_list(kind))
                list_field.codec->decode(decoder, &list_field, fields, &plan->steps);
        else if (kind != PLAN_NONE)
                record_decode(decoder, &kinds[kind].private, fields, plan->fields);
        return plan;
}

Plan *plan_from_value(const Value *value, GError **error) {
        g_auto(Decoder) decoder;
        decoder_init(&decoder);
        g_autoptr(Plan) plan = plan_decode(&decoder, value);
        return decoder_finish(&decoder, error) ? g_steal_pointer(&plan) : NULL;
}

Plan *plan_from_json(const char *text, size_t length, GError **error) {
        g_autoptr(Value) value = json_parse(text, length, NULL, error);
        return value ? plan_from_value(value, error) : NULL;
}

Value *plan_to_value(const Plan *plan) {
        Value *map = value_map();
        value_map_set_string(map, "id", plan->id);
        if (plan->attempts) {
                Value *list = value_list();
                for (size_t i = 0; i < plan->attempts->len; i++)
                        value_list_add(list, value_int(g_array_index(plan->attempts, int64_t, i)));
                value_map_set(map, "attempts", list);
        }
        if (is_list(plan->kind))
                value_map_set(map, kinds[plan->kind].key,
                              list_field.codec->encode(&list_field, &plan->steps));
        else if (plan->kind != PLAN_NONE)
                value_map_set(map, kinds[plan->kind].key,
                              record_encode(&kinds[plan->kind].private, plan->fields));
        return map;
}

Value *plan_to_public(const Plan *plan) {
        Value *map = value_map();
        value_map_set_string(map, "id", plan->id);
        if (is_list(plan->kind))
                value_map_set(map, kinds[plan->kind].key,
                              public_list_field.codec->encode(&public_list_field, &plan->steps));
        else if (plan->kind != PLAN_NONE)
                value_map_set(map, kinds[plan->kind].key,
                              record_encode(&kinds[plan->kind].public, plan->fields));
        return map;
}

/* ---- walking ---- */

static const TypeImage *plan_image(const Plan *plan) {
        switch (plan->kind) {
        case PLAN_GET:
                return &plan->get->image;
        case PLAN_PUT:
                return &plan->put->image;
        case PLAN_CHECK:
                return &plan->check->image;
        default:
                return NULL;
        }
}

static const GPtrArray *plan_steps(const Plan *plan) {
        if (is_list(plan->kind))
                return plan->steps;
        return plan->kind == PLAN_IN_PARALLEL ? plan->in_parallel->steps : NULL;
}

void plan_each(const Plan *plan, void (*fn)(const Plan *plan, void *data), void *data) {
        if (!plan)
                return;
        const TypeImage *image = plan_image(plan);
        const GPtrArray *steps = plan_steps(plan);
        fn(plan, data);
        if (image) {
                plan_each(image->check_plan, fn, data);
                plan_each(image->get_plan, fn, data);
        }
        for (size_t i = 0; steps && i < steps->len; i++)
                plan_each(g_ptr_array_index(steps, i), fn, data);
        if (plan->kind >= PLAN_TIMEOUT && plan->kind <= PLAN_ENSURE) {
                plan_each(plan->wrap->step, fn, data);
                plan_each(plan->wrap->hook, fn, data);
        }
}

typedef struct {
        const char *id;
        const Plan *found;
} Search;

static void match_id(const Plan *plan, void *data) {
        Search *search = data;
        if (!search->found && g_str_equal(plan->id, search->id))
                search->found = plan;
}

const Plan *plan_find(const Plan *plan, const char *id) {
        Search search = { .id = id };
        plan_each(plan, match_id, &search);
        return search.found;
}
