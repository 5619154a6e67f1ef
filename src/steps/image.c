#include "steps/image.h"

void step_image_clear(StepImage *image) {
        artifact_free(image->image);
        *image = (StepImage){ 0 };
}

static bool run_part(const StepCall *call, Scope *scope, const Plan *plan, StepFn run,
                     const char *failure, GError **error) {
        StepCall part = *call;
        bool succeeded;

        part.scope = scope;
        part.plan = plan;
        part.build_status = NULL;
        if (!run(&part, &succeeded, error))
                return false;
        if (succeeded)
                return true;
        g_set_error(error, ERROR, ERROR_INVALID, "%s", failure);
        return false;
}

static bool fetch(const StepCall *call, const Plan *check, const Plan *get, StepImage *ret,
                  GError **error) {
        const RunSpec *spec = run_spec(call->run);
        g_autoptr(Scope) scope = scope_new(call->scope);

        if (check && !run_part(call, scope, check, step_check, "image check failed", error))
                return false;
        if (!run_part(call, scope, get, step_get, "image fetching failed", error))
                return false;
        ret->image = scope_artifact(scope, get->get->name);
        if (!ret->image) {
                g_set_error(error, ERROR, ERROR_INTERNAL, "image fetching left no artifact");
                return false;
        }
        if (!spec->build_id || !artifact_resource_cache(ret->image))
                return true;
        return resource_cache_use_as_image(spec->settings->store,
                                           artifact_resource_cache(ret->image), spec->build_id,
                                           spec->job_id, error);
}

bool step_image_fetch(const StepCall *call, const TypeImage *type, StepImage *ret, GError **error) {
        g_auto(StepImage) image = { .base_type = *type->base_type ? type->base_type : NULL,
                                    .privileged = type->privileged };

        if (type->get_plan && !fetch(call, type->check_plan, type->get_plan, &image, error))
                return false;
        *ret = image;
        image = (StepImage){ 0 };
        return true;
}

bool step_image_fetch_for_task(const StepCall *call, const Plan *check, const Plan *get,
                               StepImage *ret, GError **error) {
        g_auto(StepImage) image = { 0 };

        if (check) {
                g_autoptr(Value) public = plan_to_public(check);
                if (!run_emit_once(call->run, call->plan->id, "image check",
                                   event_image_check(call->plan->id, public, clock_now()), error))
                        return false;
        }
        g_autoptr(Value) public = plan_to_public(get);
        if (!run_emit_once(call->run, call->plan->id, "image get",
                           event_image_get(call->plan->id, public, clock_now()), error))
                return false;
        if (!fetch(call, check, get, &image, error))
                return false;
        *ret = image;
        image = (StepImage){ 0 };
        return true;
}

bool step_image_config(const StepCall *call, const StepImage *image, const Value *source,
                       int64_t *ret_config_id, GError **error) {
        const ResourceConfigKey key = {
                .base_type = image->image ? NULL : image->base_type,
                .resource_cache_id = image->image ? artifact_resource_cache(image->image) : 0,
                .source = source,
        };

        return resource_config_find_or_create(run_settings(call->run)->store, &key, ret_config_id,
                                              error);
}
