/* Runs a program in a container, with inputs, outputs and caches (reference 04 §4.3). */
#include "base/crypto.h"
#include "base/fault.h"
#include "base/json.h"
#include "plan/planner.h"
#include "steps/image.h"
#include "steps/support.h"
#include "steps/task_config.h"

#include <string.h>

#define PROCESS_ID "task"
#define IMAGE_METADATA_MAX (1024 * 1024)

typedef struct {
        const StepCall *call;
        const TaskPlan *plan;
        StepClock *clock;
        bool resumed;
        TaskConfig *config;
        StepImage image;
        char *working_directory;
        char *path;           /* of the program */
        GPtrArray *args;      /* char *, borrowed or in `strings` */
        GPtrArray *strings;   /* owned text */
        GArray *inputs;       /* ContainerInput */
        GPtrArray *artifacts; /* owned; what inputs borrow */
        GPtrArray *outputs;   /* char * paths, with a NULL at the end */
        GPtrArray *caches;
        GPtrArray *env;
} Task;

static void free_artifact(void *artifact) {
        artifact_free(artifact);
}

static void task_init(Task *task) {
        task->args = g_ptr_array_new();
        task->strings = g_ptr_array_new_with_free_func(g_free);
        task->inputs = g_array_new(FALSE, FALSE, sizeof(ContainerInput));
        task->artifacts = g_ptr_array_new_with_free_func(free_artifact);
        task->outputs = g_ptr_array_new();
        task->caches = g_ptr_array_new();
        task->env = g_ptr_array_new();
}

static void task_clear(Task *task) {
        task_config_free(task->config);
        step_image_clear(&task->image);
        g_free(task->working_directory);
        g_clear_pointer(&task->args, g_ptr_array_unref);
        g_clear_pointer(&task->inputs, g_array_unref);
        g_clear_pointer(&task->artifacts, g_ptr_array_unref);
        g_clear_pointer(&task->outputs, g_ptr_array_unref);
        g_clear_pointer(&task->caches, g_ptr_array_unref);
        g_clear_pointer(&task->env, g_ptr_array_unref);
        g_clear_pointer(&task->strings, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Task, task_clear)

/* Takes text; it lives as long as the task. */
static char *keep(Task *task, char *text) {
        g_ptr_array_add(task->strings, text);
        return text;
}

/* First four bytes of the name's SHA-256: upstream's directory, which scripts have come to know. */
static char *working_directory(const char *name) {
        g_autofree char *digest = crypto_sha256_hex(name, strlen(name));

        return g_strdup_printf("/tmp/build/%.8s", digest);
}

/* ---- image ---- */

static bool fetch_image(Task *task, GError **error) {
        const StepCall *call = task->call;
        const TaskPlan *plan = task->plan;

        task->image.privileged = plan->privileged;
        if (*plan->image) {
                task->image.image = scope_artifact(call->scope, plan->image);
                if (task->image.image)
                        return true;
                g_set_error(
                        error, ERROR, ERROR_NOT_FOUND,
                        "missing image artifact source: %s\n\nmake sure there's a corresponding "
                        "'get' step, or a task that produces it as an output",
                        plan->image);
                return false;
        }
        if (!task->config->image_resource)
                return true;

        Plan *check = NULL, *get = NULL;
        const PlannerImage image = {
                .resource_types = plan->resource_types,
                .base_type_defaults = run_settings(call->run)->base_type_defaults,
                .checking_interval = run_settings(call->run)->checking_interval,
                .plan_id = call->plan->id,
                .type = task->config->image_resource->type,
                .tags = (const char *const *) plan->tags,
                .skip_interval = plan->check_skip_interval,
        };
        planner_task_image(&image, task->config->image_resource, &check, &get);
        bool fetched = step_image_fetch_for_task(call, check, get, &task->image, error);
        task->image.privileged = plan->privileged;
        plan_free(check);
        plan_free(get);
        return fetched;
}

/* ---- command ---- */

static void add_texts(Task *task, const Value *list) {
        for (size_t i = 0; i < value_length(list); i++)
                g_ptr_array_add(task->args, keep(task, g_strdup(value_text(value_at(list, i)))));
}

/* The image's own command, for a task that names none. */
static bool command_from_image(Task *task, GError **error) {
        size_t length;
        g_autoptr(GError) local = NULL;
        g_autoptr(Value) metadata = NULL;

        if (task->image.image) {
                g_autofree char *text = pool_artifact_file(
                        run_settings(task->call->run)->pool, task->image.image, "metadata.json",
                        IMAGE_METADATA_MAX, &length, task->call->cancel, &local);
                if (!text) {
                        if (error_is(local, ERROR_NOT_FOUND))
                                g_set_error(error, ERROR, ERROR_NOT_FOUND,
                                            "file 'metadata.json' not found within artifact '%s'",
                                            artifact_volume(task->image.image));
                        else
                                g_propagate_error(error, g_steal_pointer(&local));
                        return false;
                }
                metadata = json_parse(text, length, NULL, error);
                if (!metadata) {
                        g_prefix_error(error, "error parsing metadata.json from rootfs: ");
                        return false;
                }
        }
        add_texts(task, value_get(metadata, "entrypoint"));
        add_texts(task, value_get(metadata, "cmd"));
        if (task->args->len == 0) {
                g_set_error(error, ERROR, ERROR_INVALID,
                            "No executable defined for task. Specify an executable to run in "
                            "either the task config (run.path) or as an ENTRYPOINT/CMD in the "
                            "container image.");
                return false;
        }
        task->path = g_ptr_array_remove_index(task->args, 0);
        return true;
}

static bool find_command(Task *task, GError **error) {
        task->path = task->config->run.path;
        if (!*task->path && !command_from_image(task, error))
                return false;
        for (size_t i = 0; task->config->run.args && task->config->run.args[i]; i++)
                g_ptr_array_add(task->args, task->config->run.args[i]);
        g_ptr_array_add(task->args, NULL);
        return true;
}

/* ---- mounts ---- */

static const char *mapped(const Value *mapping, const char *name) {
        return value_get_string(mapping, name, name);
}

static char *mount_path(Task *task, const char *path, const char *name) {
        return keep(task, task_path(task->working_directory, *path ? path : name));
}

static bool find_inputs(Task *task, GError **error) {
        const GPtrArray *inputs = task->config->inputs;
        g_autoptr(GString) missing = g_string_new(NULL);

        for (size_t i = 0; inputs && i < inputs->len; i++) {
                const TaskInputConfig *input = g_ptr_array_index(inputs, i);
                const char *name = mapped(task->plan->input_mapping, input->name);
                Artifact *artifact = scope_artifact(task->call->scope, name);
                if (!artifact && !input->optional)
                        g_string_append_printf(missing, "%s%s", missing->len ? ", " : "", name);
                if (!artifact)
                        continue;
                g_ptr_array_add(task->artifacts, artifact);
                g_array_append_val(
                        task->inputs,
                        ((ContainerInput){ .artifact = artifact,
                                           .path = mount_path(task, input->path, input->name) }));
        }
        if (missing->len == 0)
                return true;
        g_set_error(error, ERROR, ERROR_INVALID, "missing inputs: %s", missing->str);
        return false;
}

static void find_outputs(Task *task) {
        const GPtrArray *outputs = task->config->outputs, *caches = task->config->caches;

        for (size_t i = 0; outputs && i < outputs->len; i++) {
                const TaskOutputConfig *output = g_ptr_array_index(outputs, i);
                g_ptr_array_add(task->outputs, mount_path(task, output->path, output->name));
        }
        g_ptr_array_add(task->outputs, NULL);
        for (size_t i = 0; caches && i < caches->len; i++) {
                const TaskCacheConfig *cache = g_ptr_array_index(caches, i);
                g_ptr_array_add(task->caches, mount_path(task, cache->path, ""));
        }
        g_ptr_array_add(task->caches, NULL);
}

static void make_environment(Task *task) {
        const char *external = run_settings(task->call->run)->external_url;

        if (external)
                g_ptr_array_add(task->env,
                                keep(task, g_strdup_printf("ATC_EXTERNAL_URL=%s", external)));
        for (size_t i = 0; i < value_length(task->config->params); i++) {
                const char *text = value_text(value_at(task->config->params, i));
                g_ptr_array_add(
                        task->env,
                        keep(task, g_strdup_printf("%s=%s", value_key_at(task->config->params, i),
                                                   text ? text : "")));
        }
        g_ptr_array_add(task->env, NULL);
}

/* ---- the container and the process ---- */

static PoolContainer *make_container(Task *task, GError **error) {
        const StepCall *call = task->call;
        const ContainerLimits *limits = task->config->container_limits;
        const char *user = task->config->run.user;
        StepWatch events = { .call = call, .clock = task->clock, .silent = task->resumed };
        const PoolWatch watch = step_watch(&events);
        const ContainerNeed need = {
                .owner = step_owner(call),
                .epoch = run_spec(call->run)->lease.epoch,
                .metadata = step_metadata(call, "task", task->plan->name, task->working_directory),
                .need = { .platform = task->config->platform,
                          .tags = task->plan->tags,
                          .team_id = run_spec(call->run)->team_id,
                          .task = true },
                .image = task->image.image,
                .rootfs_uri = task->image.image ? NULL : task->config->rootfs_uri,
                .privileged = task->image.privileged,
                .hermetic = task->plan->hermetic,
                .user = user && *user ? user : NULL,
                .env = (const char *const *) task->env->pdata,
                .cpu_shares = limits && limits->has_cpu ? (int64_t) limits->cpu : 0,
                .memory_bytes = limits && limits->has_memory ? (int64_t) limits->memory : 0,
                .working_directory = task->working_directory,
                .inputs = (const ContainerInput *) (void *) task->inputs->data,
                .input_count = task->inputs->len,
                .outputs = (const char *const *) task->outputs->pdata,
                .caches = (const char *const *) task->caches->pdata,
        };
        g_autoptr(GError) local = NULL;
        PoolContainer *container = pool_container(run_settings(call->run)->pool, &need, &watch,
                                                  task->clock->cancel, &local);

        if (!container && strstr(local->message, "rootfs must not be empty"))
                g_set_error(error, ERROR, local->code,
                            "%s\nNo image specified for task? Make sure to specify \"image\" on "
                            "your task step or \"image_resource\" in your task config. The image "
                            "must be in rootfs format.",
                            local->message);
        else if (!container)
                g_propagate_error(error, g_steal_pointer(&local));
        return container;
}

static bool say_start(const Task *task, GError **error) {
        const StepCall *call = task->call;
        const GPtrArray *inputs = task->config->inputs;
        g_autofree char *path = run_redact(call->run, task->path);
        g_autofree char *directory = run_redact(call->run, task->config->run.dir);
        g_autoptr(Value) args = task->args->len > 1 ? value_list() : NULL;
        g_autoptr(Value) input_list = inputs && inputs->len > 0 ? value_list() : NULL;

        for (size_t i = 0; i + 1 < task->args->len; i++) {
                g_autofree char *arg = run_redact(call->run, g_ptr_array_index(task->args, i));
                value_list_add(args, value_string(arg));
        }
        for (size_t i = 0; input_list && i < inputs->len; i++) {
                const TaskInputConfig *input = g_ptr_array_index(inputs, i);
                Value *map = value_map();
                value_map_set_string(map, "name", input->name);
                value_map_set_string(map, "path", input->path);
                value_list_add(input_list, map);
        }
        return run_emit_once(call->run, call->plan->id, "start",
                             event_start_task(call->plan->id,
                                              &(EventTaskConfig){
                                                      .platform = task->config->platform,
                                                      .image = task->config->rootfs_uri,
                                                      .path = path,
                                                      .directory = directory,
                                                      .args = args,
                                                      .inputs = input_list,
                                              },
                                              clock_now()),
                             error);
}

static bool log_output(const void *bytes, size_t length, int64_t offset, void *data,
                       GError **error) {
        return run_output_write(data, bytes, length, offset, error);
}

static bool run_process(const Task *task, PoolContainer *container, int *ret_status,
                        GError **error) {
        const StepCall *call = task->call;
        g_autoptr(RunOutput)
                log = run_output_new(call->run, call->plan->id, call->attempt, "stdout");
        g_autofree char *directory = task_path(task->working_directory, task->config->run.dir);
        const StreamOffset stream = { .plan_id = call->plan->id,
                                      .attempt = call->attempt,
                                      .source = "stdout" };
        int64_t logged;

        if (!run_stored_offset(call->run, &stream, &logged, error))
                return false;
        const ProcessNeed need = {
                .id = PROCESS_ID,
                .path = task->path,
                .args = (const char *const *) task->args->pdata,
                .directory = directory,
                .user = *task->config->run.user ? task->config->run.user : NULL,
                .tty = true,
                .output = log_output,
                .data = log,
                .output_from = logged,
        };
        bool ended = pool_process_run(container, &need, task->clock->cancel, ret_status, error);
        return run_output_flush(log, ended ? error : NULL) && ended;
}

/* ---- what it leaves ---- */

/* What its outputs are is known before it runs. */
static void note_outputs(const Task *task, PoolContainer *container, Value *journal) {
        const GPtrArray *outputs = task->config->outputs;
        Value *artifacts = value_map();

        for (size_t i = 0; outputs && i < outputs->len; i++) {
                const TaskOutputConfig *output = g_ptr_array_index(outputs, i);
                const char *name = mapped(task->plan->output_mapping, output->name);
                g_autoptr(Artifact) artifact = pool_container_artifact(
                        container, g_ptr_array_index(task->outputs, i));
                if (artifact)
                        value_map_set(artifacts, name, artifact_to_value(artifact));
        }
        value_map_set(journal, "outputs", artifacts);
}

/* Outputs are there whatever the end was: hooks may want them. */
static void leave_outputs(const StepCall *call, const Value *journal) {
        const Value *outputs = value_get(journal, "outputs");

        for (size_t i = 0; i < value_length(outputs); i++) {
                g_autoptr(Artifact) artifact = artifact_from_value(value_at(outputs, i));
                if (artifact)
                        scope_put_artifact(call->scope, value_key_at(outputs, i), artifact);
        }
}

static bool replay(const StepCall *call, const BuildStep *step, bool *ret_succeeded,
                   GError **error) {
        leave_outputs(call, step->result);
        *ret_succeeded = step->state == BUILD_STEP_SUCCEEDED;
        return !step_journal_errored(step, error);
}

static bool prepare(Task *task, GError **error) {
        const StepCall *call = task->call;

        task->config = task_step_config(call, error);
        if (!task->config)
                return false;
        task->working_directory = working_directory(task->plan->name);
        if (!run_emit_once(call->run, call->plan->id, "initialize",
                           event_initialize_task(call->plan->id, clock_now()), error))
                return false;
        fault_here("step-initialized");
        if (!fetch_image(task, error) || !find_command(task, error) || !find_inputs(task, error))
                return false;
        find_outputs(task);
        make_environment(task);
        return true;
}

static bool begin(const Task *task, PoolContainer *container, const Value *journal,
                  GError **error) {
        if (task->resumed && pool_container_created(container)) {
                g_set_error(error, ERROR, ERROR_UNAVAILABLE,
                            "task '%s' was running when its container was lost: it is not run "
                            "a second time",
                            task->plan->name);
                return false;
        }
        if (task->resumed)
                return true;
        if (!say_start(task, error))
                return false;
        fault_here("step-started");
        if (!step_journal_save(task->call, BUILD_STEP_RUNNING, container, journal, error))
                return false;
        fault_here("journal-running");
        return true;
}

static bool run_in_container(const Task *task, PoolContainer *container, bool *ret_succeeded,
                             GError **error) {
        const StepCall *call = task->call;
        g_autoptr(Value) journal = value_map();
        int status = 0;

        note_outputs(task, container, journal);
        if (!begin(task, container, journal, error))
                return false;
        bool ended = run_process(task, container, &status, error);
        if (!ended && cancel_fired(call->shutdown)) /* it goes on; the journal says that it runs */
                return false;
        leave_outputs(call, journal);
        if (run_spec(call->run)->job_id &&
            !pool_container_save_task_caches(container, call->shutdown, ended ? error : NULL))
                ended = false;
        if (!ended)
                return false;
        value_map_set_int(journal, "status", status);
        if (!run_emit_once(call->run, call->plan->id, "finish",
                           event_finish_task(call->plan->id, status, clock_now()), error) ||
            !step_finish(call, status == 0, journal, error))
                return false;
        *ret_succeeded = status == 0;
        return true;
}

static bool run_task(const StepCall *call, bool *ret_succeeded, GError **error) {
        g_autoptr(BuildStep) before = NULL;
        g_auto(StepClock) clock = { 0 };
        g_auto(Task) task = { .call = call, .plan = call->plan->task, .clock = &clock };

        task_init(&task);
        if (!step_journal_find(call, &before, error))
                return false;
        if (step_journal_is_over(before))
                return replay(call, before, ret_succeeded, error);
        task.resumed = before != NULL;
        const StepTimeout timeout = { task.plan->timeout, run_settings(call->run)->task_timeout,
                                      before };
        step_clock_init(&clock, call, &timeout);
        if (!prepare(&task, error))
                return false;
        g_autoptr(PoolContainer) container = make_container(&task, error);
        return container && run_in_container(&task, container, ret_succeeded, error);
}

bool step_task(const StepCall *call, bool *ret_succeeded, GError **error) {
        return step_guard(call, run_task, ret_succeeded, error);
}
