/* set-pipeline: what changes is shown, asked about and sent (reference 02 §10). */
#include "fly/api.h"
#include "fly/commands.h"
#include "fly/prompt.h"
#include "fly/template.h"

#include "base/json.h"
#include "base/yaml.h"
#include "config/diff.h"
#include "http/url.h"

#include <string.h>

typedef struct {
        Globals globals;
        bool non_interactive, no_color, dry_run, check_creds;
        char *pipeline, *config;
        GPtrArray *vars, *yaml_vars, *instance_vars, *files;
        char *team;
} SetOptions;

static const Option set_pipeline_options[] = {
        OPT(SetOptions, non_interactive, OPTION_FLAG, 'n', "non-interactive",
            "Skips interactions, uses default values"),
        OPT(SetOptions, no_color, OPTION_FLAG, 0, "no-color", "Disable color output"),
        OPT(SetOptions, dry_run, OPTION_FLAG, 'd', "dry-run",
            "Run a set pipeline step but in dry-run mode"),
        OPT(SetOptions, check_creds, OPTION_FLAG, 0, "check-creds",
            "Validate credential variables against credential manager"),
        OPT(SetOptions, pipeline, OPTION_STRING, 'p', "pipeline", "Pipeline to configure",
            .required = true),
        OPT(SetOptions, config, OPTION_STRING, 'c', "config",
            "Pipeline configuration file, \"-\" stands for stdin", .required = true),
        OPT_VARS(SetOptions),
        OPT(SetOptions, instance_vars, OPTION_LIST, 'i', "instance-var",
            "Specify a YAML value to set for an instance variable", .value_name = "[NAME=STRING]"),
        OPT_VARS_FILES(SetOptions),
        OPT_TEAM(SetOptions,
                 "Name of the team to which the pipeline belongs, if different from the target "
                 "default"),
        OPT_END,
};

typedef struct {
        Fly *fly;
        const SetOptions *options;
        PipelineRef ref;
        char *yaml;           /* evaluated: what is sent */
        char *config_version; /* of what is there; "" : nothing */
        ConfigFindings *findings;
        bool is_new;
} Setting;

static void setting_clear(Setting *setting) {
        g_free(setting->yaml);
        g_free(setting->config_version);
        config_findings_free(setting->findings);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Setting, setting_clear)

/* ---- what is there now ---- */

static PipelineConfig *existing_config(Setting *setting, GError **error) {
        g_autofree char *path = path_pipeline(setting->fly, &setting->ref, "/config", NULL);
        g_auto(HttpReply) reply = { 0 };
        g_autoptr(GError) cause = NULL;

        setting->config_version = g_strdup("");
        if (!api_call(setting->fly, &(ApiCall){ .path = path }, &reply, &cause)) {
                if (fly_error_is(cause, FLY_NOT_FOUND))
                        return pipeline_config_new();
                g_propagate_error(error, g_steal_pointer(&cause));
                return NULL;
        }
        const char *version = http_reply_header(&reply, "X-Concourse-Config-Version");
        if (version)
                target_set(&setting->config_version, version);
        g_autoptr(Value) body = api_decode(&reply, error);
        if (!body)
                return NULL;
        return pipeline_config_from_value(value_get(body, "config"), PIPELINE_CONFIG_LENIENT,
                                          error);
}

/* ---- showing ---- */

static void show_name(const Setting *setting) {
        printf("\033[1mpipeline name: \033[0m%s\n", setting->ref.name);
        g_autofree char *yaml = setting->ref.vars ? yaml_write(setting->ref.vars, NULL) : NULL;
        if (yaml) {
                fputs("\033[1mpipeline instance vars:\033[0m\n", stdout);
                g_auto(GStrv) lines = g_strsplit(yaml, "\n", -1);
                for (size_t i = 0; lines[i] && (*lines[i] || lines[i + 1]); i++)
                        printf("  %s\n", lines[i]);
        }
        putchar('\n');
}

/* True when there is something to do: *ret_changed. Warnings come behind the difference. */
static bool show_difference(Setting *setting, bool *ret_changed, GError **error) {
        g_autoptr(PipelineConfig) before = existing_config(setting, error);
        g_autoptr(PipelineConfig) after = NULL;
        g_autoptr(GError) cause = NULL;
        size_t count;

        if (!before)
                return false;
        after = pipeline_config_parse(setting->yaml, strlen(setting->yaml), PIPELINE_CONFIG_LENIENT,
                                      &cause);
        if (!after) {
                g_propagate_error(error, g_steal_pointer(&cause));
                return false;
        }
        g_autoptr(ConfigFindings) found = pipeline_config_validate(after);
        g_autofree char *diff = pipeline_config_diff(before, after, !setting->options->no_color,
                                                     &cause);
        if (!diff && cause) {
                g_propagate_error(error, g_steal_pointer(&cause));
                return false;
        }
        *ret_changed = diff != NULL;
        fputs(diff ? diff : "", stdout);
        g_autofree void **warnings = g_ptr_array_steal(found->warnings, &count);
        for (size_t i = 0; i < count; i++)
                g_ptr_array_add(setting->findings->warnings, warnings[i]);
        show_config_warnings(setting->fly, setting->findings->warnings);
        if (!diff)
                puts("no changes to apply");
        return true;
}

static Value *get_pipeline(Setting *setting, GError **error) {
        g_autofree char *path = path_pipeline(setting->fly, &setting->ref, "", NULL);
        g_autoptr(GError) cause = NULL;
        Value *pipeline = api_get(setting->fly, path, &cause);

        if (!pipeline && fly_error_is(cause, FLY_NOT_FOUND))
                return value_map();
        if (!pipeline)
                g_propagate_error(error, g_steal_pointer(&cause));
        return pipeline;
}

static bool warn_of_parent(Setting *setting, GError **error) {
        g_autoptr(Value) pipeline = get_pipeline(setting, error);

        if (!pipeline)
                return false;
        if (value_get_int(pipeline, "parent_job_id", 0) &&
            value_get_int(pipeline, "parent_build_id", 0))
                fputs("\033[1;33mWARNING: pipeline has been configured through the 'set_pipeline' "
                      "step, your changes may be overwritten on the next 'set_pipeline' step "
                      "execution\033[0m\n\n",
                      stdout);
        return true;
}

/* ---- sending ---- */

static bool refuse(const HttpReply *reply, GError **error) {
        if (reply->status == 403)
                return fly_fail(error, reply->length ? "forbidden: %s" : "forbidden%s",
                                reply->length ? reply->body : "");
        const char *type = http_reply_header(reply, "Content-Type");
        g_autoptr(Value) body = reply->status == 400 && g_strcmp0(type, "application/json") == 0
                                        ? json_parse(reply->body, reply->length, NULL, NULL)
                                        : NULL;
        if (!body)
                return api_unexpected(reply, error);
        g_autoptr(GString) text = g_string_new("invalid pipeline config:");
        const Value *errors = value_get(body, "errors");
        for (size_t i = 0; i < value_length(errors); i++) {
                const char *line = value_text(value_at(errors, i));
                g_string_append_printf(text, "\n%s", line ? line : "");
        }
        return fly_fail(error, "%s", text->str);
}

static Value *send_config(Setting *setting, GError **error) {
        g_autofree char *path = path_pipeline(setting->fly, &setting->ref, "/config",
                                              setting->options->check_creds ? "check_creds="
                                                                            : NULL);
        g_autofree char *header = g_strconcat(
                "X-Concourse-Config-Version: ", setting->config_version, NULL);
        const ApiCall call = { .method = "PUT",
                               .path = path,
                               .content_type = "application/x-yaml",
                               .header = header,
                               .body = setting->yaml,
                               .length = strlen(setting->yaml),
                               .raw = true };
        g_auto(HttpReply) reply = { 0 };

        if (!api_call(setting->fly, &call, &reply, error))
                return NULL;
        const char *type = http_reply_header(&reply, "Content-Type");
        if ((reply.status != 200 && reply.status != 201) ||
            g_strcmp0(type, "application/json") != 0) {
                refuse(&reply, error);
                return NULL;
        }
        setting->is_new = reply.status == 201;
        return api_decode(&reply, error);
}

static char *unpause_argument(const Setting *setting) {
        g_autofree char *ref = pipeline_ref_format(&setting->ref);

        if (!strchr(ref, '"'))
                return g_steal_pointer(&ref);
        g_autoptr(GString) quoted = g_string_new("\"");
        for (const char *at = ref; *at; at++) {
                if (*at == '"' || *at == '\\')
                        g_string_append_c(quoted, '\\');
                g_string_append_c(quoted, *at);
        }
        g_string_append_c(quoted, '"');
        return g_string_free(g_steal_pointer(&quoted), FALSE);
}

static void show_result(const Setting *setting, const Value *pipeline) {
        const Fly *fly = setting->fly;

        if (setting->is_new) {
                g_autofree char *team = url_encode_path(fly->team);
                g_autofree char *name = url_encode_path(setting->ref.name);
                g_autofree char *vars = url_instance_vars(setting->ref.vars);
                puts("pipeline created!");
                printf("you can view your pipeline here: %s/teams/%s/pipelines/%s%s%s\n",
                       fly->target->api, team, name, *vars ? "?" : "", vars);
        } else
                puts("configuration updated");
        if (!value_get_bool(pipeline, "paused", false))
                return;
        g_autofree char *ref = unpause_argument(setting);
        const char *team = setting->options->team;
        printf("\nthe pipeline is currently paused. to unpause, either:\n"
               "  - run the unpause-pipeline command:\n"
               "    %s -t %s unpause-pipeline -p %s%s%s\n"
               "  - click play next to the pipeline in the web ui\n",
               fly->program, fly->target_name, ref, team ? " --team " : "", team ? team : "");
}

static bool apply(Setting *setting, GError **error) {
        g_autoptr(Value) answer = send_config(setting, error);
        g_autoptr(Value) pipeline = answer ? get_pipeline(setting, error) : NULL;

        if (!pipeline)
                return false;
        show_warnings_of_value(setting->fly, value_get(answer, "warnings"));
        show_result(setting, pipeline);
        return true;
}

static bool evaluate(Setting *setting, Value *instance_vars, GError **error) {
        const SetOptions *options = setting->options;
        g_autofree char *path = path_argument(options->config, "-c, --config", "atc.PathFlag",
                                              error);
        const TemplateSpec spec = { .vars = options->vars,
                                    .yaml_vars = options->yaml_vars,
                                    .files = options->files,
                                    .instance_vars = instance_vars,
                                    .strict = true };

        return path && (setting->yaml = template_evaluate(path, &spec, error)) != NULL;
}

static bool check_names(Setting *setting, GError **error) {
        const SetOptions *options = setting->options;

        if (strchr(options->pipeline, '/'))
                return fly_fail(error, "pipeline name cannot contain '/'");
        return identifier_check(options->pipeline, "pipeline", setting->findings, error) &&
               (!options->team ||
                identifier_check(options->team, "team", setting->findings, error));
}

static bool set_pipeline_run(Fly *fly, const void *data, const GPtrArray *arguments,
                             GError **error) {
        const SetOptions *options = data;
        g_autoptr(Value) vars = value_map();
        g_auto(Setting)
                setting = { .fly = fly, .options = options, .findings = config_findings_new() };
        bool changed = false,
             silent = options->non_interactive || g_str_equal(options->config, "-");

        setting.ref = (PipelineRef){ options->pipeline, options->instance_vars->len ? vars : NULL };
        if (!template_add_pairs(vars, options->instance_vars, true, "-i, --instance-var", error) ||
            !check_names(&setting, error) || !fly_open(fly, options->team, error) ||
            !evaluate(&setting, vars, error) || !show_difference(&setting, &changed, error))
                return false;
        if (!changed)
                return true;
        show_name(&setting);
        if (options->dry_run) {
                puts("Dry-run mode was set, exiting.");
                return true;
        }
        if (!warn_of_parent(&setting, error))
                return false;
        if (!silent && !prompt_confirm("apply configuration?")) {
                puts("bailing out");
                return true;
        }
        return apply(&setting, error);
}

const Command command_set_pipeline = {
        .name = "set-pipeline",
        .aliases = { "sp" },
        .summary = "Create or update a pipeline's configuration",
        .options = set_pipeline_options,
        .size = sizeof(SetOptions),
        .run = set_pipeline_run,
};
