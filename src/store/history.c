#include "store/history.h"

#include "store/internal.h"

#define CAUSALITY_BUILDS_MAX 5000
#define CAUSALITY_EDGES_MAX 25000

/* ---- the dump ---- */

/* One list of it: columns become members of these names. */
typedef struct {
        const char *list;
        const char *columns[8];
        const char *sql; /* $1: the pipeline */
} DumpList;

#define INPUT_ROWS                                                                                   \
        "SELECT v.id AS version_id, i.resource_id, v.check_order, r.resource_scope_id, i.build_id, " \
        "b.job_id, i.name, b.status FROM build_inputs i JOIN builds b ON b.id = i.build_id JOIN "    \
        "resources r ON r.id = i.resource_id JOIN versions v ON v.scope_id = r.resource_scope_id "   \
        "AND v.digest = i.digest WHERE b.pipeline_id = $1 AND b.job_id IS NOT NULL AND r.active"

static const DumpList dump_lists[] = {
        { "Jobs",
          { "Name", "ID" },
          "SELECT name, id FROM jobs WHERE pipeline_id = $1 AND active ORDER BY id" },
        { "Resources",
          { "Name", "ID", "ScopeID" },
          "SELECT name, id, resource_scope_id FROM resources WHERE pipeline_id = $1 AND active AND "
          "kind = 0 ORDER BY id" },
        { "ResourceVersions",
          { "VersionID", "ResourceID", "CheckOrder", "ScopeID" },
          "SELECT v.id, r.id, v.check_order, v.scope_id FROM resources r JOIN versions v ON "
          "v.scope_id = r.resource_scope_id WHERE r.pipeline_id = $1 AND r.active AND r.kind = 0 "
          "AND NOT EXISTS (SELECT 1 FROM disabled_versions d WHERE d.resource_id = r.id AND "
          "d.digest = v.digest) ORDER BY r.id, v.check_order" },
        { "BuildOutputs",
          { "VersionID", "ResourceID", "CheckOrder", "ScopeID", "BuildID", "JobID" },
          "SELECT v.id, o.resource_id, v.check_order, r.resource_scope_id, o.build_id, b.job_id "
          "FROM build_outputs o JOIN builds b ON b.id = o.build_id JOIN resources r ON r.id = "
          "o.resource_id JOIN versions v ON v.scope_id = r.resource_scope_id AND v.digest = "
          "o.digest WHERE b.pipeline_id = $1 AND b.job_id IS NOT NULL AND b.status = 'succeeded' "
          "AND r.active UNION SELECT version_id, resource_id, check_order, resource_scope_id, "
          "build_id, job_id FROM (" INPUT_ROWS ") AS inputs WHERE status = 'succeeded' "
          "ORDER BY 5, 2, 1" },
        { "BuildInputs",
          { "VersionID", "ResourceID", "CheckOrder", "ScopeID", "BuildID", "JobID", "InputName" },
          "SELECT version_id, resource_id, check_order, resource_scope_id, build_id, job_id, name "
          "FROM (" INPUT_ROWS ") AS inputs ORDER BY build_id, name" },
        { "BuildReruns",
          { "BuildID", "JobID", "RerunOf" },
          "SELECT id, job_id, rerun_of FROM builds WHERE pipeline_id = $1 AND rerun_of IS NOT NULL "
          "ORDER BY id" },
};

typedef struct {
        int64_t pipeline_id;
        Value *dump;
} Dump;

static Value *dump_row(DbRows *rows, const DumpList *list) {
        Value *map = value_map();

        for (int i = 0; list->columns[i]; i++) {
                const char *name = list->columns[i];
                value_map_set(map, name,
                              g_str_has_suffix(name, "Name") ? value_string(db_text(rows, i))
                              : db_is_null(rows, i)          ? value_null()
                                                             : value_int(db_int(rows, i)));
        }
        return map;
}

static bool dump_in(DbTx *tx, void *data, GError **error) {
        Dump *dump = data;

        g_clear_pointer(&dump->dump, value_free); /* it may be run again */
        dump->dump = value_map();
        for (size_t i = 0; i < G_N_ELEMENTS(dump_lists); i++) {
                const DbArg args[] = { DB_INT(dump->pipeline_id), { 0 } };
                g_autoptr(DbRows) rows = db_query_(tx, error, dump_lists[i].sql, args, 1);
                if (!rows)
                        return false;
                Value *list = value_list();
                while (db_next(rows))
                        value_list_add(list, dump_row(rows, &dump_lists[i]));
                value_map_set(dump->dump, dump_lists[i].list, list);
                if (!db_done(rows, error))
                        return false;
        }
        return true;
}

Value *versions_db_dump(Store *store, int64_t pipeline_id, GError **error) {
        Dump dump = { .pipeline_id = pipeline_id };

        if (db_read(store->db, dump_in, &dump, error))
                return dump.dump;
        value_free(dump.dump);
        return NULL;
}

/* ---- who shares a history ---- */

static void *row_shared(Store *store, DbRows *rows, GError **error) {
        Resource *resource = g_new0(Resource, 1);

        resource->id = db_int(rows, 0);
        resource->name = g_strdup(db_text(rows, 1));
        resource->pipeline_name = g_strdup(db_text(rows, 2));
        resource->team_name = g_strdup(db_text(rows, 3));
        return resource;
}

GPtrArray *resource_list_of_scope(Store *store, ResourceKind kind, int64_t scope_id,
                                  GError **error) {
        return store_list(store, row_shared, (GDestroyNotify) resource_free,
                          SQL("SELECT r.id, r.name, p.name, t.name FROM resources r JOIN pipelines "
                              "p ON p.id = r.pipeline_id JOIN teams t ON t.id = p.team_id WHERE "
                              "r.resource_scope_id = $1 AND r.kind = $2 AND r.active ORDER BY "
                              "t.name, p.name, r.name, r.id",
                              DB_INT(scope_id), DB_INT(kind)),
                          error);
}

/* ---- causality ---- */

static void build_free_item(void *data) {
        CausalityBuild *build = data;

        g_free(build->name);
        g_free(build->status);
        g_free(build->job_name);
        g_free(build);
}

static void edge_free(void *data) {
        CausalityEdge *edge = data;

        g_free(edge->resource);
        value_free(edge->version);
        g_free(edge);
}

void causality_clear(Causality *causality) {
        g_clear_pointer(&causality->builds, g_ptr_array_unref);
        g_clear_pointer(&causality->edges, g_ptr_array_unref);
}

static void *row_build_node(Store *store, DbRows *rows, GError **error) {
        CausalityBuild *build = g_new0(CausalityBuild, 1);

        build->id = db_int(rows, 0);
        build->name = g_strdup(db_text(rows, 1));
        build->status = g_strdup(db_text(rows, 2));
        build->job_id = db_int(rows, 3);
        build->job_name = g_strdup(db_text(rows, 4));
        return build;
}

static void *row_edge(Store *store, DbRows *rows, GError **error) {
        CausalityEdge *edge = g_new0(CausalityEdge, 1);

        edge->resource_id = db_int(rows, 0);
        edge->version_id = db_int(rows, 1);
        edge->resource = g_strdup(db_text(rows, 2));
        edge->version = row_json(rows, 3);
        edge->build_id = db_int(rows, 4);
        edge->is_output = db_bool(rows, 5);
        return edge;
}

/* The builds reached from version $2 of resource $1: `into` is where a version is met first, `out` where the next ones
 * come from. */
#define REACHED(into, out)                                                                         \
        "WITH RECURSIVE reached (build_id) AS (SELECT build_id FROM " into                         \
        " WHERE resource_id = $1 AND digest = $2 UNION SELECT n.build_id FROM reached c JOIN " out \
        " o ON o.build_id = c.build_id JOIN " into                                                 \
        " n ON n.resource_id = o.resource_id AND n.digest = o.digest) "
#define BUILDS                                                                                     \
        "SELECT b.id, b.name, b.status, j.id, j.name FROM reached c JOIN builds b ON b.id = "      \
        "c.build_id JOIN jobs j ON j.id = b.job_id ORDER BY b.id LIMIT $3"
#define EDGES_OF(table, output)                                                                    \
        "SELECT r.id, v.id, r.name, v.version, e.build_id, " output " FROM " table                 \
        " e JOIN reached c ON c.build_id = e.build_id JOIN builds b ON b.id = e.build_id AND "     \
        "b.job_id IS NOT NULL JOIN resources r ON r.id = e.resource_id JOIN versions v ON "        \
        "v.scope_id = r.resource_scope_id AND v.digest = e.digest"
#define EDGES                                                                                      \
        EDGES_OF("build_inputs", "FALSE")                                                          \
        " UNION " EDGES_OF("build_outputs", "TRUE") " ORDER BY 5, 6, 1, 2 LIMIT $3"

static const struct {
        const char *builds, *edges;
} directions[2] = {
        { REACHED("build_inputs", "build_outputs") BUILDS,
          REACHED("build_inputs", "build_outputs") EDGES },
        { REACHED("build_outputs", "build_inputs") BUILDS,
          REACHED("build_outputs", "build_inputs") EDGES },
};

static bool within(const GPtrArray *list, size_t limit, const char *what, GError **error) {
        if (list->len < limit)
                return true;
        g_set_error(error, ERROR, ERROR_LIMIT, "causality: too many %s", what);
        return false;
}

bool causality_find(Store *store, int64_t resource_id, int64_t version_id, bool upstream,
                    Causality *ret, GError **error) {
        g_auto(Causality) found = { 0 };
        g_autofree char *digest = store_one(
                store, row_text, "version",
                SQL("SELECT digest FROM versions WHERE id = $1", DB_INT(version_id)), error);

        if (!digest)
                return false;
        found.builds = store_list(store, row_build_node, build_free_item,
                                  SQL(directions[upstream].builds, DB_INT(resource_id),
                                      DB_TEXT(digest), DB_INT(CAUSALITY_BUILDS_MAX)),
                                  error);
        if (!found.builds || !within(found.builds, CAUSALITY_BUILDS_MAX, "builds", error))
                return false;
        found.edges = store_list(store, row_edge, edge_free,
                                 SQL(directions[upstream].edges, DB_INT(resource_id),
                                     DB_TEXT(digest), DB_INT(CAUSALITY_EDGES_MAX)),
                                 error);
        if (!found.edges || !within(found.edges, CAUSALITY_EDGES_MAX, "inputs and outputs", error))
                return false;
        *ret = found;
        found = (Causality){ 0 };
        return true;
}
