/* Jobs as lists show them: a fixed number of queries for any number of jobs. */
#include "store/internal.h"

static void job_build_free(JobBuild *build) {
        if (!build)
                return;
        g_free(build->name);
        g_free(build->status);
        g_free(build);
}

static void job_input_free(void *data) {
        JobSummaryInput *input = data;
        g_free(input->name);
        g_free(input->resource);
        g_clear_pointer(&input->passed, g_ptr_array_unref);
        g_free(input);
}

static void job_output_free(void *data) {
        JobSummaryOutput *output = data;
        g_free(output->name);
        g_free(output->resource);
        g_free(output);
}

void job_summary_free(JobSummary *summary) {
        if (!summary)
                return;
        job_free(summary->job);
        job_build_free(summary->next);
        job_build_free(summary->finished);
        job_build_free(summary->transition);
        g_clear_pointer(&summary->inputs, g_ptr_array_unref);
        g_clear_pointer(&summary->outputs, g_ptr_array_unref);
        g_free(summary);
}

static JobSummary *summary_new(Job *job) {
        JobSummary *summary = g_new0(JobSummary, 1);
        summary->job = job;
        summary->inputs = g_ptr_array_new_with_free_func(job_input_free);
        summary->outputs = g_ptr_array_new_with_free_func(job_output_free);
        return summary;
}

/* One query's rows are spread over the summaries: column 0 is the job's id. */
typedef struct {
        GHashTable *by_id; /* job id → JobSummary, borrowed */
        void (*add)(JobSummary *summary, DbRows *rows);
        const Statement *statement;
} Spread;

static bool spread_in(DbTx *tx, void *data, GError **error) {
        Spread *spread = data;
        g_autoptr(DbRows) rows = db_query_(tx, error, spread->statement->sql,
                                           spread->statement->args, spread->statement->count);
        if (!rows)
                return false;
        while (db_next(rows)) {
                int64_t id = db_int(rows, 0);
                JobSummary *summary = g_hash_table_lookup(spread->by_id, &id);
                if (summary)
                        spread->add(summary, rows);
        }
        return db_done(rows, error);
}

static void add_input(JobSummary *summary, DbRows *rows) {
        JobSummaryInput *last = summary->inputs->len
                                        ? summary->inputs->pdata[summary->inputs->len - 1]
                                        : NULL;
        if (!last || !g_str_equal(last->name, db_text(rows, 1))) {
                last = g_new0(JobSummaryInput, 1);
                last->name = g_strdup(db_text(rows, 1));
                last->resource = g_strdup(db_text(rows, 2));
                last->trigger = db_bool(rows, 3);
                g_ptr_array_add(summary->inputs, last);
        }
        if (db_is_null(rows, 4))
                return;
        if (!last->passed)
                last->passed = g_ptr_array_new_with_free_func(g_free);
        g_ptr_array_add(last->passed, g_strdup(db_text(rows, 4)));
}

static void add_output(JobSummary *summary, DbRows *rows) {
        JobSummaryOutput *output = g_new0(JobSummaryOutput, 1);
        output->name = g_strdup(db_text(rows, 1));
        output->resource = g_strdup(db_text(rows, 2));
        g_ptr_array_add(summary->outputs, output);
}

static JobBuild *job_build(DbRows *rows) {
        JobBuild *build = g_new0(JobBuild, 1);
        build->id = db_int(rows, 1);
        build->name = g_strdup(db_text(rows, 2));
        build->status = g_strdup(db_text(rows, 3));
        build->start = db_int(rows, 4);
        build->end = db_int(rows, 5);
        return build;
}

static void add_build(JobSummary *summary, DbRows *rows) {
        int64_t id = db_int(rows, 1);
        if (id == summary->job->next_build_id && !summary->next)
                summary->next = job_build(rows);
        if (id == summary->job->latest_completed_build_id && !summary->finished)
                summary->finished = job_build(rows);
        if (id == summary->job->transition_build_id && !summary->transition)
                summary->transition = job_build(rows);
}

#define OF_PIPELINE "AND (j.pipeline_id = $1 OR $1 = 0) AND (j.id = $2 OR $2 = 0) "

static bool fill(Store *store, GPtrArray *summaries, int64_t pipeline_id, int64_t job_id,
                 GError **error) {
        g_autoptr(GHashTable) by_id = g_hash_table_new(g_int64_hash, g_int64_equal);
        for (guint i = 0; i < summaries->len; i++) {
                JobSummary *summary = summaries->pdata[i];
                g_hash_table_insert(by_id, &summary->job->id, summary);
        }
        DbArg pipeline = DB_INT(pipeline_id), job = DB_INT(job_id);
        const Spread spreads[] = {
                { by_id, add_input,
                  SQL("SELECT j.id, i.name, r.name, i.triggers, k.name FROM job_inputs i JOIN jobs "
                      "j ON j.id = i.job_id JOIN resources r ON r.id = i.resource_id LEFT JOIN "
                      "jobs k ON k.id = i.passed_job_id WHERE j.active " OF_PIPELINE
                      "ORDER BY j.id, i.name, k.id NULLS FIRST",
                      pipeline, job) },
                { by_id, add_output,
                  SQL("SELECT j.id, o.name, r.name FROM job_outputs o JOIN jobs j ON j.id = "
                      "o.job_id JOIN resources r ON r.id = o.resource_id WHERE j.active " OF_PIPELINE
                      "ORDER BY j.id, o.name",
                      pipeline, job) },
                { by_id, add_build,
                  SQL("SELECT j.id, b.id, b.name, b.status, b.started, b.ended FROM jobs j JOIN "
                      "builds b ON b.id IN (j.next_build_id, j.latest_completed_build_id, "
                      "j.transition_build_id) WHERE j.active " OF_PIPELINE,
                      pipeline, job) },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(spreads); i++) {
                Spread spread = spreads[i];
                /* db_read may run a closure again: what it adds is added once it went through. */
                if (!db_read(store->db, spread_in, &spread, error))
                        return false;
        }
        return true;
}

GPtrArray *job_summary_list(Store *store, int64_t pipeline_id, const Visibility *visibility,
                            GError **error) {
        static const Visibility everything = { .everything = true };
        g_autoptr(GPtrArray)
                jobs = pipeline_id ? job_list(store, pipeline_id, error)
                                   : job_list_visible(store, visibility ? visibility : &everything,
                                                      error);
        if (!jobs)
                return NULL;
        g_autoptr(GPtrArray)
                summaries = g_ptr_array_new_with_free_func((GDestroyNotify) job_summary_free);
        for (guint i = 0; i < jobs->len; i++)
                g_ptr_array_add(summaries, summary_new(g_steal_pointer(&jobs->pdata[i])));
        return fill(store, summaries, pipeline_id, 0, error) ? g_steal_pointer(&summaries) : NULL;
}

JobSummary *job_summary(Store *store, int64_t id, GError **error) {
        Job *job = job_get(store, id, error);
        if (!job)
                return NULL;
        g_autoptr(GPtrArray)
                summaries = g_ptr_array_new_with_free_func((GDestroyNotify) job_summary_free);
        g_ptr_array_add(summaries, summary_new(job));
        return fill(store, summaries, 0, id, error) ? g_ptr_array_steal_index(summaries, 0) : NULL;
}
