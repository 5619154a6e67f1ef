#include "house.h"

#include "base/json.h"

/* ---- what happened: versions that builds took in and put out ---- */

typedef struct {
        int64_t build, resource, version;
        const char *table;
} Link;

static bool link_in(DbTx *tx, void *data, GError **error) {
        const Link *link = data;
        g_autofree char *sql = g_strdup_printf(
                "INSERT INTO %s (build_id, name, resource_id, digest) SELECT $1, 'n', $2, digest "
                "FROM versions WHERE id = $3",
                link->table);
        const DbArg args[] = {
                DB_INT(link->build), DB_INT(link->resource), DB_INT(link->version), { 0 }
        };

        return db_exec_(tx, NULL, error, sql, args, 3);
}

static void record(House *house, int64_t build, const char *resource, int64_t version,
                   const char *table) {
        Link link = { build, resource_id(house, resource), version, table };

        OK(db_write(store_db(house->store), link_in, &link, &error));
}

static int64_t version_id(House *house, const char *resource, const char *ref) {
        g_autoptr(Value) version = value_map();
        int64_t id;

        value_map_set_string(version, "ref", ref);
        OK(version_save(house->store, scope_of(house, resource), version, NULL, NULL, &id, &error));
        return id;
}

static int64_t finished(House *house, const char *job, BuildStatus status) {
        BuildLease lease;
        int64_t id = started_build(house, job, &lease);

        finish(house, &lease, status);
        return id;
}

/* repo r1 went into unit, which put out image i1; r1 went into deploy too. r2 went nowhere. */
typedef struct {
        int64_t r1, r2, i1, unit, deploy;
} Story;

static Story tell(House *house) {
        Story story;

        house_save(house, two_jobs);
        story.r1 = version_id(house, "repo", "r1");
        story.r2 = version_id(house, "repo", "r2");
        story.i1 = version_id(house, "image", "i1");
        story.unit = finished(house, "unit", BUILD_SUCCEEDED);
        story.deploy = finished(house, "deploy", BUILD_FAILED);
        record(house, story.unit, "repo", story.r1, "build_inputs");
        record(house, story.unit, "image", story.i1, "build_outputs");
        record(house, story.deploy, "repo", story.r1, "build_inputs");
        return story;
}

/* ---- the dump ---- */

static void expect_dump(const Value *dump, const char *list, const char *format, ...)
        G_GNUC_PRINTF(3, 4);
static void expect_dump(const Value *dump, const char *list, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        g_autofree char *text = g_strdup_vprintf(format, arguments);
        va_end(arguments);
        g_autofree char *got = json_text(value_get(dump, list));
        g_assert_cmpstr(got, ==, text);
}

#define ID "%" G_GINT64_FORMAT

static void the_dump_has_what_input_resolution_goes_by(House *house) {
        const Story story = tell(house);
        const int64_t repo = resource_id(house, "repo"), image = resource_id(house, "image"),
                      repo_scope = scope_of(house, "repo"), image_scope = scope_of(house, "image"),
                      unit = job_id(house, "unit"), deploy = job_id(house, "deploy");

        OK(version_set_enabled(house->store, repo, story.r2, false, &error));
        g_autoptr(Value) dump = OK(versions_db_dump(house->store, house->pipeline_id, &error));
        expect_dump(dump, "Jobs", "[{'Name':'unit','ID':" ID "},{'Name':'deploy','ID':" ID "}]",
                    unit, deploy);
        expect_dump(dump, "Resources",
                    "[{'Name':'repo','ID':" ID ",'ScopeID':" ID "},{'Name':'image','ID':" ID
                    ",'ScopeID':" ID "}]",
                    repo, repo_scope, image, image_scope);
        expect_dump(dump, "ResourceVersions",
                    "[{'VersionID':" ID ",'ResourceID':" ID ",'CheckOrder':1,'ScopeID':" ID
                    "},{'VersionID':" ID ",'ResourceID':" ID ",'CheckOrder':1,'ScopeID':" ID "}]",
                    story.r1, repo, repo_scope, story.i1, image, image_scope);
        /* An input of a build that succeeded counts as an output too. */
        expect_dump(dump, "BuildOutputs",
                    "[{'VersionID':" ID ",'ResourceID':" ID ",'CheckOrder':1,'ScopeID':" ID
                    ",'BuildID':" ID ",'JobID':" ID "},{'VersionID':" ID ",'ResourceID':" ID
                    ",'CheckOrder':1,'ScopeID':" ID ",'BuildID':" ID ",'JobID':" ID "}]",
                    story.r1, repo, repo_scope, story.unit, unit, story.i1, image, image_scope,
                    story.unit, unit);
        g_assert_cmpuint(value_length(value_get(dump, "BuildInputs")), ==, 2);
        expect_dump(dump, "BuildReruns", "[]");
}

static void the_dump_of_what_was_never_checked_has_no_scopes(House *house) {
        house_save(house, two_jobs);
        g_autoptr(Value) dump = OK(versions_db_dump(house->store, house->pipeline_id, &error));
        expect_dump(dump, "Resources",
                    "[{'Name':'repo','ID':" ID ",'ScopeID':null},{'Name':'image','ID':" ID
                    ",'ScopeID':null}]",
                    resource_id(house, "repo"), resource_id(house, "image"));
        expect_dump(dump, "ResourceVersions", "[]");
}

/* ---- sharing ---- */

static void those_of_one_scope_are_listed_by_kind(House *house) {
        house_save(house, two_jobs);
        int64_t scope = scope_of(house, "repo");
        g_autoptr(GPtrArray) resources = OK(
                resource_list_of_scope(house->store, RESOURCE_KIND_RESOURCE, scope, &error));
        g_autoptr(GPtrArray)
                types = OK(resource_list_of_scope(house->store, RESOURCE_KIND_TYPE, scope, &error));

        g_assert_cmpuint(types->len, ==, 0);
        g_assert_cmpuint(resources->len, ==, 1);
        const Resource *repo = resources->pdata[0];
        g_assert_cmpstr(repo->name, ==, "repo");
        g_assert_cmpstr(repo->pipeline_name, ==, "p");
        g_assert_cmpstr(repo->team_name, ==, "main");
}

/* ---- causality ---- */

/* "unit deploy | repo:r1>unit repo:r1>deploy unit>image:i1": builds, then what went in and out. */
static char *shown(const Causality *causality) {
        GString *text = g_string_new(NULL);

        for (size_t i = 0; i < causality->builds->len; i++)
                g_string_append_printf(text, "%s ",
                                       ((CausalityBuild *) causality->builds->pdata[i])->job_name);
        g_string_append_c(text, '|');
        for (size_t i = 0; i < causality->edges->len; i++) {
                const CausalityEdge *edge = causality->edges->pdata[i];
                const char *ref = value_get_string(edge->version, "ref", "");
                for (size_t j = 0; j < causality->builds->len; j++) {
                        const CausalityBuild *build = causality->builds->pdata[j];
                        if (build->id == edge->build_id)
                                g_string_append_printf(text,
                                                       edge->is_output ? " %3$s>%1$s:%2$s"
                                                                       : " %1$s:%2$s>%3$s",
                                                       edge->resource, ref, build->job_name);
                }
        }
        return g_string_free(text, FALSE);
}

static void expect_causality(House *house, const char *resource, int64_t version, bool upstream,
                             const char *text) {
        g_auto(Causality) causality = { 0 };

        OK(causality_find(house->store, resource_id(house, resource), version, upstream, &causality,
                          &error));
        g_autofree char *got = shown(&causality);
        g_assert_cmpstr(got, ==, text);
}

static void a_version_is_followed_to_what_was_made_of_it_and_back(House *house) {
        const Story story = tell(house);

        expect_causality(house, "repo", story.r1, false,
                         "unit deploy | repo:r1>unit unit>image:i1 repo:r1>deploy");
        expect_causality(house, "image", story.i1, true, "unit | repo:r1>unit unit>image:i1");
        expect_causality(house, "repo", story.r2, false, "|");
        expect_causality(house, "image", story.i1, false, "|");
        g_auto(Causality) none = { 0 };
        FAILS(causality_find(house->store, resource_id(house, "repo"), 4711, false, &none, &error),
              ERROR_NOT_FOUND);
}

static void add(void) {
        house_add("/history/dump", the_dump_has_what_input_resolution_goes_by);
        house_add("/history/dump/unchecked", the_dump_of_what_was_never_checked_has_no_scopes);
        house_add("/history/shared", those_of_one_scope_are_listed_by_kind);
        house_add("/history/causality", a_version_is_followed_to_what_was_made_of_it_and_back);
}

int main(int argc, char **argv) {
        return house_main(argc, argv, add);
}
