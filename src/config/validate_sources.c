/* Var sources: whether a type accepts a config, and in which order they can be made (reference 03 §5.4, §6.7). */
#include <string.h>

#include "base/duration.h"
#include "config/findings.h"
#include "config/go_text.h"
#include "config/vars.h"

static bool invalid(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

static bool invalid(GError **error, const char *format, ...) {
        va_list arguments;
        va_start(arguments, format);
        g_autofree char *text = g_strdup_vprintf(format, arguments);
        va_end(arguments);
        g_set_error_literal(error, ERROR, ERROR_INVALID, text);
        return false;
}

/* ---- configs that are decoded into a struct ---- */

typedef enum {
        SETTING_TEXT,
        SETTING_BOOL,
        SETTING_DURATION,
        SETTING_TEXTS,
        SETTING_TEXT_MAP,
} SettingKind;

typedef struct {
        const char *key;
        SettingKind kind;
} Setting;

static const char *const setting_types[] = {
        [SETTING_TEXT] = "string",
        [SETTING_BOOL] = "bool",
        [SETTING_DURATION] = "time.Duration",
        [SETTING_TEXTS] = "[]string",
        [SETTING_TEXT_MAP] = "map[string]string",
};

static const Setting vault_settings[] = {
        { "url", SETTING_TEXT },
        { "path_prefix", SETTING_TEXT },
        { "lookup_templates", SETTING_TEXTS },
        { "shared_path", SETTING_TEXT },
        { "namespace", SETTING_TEXT },
        { "login_timeout", SETTING_DURATION },
        { "query_timeout", SETTING_DURATION },
        { "enable_kv_mount_cache", SETTING_BOOL },
        { "disable_srv_lookup", SETTING_BOOL },
        { "ca_cert", SETTING_TEXT },
        { "client_cert", SETTING_TEXT },
        { "client_key", SETTING_TEXT },
        { "server_name", SETTING_TEXT },
        { "insecure_skip_verify", SETTING_BOOL },
        { "client_token", SETTING_TEXT },
        { "client_token_path", SETTING_TEXT },
        { "auth_backend", SETTING_TEXT },
        { "auth_backend_max_ttl", SETTING_DURATION },
        { "auth_retry_max", SETTING_DURATION },
        { "auth_retry_initial", SETTING_DURATION },
        { "auth_params", SETTING_TEXT_MAP },
};

static const Setting ssm_settings[] = {
        { "access_key", SETTING_TEXT },
        { "secret_key", SETTING_TEXT },
        { "session_token", SETTING_TEXT },
        { "region", SETTING_TEXT },
        { "pipeline_secret_template", SETTING_TEXT },
        { "team_secret_template", SETTING_TEXT },
        { "shared_path", SETTING_TEXT },
};

static const Setting secretsmanager_settings[] = {
        { "access_key", SETTING_TEXT },
        { "secret_key", SETTING_TEXT },
        { "session_token", SETTING_TEXT },
        { "region", SETTING_TEXT },
        { "pipeline_secret_template", SETTING_TEXT },
        { "team_secret_template", SETTING_TEXT },
        { "shared_secret_template", SETTING_TEXT },
};

static bool setting_fits(SettingKind kind, const Value *value) {
        switch (kind) {
        case SETTING_TEXT:
                return value_is(value, VALUE_STRING);
        case SETTING_BOOL:
                return value_is(value, VALUE_BOOL);
        case SETTING_DURATION:
                return value_is(value, VALUE_STRING) || value_is(value, VALUE_NUMBER);
        case SETTING_TEXTS:
                return value_is(value, VALUE_LIST);
        case SETTING_TEXT_MAP:
                return value_is(value, VALUE_MAP);
        }
        return false;
}

/* Adds what is wrong with one setting to faults. */
static void check_setting(const Setting *setting, const Value *value, GString *faults) {
        if (value_is_null(value))
                return;
        if (!setting_fits(setting->kind, value))
                g_string_append_printf(
                        faults, "\n'%s' expected type '%s', got unconvertible type '%s'",
                        setting->key, setting_types[setting->kind], value_go_type(value));
        else if (setting->kind == SETTING_DURATION && value_is(value, VALUE_STRING) &&
                 !duration_parse(value_text(value), &(Duration){ 0 }, NULL))
                g_string_append_printf(faults, "\n'%s' time: invalid duration", setting->key);
}

static bool check_settings(const Value *config, const Setting *settings, size_t count,
                           const char *type, GError **error) {
        g_autoptr(GString) faults = g_string_new(NULL);
        g_autoptr(GString) unknown = g_string_new(NULL);
        for (size_t i = 0; i < value_length(config); i++) {
                const char *key = value_key_at(config, i);
                const Setting *found = NULL;
                for (size_t j = 0; j < count && !found; j++)
                        if (g_ascii_strcasecmp(settings[j].key, key) == 0)
                                found = &settings[j];
                if (found)
                        check_setting(found, value_at(config, i), faults);
                else
                        g_string_append_printf(unknown, "%s%s", unknown->len > 0 ? ", " : "", key);
        }
        if (unknown->len > 0)
                g_string_append_printf(faults, "\n'%s' has invalid keys: %s", type, unknown->str);
        return faults->len == 0 ||
               invalid(error, "decoding failed due to the following error(s):\n%s", faults->str);
}

/* ---- templates of secret paths ---- */

/*
 * Checks the small part of Go's templates that paths of secrets use: {{.Team}}, {{.Pipeline}}, {{.Secret}}, with white
 * space around the field.
 */
static bool check_template(const char *name, const char *text, GError **error) {
        static const char *const fields[] = { "Team", "Pipeline", "Secret" };

        if (!*text)
                return invalid(error, "secret template should not be empty");
        for (const char *open = strstr(text, "{{"); open; open = strstr(open, "{{")) {
                const char *close = strstr(open, "}}");
                if (!close)
                        return invalid(error, "template: %s:1: unclosed action", name);
                g_autofree char *field = g_strstrip(
                        g_strndup(open + 2, (size_t) (close - open - 2)));
                bool known = false;
                for (size_t i = 0; i < G_N_ELEMENTS(fields); i++)
                        known |= *field == '.' && g_str_equal(field + 1, fields[i]);
                if (!known)
                        return invalid(
                                error,
                                "template: %s:1:%zu: executing \"%s\" at <%s>: can't evaluate field %s in type "
                                "*struct { Team string; Pipeline string; Secret string }",
                                name, (size_t) (open + 2 - text), name, field,
                                *field == '.' ? field + 1 : field);
                open = close + 2;
        }
        return true;
}

static const char *text_setting(const Value *config, const char *key, const char *otherwise) {
        return value_get_string(config, key, otherwise);
}

/* ---- each type: what makes it fail to be created, and what makes it invalid then ---- */

static bool create_dummy(const Value *config, GError **error) {
        if (!value_is(config, VALUE_MAP))
                return invalid(error, "invalid dummy credential manager config: %s",
                               value_go_type(config));
        const Value *vars = value_get(config, "vars");
        return value_is(vars, VALUE_MAP) ||
               invalid(error, "invalid vars config: %s", value_go_type(vars));
}

static bool accept(const Value *config, GError **error) {
        return true;
}

static bool create_vault(const Value *config, GError **error) {
        if (!value_is(config, VALUE_MAP))
                return invalid(error, "invalid vault config format");
        return check_settings(config, vault_settings, G_N_ELEMENTS(vault_settings),
                              "vault.VaultManager", error);
}

static bool check_vault_templates(const Value *config, const char *prefix, GError **error) {
        const Value *templates = value_get(config, "lookup_templates");
        for (size_t i = 0; i < value_length(templates); i++) {
                const char *text = value_text(value_at(templates, i));
                g_autofree char *name = g_strdup_printf("lookup-template-%zu", i);
                g_autofree char *path = g_build_path("/", prefix, text ? text : "", NULL);
                if (!check_template(name, path, error))
                        return false;
        }
        return true;
}

static bool check_vault(const Value *config, GError **error) {
        const char *url = text_setting(config, "url", "");
        const char *prefix = text_setting(config, "path_prefix", "/concourse");
        g_autofree char *scheme = g_uri_parse_scheme(url);
        if (*url == ':')
                return invalid(error, "invalid URL: parse \"%s\": missing protocol scheme", url);
        if (!scheme || (!g_str_equal(scheme, "http") && !g_str_equal(scheme, "https")))
                return invalid(error, "invalid scheme \"%s\": must be http or https",
                               scheme ? scheme : "");
        if (!*prefix)
                return invalid(error, "path prefix must be a non-empty string");
        if (!check_vault_templates(config, prefix, error))
                return false;
        if (!*text_setting(config, "client_token", "") &&
            !*text_setting(config, "client_token_path", "") &&
            !*text_setting(config, "auth_backend", ""))
                return invalid(error, "must configure client token or auth backend");
        return true;
}

static bool create_aws(const Value *config, const Setting *settings, size_t count, const char *type,
                       GError **error) {
        static const char *const kinds[] = { "ptr", "bool", "float64", "string", "slice", "map" };

        if (!value_is_null(config) && !value_is(config, VALUE_MAP))
                return invalid(error, "'' expected a map or struct, got \"%s\"",
                               kinds[value_kind(config)]);
        return check_settings(config, settings, count, type, error);
}

static bool check_aws(const Value *config, const char *const *templates, GError **error) {
        for (; *templates; templates += 2)
                if (!check_template(templates[1], text_setting(config, templates[0], "/"), error))
                        return false;
        bool key = *text_setting(config, "access_key", "");
        bool secret = *text_setting(config, "secret_key", "");
        bool token = *text_setting(config, "session_token", "");
        if (!key && (secret || token))
                return invalid(error, "must provide aws access key id");
        if (key && !secret)
                return invalid(error, "must provide aws secret access key");
        return true;
}

static bool create_ssm(const Value *config, GError **error) {
        return create_aws(config, ssm_settings, G_N_ELEMENTS(ssm_settings), "ssm.SsmManager",
                          error);
}

static bool check_ssm(const Value *config, GError **error) {
        static const char *const templates[] = { "pipeline_secret_template",
                                                 "pipeline-secret-template", "team_secret_template",
                                                 "team-secret-template", NULL };
        return check_aws(config, templates, error);
}

static bool create_secretsmanager(const Value *config, GError **error) {
        return create_aws(config, secretsmanager_settings, G_N_ELEMENTS(secretsmanager_settings),
                          "secretsmanager.Manager", error);
}

static bool check_secretsmanager(const Value *config, GError **error) {
        static const char *const templates[] = { "pipeline_secret_template",
                                                 "pipeline-secret-template",
                                                 "team_secret_template",
                                                 "team-secret-template",
                                                 "shared_secret_template",
                                                 "shared-secret-template",
                                                 NULL };
        return check_aws(config, templates, error);
}

#define IDTOKEN_PREFIX "invalid idtoken provider config: "

static bool check_audience(const Value *value, GError **error) {
        if (!value_is(value, VALUE_LIST))
                return invalid(error, IDTOKEN_PREFIX "audience must be a list of strings");
        for (size_t i = 0; i < value_length(value); i++)
                if (!value_is(value_at(value, i), VALUE_STRING))
                        return invalid(error, IDTOKEN_PREFIX "invalid audience value: %%!w(<nil>)");
        return true;
}

static bool create_idtoken(const Value *config, GError **error) {
        static const char *const texts[] = { "subject_scope", "expires_in", "algorithm" };

        if (!value_is(config, VALUE_MAP))
                return invalid(error, IDTOKEN_PREFIX "%s", value_go_type(config));
        for (size_t i = 0; i < value_length(config); i++) {
                const char *key = value_key_at(config, i);
                const Value *value = value_at(config, i);
                if (g_str_equal(key, "audience")) {
                        if (!check_audience(value, error))
                                return false;
                        continue;
                }
                bool known = false;
                for (size_t j = 0; j < G_N_ELEMENTS(texts); j++)
                        known |= g_str_equal(key, texts[j]);
                if (!known)
                        return invalid(error, IDTOKEN_PREFIX "unknown setting: %s", key);
                if (!value_is(value, VALUE_STRING))
                        return invalid(error, IDTOKEN_PREFIX "%s must be a string", key);
                if (g_str_equal(key, "expires_in") &&
                    !duration_parse(value_text(value), &(Duration){ 0 }, NULL)) {
                        g_autofree char *reason = duration_error_text(value_text(value));
                        return invalid(error, IDTOKEN_PREFIX "invalid expires_in value: %s",
                                       reason);
                }
        }
        return true;
}

static bool check_idtoken(const Value *config, GError **error) {
        static const char *const scopes[] = { "", "team", "pipeline", "instance", "job" };
        const char *scope = text_setting(config, "subject_scope", "");
        const char *algorithm = text_setting(config, "algorithm", "");
        Duration expires = DURATION_HOUR;
        bool known = false;

        for (size_t i = 0; i < G_N_ELEMENTS(scopes); i++)
                known |= g_str_equal(scope, scopes[i]);
        if (!known)
                return invalid(error, "invalid subject_scope value: %s", scope);
        if (value_has(config, "expires_in") &&
            !duration_parse(text_setting(config, "expires_in", ""), &expires, error))
                return false;
        if (expires > 24 * DURATION_HOUR)
                return invalid(error, "expires_in must be <= 24h0m0s");
        if (*algorithm && !g_str_equal(algorithm, "RS256") && !g_str_equal(algorithm, "ES256"))
                return invalid(error,
                               "invalid algorithm value: %s. Only RS256 and ES256 are supported",
                               *scope ? scope : "pipeline");
        return true;
}

/* Types that exist for the whole cluster only; a pipeline's config can never make them valid. */
static bool check_conjur(const Value *config, GError **error) {
        return invalid(error, "secret template should not be empty");
}

static bool check_credhub(const Value *config, GError **error) {
        return invalid(error, "invalid URL (must be http or https)");
}

static bool check_kubernetes(const Value *config, GError **error) {
        return invalid(error,
                       "invalid configuration: no configuration has been provided, try setting "
                       "KUBERNETES_MASTER environment variable");
}

typedef struct {
        const char *type;
        bool supported;
        bool (*create)(const Value *config, GError **error);
        bool (*check)(const Value *config, GError **error);
} SourceType;

static const SourceType source_types[] = {
        { "dummy", true, create_dummy, accept },
        { "vault", true, create_vault, check_vault },
        { "ssm", true, create_ssm, check_ssm },
        { "secretsmanager", true, create_secretsmanager, check_secretsmanager },
        { "idtoken", true, create_idtoken, check_idtoken },
        { "conjur", false, accept, check_conjur },
        { "credhub", false, accept, check_credhub },
        { "kubernetes", false, accept, check_kubernetes },
};

static const SourceType *find_source_type(const char *type) {
        for (size_t i = 0; i < G_N_ELEMENTS(source_types); i++)
                if (g_str_equal(source_types[i].type, type))
                        return &source_types[i];
        return NULL;
}

bool var_source_config_check(const VarSourceConfig *source, GError **error) {
        const SourceType *type = find_source_type(source->type);
        if (!type)
                return invalid(error, "unknown credential manager type: %s", source->type);
        if (!type->create(source->config, error)) {
                g_prefix_error(error, "failed to create credential manager %s: ", source->name);
                return false;
        }
        if (!type->check(source->config, error)) {
                g_prefix_error(error, "credential manager %s is invalid: ", source->name);
                return false;
        }
        return true;
}

/* ---- order ---- */

typedef struct {
        GPtrArray *placed;
        GHashTable *names; /* of those placed */
} Placement;

static bool ready(const Placement *placement, const VarSourceConfig *source) {
        g_autoptr(GPtrArray) names = vars_names(source->config);
        for (size_t i = 0; i < names->len; i++) {
                char *name = g_ptr_array_index(names, i);
                char *colon = strchr(name, ':');
                if (!colon)
                        continue;
                *colon = '\0';
                if (!g_hash_table_contains(placement->names, name))
                        return false;
        }
        return true;
}

static void place(Placement *placement, VarSourceConfig *source) {
        g_ptr_array_add(placement->placed, source);
        g_hash_table_add(placement->names, source->name);
}

/* After each placement one pass over what waits, as upstream does: some orders that exist are not found [quirk]. */
GPtrArray *var_sources_order(const GPtrArray *sources, GError **error) {
        g_autoptr(GPtrArray) placed = g_ptr_array_new();
        g_autoptr(GPtrArray) waiting = g_ptr_array_new();
        g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
        Placement placement = { placed, names };

        for (size_t i = 0; i < sources->len; i++) {
                VarSourceConfig *source = g_ptr_array_index(sources, i);
                if (!ready(&placement, source)) {
                        g_ptr_array_add(waiting, source);
                        continue;
                }
                place(&placement, source);
                for (size_t j = 0; j < waiting->len;) {
                        VarSourceConfig *next = g_ptr_array_index(waiting, j);
                        if (!ready(&placement, next)) {
                                j++;
                                continue;
                        }
                        place(&placement, next);
                        g_ptr_array_remove_index(waiting, j);
                }
        }
        if (waiting->len == 0)
                return g_steal_pointer(&placed);

        g_autoptr(GString) left = g_string_new(NULL);
        for (size_t i = 0; i < waiting->len; i++) {
                const VarSourceConfig *source = g_ptr_array_index(waiting, i);
                g_string_append_printf(left, "%s%s", i > 0 ? ", " : "", source->name);
        }
        invalid(error, "could not resolve inter-dependent var sources: %s", left->str);
        return NULL;
}

/* ---- the section ---- */

void validate_var_sources(const PipelineConfig *config, ConfigFindings *findings) {
        g_autoptr(GHashTable) seen = g_hash_table_new(
                g_str_hash, g_str_equal); /* name → index + 1, of the latest */
        g_autoptr(GError) error = NULL;
        Section lines;

        section_init(&lines);
        for (size_t i = 0; i < config->var_sources->len; i++) {
                const VarSourceConfig *source = g_ptr_array_index(config->var_sources, i);
                g_autofree char *context = *source->name
                                                   ? g_strdup_printf("var_sources.%s", source->name)
                                                   : g_strdup_printf("var_sources[%zu]", i);
                section_check_identifier(&lines, source->name, context, findings);
                const SourceType *type = find_source_type(source->type);
                if (!type) {
                        section_add(&lines, "unknown credential manager type: %s", source->type);
                        continue;
                }
                if (!type->supported)
                        section_add(&lines,
                                    "credential manager type %s is not supported in pipeline yet",
                                    source->type);
                size_t before = GPOINTER_TO_SIZE(g_hash_table_lookup(seen, source->name));
                if (before > 0)
                        section_add(
                                &lines,
                                "var_sources[%zu] and var_sources[%zu] have the same name ('%s')",
                                before - 1, i, source->name);
                g_hash_table_insert(seen, source->name, GSIZE_TO_POINTER(i + 1));
                g_autoptr(GError) fault = NULL;
                if (!var_source_config_check(source, &fault))
                        section_add(&lines, "%s", fault->message);
        }
        g_autoptr(GPtrArray) order = var_sources_order(config->var_sources, &error);
        if (!order)
                section_add(&lines, "failed to order by dependency: %s", error->message);
        section_finish(&lines, "variable sources", findings);
}
