#include "house.h"

#include "base/json.h"

const char two_jobs[] =
        "{'resources':[{'name':'repo','type':'git','source':{'uri':'a'}},"
        "{'name':'image','type':'git','source':{'uri':'b'}}],"
        "'jobs':[{'name':'unit','plan':[{'get':'repo','trigger':true},{'put':'image'}]},"
        "{'name':'deploy','serial':true,'plan':[{'get':'repo','passed':['unit'],'trigger':true},"
        "{'in_parallel':[{'task':'t'}]}]}]}";

Value *json(const char *text) {
        g_autofree char *quoted = g_strdelimit(g_strdup(text), "'", '"');
        return OK(json_parse(quoted, strlen(quoted), NULL, &error));
}

char *json_text(const Value *value) {
        return g_strdelimit(json_write(value, JSON_COMPACT, NULL), "\"", '\'');
}

void house_close(House *house) {
        g_clear_pointer(&house->store, store_close);
}

void house_open(House *house) {
        house_close(house);
        g_autofree char *logs = g_build_filename(house->fixture->folder, "logs", NULL);
        StoreSpec spec = { .db = house->fixture->spec, .log_directory = logs };
        house->store = OK(store_open(&spec, &error));
}

static void run(Fixture *fixture, HouseFn fn) {
        House house = { .fixture = fixture };
        house_open(&house);
        g_autoptr(Value) auth = json("{'owner':{'users':['local:admin'],'groups':[]}}");
        OK(team_save_main(house.store, auth, &error));
        g_autoptr(Team) team = OK(team_find(house.store, "main", &error));
        house.team_id = team->id;
        fn(&house);
        house_close(&house);
}

/* GLib hands one pointer to a test; the fixture of db takes a function without one. */
static GHashTable *functions; /* test path → HouseFn */

static void run_registered(Fixture *fixture) {
        g_autofree char *path = g_path_get_dirname(g_test_get_path());
        run(fixture, (HouseFn) g_hash_table_lookup(functions, path));
}

static void register_function(const char *path, HouseFn fn) {
        if (!functions)
                functions = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g_hash_table_insert(functions, g_strdup(path), (void *) fn);
}

void house_add(const char *path, HouseFn fn) {
        register_function(path, fn);
        fixture_add(path, run_registered);
}

void house_add_one(const char *path, DbKind kind, HouseFn fn) {
        register_function(path, fn);
        fixture_add_one(path, kind, run_registered);
}

int house_main(int argc, char **argv, void (*add)(void)) {
        return fixture_main(argc, argv, add, NULL, NULL);
}

/* ---- what is in it ---- */

void house_save(House *house, const char *config) {
        g_autoptr(Value) value = json(config);
        g_autoptr(Pipeline) pipeline = NULL;
        PipelineSave save = { .team_id = house->team_id, .name = "p", .config = value };
        OK(pipeline_save(house->store, &save, NULL, &pipeline, &error));
        house->pipeline_id = pipeline->id;
}

int64_t job_id(House *house, const char *name) {
        g_autoptr(Job) job = OK(job_find(house->store, house->pipeline_id, name, &error));
        return job->id;
}

int64_t resource_id(House *house, const char *name) {
        g_autoptr(Resource) resource = OK(resource_find(house->store, RESOURCE_KIND_RESOURCE,
                                                        house->pipeline_id, name, &error));
        return resource->id;
}

void house_worker(House *house, const char *name) {
        g_autofree char *text = g_strdup_printf(
                "{'name':'%s','addr':'127.0.0.1:1','baggageclaim_url':'http://127.0.0.1:2',"
                "'platform':'linux','version':'3.0','tags':['x',''],'start_time':5,"
                "'resource_types':[{'type':'git','image':'/g','version':'1'}]}",
                name);
        g_autoptr(Value) payload = json(text);
        WorkerRegistration registration = { .payload = payload, .ttl = DURATION_MINUTE };
        OK(worker_register(house->store, &registration, NULL, &error));
}

int64_t scope_of(House *house, const char *name) {
        g_autoptr(Resource) resource = OK(resource_find(house->store, RESOURCE_KIND_RESOURCE,
                                                        house->pipeline_id, name, &error));
        if (resource->scope_id)
                return resource->scope_id;
        g_autoptr(GPtrArray) workers = OK(worker_list(house->store, &error));
        if (workers->len == 0)
                house_worker(house, "w");
        int64_t config_id, scope_id;
        ResourceConfigKey key = { .base_type = "git",
                                  .source = value_get(resource->config, "source") };
        OK(resource_config_find_or_create(house->store, &key, &config_id, &error));
        OK(resource_scope_find_or_create(house->store, config_id, resource->id, false, &scope_id,
                                         &error));
        OK(resource_set_scope(house->store, RESOURCE_KIND_RESOURCE, resource->id, config_id,
                              scope_id, &error));
        return scope_id;
}

size_t save_refs(House *house, int64_t scope_id, const char *refs) {
        g_autoptr(Value) versions = value_list();
        g_auto(GStrv) texts = g_strsplit(refs, " ", -1);
        for (char **ref = texts; *ref; ref++) {
                Value *version = value_map();
                value_map_set_string(version, "ref", *ref);
                value_list_add(versions, version);
        }
        size_t found_new;
        OK(version_save_all(house->store, scope_id, versions, &found_new, NULL, &error));
        return found_new;
}

/* ---- builds ---- */

Build *pending_build(House *house, const char *job) {
        BuildForJob spec = { .job_id = job_id(house, job), .manual = true, .created_by = "me" };
        return OK(build_create_for_job(house->store, &spec, &error));
}

int64_t started_build(House *house, const char *job, BuildLease *ret_lease) {
        g_autoptr(Build) build = pending_build(house, job);
        g_autoptr(Value) plan = json("{'id':'1','task':{'name':'secret'}}");
        g_autoptr(Value) public_plan = json("{'id':'1'}");
        BuildStartResult started;
        BuildStart start = { .id = build->id, .plan = plan, .public_plan = public_plan };
        OK(build_start(house->store, &start, &started, &error));
        g_assert_cmpint(started, ==, BUILD_START_DONE);
        OK(build_lease_acquire(house->store, build->id, "n", DURATION_MINUTE, ret_lease, &error));
        return build->id;
}

void finish(House *house, const BuildLease *lease, BuildStatus status) {
        BuildFinish end = { .id = lease->build_id, .epoch = lease->epoch, .status = status };
        OK(build_finish(house->store, &end, &error));
}

char *read_log(House *house, int64_t build_id, int64_t from) {
        g_autoptr(BuildLogReader)
                reader = OK(build_log_reader_new(house->store, build_id, from, &error));
        GString *text = g_string_new(NULL);
        for (;;) {
                int64_t first;
                g_autoptr(GPtrArray) events = OK(build_log_read(reader, 100, &first, &error));
                if (events->len == 0)
                        return g_string_free(text, false);
                for (guint i = 0; i < events->len; i++) {
                        size_t length;
                        const char *bytes = g_bytes_get_data(events->pdata[i], &length);
                        int64_t id;
                        g_autoptr(Event) event = OK(event_parse(bytes, length, &id, &error));
                        g_assert_cmpint(id, ==, first + i);
                        const char *what = value_get_string(
                                event->data, "payload",
                                value_get_string(event->data, "status", ""));
                        g_string_append_printf(text, "%" G_GINT64_FORMAT " %s %s\n", id,
                                               event->name, what);
                }
        }
}
