/* A step's process, against a worker that follows a script. */
#include "stranger.h"

#include "base/json.h"

typedef struct {
        Stranger stranger;
        Pool *pool;
        PoolContainer *container;
        char *path; /* of its processes */
        GString *output, *errors;
        Cancel *cancel; /* fired with `reason` at the first byte of output, when there is one */
        CancelReason reason;
} Scene;

static void scene_open(Scene *scene, House *house) {
        scene->pool = stranger_open(&scene->stranger, house);
        scene->container = stranger_container(scene->pool, "1");
        scene->path = g_strdup_printf("/containers/%s", pool_container_handle(scene->container));
        scene->output = g_string_new(NULL);
        scene->errors = g_string_new(NULL);
        stranger_forget(&scene->stranger);
}

/* As a web node that was started again: the container is found, not made. */
static void scene_restart(Scene *scene) {
        pool_container_free(scene->container);
        scene->container = stranger_container(scene->pool, "1");
        g_assert_false(pool_container_created(scene->container));
        stranger_forget(&scene->stranger);
}

static void scene_close(Scene *scene) {
        pool_container_free(scene->container);
        stranger_close(&scene->stranger);
        g_string_free(scene->output, true);
        g_string_free(scene->errors, true);
        g_free(scene->path);
        cancel_free(scene->cancel);
}

static bool heard(Scene *scene, const char *method, const char *rest) {
        g_autofree char *call = g_strconcat(method, " ", scene->path, rest, NULL);
        return stranger_heard(&scene->stranger, call);
}

static bool take_output(const void *bytes, size_t length, int64_t offset, void *data,
                        GError **error) {
        Scene *scene = data;
        g_assert_cmpint(offset, ==, (int64_t) scene->output->len);
        g_string_append_len(scene->output, bytes, (gssize) length);
        if (scene->cancel)
                cancel_fire(scene->cancel, scene->reason);
        return true;
}

static bool take_errors(const void *bytes, size_t length, int64_t offset, void *data,
                        GError **error) {
        Scene *scene = data;
        g_string_append_len(scene->errors, bytes, (gssize) length);
        return true;
}

static ProcessNeed need_of(Scene *scene) {
        static const char *const args[] = { "-c", "script", NULL };
        return (ProcessNeed){ .id = "task",
                              .path = "sh",
                              .args = args,
                              .directory = "/work",
                              .output = take_output,
                              .error = take_errors,
                              .data = scene };
}

static int run(Scene *scene, const ProcessNeed *need) {
        int status = -1;
        OK(pool_process_run(scene->container, need, scene->cancel, &status, &error));
        return status;
}

static void it_is_started_as_asked_and_gives_output_and_status(House *house) {
        Scene scene = { .stranger = { .extensions = GARDEN_EXTENSIONS,
                                      .script = { "out", "err", .status = 3 } } };
        g_auto(GardenProcessSpec) asked = { 0 };
        scene_open(&scene, house);
        ProcessNeed need = need_of(&scene);
        need.user = "bob";
        need.tty = true;
        g_assert_cmpint(run(&scene, &need), ==, 3);
        g_assert_cmpstr(scene.output->str, ==, "out");
        g_assert_cmpstr(scene.errors->str, ==, "err");
        OK(garden_process_spec_parse(scene.stranger.process, &asked, &error));
        g_assert_cmpstr(asked.id, ==, "task");
        g_assert_cmpstr(asked.path, ==, "sh");
        g_assert_cmpstr(asked.args->pdata[1], ==, "script");
        g_assert_cmpstr(asked.directory, ==, "/work");
        g_assert_cmpstr(asked.user, ==, "bob");
        g_assert_cmpint(asked.window.columns, ==, 500);
        scene_close(&scene);
}

static void without_a_user_it_runs_as_the_found_containers(House *house) {
        Scene scene = { .stranger = { .extensions = GARDEN_EXTENSIONS, .user = "alice" } };
        scene_open(&scene, house);
        scene_restart(&scene);
        const ProcessNeed need = need_of(&scene);
        run(&scene, &need);
        g_assert_true(heard(&scene, "GET", "/properties"));
        g_assert_cmpstr(value_get_string(scene.stranger.process, "user", NULL), ==, "alice");
        scene_close(&scene);
}

static void one_that_runs_is_attached_to_where_its_output_was_read(House *house) {
        Scene scene = { .stranger = { .extensions = GARDEN_EXTENSIONS,
                                      .script = { "0123456789", .status = 4 } } };
        scene_open(&scene, house);
        scene_restart(&scene);
        scene.stranger.process = value_map(); /* an earlier web node started it */
        ProcessNeed need = need_of(&scene);
        g_string_append(scene.output, "0123");
        need.output_from = 4;
        g_assert_cmpint(run(&scene, &need), ==, 4);
        g_assert_cmpstr(scene.output->str, ==, "0123456789");
        g_assert_false(heard(&scene, "POST", "/processes"));
        g_assert_true(heard(&scene, "GET", "/processes/task/attaches/1/stdout?from=4"));
        scene_close(&scene);
}

static void a_connection_that_broke_after_the_end_loses_no_output(House *house) {
        Scene scene = { .stranger = { .extensions = GARDEN_EXTENSIONS,
                                      .script = { "0123456789", "err", .status = 4, .cut = 6,
                                                  .ends_first = true } } };
        scene_open(&scene, house);
        const ProcessNeed need = need_of(&scene);
        g_assert_cmpint(run(&scene, &need), ==, 4);
        g_assert_cmpstr(scene.output->str, ==, "0123456789");
        scene_close(&scene);
}

static void where_a_connection_broke_it_goes_on(House *house) {
        Scene scene = { .stranger = { .extensions = GARDEN_EXTENSIONS,
                                      .script = { "0123456789", "err", .status = 4, .cut = 6 } } };
        scene_open(&scene, house);
        const ProcessNeed need = need_of(&scene);
        g_assert_cmpint(run(&scene, &need), ==, 4);
        g_assert_cmpstr(scene.output->str, ==, "0123456789");
        g_assert_true(heard(&scene, "GET", "/processes/task/attaches/1/stdout?from=6"));
        scene_close(&scene);
}

static void a_start_whose_answer_was_lost_is_not_repeated(House *house) {
        Scene scene = { .stranger = { .extensions = GARDEN_EXTENSIONS,
                                      .script = { "once", .status = 5, .lost = true } } };
        scene_open(&scene, house);
        const ProcessNeed need = need_of(&scene);
        g_assert_cmpint(run(&scene, &need), ==, 5);
        g_assert_cmpstr(scene.output->str, ==, "once");
        const char *calls = scene.stranger.calls->str;
        const char *first = strstr(calls, "/processes\n");
        g_assert_nonnull(first);
        g_assert_null(strstr(first + 1, "/processes\n"));
        scene_close(&scene);
}

static void one_that_may_only_be_found_is_never_started(House *house) {
        Scene scene = { .stranger = { .extensions = GARDEN_EXTENSIONS } };
        int status;
        scene_open(&scene, house);
        scene_restart(&scene);
        ProcessNeed need = need_of(&scene);
        need.attach_only = true;
        FAILS(pool_process_run(scene.container, &need, NULL, &status, &error), ERROR_NOT_FOUND);
        g_assert_false(heard(&scene, "POST", "/processes"));
        scene_close(&scene);
}

static void an_abort_stops_it_and_takes_what_it_still_says(House *house) {
        Scene scene = { .stranger = { .extensions = GARDEN_EXTENSIONS,
                                      .script = { "before", "after", .waits = true } },
                        .cancel = cancel_new(NULL),
                        .reason = CANCEL_ABORT };
        int status;
        scene_open(&scene, house);
        const ProcessNeed need = need_of(&scene);
        FAILS(pool_process_run(scene.container, &need, scene.cancel, &status, &error),
              ERROR_CANCELLED);
        g_assert_true(heard(&scene, "PUT", "/stop"));
        g_assert_cmpstr(scene.output->str, ==, "before");
        g_assert_cmpstr(scene.errors->str, ==, "after");
        scene_close(&scene);
}

static void a_shutdown_leaves_it_running(House *house) {
        Scene scene = { .stranger = { .extensions = GARDEN_EXTENSIONS,
                                      .script = { "before", .waits = true } },
                        .cancel = cancel_new(NULL),
                        .reason = CANCEL_SHUTDOWN };
        int status;
        scene_open(&scene, house);
        const ProcessNeed need = need_of(&scene);
        FAILS(pool_process_run(scene.container, &need, scene.cancel, &status, &error),
              ERROR_CANCELLED);
        g_assert_false(heard(&scene, "PUT", "/stop"));
        scene_close(&scene);
}

static void one_whose_end_is_not_known_says_why(House *house) {
        Scene scene = { .stranger = { .extensions = GARDEN_EXTENSIONS,
                                      .script = { .failure = "it went" } } };
        int status;
        scene_open(&scene, house);
        const ProcessNeed need = need_of(&scene);
        FAILS_SAYING(pool_process_run(scene.container, &need, NULL, &status, &error),
                     "connection: process error: it went");
        scene_close(&scene);
}

static void only_an_upstream_worker_is_told_the_exit_status(House *house) {
        static const char *const kinds[] = { GARDEN_EXTENSIONS, NULL };
        for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
                Scene scene = { .stranger = { .extensions = kinds[i] } };
                scene_open(&scene, house);
                const ProcessNeed need = need_of(&scene);
                run(&scene, &need);
                g_assert_true(heard(&scene, "PUT", "/properties/concourse:exit-status") ==
                              (kinds[i] == NULL));
                scene_close(&scene);
        }
}

static void its_input_comes_with_the_start_or_after_it(House *house) {
        static const char *const kinds[] = { GARDEN_EXTENSIONS, NULL };
        for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
                Scene scene = { .stranger = { .extensions = kinds[i],
                                              .script = { .waits = kinds[i] == NULL } } };
                g_auto(GardenProcessSpec) asked = { 0 };
                scene_open(&scene, house);
                ProcessNeed need = need_of(&scene);
                need.input = "{}";
                need.input_length = 2;
                run(&scene, &need);
                OK(garden_process_spec_parse(scene.stranger.process, &asked, &error));
                g_assert_cmpmem(asked.input, asked.input_length, "{}", kinds[i] ? 2 : 0);
                g_assert_cmpstr(scene.stranger.typed->str, ==, kinds[i] ? "" : "{}");
                g_assert_true(scene.stranger.typed_all == (kinds[i] == NULL));
                scene_close(&scene);
        }
}

static void add(void) {
        static const struct {
                const char *path;
                HouseFn fn;
        } tests[] = {
                { "/pool/process/start", it_is_started_as_asked_and_gives_output_and_status },
                { "/pool/process/user", without_a_user_it_runs_as_the_found_containers },
                { "/pool/process/attach", one_that_runs_is_attached_to_where_its_output_was_read },
                { "/pool/process/broken", where_a_connection_broke_it_goes_on },
                { "/pool/process/broken-after-end",
                  a_connection_that_broke_after_the_end_loses_no_output },
                { "/pool/process/lost", a_start_whose_answer_was_lost_is_not_repeated },
                { "/pool/process/attach-only", one_that_may_only_be_found_is_never_started },
                { "/pool/process/abort", an_abort_stops_it_and_takes_what_it_still_says },
                { "/pool/process/shutdown", a_shutdown_leaves_it_running },
                { "/pool/process/failure", one_whose_end_is_not_known_says_why },
                { "/pool/process/exit-status", only_an_upstream_worker_is_told_the_exit_status },
                { "/pool/process/input", its_input_comes_with_the_start_or_after_it },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                house_add_one(tests[i].path, DB_SQLITE, tests[i].fn);
}

int main(int argc, char **argv) {
        return house_main(argc, argv, add);
}
