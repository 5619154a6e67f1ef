/* A pipeline's configuration: got and set (reference 01 §12). */
#include "api/handlers.h"

#include "config/validate.h"

#include <string.h>

/* Of a configuration: upstream has none; this is ten times the largest that is known. */
#define CONFIG_MAX 8388608
#define VERSION_HEADER "X-Concourse-Config-Version"

static int compare_names(gconstpointer a, gconstpointer b) {
        return strcmp(value_get_string(*(const Value *const *) a, "name", ""),
                      value_get_string(*(const Value *const *) b, "name", ""));
}

static Value *by_name(const Value *list) {
        g_autoptr(GPtrArray) items = g_ptr_array_new();
        Value *sorted = value_list();

        for (size_t i = 0; i < value_length(list); i++)
                g_ptr_array_add(items, (void *) value_at(list, i));
        g_ptr_array_sort(items, compare_names);
        for (size_t i = 0; i < items->len; i++)
                value_list_add(sorted, value_ref(g_ptr_array_index(items, i)));
        return sorted;
}

/* By when each was first made. */
static Value *by_age(const Value *list, const GPtrArray *jobs) {
        Value *sorted = value_list();

        for (size_t i = 0; i < jobs->len; i++) {
                const Job *job = g_ptr_array_index(jobs, i);
                for (size_t j = 0; j < value_length(list); j++)
                        if (g_str_equal(value_get_string(value_at(list, j), "name", ""), job->name))
                                value_list_add(sorted, value_ref(value_at(list, j)));
        }
        return sorted;
}

/* Upstream's order of a configuration, whatever that of the file (reference 03 §1.1). */
static Value *present_config(const Value *config, const GPtrArray *jobs) {
        static const char *const named[] = { "resources", "resource_types", "prototypes", NULL };
        Value *map = value_map();

        for (size_t i = 0; i < value_length(config); i++) {
                const char *key = value_key_at(config, i);
                const Value *value = value_get(config, key);
                if (g_strv_contains(named, key))
                        value_map_set(map, key, by_name(value));
                else if (g_str_equal(key, "jobs"))
                        value_map_set(map, key, by_age(value, jobs));
                else
                        value_map_set(map, key, value_ref(value));
        }
        return map;
}

void get_config(ApiCall *call) {
        g_autoptr(GError) error = NULL;
        int64_t version;

        if (!call_pipeline(call))
                return;
        g_autoptr(Value)
                config = pipeline_config(call->store, call->pipeline->id, &version, &error);
        g_autoptr(GPtrArray) jobs = config ? job_list(call->store, call->pipeline->id, &error)
                                           : NULL;
        if (!jobs) {
                call_failed(call, error);
                return;
        }
        g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, version);
        http_header_set(call->request, VERSION_HEADER, text);
        Value *answer = value_map();
        value_map_set(answer, "config", present_config(config, jobs));
        call_answer(call, 200, answer);
}

static void refuse_with(ApiCall *call, int status, const char *text) {
        g_autoptr(GPtrArray) errors = g_ptr_array_new();

        g_ptr_array_add(errors, (char *) text);
        call_errors(call, status, errors);
}

static void refuse(ApiCall *call, const char *text) {
        refuse_with(call, 400, text);
}

static bool read_version(ApiCall *call, int64_t *ret) {
        const char *text = http_header(call->request, VERSION_HEADER);

        *ret = 0;
        if (!text || !*text)
                return true;
        if (!g_ascii_isdigit(*text)) {
                refuse(call, "config version is malformed: expected integer");
                return false;
        }
        *ret = g_ascii_strtoll(text, NULL, 10);
        return true;
}

static bool is_known_type(ApiCall *call) {
        const char *type = http_header(call->request, "Content-Type");

        if (type &&
            (g_str_equal(type, "application/json") || g_str_equal(type, "application/x-yaml")))
                return true;
        call_empty(call, 415);
        return false;
}

static PipelineConfig *read_config(ApiCall *call) {
        g_autoptr(GError) error = NULL;
        size_t length;
        g_autofree char *body = http_body(call->request, CONFIG_MAX, &length, &error);

        if (!body) {
                if (error_is(error, ERROR_LIMIT))
                        refuse_with(
                                call, 413,
                                "malformed config: more than " G_STRINGIFY(CONFIG_MAX) " bytes");
                else
                        call_empty(call, 400);
                return NULL;
        }
        PipelineConfig *config = pipeline_config_parse(body, length, PIPELINE_CONFIG_SAVE, &error);
        if (!config) {
                g_autofree char *text = g_strdup_printf("malformed config: %s", error->message);
                refuse(call, text);
        }
        return config;
}

static bool check_names(ApiCall *call, ConfigFindings *findings) {
        g_autoptr(GError) error = NULL;

        if (identifier_check(call_param(call, "pipeline_name"), "pipeline", findings, &error) &&
            identifier_check(call_param(call, "team_name"), "team", findings, &error))
                return true;
        refuse(call, error->message);
        return false;
}

static void save(ApiCall *call, const PipelineConfig *config, ConfigFindings *findings,
                 int64_t version) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Value) value = pipeline_config_to_value(config);
        bool created;

        if (!call_team(call))
                return;
        const PipelineSave spec = { .team_id = call->team->id,
                                    .name = call_param(call, "pipeline_name"),
                                    .instance_vars = call->instance_vars,
                                    .config = value,
                                    .check_version = true,
                                    .from_version = version,
                                    .initially_paused = true };
        if (!pipeline_save(call->store, &spec, &created, NULL, &error)) {
                g_autofree char *text = g_strdup_printf("failed to save config: %s",
                                                        error->message);
                call_text(call, 500, text);
                return;
        }
        Value *answer = value_map(), *warnings = config_warnings_to_value(findings);
        if (warnings)
                value_map_set(answer, "warnings", warnings);
        call_answer(call, created ? 201 : 200, answer);
}

/* There are no credential managers of the cluster yet: nothing is known to them. */
static bool knows_nothing(const VarReference *reference, void *data, Value **ret, bool *ret_inexact,
                          GError **error) {
        *ret = NULL;
        return true;
}

static bool check_creds(ApiCall *call, const PipelineConfig *config) {
        const Vars vars = { .lookup = knows_nothing };
        g_autofree char *fault = http_query(call->request, "check_creds")
                                         ? pipeline_config_check_creds(config, &vars)
                                         : NULL;

        if (fault)
                refuse(call, fault);
        return !fault;
}

void save_config(ApiCall *call) {
        int64_t version;

        if (!read_version(call, &version) || !is_known_type(call))
                return;
        g_autoptr(PipelineConfig) config = read_config(call);
        if (!config)
                return;
        g_autoptr(ConfigFindings) findings = pipeline_config_validate(config);
        if (findings->errors->len > 0)
                call_errors(call, 400, findings->errors);
        else if (check_creds(call, config) && check_names(call, findings))
                save(call, config, findings, version);
}
