#include "api/present.h"

#include <string.h>

/* What a Go time that was never set is in Unix seconds: job summaries show it (01 §10.2, a quirk clients know). */
#define GO_ZERO_TIME INT64_C(-62135596800)

static void set_time(Value *map, const char *key, Time time) {
        value_map_set_int_opt(map, key, time_seconds(time));
}

char *present_time(Time time) {
        g_autoptr(GDateTime) seconds = g_date_time_new_from_unix_utc(time_seconds(time));
        g_autofree char *text = g_date_time_format(seconds, "%Y-%m-%dT%H:%M:%S");
        g_autofree char *fraction = g_strdup_printf(".%06d", (int) (time % 1000000));

        if (time == 0)
                return g_strdup("0001-01-01T00:00:00Z");
        /* Go writes no zeros at the end of a fraction. */
        for (size_t end = strlen(fraction); end > 0 && strchr("0.", fraction[end - 1]); end--)
                fraction[end - 1] = '\0';
        return g_strconcat(text, fraction, "Z", NULL);
}

static void set_value(Value *map, const char *key, const Value *value) {
        if (value)
                value_map_set(map, key, value_ref(value));
}

static Value *texts(const GPtrArray *list) {
        Value *value = value_list();

        for (size_t i = 0; list && i < list->len; i++)
                value_list_add(value, value_string(g_ptr_array_index(list, i)));
        return value;
}

/* ---- builds ---- */

Value *present_build(const Build *build, bool with_comment) {
        Value *map = value_map();
        g_autofree char *url = g_strdup_printf("/api/v1/builds/%" G_GINT64_FORMAT, build->id);

        value_map_set_int(map, "id", build->id);
        value_map_set_string(map, "team_name", build->team_name);
        value_map_set_string(map, "name", build->name);
        value_map_set_string(map, "status", build->memory ? "" : build_status_name(build->status));
        value_map_set_string(map, "api_url", url);
        if (with_comment)
                value_map_set_string_opt(map, "comment", build->comment);
        value_map_set_string_opt(map, "job_name", build->job_name);
        value_map_set_string_opt(map, "resource_name", build->resource_name);
        value_map_set_int_opt(map, "pipeline_id", build->pipeline_id);
        value_map_set_string_opt(map, "pipeline_name", build->pipeline_name);
        set_value(map, "pipeline_instance_vars", build->instance_vars);
        if (!build->memory) { /* upstream does not load them then (reference 01 §6.1) */
                set_time(map, "start_time", build->start);
                set_time(map, "end_time", build->end);
                set_time(map, "reap_time", build->reap);
        }
        if (build->rerun_of) {
                Value *of = value_map();
                value_map_set_int(map, "rerun_number", build->rerun_number);
                value_map_set_int(of, "id", build->rerun_of);
                value_map_set_string_opt(of, "name", build->rerun_of_name);
                value_map_set(map, "rerun_of", of);
        }
        if (build->created_by)
                value_map_set_string(map, "created_by", build->created_by);
        return map;
}

Value *present_builds(const GPtrArray *builds) {
        Value *list = value_list();

        for (size_t i = 0; i < builds->len; i++)
                value_list_add(list, present_build(g_ptr_array_index(builds, i), false));
        return list;
}

/* ---- pipelines and teams ---- */

Value *present_pipeline(const Pipeline *pipeline) {
        Value *map = value_map();

        value_map_set_int(map, "id", pipeline->id);
        value_map_set_string(map, "name", pipeline->name);
        set_value(map, "instance_vars", pipeline->instance_vars);
        value_map_set_bool(map, "paused", pipeline->paused);
        value_map_set_string_opt(map, "paused_by", pipeline->paused_by);
        set_time(map, "paused_at", pipeline->paused_at);
        value_map_set_bool(map, "public", pipeline->public);
        value_map_set_bool(map, "archived", pipeline->archived);
        if (value_length(pipeline->groups) > 0)
                set_value(map, "groups", pipeline->groups);
        value_map_set_string(map, "team_name", pipeline->team_name);
        set_value(map, "display", pipeline->display);
        if (!value_is_null(pipeline->user_data))
                set_value(map, "user_data", pipeline->user_data);
        value_map_set_int_opt(map, "parent_build_id", pipeline->parent_build_id);
        value_map_set_int_opt(map, "parent_job_id", pipeline->parent_job_id);
        value_map_set_int(map, "last_updated", time_seconds(pipeline->last_updated));
        return map;
}

Value *present_team(const Team *team) {
        Value *map = value_map();

        value_map_set_int_opt(map, "id", team->id);
        value_map_set_string_opt(map, "name", team->name);
        if (value_length(team->auth) > 0)
                value_map_set(map, "auth", value_sorted(team->auth));
        return map;
}

/* ---- jobs ---- */

static Value *job_head(const Job *job, const char *team_name) {
        Value *map = value_map();

        value_map_set_int(map, "id", job->id);
        value_map_set_string(map, "name", job->name);
        value_map_set_string(map, "team_name", team_name);
        value_map_set_int(map, "pipeline_id", job->pipeline_id);
        value_map_set_string(map, "pipeline_name", job->pipeline_name);
        set_value(map, "pipeline_instance_vars", job->instance_vars);
        value_map_set_bool_opt(map, "paused", job->paused);
        value_map_set_string_opt(map, "paused_by", job->paused_by);
        set_time(map, "paused_at", job->paused_at);
        value_map_set_bool_opt(map, "has_new_inputs", job->has_new_inputs);
        if (job->groups->len > 0)
                value_map_set(map, "groups", texts(job->groups));
        return map;
}

static Value *present_inputs(const JobSummary *summary, bool always_trigger) {
        Value *list = value_list();

        for (size_t i = 0; i < summary->inputs->len; i++) {
                const JobSummaryInput *input = g_ptr_array_index(summary->inputs, i);
                Value *map = value_map();
                value_map_set_string(map, "name", input->name);
                value_map_set_string(map, "resource", input->resource);
                if (always_trigger)
                        value_map_set_bool(map, "trigger", input->trigger);
                if (input->passed && input->passed->len > 0)
                        value_map_set(map, "passed", texts(input->passed));
                if (!always_trigger)
                        value_map_set_bool_opt(map, "trigger", input->trigger);
                value_list_add(list, map);
        }
        return list;
}

static Value *present_outputs(const JobSummary *summary) {
        Value *list = value_list();

        for (size_t i = 0; i < summary->outputs->len; i++) {
                const JobSummaryOutput *output = g_ptr_array_index(summary->outputs, i);
                Value *map = value_map();
                value_map_set_string(map, "name", output->name);
                value_map_set_string(map, "resource", output->resource);
                value_list_add(list, map);
        }
        return list;
}

static void set_ends(Value *map, const JobSummary *summary, bool always_trigger) {
        if (summary->inputs->len > 0)
                value_map_set(map, "inputs", present_inputs(summary, always_trigger));
        if (summary->outputs->len > 0)
                value_map_set(map, "outputs", present_outputs(summary));
}

Value *present_job(const JobSummary *summary, const Build *next, const Build *finished,
                   const char *team_name) {
        const Job *job = summary->job;
        Value *map = job_head(job, team_name);

        value_map_set_int_opt(map, "first_logged_build_id", job->first_logged_build_id);
        value_map_set_bool_opt(map, "disable_manual_trigger", job->disable_manual_trigger);
        value_map_set_bool_opt(map, "disable_reruns", job->disable_reruns);
        value_map_set(map, "next_build", next ? present_build(next, true) : value_null());
        value_map_set(map, "finished_build",
                      finished ? present_build(finished, true) : value_null());
        set_ends(map, summary, true);
        return map;
}

static void set_build_summary(Value *map, const char *key, const JobSummary *summary,
                              const JobBuild *build) {
        const Job *job = summary->job;

        if (!build)
                return;
        Value *value = value_map();
        value_map_set_int(value, "id", build->id);
        value_map_set_string(value, "name", build->name);
        value_map_set_string(value, "status", build->status);
        value_map_set_int(value, "start_time",
                          build->start ? time_seconds(build->start) : GO_ZERO_TIME);
        value_map_set_int(value, "end_time", build->end ? time_seconds(build->end) : GO_ZERO_TIME);
        value_map_set_string(value, "team_name", job->team_name);
        value_map_set_int(value, "pipeline_id", job->pipeline_id);
        value_map_set_string(value, "pipeline_name", job->pipeline_name);
        set_value(value, "pipeline_instance_vars", job->instance_vars);
        value_map_set_string(value, "job_name", job->name);
        value_map_set(map, key, value);
}

Value *present_job_summary(const JobSummary *summary) {
        Value *map = job_head(summary->job, summary->job->team_name);

        set_build_summary(map, "finished_build", summary, summary->finished);
        set_build_summary(map, "next_build", summary, summary->next);
        set_build_summary(map, "transition_build", summary, summary->transition);
        set_ends(map, summary, false);
        return map;
}

/* ---- resources ---- */

static Value *present_check(const Resource *resource, const CheckSummary *check) {
        Value *map = value_map();

        value_map_set_int(map, "id", check->id);
        value_map_set_string(map, "name", "check");
        value_map_set_string(map, "status", build_status_name(check->status));
        set_time(map, "start_time", check->start);
        set_time(map, "end_time", check->end);
        value_map_set_string(map, "team_name", resource->team_name);
        value_map_set_int(map, "pipeline_id", resource->pipeline_id);
        value_map_set_string(map, "pipeline_name", resource->pipeline_name);
        set_value(map, "pipeline_instance_vars", resource->instance_vars);
        set_value(map, "plan", check->plan);
        return map;
}

Value *present_resource(Store *store, const Resource *resource) {
        Value *map = value_map();
        g_auto(CheckSummary) check = { 0 };

        check_summary_get(store, resource->id, resource->scope_id, &check, NULL);
        value_map_set_string(map, "name", resource->name);
        value_map_set_int(map, "pipeline_id", resource->pipeline_id);
        value_map_set_string(map, "pipeline_name", resource->pipeline_name);
        set_value(map, "pipeline_instance_vars", resource->instance_vars);
        value_map_set_string(map, "team_name", resource->team_name);
        value_map_set_string(map, "type", resource->type);
        set_time(map, "last_checked", check.last_checked);
        value_map_set_string_opt(map, "icon", value_get_string(resource->config, "icon", ""));
        set_value(map, "pinned_version", resource->pinned_version);
        value_map_set_bool_opt(map, "pinned_in_config", resource->pinned_in_config);
        value_map_set_string_opt(map, "pin_comment", resource->pin_comment);
        if (check.id)
                value_map_set(map, "build", present_check(resource, &check));
        return map;
}

Value *present_version(const Version *version, bool with_metadata) {
        Value *map = value_map();

        value_map_set_int(map, "id", version->id);
        if (with_metadata && value_length(version->metadata) > 0)
                set_value(map, "metadata", version->metadata);
        value_map_set(map, "version", value_sorted(version->version));
        value_map_set_bool(map, "enabled", version->enabled);
        return map;
}

/* ---- workers ---- */

static Value *present_types(const Worker *worker) {
        Value *list = value_list();

        for (size_t i = 0; i < worker->resource_types->len; i++) {
                const WorkerResourceType *type = g_ptr_array_index(worker->resource_types, i);
                Value *map = value_map();
                value_map_set_string(map, "type", type->type);
                value_map_set_string(map, "image", type->image);
                value_map_set_string(map, "version", type->version);
                value_map_set_bool(map, "privileged", type->privileged);
                value_map_set_bool(map, "unique_version_history", type->unique_version_history);
                value_list_add(list, map);
        }
        return list;
}

Value *present_worker(const Worker *worker) {
        Value *map = value_map();

        value_map_set_string(map, "addr", worker->address ? worker->address : "");
        value_map_set_string(map, "baggageclaim_url",
                             worker->baggageclaim_url ? worker->baggageclaim_url : "");
        value_map_set_string_opt(map, "http_proxy_url", worker->http_proxy_url);
        value_map_set_string_opt(map, "https_proxy_url", worker->https_proxy_url);
        value_map_set_string_opt(map, "no_proxy", worker->no_proxy);
        value_map_set_int(map, "active_containers", worker->active_containers);
        value_map_set_int(map, "active_volumes", worker->active_volumes);
        value_map_set_int(map, "active_tasks", worker->active_tasks);
        value_map_set_int(map, "max_active_tasks", 0);
        value_map_set(map, "resource_types", present_types(worker));
        value_map_set_string(map, "platform", worker->platform ? worker->platform : "");
        value_map_set(map, "tags", worker->tags->len > 0 ? texts(worker->tags) : value_null());
        value_map_set_string(map, "team", worker->team_name ? worker->team_name : "");
        value_map_set_string(map, "name", worker->name);
        value_map_set_string(map, "version", worker->version ? worker->version : "");
        value_map_set_int(map, "start_time", worker->start);
        value_map_set_bool(map, "ephemeral", worker->ephemeral);
        value_map_set_string(map, "state", worker_state_name(worker->state));
        if (worker->disk_low) /* ours */
                value_map_set_bool(map, "disk_low", true);
        return map;
}

Value *present_container(const Container *container, bool with_expiry) {
        Value *map = value_map();

        value_map_set_string(map, "id", container->handle);
        value_map_set_string(map, "worker_name", container->worker);
        value_map_set_string(map, "state", container_state_name(container->state));
        value_map_set_string_opt(map, "type", container->type);
        value_map_set_string_opt(map, "step_name", container->step_name);
        value_map_set_string_opt(map, "attempt", container->attempt);
        value_map_set_int_opt(map, "pipeline_id", container->pipeline_id);
        value_map_set_int_opt(map, "job_id", container->job_id);
        value_map_set_int_opt(map, "build_id", container->build_id);
        value_map_set_string_opt(map, "pipeline_name", container->pipeline_name);
        set_value(map, "pipeline_instance_vars", container->instance_vars);
        value_map_set_string_opt(map, "job_name", container->job_name);
        value_map_set_string_opt(map, "build_name", container->build_name);
        value_map_set_string_opt(map, "user", container->user);
        value_map_set_string_opt(map, "working_directory", container->working_directory);
        if (with_expiry && container->expires) {
                Time left = MAX(container->expires - clock_steady(), 0);
                g_autofree char *text = duration_format((left / 1000000) * DURATION_SECOND);
                value_map_set_string(map, "expires_in", text);
        }
        return map;
}

/* A base type as this worker has it. */
static Value *present_base_type(Store *store, const char *worker_name, const char *name) {
        g_autoptr(Worker) worker = worker_find(store, worker_name, NULL);
        const WorkerResourceType *type = worker ? worker_resource_type(worker, name) : NULL;
        Value *map = value_map();

        value_map_set_string(map, "name", name);
        value_map_set_string(map, "version", type ? type->version : "");
        return map;
}

/* What a resource cache is of: null when it is gone meanwhile. */
static Value *present_cache(Store *store, const Volume *volume) {
        g_autoptr(ResourceCache) cache = resource_cache_get(store, volume->resource_cache_id, NULL);
        g_autofree char *base = cache ? resource_config_base_type(store, cache->resource_config_id,
                                                                  NULL)
                                      : NULL;

        if (!base)
                return value_null();
        Value *map = value_map();
        value_map_set(map, "resource_type", value_null());
        value_map_set(map, "base_resource_type", present_base_type(store, volume->worker, base));
        value_map_set(map, "version", value_sorted(cache->version));
        return map;
}

Value *present_volume(Store *store, const Volume *volume) {
        Value *map = value_map();

        value_map_set_string(map, "id", volume->handle);
        value_map_set_string(map, "worker_name", volume->worker);
        value_map_set_string(map, "type", volume_type(volume));
        value_map_set_string(map, "container_handle",
                             volume->container_handle ? volume->container_handle : "");
        value_map_set_string(map, "path", volume->path ? volume->path : "");
        value_map_set_string(map, "parent_handle",
                             volume->parent_handle ? volume->parent_handle : "");
        value_map_set(map, "resource_type",
                      volume->resource_cache_id ? present_cache(store, volume) : value_null());
        value_map_set(map, "base_resource_type",
                      volume->base_resource_type
                              ? present_base_type(store, volume->worker, volume->base_resource_type)
                              : value_null());
        value_map_set_int(map, "pipeline_id", 0);
        value_map_set_string(map, "pipeline_name", "");
        value_map_set(map, "pipeline_instance_vars", value_null());
        value_map_set_string(map, "job_name", "");
        value_map_set_string(map, "step_name", "");
        return map;
}

Value *present_artifact(const WorkerArtifact *artifact) {
        Value *map = value_map();

        value_map_set_int(map, "id", artifact->id);
        value_map_set_string(map, "name", artifact->name ? artifact->name : "");
        value_map_set_int(map, "build_id", artifact->build_id);
        value_map_set_int(map, "created_at", time_seconds(artifact->created));
        return map;
}
