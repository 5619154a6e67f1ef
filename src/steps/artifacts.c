/* What fly execute sends in and takes out (reference 04 §4.9). No events, not even of errors. */
#include "steps/step.h"

bool step_artifact_input(const StepCall *call, bool *ret_succeeded, GError **error) {
        const RunSpec *spec = run_spec(call->run);
        const ArtifactPlan *plan = call->plan->artifact;
        g_autofree char *worker = NULL, *volume = NULL;
        g_autoptr(GError) local = NULL;

        if (!worker_artifact_volume(spec->settings->store, plan->artifact_id, spec->team_id,
                                    &worker, &volume, &local)) {
                if (error_is(local, ERROR_NOT_FOUND))
                        g_set_error(error, ERROR, ERROR_NOT_FOUND,
                                    "volume for worker artifact '%" G_GINT64_FORMAT "' not found",
                                    plan->artifact_id);
                else
                        g_propagate_error(error, g_steal_pointer(&local));
                return false;
        }
        g_autoptr(Artifact)
                artifact = artifact_new(&(ArtifactSpec){ .worker = worker, .volume = volume });
        scope_put_artifact(call->scope, plan->name, artifact);
        *ret_succeeded = true;
        return true;
}

/* Made once, whatever restarts: the build's list of artifacts tells. */
static bool is_made(const RunSpec *spec, const char *name, bool *ret, GError **error) {
        g_autoptr(GPtrArray)
                made = worker_artifact_list(spec->settings->store, spec->build_id, error);

        *ret = false;
        for (size_t i = 0; made && i < made->len; i++)
                *ret = *ret ||
                       g_str_equal(((WorkerArtifact *) g_ptr_array_index(made, i))->name, name);
        return made != NULL;
}

bool step_artifact_output(const StepCall *call, bool *ret_succeeded, GError **error) {
        const RunSpec *spec = run_spec(call->run);
        const char *name = call->plan->artifact->name;
        g_autoptr(Artifact) artifact = scope_artifact(call->scope, name);
        bool made;

        if (!artifact) {
                g_set_error(error, ERROR, ERROR_NOT_FOUND, "artifact '%s' not found", name);
                return false;
        }
        if (!is_made(spec, name, &made, error))
                return false;
        if (!made) {
                g_autoptr(WorkerArtifact) row = worker_artifact_create(spec->settings->store,
                                                                       artifact_volume(artifact),
                                                                       spec->build_id, name, error);
                if (!row)
                        return false;
        }
        *ret_succeeded = true;
        return true;
}
