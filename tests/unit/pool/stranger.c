#include "stranger.h"

#include "base/json.h"

#include <sys/socket.h>

void stranger_sweep(Store *store) {
        g_autoptr(GPtrArray) handles = g_ptr_array_new();
        int64_t marked, deleted;
        OK(volume_report(store, "w", handles, clock_now(), &error));
        OK(volume_sweep(store, clock_now(), DURATION_MINUTE, &marked, &deleted, &error));
        g_assert_cmpint(marked, ==, 0);
        g_assert_cmpint(deleted, ==, 0);
}

/* ---- containers and volumes ---- */

static void take_over(const Stranger *stranger) {
        BuildLease lease;
        OK(build_lease_release_node(stranger->taking, "n", &error));
        OK(build_lease_acquire(stranger->taking, stranger->build_id, "other", DURATION_MINUTE,
                               &lease, &error));
}

static void answer_full(Stranger *stranger, HttpRequest *request) {
        const GardenError refusal = { .message = (char *) stranger->full };
        g_autoptr(Value) answer = garden_error_value(&refusal);
        stranger->refusals--;
        if (stranger->taking)
                take_over(stranger);
        if (stranger->abort)
                cancel_fire(stranger->abort, CANCEL_ABORT);
        http_answer_json(request, garden_error_status(refusal.kind), answer);
}

static void answer_container(Stranger *stranger, HttpRequest *request, const Value *body) {
        const char *root = value_get_string(body, "rootfs", "");
        {
                MUTEX_SCOPE(&stranger->lock);
                value_free(stranger->container);
                stranger->container = value_ref(body);
        }
        if (stranger->refusals > 0)
                answer_full(stranger, request);
        else if (!stranger->extensions && g_str_has_prefix(root, "raw://" GARDEN_VOLUME_PREFIX))
                http_answer_text(request, 500,
                                 "{\"Message\":\"directory must be an absolute path\"}");
        else
                http_answer_text(request, 200, "{\"Handle\":\"h\"}");
}

/* It has the one that was made last. */
static void answer_list(Stranger *stranger, HttpRequest *request) {
        g_autoptr(Value) answer = value_map(), handles = value_list();
        {
                MUTEX_SCOPE(&stranger->lock);
                const char *handle = value_get_string(stranger->container, "handle", NULL);
                if (handle)
                        value_list_add(handles, value_string(handle));
        }
        value_map_set(answer, "Handles", value_ref(handles));
        http_answer_json(request, 200, answer);
}

static void answer_volume(HttpRequest *request, const Value *body) {
        const char *handle = value_get_string(body, "handle", "");
        g_autofree char *answer = g_strdup_printf("{\"handle\":\"%s\",\"path\":\"/v/%s\"}", handle,
                                                  handle);
        http_answer_text(request, 201, answer);
}

static void answer_properties(Stranger *stranger, HttpRequest *request) {
        g_autoptr(Value) properties = value_map();
        if (stranger->user)
                value_map_set_string(properties, "user", stranger->user);
        http_answer_json(request, 200, properties);
}

/* ---- the process ---- */

/* With the lock held. */
static void end(Stranger *stranger) {
        stranger->ended = true;
        condition_broadcast(&stranger->changed);
}

static void say(Stranger *stranger, HttpSocket *socket, const GardenPayload *payload) {
        g_autoptr(GString) text = g_string_new(NULL);
        garden_payload_append(text, payload);
        http_socket_write(socket, text->str, text->len, NULL, NULL);
}

/* With the lock held. */
static void hear(Stranger *stranger, const GardenPayload *payload) {
        if (payload->has & GARDEN_HAS_WINDOW)
                stranger->window = payload->window;
        if (payload->has & GARDEN_HAS_SIGNAL)
                stranger->signal = payload->signal;
        if (payload->has & GARDEN_HAS_DATA)
                g_string_append_len(stranger->typed, payload->data, (gssize) payload->data_length);
        else if (payload->has & GARDEN_HAS_SOURCE)
                stranger->typed_all = true;
        if ((payload->has & GARDEN_HAS_SIGNAL) || stranger->typed_all)
                end(stranger);
        condition_broadcast(&stranger->changed);
}

static void hear_lines(Stranger *stranger, GString *text) {
        MUTEX_SCOPE(&stranger->lock);
        for (char *newline; (newline = memchr(text->str, '\n', text->len));) {
                g_auto(GardenPayload) payload = { 0 };
                size_t length = (size_t) (newline - text->str);
                OK(garden_payload_parse(text->str, length, &payload, &error));
                hear(stranger, &payload);
                g_string_erase(text, 0, (gssize) length + 1);
        }
}

typedef struct {
        Stranger *stranger;
        HttpSocket *socket;
} Listening;

static void listen_to(void *data) {
        const Listening *listening = data;
        g_autoptr(GString) text = g_string_new(NULL);
        char chunk[4096];
        ssize_t count;
        while ((count = http_socket_read(listening->socket, chunk, sizeof chunk, NULL, NULL)) > 0) {
                g_string_append_len(text, chunk, count);
                hear_lines(listening->stranger, text);
        }
}

/* Until it has ended, or its connections break; whether it has ended. */
static bool await_end(Stranger *stranger) {
        MUTEX_SCOPE(&stranger->lock);
        while (!stranger->ended && !stranger->broken && !stranger->closing)
                condition_wait(&stranger->changed, &stranger->lock);
        return stranger->ended;
}

static void serve_control(Stranger *stranger, HttpRequest *request, int status) {
        g_autoptr(HttpSocket) socket = http_hijack(request, status, "application/json");
        const Script *script = &stranger->script;
        g_assert_nonnull(socket);
        say(stranger, socket, &(GardenPayload){ .process_id = "task", .stream_id = "1" });
        Listening listening = { stranger, socket };
        Thread *thread = thread_start("listen", listen_to, &listening);
        if (await_end(stranger))
                say(stranger, socket,
                    &(GardenPayload){ .has = (script->failure ? 0U : GARDEN_HAS_EXIT_STATUS) |
                                             (stranger->extensions ? GARDEN_HAS_LENGTHS : 0U),
                                      .process_id = "task",
                                      .output_length = script->output ? strlen(script->output) : 0,
                                      .error_length = script->errors ? strlen(script->errors) : 0,
                                      .exit_status = script->status,
                                      .error = (char *) script->failure });
        shutdown(http_socket_fd(socket), SHUT_RDWR);
        thread_join(thread);
}

static void start_process(Stranger *stranger, HttpRequest *request, const Value *body) {
        bool lost;
        {
                MUTEX_SCOPE(&stranger->lock);
                value_free(stranger->process);
                stranger->process = value_ref(body);
                lost = stranger->script.lost;
                stranger->script.lost = false;
                if (!stranger->script.waits &&
                    (!stranger->script.cut || stranger->script.ends_first))
                        end(stranger);
        }
        if (lost) {
                http_answer_begin(request, 201, NULL);
                http_answer_abort(request);
        } else
                serve_control(stranger, request, 201);
}

static void attach(Stranger *stranger, HttpRequest *request) {
        bool known;
        {
                MUTEX_SCOPE(&stranger->lock);
                known = stranger->process != NULL;
                stranger->broken = false;
                if (known && !stranger->script.waits)
                        end(stranger);
        }
        if (known)
                serve_control(stranger, request, 200);
        else
                http_answer_text(request, 404, "{\"Type\":\"ProcessNotFoundError\"}");
}

/* How much is written before the connections break. */
static size_t take_cut(Stranger *stranger, size_t length) {
        MUTEX_SCOPE(&stranger->lock);
        size_t cut = stranger->script.cut;
        stranger->script.cut = 0;
        return cut && cut < length ? cut : length;
}

static void serve_output(Stranger *stranger, HttpRequest *request, bool is_output) {
        const char *from = http_query(request, "from");
        const char *text = is_output ? stranger->script.output : stranger->script.errors;
        size_t length = text ? strlen(text) : 0;
        size_t start = from && stranger->extensions ? (size_t) g_ascii_strtoll(from, NULL, 10) : 0;
        g_autoptr(HttpSocket) socket = http_hijack(request, 200, NULL);
        g_assert_nonnull(socket);
        size_t part = is_output ? take_cut(stranger, length) : length;
        if (part > start)
                http_socket_write(socket, text + start, part - start, NULL, NULL);
        if (part < length) {
                MUTEX_SCOPE(&stranger->lock);
                stranger->broken = true;
                condition_broadcast(&stranger->changed);
                return;
        }
        await_end(stranger);
}

static void stop(Stranger *stranger, HttpRequest *request) {
        {
                MUTEX_SCOPE(&stranger->lock);
                end(stranger);
        }
        http_answer_text(request, 200, "{}");
}

/* ---- the table of what it answers ---- */

static void answer(Stranger *stranger, HttpRequest *request, const Value *body) {
        const char *path = http_path(request), *method = http_method(request);
        bool gets = g_str_equal(method, "GET");
        if (g_str_equal(path, "/containers") && gets)
                answer_list(stranger, request);
        else if (g_str_equal(path, "/containers"))
                answer_container(stranger, request, body);
        else if (g_str_equal(path, "/volumes"))
                answer_volume(request, body);
        else if (g_str_has_suffix(path, "/stop"))
                stop(stranger, request);
        else if (g_str_has_suffix(path, "/stdout") || g_str_has_suffix(path, "/stderr"))
                serve_output(stranger, request, g_str_has_suffix(path, "/stdout"));
        else if (g_str_has_suffix(path, "/processes"))
                start_process(stranger, request, body);
        else if (strstr(path, "/processes/"))
                attach(stranger, request);
        else if (gets && g_str_has_suffix(path, "/properties"))
                answer_properties(stranger, request);
        else
                http_answer_text(request, 200, "{}");
}

static void record(Stranger *stranger, HttpRequest *request) {
        const char *from = http_query(request, "from");
        MUTEX_SCOPE(&stranger->lock);
        g_string_append_printf(stranger->calls, "%s %s%s%s\n", http_method(request),
                               http_path(request), from ? "?from=" : "", from ? from : "");
        if (stranger->extensions)
                http_header_set(request, GARDEN_EXTENSIONS_HEADER, stranger->extensions);
}

static void serve(HttpRequest *request, void *data) {
        Stranger *stranger = data;
        g_autoptr(GError) error = NULL;
        size_t length;
        g_autofree char *text = http_body(request, 0, &length, &error);
        bool stream = strstr(http_path(request), "/stream-in") != NULL;
        g_autoptr(Value) body = length > 0 && !stream ? json_parse(text, length, NULL, &error)
                                                      : NULL;
        g_assert_no_error(error);
        if (stranger->sweeps)
                stranger_sweep(stranger->sweeps);
        record(stranger, request);
        answer(stranger, request, body);
}

Pool *stranger_open(Stranger *stranger, House *house) {
        const HttpServerSpec spec = {
                .address = "127.0.0.1", .handler = serve, .data = stranger, .name = "stranger"
        };
        mutex_init(&stranger->lock);
        condition_init(&stranger->changed);
        stranger->calls = g_string_new(NULL);
        stranger->typed = g_string_new(NULL);
        stranger->signal = -1;
        stranger->http = OK(http_server_start(&spec, &error));
        unsigned port = http_server_port(stranger->http);
        g_autofree char *text = g_strdup_printf(
                "{'name':'w','addr':'127.0.0.1:%u','baggageclaim_url':'http://127.0.0.1:%u',"
                "'platform':'linux','version':'3.0','tags':[],'start_time':5,"
                "'resource_types':[{'type':'git','image':'/g','version':'1'}]}",
                port, port);
        g_autoptr(Value) payload = json(text);
        WorkerRegistration registration = { .payload = payload, .ttl = DURATION_MINUTE };
        OK(worker_register(house->store, &registration, NULL, &error));
        return stranger->pool = pool_new(&(PoolSpec){ .store = house->store });
}

void stranger_close(Stranger *stranger) {
        pool_free(stranger->pool);
        {
                MUTEX_SCOPE(&stranger->lock);
                stranger->closing = true;
                condition_broadcast(&stranger->changed);
        }
        http_server_stop(stranger->http, DURATION_SECOND);
        g_string_free(stranger->calls, true);
        g_string_free(stranger->typed, true);
        value_free(stranger->container);
        value_free(stranger->process);
        condition_destroy(&stranger->changed);
        mutex_destroy(&stranger->lock);
}

void stranger_lose_container(Stranger *stranger) {
        MUTEX_SCOPE(&stranger->lock);
        g_clear_pointer(&stranger->container, value_free);
}

bool stranger_heard(Stranger *stranger, const char *call) {
        g_autofree char *line = g_strconcat(call, "\n", NULL);
        MUTEX_SCOPE(&stranger->lock);
        const char *found = strstr(stranger->calls->str, line);
        return found && (found == stranger->calls->str || found[-1] == '\n');
}

void stranger_forget(Stranger *stranger) {
        MUTEX_SCOPE(&stranger->lock);
        g_string_truncate(stranger->calls, 0);
}

ContainerNeed stranger_need(const char *plan_id) {
        return (ContainerNeed){
                .owner = { .kind = CONTAINER_OWNER_MEMORY_CHECK,
                           .check_key = "k",
                           .plan_id = plan_id },
                .metadata = { .type = "get" },
                .need = { .resource_type = "git" },
                .base_type = "git",
                .working_directory = "/tmp/build/get",
        };
}

PoolContainer *stranger_container(Pool *pool, const char *plan_id) {
        const ContainerNeed need = stranger_need(plan_id);
        return OK(pool_container(pool, &need, NULL, NULL, &error));
}
