/* Fetches a version of a resource, or finds that a worker has it already (reference 04 §4.1). */
#include "base/fault.h"
#include "pool/key_lock.h"
#include "steps/image.h"
#include "steps/script.h"
#include "steps/support.h"

#define WORKING_DIRECTORY "/tmp/build/get"

/* What is known once the resource, its image and its version are. */
typedef struct {
        const StepCall *call;
        const GetPlan *plan;
        StepClock *clock;
        bool resumed; /* another life of the server had begun it */
        StepImage image;
        Value *source, *params, *version;
        int64_t config_id;
        ResourceCache *cache;
} Get;

static void get_clear(Get *get) {
        step_image_clear(&get->image);
        value_free(get->source);
        value_free(get->params);
        value_free(get->version);
        resource_cache_free(get->cache);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Get, get_clear)

/* What a finished get leaves to the steps after it. */
typedef struct {
        int status;
        Value *version, *metadata;
        Artifact *artifact;
} Fetched;

static void fetched_clear(Fetched *fetched) {
        value_free(fetched->version);
        value_free(fetched->metadata);
        artifact_free(fetched->artifact);
        *fetched = (Fetched){ 0 };
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Fetched, fetched_clear)

/* ---- before anything runs ---- */

static Value *find_version(const Get *get, GError **error) {
        if (get->plan->version)
                return value_ref(get->plan->version);
        if (!get->plan->version_from || !*get->plan->version_from)
                return value_map();
        Value *version = run_result(get->call->run, get->plan->version_from);
        if (!version)
                g_set_error(error, ERROR, ERROR_INVALID, "version is missing from previous step");
        return version;
}

static bool find_cache_row(Get *get, GError **error) {
        const RunSpec *spec = run_spec(get->call->run);
        const ResourceCacheKey key = { .resource_config_id = get->config_id,
                                       .version = get->version,
                                       .params = get->params };
        const ResourceCacheUser user = { .build_id = spec->build_id,
                                         .check_key = spec->build_id ? NULL : spec->check_key };

        get->cache = resource_cache_find_or_create(spec->settings->store, &key, &user, error);
        return get->cache != NULL;
}

static bool prepare(Get *get, GError **error) {
        const StepCall *call = get->call;

        get->source = run_interpolate(call->run, call->scope, get->plan->source, VARS_FLOATS,
                                      error);
        if (!get->source)
                return false;
        if (get->plan->params) {
                get->params = run_interpolate(call->run, call->scope, get->plan->params,
                                              VARS_FLOATS, error);
                if (!get->params)
                        return false;
        }
        if (!step_image_fetch(call, &get->plan->image, &get->image, error))
                return false;
        get->version = find_version(get, error);
        return get->version &&
               step_image_config(call, &get->image, get->source, &get->config_id, error) &&
               find_cache_row(get, error);
}

static PlacementNeed placement(const Get *get) {
        return (PlacementNeed){ .resource_type = get->image.base_type,
                                .tags = get->plan->tags,
                                .team_id = run_spec(get->call->run)->team_id,
                                .no_input = true };
}

/* ---- a worker has it ---- */

static bool look_in_caches(const Get *get, Fetched *ret, GError **error) {
        const PlacementNeed need = placement(get);
        g_autoptr(Artifact) artifact = NULL;

        if (!pool_find_cache(run_settings(get->call->run)->pool, get->cache->id, &need, &artifact,
                             error))
                return false;
        if (!artifact)
                return true;
        g_autoptr(ResourceCache) fresh = resource_cache_get(run_settings(get->call->run)->store,
                                                            get->cache->id, error);
        if (!fresh)
                return false;
        ret->artifact = g_steal_pointer(&artifact);
        ret->version = value_ref(get->version);
        ret->metadata = value_ref(fresh->metadata);
        return true;
}

static bool say(const Get *get, const char *text, GError **error) {
        Run *run = get->call->run;
        const char *id = get->call->plan->id;
        g_autofree char *line = g_strdup_printf("\033[1;36mINFO: %s\033[0m\n", text);
        g_autofree char *rest = g_strconcat(text, " and a line", NULL);

        /* Upstream writes the empty line as an event of its own (corrections 32). */
        return run_emit_once(run, id, text,
                             event_log(id, "stderr", line, strlen(line), clock_now()), error) &&
               run_emit_once(run, id, rest, event_log(id, "stderr", "\n", 1, clock_now()), error);
}

/* ---- nobody has it ---- */

static bool save_cache(const Get *get, PoolContainer *container, const ScriptResult *result,
                       Fetched *ret, GError **error) {
        if (!pool_container_save_cache(container, WORKING_DIRECTORY, get->cache->id,
                                       get->clock->cancel, &ret->artifact, error))
                return false;
        fault_here("cache-kept");
        return resource_cache_set_metadata(run_settings(get->call->run)->store, get->cache->id,
                                           result->metadata, error);
}

static bool fetch(const Get *get, Fetched *ret, GError **error) {
        const StepCall *call = get->call;
        StepWatch events = { .call = call, .clock = get->clock, .silent = get->resumed };
        const PoolWatch watch = step_watch(&events);
        g_auto(GStrv) env = step_resource_environment(call, false);
        const ContainerNeed need = {
                .owner = step_owner(call),
                .epoch = run_spec(call->run)->lease.epoch,
                .metadata = step_metadata(call, "get", get->plan->name, WORKING_DIRECTORY),
                .need = placement(get),
                .base_type = get->image.image ? NULL : get->image.base_type,
                .image = get->image.image,
                .privileged = get->image.privileged,
                .env = (const char *const *) env,
                .working_directory = WORKING_DIRECTORY,
                .certificates = true,
                .downloads_config_id = get->image.image ? 0 : get->config_id,
        };
        g_autoptr(PoolContainer) container = pool_container(run_settings(call->run)->pool, &need,
                                                            &watch, get->clock->cancel, error);
        if (!container || !step_journal_save(call, BUILD_STEP_RUNNING, container, NULL, error))
                return false;
        fault_here("journal-running");

        g_auto(ScriptResult) result = { 0 };
        const Script script = { .container = container,
                                .path = "/opt/resource/in",
                                .directory = WORKING_DIRECTORY,
                                .source = get->source,
                                .params = get->params,
                                .version = get->version,
                                .keep_result = true };
        if (!script_run(call, &script, get->clock->cancel, &result, error))
                return false;
        ret->status = result.status;
        if (result.status != 0)
                return true;
        ret->version = value_ref(result.version);
        ret->metadata = value_ref(result.metadata);
        return save_cache(get, container, &result, ret, error);
}

/* *ret_ended false: another web node fetches it just now, or has. */
static bool fetch_locked(const Get *get, const char *key, Fetched *ret, bool *ret_ended,
                         GError **error) {
        Store *store = run_settings(get->call->run)->store;

        if (!work_lock_try(store, key, ret_ended, error))
                return false;
        if (!*ret_ended)
                return true;
        bool fetched = look_in_caches(get, ret, error) && (ret->artifact || fetch(get, ret, error));
        work_lock_release(store, key);
        return fetched;
}

/* Found, or fetched by us, or waited until somebody else had fetched it. */
static bool find_or_fetch(const Get *get, Fetched *ret, GError **error) {
        g_autofree char *key = g_strdup_printf("fetch %" G_GINT64_FORMAT, get->cache->id);
        Store *store = run_settings(get->call->run)->store;
        bool said = false;

        for (;;) {
                if (!look_in_caches(get, ret, error))
                        return false;
                if (ret->artifact)
                        return say(get, "found existing resource cache", error);
                bool ours = key_lock_try(key), elsewhere = false;
                if (ours) {
                        bool ended, fetched = fetch_locked(get, key, ret, &ended, error);
                        key_lock_release(key);
                        if (!fetched || ended)
                                return fetched;
                        elsewhere = true;
                }
                if (!said && !say(get, "waiting to acquire resource lock", error))
                        return false;
                said = true;
                if (elsewhere ? !work_lock_wait(store, get->clock->cancel, error)
                              : !key_lock_wait(key, get->clock->cancel, error))
                        return false;
        }
}

/* ---- what it leaves ---- */

static Value *metadata_map(const Value *metadata) {
        Value *map = value_map();

        for (size_t i = 0; i < value_length(metadata); i++)
                value_map_set_string(map, value_get_string(value_at(metadata, i), "name", ""),
                                     value_get_string(value_at(metadata, i), "value", ""));
        return map;
}

static void leave(const StepCall *call, const Fetched *fetched) {
        const char *name = call->plan->get->name;
        g_autoptr(Value) vars = metadata_map(fetched->metadata);

        run_put_result(call->run, call->plan->id, fetched->version);
        if (fetched->artifact)
                scope_put_artifact(call->scope, name, fetched->artifact);
        if (*name)
                scope_put_var(call->scope, name, vars);
}

/* The metadata of a pipeline's own resource shows in its history. */
static bool update_history(const Get *get, const Fetched *fetched, GError **error) {
        const RunSpec *spec = run_spec(get->call->run);
        g_autoptr(GError) local = NULL;

        if (!*get->plan->resource || !spec->pipeline_id)
                return true;
        g_autoptr(Resource)
                resource = resource_find(spec->settings->store, RESOURCE_KIND_RESOURCE,
                                         spec->pipeline_id, get->plan->resource, &local);
        if (error_is(local, ERROR_NOT_FOUND) || (resource && !resource->scope_id))
                return true;
        if (resource)
                return version_set_metadata(spec->settings->store, resource->scope_id,
                                            fetched->version, fetched->metadata, error);
        g_propagate_error(error, g_steal_pointer(&local));
        return false;
}

static Value *journal_result(const Fetched *fetched) {
        Value *map = value_map();

        value_map_set_int(map, "status", fetched->status);
        if (fetched->version)
                value_map_set(map, "version", value_ref(fetched->version));
        if (fetched->metadata)
                value_map_set(map, "metadata", value_ref(fetched->metadata));
        if (fetched->artifact)
                value_map_set(map, "artifact", artifact_to_value(fetched->artifact));
        return map;
}

static bool replay(const StepCall *call, const BuildStep *step, bool *ret_succeeded,
                   GError **error) {
        if (step_journal_errored(step, error))
                return false;
        const Fetched fetched = {
                .version = (Value *) value_get(step->result, "version"),
                .metadata = (Value *) value_get(step->result, "metadata"),
                .artifact = artifact_from_value(value_get(step->result, "artifact")),
        };

        *ret_succeeded = step->state == BUILD_STEP_SUCCEEDED;
        if (*ret_succeeded)
                leave(call, &fetched);
        artifact_free(fetched.artifact);
        return true;
}

static bool finish(const Get *get, const Fetched *fetched, bool *ret_succeeded, GError **error) {
        const StepCall *call = get->call;
        bool succeeded = fetched->status == 0;
        g_autoptr(Value) result = journal_result(fetched);

        if (succeeded) {
                if (!update_history(get, fetched, error))
                        return false;
                leave(call, fetched);
        }
        if (!step_warn_of_secrets(call, succeeded ? fetched->version : NULL, fetched->metadata,
                                  error))
                return false;
        if (!run_emit_once(call->run, call->plan->id, "finish",
                           event_finish_get(call->plan->id, fetched->status,
                                            succeeded ? fetched->version : NULL, fetched->metadata,
                                            clock_now()),
                           error) ||
            !step_finish(call, succeeded, result, error))
                return false;
        *ret_succeeded = succeeded;
        return true;
}

static bool run_get(const StepCall *call, bool *ret_succeeded, GError **error) {
        const char *id = call->plan->id;
        g_autoptr(BuildStep) before = NULL;
        g_auto(StepClock) clock = { 0 };
        g_auto(Get) get = { .call = call, .plan = call->plan->get, .clock = &clock };
        g_auto(Fetched) fetched = { 0 };

        if (!step_journal_find(call, &before, error))
                return false;
        if (step_journal_is_over(before))
                return replay(call, before, ret_succeeded, error);
        get.resumed = before != NULL;
        if (!run_emit_once(call->run, id, "initialize", event_initialize_get(id, clock_now()),
                           error))
                return false;
        fault_here("step-initialized");
        const StepTimeout timeout = { get.plan->timeout, run_settings(call->run)->get_timeout,
                                      before };
        step_clock_init(&clock, call, &timeout);
        if (!prepare(&get, error) ||
            !run_emit_once(call->run, id, "start", event_start_get(id, clock_now()), error))
                return false;
        return find_or_fetch(&get, &fetched, error) && finish(&get, &fetched, ret_succeeded, error);
}

bool step_get(const StepCall *call, bool *ret_succeeded, GError **error) {
        return step_guard(call, run_get, ret_succeeded, error);
}
