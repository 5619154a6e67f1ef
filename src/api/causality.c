/* Where a version went, or came from (reference 01 §13.4). */
#include "api/handlers.h"

/* A map of the answer that is built up, with a list of ids in it. */
typedef struct {
        Value *map, *ids; /* ids is the map's last member unless it stays empty */
        const char *ids_key;
} Node;

static void node_free(void *data) {
        Node *node = data;

        value_free(node->map);
        value_free(node->ids);
        g_free(node);
}

/* Nodes by what identifies them, in the order they came. */
typedef struct {
        GHashTable *by_key; /* char * → Node, borrowed */
        GPtrArray *nodes;
} Nodes;

static Nodes nodes_new(void) {
        return (Nodes){ g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
                        g_ptr_array_new_with_free_func(node_free) };
}

static void nodes_clear(Nodes *nodes) {
        g_hash_table_unref(nodes->by_key);
        g_ptr_array_unref(nodes->nodes);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Nodes, nodes_clear)

static Node *nodes_find(const Nodes *nodes, int64_t a, int64_t b) {
        g_autofree char *key = g_strdup_printf("%" G_GINT64_FORMAT "/%" G_GINT64_FORMAT, a, b);

        return g_hash_table_lookup(nodes->by_key, key);
}

static Node *nodes_add(Nodes *nodes, int64_t a, int64_t b, const char *ids_key) {
        Node *node = g_new0(Node, 1);

        *node = (Node){ value_map(), value_list(), ids_key };
        g_ptr_array_add(nodes->nodes, node);
        g_hash_table_insert(nodes->by_key,
                            g_strdup_printf("%" G_GINT64_FORMAT "/%" G_GINT64_FORMAT, a, b), node);
        return node;
}

static void add_id(Node *node, int64_t id) {
        int64_t known;

        for (size_t i = 0; i < value_length(node->ids); i++)
                if (value_as_int(value_at(node->ids, i), &known) && known == id)
                        return;
        value_list_add(node->ids, value_int(id));
}

/* kept NULL: all of them; else those of these resources. Returns new. */
static Value *nodes_to_list(const Nodes *nodes, GHashTable *kept) {
        Value *list = value_list();

        for (size_t i = 0; i < nodes->nodes->len; i++) {
                const Node *node = nodes->nodes->pdata[i];
                int64_t resource = value_get_int(node->map, "resource_id",
                                                 value_get_int(node->map, "id", 0));
                if (kept && !g_hash_table_contains(kept, &resource))
                        continue;
                if (value_length(node->ids) > 0)
                        value_map_set(node->map, node->ids_key, value_ref(node->ids));
                value_list_add(list, value_ref(node->map));
        }
        return list;
}

typedef struct {
        Nodes jobs, builds, resources, versions;
        GHashTable *kept; /* ids of resources: the first one, and those that follow from a build */
} Graph;

static void add_build(Graph *graph, const CausalityBuild *build) {
        Node *job = nodes_find(&graph->jobs, build->job_id, 0);
        Node *node = nodes_add(&graph->builds, build->id, 0, "resource_version_ids");

        if (!job) {
                job = nodes_add(&graph->jobs, build->job_id, 0, "build_ids");
                value_map_set_int(job->map, "id", build->job_id);
                value_map_set_string(job->map, "name", build->job_name);
        }
        add_id(job, build->id);
        value_map_set_int(node->map, "id", build->id);
        value_map_set_string(node->map, "name", build->name);
        value_map_set_int(node->map, "job_id", build->job_id);
        value_map_set_string(node->map, "status", build->status);
}

static Node *version_node(Graph *graph, const CausalityEdge *edge) {
        Node *resource = nodes_find(&graph->resources, edge->resource_id, 0);
        Node *version = nodes_find(&graph->versions, edge->resource_id, edge->version_id);

        if (!resource) {
                resource = nodes_add(&graph->resources, edge->resource_id, 0, "version_ids");
                value_map_set_int(resource->map, "id", edge->resource_id);
                value_map_set_string(resource->map, "name", edge->resource);
        }
        add_id(resource, edge->version_id);
        if (!version) {
                version = nodes_add(&graph->versions, edge->resource_id, edge->version_id,
                                    "build_ids");
                value_map_set_int(version->map, "id", edge->version_id);
                value_map_set_int(version->map, "resource_id", edge->resource_id);
                value_map_set(version->map, "version", value_ref(edge->version));
        }
        return version;
}

/* Downstream a build follows from its inputs, and its outputs from it; upstream it is the other way round. */
static void add_edge(Graph *graph, const CausalityEdge *edge, bool upstream) {
        Node *version = version_node(graph, edge);
        Node *build = nodes_find(&graph->builds, edge->build_id, 0);

        if (edge->is_output == upstream)
                add_id(version, edge->build_id);
        else if (build) {
                add_id(build, edge->version_id);
                g_hash_table_add(graph->kept, g_memdup2(&edge->resource_id, sizeof(int64_t)));
        }
}

static Value *present_causality(const Causality *causality, int64_t root, bool upstream) {
        g_auto(Nodes) jobs = nodes_new(), builds = nodes_new(), resources = nodes_new(),
                      versions = nodes_new();
        g_autoptr(GHashTable)
                kept = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
        Graph graph = { jobs, builds, resources, versions, kept };
        Value *answer = value_map();

        g_hash_table_add(kept, g_memdup2(&root, sizeof root));
        for (size_t i = 0; i < causality->builds->len; i++)
                add_build(&graph, causality->builds->pdata[i]);
        for (size_t i = 0; i < causality->edges->len; i++)
                add_edge(&graph, causality->edges->pdata[i], upstream);
        value_map_set(answer, "jobs", nodes_to_list(&jobs, NULL));
        value_map_set(answer, "builds", nodes_to_list(&builds, NULL));
        value_map_set(answer, "resources", nodes_to_list(&resources, kept));
        value_map_set(answer, "resource_versions", nodes_to_list(&versions, kept));
        return answer;
}

static void answer_causality(ApiCall *call, bool upstream) {
        g_auto(Causality) causality = { 0 };
        g_autoptr(GError) error = NULL;
        int64_t version;

        if (!call->api->spec.resource_causality) {
                call_empty(call, 403);
                return;
        }
        g_autoptr(Resource) resource = call_resource(call, RESOURCE_KIND_RESOURCE, "resource_name");
        if (!resource || !call_id(call, "resource_config_version_id", &version))
                return;
        if (causality_find(call->store, resource->id, version, upstream, &causality, &error))
                call_answer(call, 200, present_causality(&causality, resource->id, upstream));
        else if (error_is(error, ERROR_LIMIT))
                call_empty(call, 422);
        else
                call_empty(call, 500); /* for an unknown version too, as upstream */
}

void get_downstream(ApiCall *call) {
        answer_causality(call, false);
}

void get_upstream(ApiCall *call) {
        answer_causality(call, true);
}
