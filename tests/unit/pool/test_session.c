/* A person's process, against a worker that follows a script. */
#include "stranger.h"

#include <sys/socket.h>
#include <unistd.h>

typedef struct {
        Stranger stranger;
        Pool *pool;
        PoolContainer *container;
        PoolSession *session;
        Cancel *cancel;
        Thread *thread;
        int client[2]; /* the session's side, and the person's */
        int status;
        GError *error; /* how it went, after scene_join() */
        GString *output;
        const char *refusal; /* of output; NULL: it is taken */
} Scene;

static bool take(const void *bytes, size_t length, int64_t offset, void *data, GError **error) {
        Scene *scene = data;
        if (scene->refusal) {
                g_set_error(error, ERROR, ERROR_IO, "%s", scene->refusal);
                return false;
        }
        g_string_append_len(scene->output, bytes, (gssize) length);
        return true;
}

static void run(void *data) {
        Scene *scene = data;
        pool_session_run(scene->session, &scene->status, &scene->error);
}

static void scene_open(Scene *scene, House *house) {
        g_auto(GardenProcessSpec) spec = { 0 };
        garden_process_spec_init(&spec);
        spec.path = g_strdup("sh");
        spec.tty = true;
        spec.window = (GardenWindow){ 80, 24 };
        scene->pool = stranger_open(&scene->stranger, house);
        scene->container = stranger_container(scene->pool, "1");
        scene->output = g_string_new(NULL);
        scene->cancel = cancel_new(NULL);
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, scene->client), ==, 0);
        const SessionNeed need = {
                .spec = &spec, .output = take, .data = scene, .client = scene->client[0]
        };
        scene->session = OK(pool_session_start(scene->container, &need, scene->cancel, &error));
        scene->thread = thread_start("session", run, scene);
}

static void scene_join(Scene *scene) {
        thread_join(g_steal_pointer(&scene->thread));
}

static void scene_close(Scene *scene) {
        pool_session_free(scene->session);
        pool_container_free(scene->container);
        stranger_close(&scene->stranger);
        cancel_free(scene->cancel);
        g_clear_error(&scene->error);
        g_string_free(scene->output, true);
        close(scene->client[0]);
        if (scene->client[1] >= 0)
                close(scene->client[1]);
}

static void type_text(Scene *scene, const char *text) {
        OK(pool_session_input(scene->session, text, strlen(text), NULL, &error));
}

static void what_is_typed_arrives_and_its_end_ends_it(House *house) {
        Scene scene = { .stranger = { .extensions = GARDEN_EXTENSIONS,
                                      .script = { "prompt", .status = 7, .waits = true } } };
        scene_open(&scene, house);
        type_text(&scene, "ls\xff");
        pool_session_input_end(scene.session);
        type_text(&scene, "too late");
        scene_join(&scene);
        g_assert_no_error(scene.error);
        g_assert_cmpint(scene.status, ==, 7);
        g_assert_cmpstr(scene.output->str, ==, "prompt");
        g_assert_cmpstr(scene.stranger.typed->str, ==, "ls\xff");
        scene_close(&scene);
}

static void an_upstream_worker_gets_whole_characters(House *house) {
        Scene scene = { .stranger = { .script = { .waits = true } } };
        scene_open(&scene, house);
        type_text(&scene, "\xc3");
        type_text(&scene, "\xa9\xe2\x82");
        type_text(&scene, "\xac");
        pool_session_input_end(scene.session);
        scene_join(&scene);
        g_assert_no_error(scene.error);
        g_assert_cmpstr(scene.stranger.typed->str, ==, "\xc3\xa9\xe2\x82\xac");
        scene_close(&scene);
}

static void a_new_size_arrives(House *house) {
        Scene scene = { .stranger = { .extensions = GARDEN_EXTENSIONS,
                                      .script = { .waits = true } } };
        scene_open(&scene, house);
        pool_session_resize(scene.session, (GardenWindow){ 0, 0 }); /* is none */
        pool_session_resize(scene.session, (GardenWindow){ 120, 40 });
        pool_session_input_end(scene.session);
        scene_join(&scene);
        g_assert_cmpint(scene.stranger.window.columns, ==, 120);
        g_assert_cmpint(scene.stranger.window.rows, ==, 40);
        scene_close(&scene);
}

static void when_the_person_goes_the_process_is_told_to_hang_up(House *house) {
        Scene scene = { .stranger = { .extensions = GARDEN_EXTENSIONS,
                                      .script = { .waits = true } } };
        scene_open(&scene, house);
        close(scene.client[1]);
        scene.client[1] = -1;
        scene_join(&scene);
        g_assert_error(scene.error, ERROR, ERROR_CANCELLED);
        g_assert_cmpstr(scene.error->message, ==, "client hung up");
        g_assert_cmpint(scene.stranger.signal, ==, GARDEN_SIGNAL_HANG_UP);
        scene_close(&scene);
}

static void when_it_is_cancelled_the_process_is_told_to_hang_up(House *house) {
        Scene scene = { .stranger = { .extensions = GARDEN_EXTENSIONS,
                                      .script = { .waits = true } } };
        scene_open(&scene, house);
        cancel_fire(scene.cancel, CANCEL_ABORT);
        scene_join(&scene);
        g_assert_error(scene.error, ERROR, ERROR_CANCELLED);
        g_assert_cmpint(scene.stranger.signal, ==, GARDEN_SIGNAL_HANG_UP);
        scene_close(&scene);
}

static void refused_output_ends_it_with_that_error(House *house) {
        Scene scene = { .stranger = { .extensions = GARDEN_EXTENSIONS,
                                      .script = { "much", .waits = true } },
                        .refusal = "full" };
        scene_open(&scene, house);
        scene_join(&scene);
        g_assert_error(scene.error, ERROR, ERROR_IO);
        g_assert_cmpstr(scene.error->message, ==, "full");
        g_assert_cmpint(scene.stranger.signal, ==, GARDEN_SIGNAL_HANG_UP);
        scene_close(&scene);
}

static void an_upstream_worker_is_sent_no_signal(House *house) {
        Scene scene = { .stranger = { .script = { .waits = true } } };
        scene_open(&scene, house);
        cancel_fire(scene.cancel, CANCEL_ABORT);
        scene_join(&scene);
        g_assert_error(scene.error, ERROR, ERROR_CANCELLED);
        g_assert_cmpint(scene.stranger.signal, ==, -1);
        scene_close(&scene);
}

static void where_a_connection_broke_it_goes_on(House *house) {
        Scene scene = { .stranger = { .extensions = GARDEN_EXTENSIONS,
                                      .script = { "0123456789", .status = 2, .cut = 6 } } };
        scene_open(&scene, house);
        scene_join(&scene);
        g_assert_no_error(scene.error);
        g_assert_cmpint(scene.status, ==, 2);
        g_assert_cmpstr(scene.output->str, ==, "0123456789");
        scene_close(&scene);
}

static void add(void) {
        static const struct {
                const char *path;
                HouseFn fn;
        } tests[] = {
                { "/pool/session/typed", what_is_typed_arrives_and_its_end_ends_it },
                { "/pool/session/characters", an_upstream_worker_gets_whole_characters },
                { "/pool/session/size", a_new_size_arrives },
                { "/pool/session/gone", when_the_person_goes_the_process_is_told_to_hang_up },
                { "/pool/session/cancelled", when_it_is_cancelled_the_process_is_told_to_hang_up },
                { "/pool/session/refused", refused_output_ends_it_with_that_error },
                { "/pool/session/upstream", an_upstream_worker_is_sent_no_signal },
                { "/pool/session/broken", where_a_connection_broke_it_goes_on },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                house_add_one(tests[i].path, DB_SQLITE, tests[i].fn);
}

int main(int argc, char **argv) {
        return house_main(argc, argv, add);
}
