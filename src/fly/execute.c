/* execute: a one-off build of what lies here (reference 02 §13). */
#include "fly/execute.h"

#include "fly/archive.h"
#include "fly/commands.h"
#include "fly/interrupt.h"
#include "fly/stream.h"
#include "fly/template.h"
#include "http/url.h"

#include "base/clock.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXIT_INTERRUPTED 2

typedef struct {
        Globals globals;
        bool background, privileged, include_ignored;
        char *config, *inputs_from, *image, *team;
        GPtrArray *inputs, *input_mapping, *outputs, *tags, *vars, *yaml_vars, *files;
} ExecuteOptions;

static const Option execute_options[] = {
        OPT(ExecuteOptions, background, OPTION_FLAG, 'b', "background",
            "Create the build and exit, i.e. neither watch logs nor retrieve outputs."),
        OPT(ExecuteOptions, config, OPTION_STRING, 'c', "config", "The task config to execute",
            .required = true),
        OPT(ExecuteOptions, privileged, OPTION_FLAG, 'p', "privileged",
            "Run the task with full privileges"),
        OPT(ExecuteOptions, include_ignored, OPTION_FLAG, 0, "include-ignored",
            "Including .gitignored paths. Disregards .gitignore entries and uploads everything"),
        OPT(ExecuteOptions, inputs, OPTION_LIST, 'i', "input",
            "An input to provide to the task (can be specified multiple times)",
            .value_name = "NAME=PATH"),
        OPT(ExecuteOptions, input_mapping, OPTION_LIST, 'm', "input-mapping",
            "Map a resource to a different name as task input", .value_name = "[NAME=STRING]"),
        OPT(ExecuteOptions, inputs_from, OPTION_STRING, 'j', "inputs-from",
            "A job to base the inputs on", .value_name = "PIPELINE/JOB"),
        OPT(ExecuteOptions, outputs, OPTION_LIST, 'o', "output",
            "An output to fetch from the task (can be specified multiple times)",
            .value_name = "NAME=PATH"),
        OPT(ExecuteOptions, image, OPTION_STRING, 0, "image",
            "Name of an input from the job named in --inputs-from to use as the image for the "
            "one-off build"),
        OPT(ExecuteOptions, tags, OPTION_LIST, 0, "tag",
            "A tag for a specific environment (can be specified multiple times)",
            .value_name = "TAG"),
        OPT_TEAM(ExecuteOptions,
                 "Name of the team to run the build in, if different from the target default"),
        OPT_VARS(ExecuteOptions),
        OPT_VARS_FILES(ExecuteOptions),
        OPT_END,
};

typedef struct {
        Fly *fly;
        const ExecuteOptions *options;
        TaskConfig *config;
        ItemRef job;
        GPtrArray *inputs, *outputs; /* of LocalFolder */
        GPtrArray *tags;             /* NULL-terminated */
        Value *input_mapping, *job_inputs, *resource_types;
        int64_t build;
} Execution;

static void free_folder(void *folder) {
        local_folder_free(folder);
}

static void execution_clear(Execution *execution) {
        task_config_free(execution->config);
        item_ref_clear(&execution->job);
        g_ptr_array_unref(execution->inputs);
        g_ptr_array_unref(execution->outputs);
        g_ptr_array_unref(execution->tags);
        value_free(execution->input_mapping);
        value_free(execution->job_inputs);
        value_free(execution->resource_types);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Execution, execution_clear)

/* ---- the flags ---- */

static bool bad_flag(const char *flag, const char *type, GError *cause, GError **error) {
        g_autoptr(GError) owned = cause;

        return fly_fail(error, "invalid argument for flag `%s' (expected []flaghelpers.%s): %s",
                        flag, type, owned->message);
}

static bool split_pair(const char *pair, const char *kind, const char *form, char **ret_name,
                       const char **ret_value, GError **error) {
        const char *equals = strchr(pair, '=');

        if (!equals)
                return fly_fail(error, "invalid %s '%s' (must be %s)", kind, pair, form);
        *ret_name = g_strndup(pair, (size_t) (equals - pair));
        *ret_value = equals + 1;
        return true;
}

static bool parse_folders(const GPtrArray *pairs, bool is_input, GPtrArray *ret, GError **error) {
        for (size_t i = 0; i < pairs->len; i++) {
                g_autofree char *name = NULL;
                const char *value = NULL;
                GError *cause = NULL;
                if (!split_pair(pairs->pdata[i], is_input ? "input pair" : "output pair",
                                "name=path", &name, &value, &cause))
                        return bad_flag(is_input ? "-i, --input" : "-o, --output",
                                        is_input ? "InputPairFlag" : "OutputPairFlag", cause,
                                        error);
                char *path = is_input ? path_argument(value, NULL, NULL, &cause) : g_strdup(value);
                if (!path)
                        return bad_flag("-i, --input", "InputPairFlag", cause, error);
                LocalFolder *folder = g_new0(LocalFolder, 1);
                *folder = (LocalFolder){ .name = g_steal_pointer(&name), .path = path };
                g_ptr_array_add(ret, folder);
        }
        return true;
}

static bool parse_flags(Execution *execution, GError **error) {
        const ExecuteOptions *options = execution->options;

        for (size_t i = 0; i < options->input_mapping->len; i++) {
                g_autofree char *name = NULL;
                const char *value = NULL;
                if (!split_pair(options->input_mapping->pdata[i], "input mapping", "name=value",
                                &name, &value, error))
                        return false;
                value_map_set_string(execution->input_mapping, name, value);
        }
        for (size_t i = 0; i < options->tags->len; i++)
                g_ptr_array_add(execution->tags, options->tags->pdata[i]);
        g_ptr_array_add(execution->tags, NULL);
        if (options->image && !options->inputs_from)
                return fly_fail(error, "must set --inputs-from when using --image so fly knows "
                                       "which job to look up the image");
        return (!options->inputs_from ||
                item_ref_parse(options->inputs_from, ITEM_JOB, "-j, --inputs-from", &execution->job,
                               error)) &&
               parse_folders(options->inputs, true, execution->inputs, error) &&
               parse_folders(options->outputs, false, execution->outputs, error);
}

/* ---- the task ---- */

static void append_arguments(TaskConfig *config, const GPtrArray *arguments) {
        g_autoptr(GStrvBuilder) builder = g_strv_builder_new();

        if (arguments->len == 0)
                return;
        if (config->run.args)
                g_strv_builder_addv(builder, (const char **) config->run.args);
        for (size_t i = 0; i < arguments->len; i++)
                g_strv_builder_add(builder, arguments->pdata[i]);
        g_strfreev(config->run.args);
        config->run.args = g_strv_builder_end(builder);
}

/* What the environment has, even empty, replaces the param of that name. */
static void params_from_environment(TaskConfig *config) {
        g_autoptr(Value) params = config->params ? value_copy(config->params) : NULL;

        for (size_t i = 0; i < value_length(params); i++) {
                const char *name = value_key_at(params, i), *value = g_getenv(name);
                if (value)
                        value_map_set_string(params, name, value);
        }
        value_free(config->params);
        config->params = g_steal_pointer(&params);
}

static bool load_task(Execution *execution, const GPtrArray *arguments, GError **error) {
        const ExecuteOptions *options = execution->options;
        const TemplateSpec spec = { .vars = options->vars,
                                    .yaml_vars = options->yaml_vars,
                                    .files = options->files };
        g_autofree char *path = path_argument(options->config, "-c, --config", "atc.PathFlag",
                                              error);
        g_autofree char *yaml = path ? template_evaluate(path, &spec, error) : NULL;

        if (!yaml || !(execution->config = task_config_parse(yaml, strlen(yaml), error)))
                return false;
        append_arguments(execution->config, arguments);
        params_from_environment(execution->config);
        return true;
}

static bool task_has_input(const TaskConfig *config, const char *name) {
        for (size_t i = 0; config->inputs && i < config->inputs->len; i++)
                if (g_str_equal(((TaskInputConfig *) config->inputs->pdata[i])->name, name))
                        return true;
        return false;
}

static bool task_has_output(const TaskConfig *config, const char *name) {
        for (size_t i = 0; config->outputs && i < config->outputs->len; i++)
                if (g_str_equal(((TaskOutputConfig *) config->outputs->pdata[i])->name, name))
                        return true;
        return false;
}

static bool is_given(const GPtrArray *folders, const char *name) {
        for (size_t i = 0; i < folders->len; i++)
                if (g_str_equal(((LocalFolder *) folders->pdata[i])->name, name))
                        return true;
        return false;
}

static bool check_inputs(Execution *execution, GError **error) {
        struct stat status;

        for (size_t i = 0; i < execution->inputs->len; i++) {
                const LocalFolder *folder = execution->inputs->pdata[i];
                if (!task_has_input(execution->config, folder->name))
                        return fly_fail(error, "unknown input `%s`", folder->name);
                if (stat(folder->path, &status) == 0 && !S_ISDIR(status.st_mode))
                        return fly_fail(error, "%s not a folder", folder->path);
        }
        if (execution->options->inputs_from)
                return true;
        /* The folder we stand in is an input that bears its name. */
        g_autofree char *here = g_get_current_dir();
        g_autofree char *name = g_path_get_basename(here);
        if (task_has_input(execution->config, name) && !is_given(execution->inputs, name)) {
                LocalFolder *folder = g_new0(LocalFolder, 1);
                *folder = (LocalFolder){ .name = g_steal_pointer(&name), .path = g_strdup(".") };
                g_ptr_array_add(execution->inputs, folder);
        }
        return true;
}

static bool check_outputs(Execution *execution, GError **error) {
        for (size_t i = 0; i < execution->outputs->len; i++) {
                const LocalFolder *folder = execution->outputs->pdata[i];
                if (!task_has_output(execution->config, folder->name))
                        return fly_fail(error, "unknown output '%s'", folder->name);
        }
        return execution->outputs->len == 0 || !execution->options->background ||
               fly_fail(error, "background execution cannot withstand outputs");
}

/* ---- inputs ---- */

static bool upload_inputs(Execution *execution, GError **error) {
        g_autoptr(GString) tail = g_string_new("/artifacts?platform=");
        g_autofree char *platform = url_encode_query(execution->config->platform);

        g_string_append(tail, platform);
        for (size_t i = 0; i + 1 < execution->tags->len; i++) {
                g_autofree char *tag = url_encode_query(execution->tags->pdata[i]);
                g_string_append_printf(tail, "&tags=%s", tag);
        }
        g_autofree char *path = path_team(execution->fly, tail->str);
        return execute_upload(
                &(UploadSpec){ .fly = execution->fly,
                               .folders = execution->inputs,
                               .path = path,
                               .include_ignored = execution->options->include_ignored },
                error);
}

static Value *ask_of_job(Fly *fly, const char *path, const char *what, const char *name,
                         GError **error) {
        g_autoptr(GError) cause = NULL;
        Value *value = api_get(fly, path, &cause);

        if (!value && fly_error_is(cause, FLY_NOT_FOUND))
                fly_fail(error, "%s %s not found", what, name);
        else if (!value)
                g_propagate_error(error, g_steal_pointer(&cause));
        return value;
}

/* --image: one of the job's inputs becomes the task's image. */
static bool use_image(Execution *execution, GError **error) {
        const OneOff named = { .job_inputs = execution->job_inputs };
        const Value *input = one_off_job_input(&named, execution->options->image);

        if (!input)
                return fly_fail(error, "image resource %s not found", execution->options->image);
        g_autoptr(Value) config = task_config_to_value(execution->config);
        Value *image = value_map();
        value_map_set_string(image, "name", "");
        value_map_set_string(image, "type", value_get_string(input, "type", ""));
        value_map_set(image, "source", value_ref(value_get(input, "source")));
        if (!value_is_null(value_get(input, "version")))
                value_map_set(image, "version", value_ref(value_get(input, "version")));
        if (!value_is_null(value_get(input, "params")))
                value_map_set(image, "params", value_ref(value_get(input, "params")));
        value_map_set(config, "image_resource", image);
        TaskConfig *changed = task_config_from_value(config, error);
        if (!changed)
                return false;
        task_config_free(execution->config);
        execution->config = changed;
        return true;
}

static bool inputs_from_job(Execution *execution, GError **error) {
        Fly *fly = execution->fly;
        const ItemRef *job = &execution->job;

        if (!execution->options->inputs_from)
                return true;
        g_autofree char *job_name = item_ref_format(job);
        g_autofree char *pipeline_name = pipeline_ref_format(&job->pipeline);
        g_autofree char *inputs = path_item(fly, "jobs", job, "/inputs", NULL);
        g_autofree char *types = path_pipeline(fly, &job->pipeline, "/resource-types", NULL);
        return (execution->job_inputs = ask_of_job(fly, inputs, "build inputs for", job_name,
                                                   error)) &&
               (execution->resource_types = ask_of_job(fly, types, "resource types of",
                                                       pipeline_name, error)) &&
               (!execution->options->image || use_image(execution, error));
}

/* ---- the build ---- */

static Value *start_build(Execution *execution, GError **error) {
        Fly *fly = execution->fly;
        OneOff build = { .config = execution->config,
                         .inputs = execution->inputs,
                         .outputs = execution->outputs,
                         .job_inputs = execution->job_inputs,
                         .resource_types = execution->resource_types,
                         .input_mapping = execution->input_mapping,
                         .tags = execution->tags->len > 1
                                         ? (const char *const *) execution->tags->pdata
                                         : NULL,
                         .privileged = execution->options->privileged,
                         .counter = (uint64_t) time_seconds(clock_now()) };
        g_autoptr(Plan) plan = one_off_plan(&build, error);

        if (!plan)
                return NULL;
        g_autoptr(Value) value = plan_to_value(plan);
        g_autofree char *path = execution->options->inputs_from
                                        ? path_pipeline(fly, &execution->job.pipeline, "/builds",
                                                        NULL)
                                        : path_team(fly, "/builds");
        return api_send(fly, "POST", path, value, error);
}

/* On a thread of its own: the first time the build is aborted and its log goes on, then we leave. */
static void on_interrupt(void *data, int count) {
        Execution *execution = data;
        g_autofree char *path = g_strdup_printf("/api/v1/builds/%" G_GINT64_FORMAT "/abort",
                                                execution->build);
        g_autoptr(GError) error = NULL;

        if (count > 1) {
                fputs("exiting immediately\n", stderr);
                _exit(EXIT_INTERRUPTED);
        }
        fputs("\naborting...\n", stderr);
        if (api_put(execution->fly, path, &error))
                return;
        fprintf(stderr, "failed to abort: %s\n", error->message);
        _exit(EXIT_INTERRUPTED);
}

static bool download_outputs(Execution *execution, GError **error) {
        Fly *fly = execution->fly;
        g_autofree char *path = g_strdup_printf("/api/v1/builds/%" G_GINT64_FORMAT "/artifacts",
                                                execution->build);
        g_autoptr(Value) artifacts = api_get(fly, path, error);

        if (!artifacts)
                return false;
        for (size_t i = 0; i < execution->outputs->len; i++) {
                const LocalFolder *folder = execution->outputs->pdata[i];
                for (size_t j = 0; j < value_length(artifacts); j++) {
                        const Value *artifact = value_at(artifacts, j);
                        if (!g_str_equal(value_get_string(artifact, "name", ""), folder->name))
                                continue;
                        g_autofree char *tail = g_strdup_printf("/artifacts/%" G_GINT64_FORMAT,
                                                                value_get_int(artifact, "id", 0));
                        g_autofree char *from = path_team(fly, tail);
                        if (!archive_download(fly, from, folder->path, error)) {
                                g_prefix_error(error, "downloading failed: ");
                                return false;
                        }
                }
        }
        return true;
}

static bool follow(Execution *execution, GError **error) {
        Fly *fly = execution->fly;

        fflush(stdout);
        interrupt_watch(on_interrupt, execution);
        if (!stream_build(fly, &(StreamSpec){ .build = execution->build }, error))
                return false;
        int status = fly->status;
        fly->status = EXIT_SUCCESS;
        if (!download_outputs(execution, error))
                return false;
        fly->status = status;
        return true;
}

static bool execute_run(Fly *fly, const void *data, const GPtrArray *arguments, GError **error) {
        const ExecuteOptions *options = data;
        g_auto(Execution) execution = {
                .fly = fly,
                .options = options,
                .inputs = g_ptr_array_new_with_free_func(free_folder),
                .outputs = g_ptr_array_new_with_free_func(free_folder),
                .tags = g_ptr_array_new(),
                .input_mapping = value_map(),
        };

        if (!parse_flags(&execution, error) || !fly_open(fly, options->team, error) ||
            !load_task(&execution, arguments, error) || !check_inputs(&execution, error) ||
            !upload_inputs(&execution, error) || !inputs_from_job(&execution, error) ||
            !check_outputs(&execution, error))
                return false;
        g_autoptr(Value) build = start_build(&execution, error);
        if (!build)
                return false;
        execution.build = value_get_int(build, "id", 0);
        printf("executing build %" G_GINT64_FORMAT " at %s/builds/%" G_GINT64_FORMAT "\n",
               execution.build, fly->target->api, execution.build);
        return options->background || follow(&execution, error);
}

const Command command_execute = {
        .name = "execute",
        .aliases = { "e" },
        .summary = "Execute a one-off build using local bits",
        .options = execute_options,
        .size = sizeof(ExecuteOptions),
        .run = execute_run,
};
