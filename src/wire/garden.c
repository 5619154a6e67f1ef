#include "wire/garden.h"

#include "base/crypto.h"
#include "base/json.h"

#include <string.h>

/* ---- reading, in any case ---- */

static const Value *get(const Value *map, const char *key) {
        const Value *exact = value_get(map, key);
        for (size_t i = 0; !exact && value_is(map, VALUE_MAP) && i < value_length(map); i++)
                if (g_ascii_strcasecmp(value_key_at(map, i), key) == 0)
                        exact = value_at(map, i);
        return value_is_null(exact) ? NULL : exact;
}

static bool wrong(const char *key, GError **error) {
        g_set_error(error, ERROR, ERROR_INVALID, "json: cannot unmarshal field %s", key);
        return false;
}

static bool read_map(const Value *value, GError **error) {
        if (value_is(value, VALUE_MAP))
                return true;
        g_set_error(error, ERROR, ERROR_INVALID, "json: cannot unmarshal: not an object");
        return false;
}

static bool read_text(const Value *map, const char *key, char **ret, GError **error) {
        const Value *value = get(map, key);
        if (!value)
                return true;
        if (!value_is(value, VALUE_STRING) || strlen(value_text(value)) != value_text_length(value))
                return wrong(key, error);
        g_free(*ret);
        *ret = g_strdup(value_text(value));
        return true;
}

static bool read_int(const Value *map, const char *key, int64_t *ret, GError **error) {
        const Value *value = get(map, key);
        return !value || value_as_int(value, ret) || wrong(key, error);
}

static bool read_uint(const Value *map, const char *key, uint64_t *ret, GError **error) {
        const Value *value = get(map, key);
        const char *text = value_is(value, VALUE_NUMBER) ? value_text(value) : NULL;
        guint64 number;
        if (!value)
                return true;
        if (!text || !g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT64, &number, NULL))
                return wrong(key, error);
        *ret = number;
        return true;
}

static bool read_bool(const Value *map, const char *key, bool *ret, GError **error) {
        const Value *value = get(map, key);
        if (value && !value_is(value, VALUE_BOOL))
                return wrong(key, error);
        if (value)
                *ret = value_as_bool(value);
        return true;
}

/* ret: a list that exists already. */
static bool read_texts(const Value *map, const char *key, GPtrArray *ret, GError **error) {
        const Value *list = get(map, key);
        if (list && !value_is(list, VALUE_LIST))
                return wrong(key, error);
        for (size_t i = 0; i < value_length(list); i++) {
                const Value *item = value_at(list, i);
                if (!value_is(item, VALUE_STRING) ||
                    strlen(value_text(item)) != value_text_length(item))
                        return wrong(key, error);
                g_ptr_array_add(ret, g_strdup(value_text(item)));
        }
        return true;
}

static Value *make_texts(const GPtrArray *texts) {
        Value *list = value_list();
        for (guint i = 0; texts && i < texts->len; i++)
                value_list_add(list, value_string(g_ptr_array_index(texts, i)));
        return list;
}

static void set_texts_opt(Value *map, const char *key, const GPtrArray *texts) {
        if (texts && texts->len > 0)
                value_map_set(map, key, make_texts(texts));
}

static void set_uint_opt(Value *map, const char *key, uint64_t number) {
        char text[24];
        if (number == 0)
                return;
        g_snprintf(text, sizeof(text), "%" G_GUINT64_FORMAT, number);
        value_map_set(map, key, value_number(text));
}

/* ---- errors ---- */

static const struct {
        const char *name;
        int status;
} error_kinds[] = {
        [GARDEN_OTHER] = { "", 500 },
        [GARDEN_CONTAINER_NOT_FOUND] = { "ContainerNotFoundError", 404 },
        [GARDEN_PROCESS_NOT_FOUND] = { "ProcessNotFoundError", 404 },
        [GARDEN_EXECUTABLE_NOT_FOUND] = { "ExecutableNotFoundError", 500 },
        [GARDEN_SERVICE_UNAVAILABLE] = { "ServiceUnavailableError", 500 },
        [GARDEN_UNRECOVERABLE] = { "UnrecoverableError", 500 },
};

int garden_error_status(GardenErrorKind kind) {
        return error_kinds[kind].status;
}

static void set_text(Value *map, const char *key, const char *text) {
        value_map_set_string(map, key, text ? text : "");
}

Value *garden_error_value(const GardenError *message) {
        Value *map = value_map();
        set_text(map, "Type", error_kinds[message->kind].name);
        set_text(map, "Message", message->message);
        set_text(map, "Handle", message->handle);
        set_text(map, "ProcessID", message->process_id);
        set_text(map, "Binary", message->binary);
        return map;
}

bool garden_error_parse(const Value *value, GardenError *ret, GError **error) {
        g_auto(GardenError) message = { 0 };
        g_autofree char *type = NULL;
        if (!read_map(value, error) || !read_text(value, "Type", &type, error) ||
            !read_text(value, "Message", &message.message, error) ||
            !read_text(value, "Handle", &message.handle, error) ||
            !read_text(value, "ProcessID", &message.process_id, error) ||
            !read_text(value, "Binary", &message.binary, error))
                return false;
        for (size_t i = 0; type && i < G_N_ELEMENTS(error_kinds); i++)
                if (g_str_equal(type, error_kinds[i].name))
                        message.kind = (GardenErrorKind) i;
        *ret = message;
        message = (GardenError){ 0 };
        return true;
}

void garden_error_clear(GardenError *message) {
        g_free(message->message);
        g_free(message->handle);
        g_free(message->process_id);
        g_free(message->binary);
        *message = (GardenError){ 0 };
}

/* ---- containers ---- */

static void mount_clear(void *data) {
        GardenMount *mount = data;
        g_free(mount->source);
        g_free(mount->destination);
}

void garden_container_spec_init(GardenContainerSpec *spec) {
        *spec = (GardenContainerSpec){ 0 };
        spec->mounts = g_array_new(false, true, sizeof(GardenMount));
        g_array_set_clear_func(spec->mounts, mount_clear);
        spec->env = g_ptr_array_new_with_free_func(g_free);
}

void garden_mount_add(GardenContainerSpec *spec, const char *source, const char *destination,
                      bool writable) {
        GardenMount mount = { g_strdup(source), g_strdup(destination), writable, 0 };
        g_array_append_val(spec->mounts, mount);
}

static Value *mounts_value(const GArray *mounts) {
        Value *list = value_list();
        for (guint i = 0; i < mounts->len; i++) {
                const GardenMount *mount = &g_array_index(mounts, GardenMount, i);
                Value *map = value_map();
                value_map_set_string_opt(map, "src_path", mount->source);
                value_map_set_string_opt(map, "dst_path", mount->destination);
                value_map_set_int_opt(map, "mode", mount->mode);
                value_map_set_int_opt(map, "origin", mount->origin);
                value_list_add(list, map);
        }
        return list;
}

static Value *limits_value(const GardenContainerSpec *spec) {
        Value *limits = value_map(), *cpu = value_map(), *memory = value_map(), *pids = value_map();
        set_uint_opt(cpu, "limit_in_shares", spec->cpu_shares);
        set_uint_opt(memory, "limit_in_bytes", spec->memory_bytes);
        set_uint_opt(pids, "max", spec->pids);
        value_map_set(limits, "bandwidth_limits", value_map());
        value_map_set(limits, "cpu_limits", cpu);
        value_map_set(limits, "disk_limits", value_map());
        value_map_set(limits, "memory_limits", memory);
        value_map_set(limits, "pid_limits", pids);
        return limits;
}

/* To anywhere: what a web node sends for all but hermetic containers. */
static Value *outgoing_value(void) {
        Value *rules = value_list(), *rule = value_map(), *networks = value_list(),
              *range = value_map();
        value_map_set_string(range, "start", "0.0.0.0");
        value_map_set_string(range, "end", "255.255.255.255");
        value_list_add(networks, range);
        value_map_set(rule, "networks", networks);
        value_list_add(rules, rule);
        return rules;
}

Value *garden_container_spec_value(const GardenContainerSpec *spec) {
        Value *map = value_map(), *image = value_map();
        value_map_set_string_opt(map, "handle", spec->handle);
        value_map_set_int_opt(map, "grace_time", spec->grace_time);
        value_map_set_string_opt(map, "rootfs", spec->rootfs);
        value_map_set_string_opt(image, "uri", spec->image_uri);
        value_map_set(map, "image", image);
        if (spec->mounts && spec->mounts->len > 0)
                value_map_set(map, "bind_mounts", mounts_value(spec->mounts));
        if (value_length(spec->properties) > 0)
                value_map_set(map, "properties", value_ref(spec->properties));
        set_texts_opt(map, "env", spec->env);
        value_map_set_bool_opt(map, "privileged", spec->privileged);
        value_map_set(map, "limits", limits_value(spec));
        if (spec->outgoing)
                value_map_set(map, "netout_rules", outgoing_value());
        if (value_length(spec->volumes) > 0)
                value_map_set(map, "weir_volumes", value_ref(spec->volumes));
        return map;
}

static bool parse_mounts(const Value *list, GArray *ret, GError **error) {
        if (list && !value_is(list, VALUE_LIST))
                return wrong("bind_mounts", error);
        for (size_t i = 0; i < value_length(list); i++) {
                const Value *map = value_at(list, i);
                g_array_set_size(ret, ret->len + 1);
                GardenMount *mount = &g_array_index(ret, GardenMount, ret->len - 1);
                if (!read_map(map, error) || !read_text(map, "src_path", &mount->source, error) ||
                    !read_text(map, "dst_path", &mount->destination, error) ||
                    !read_int(map, "mode", &mount->mode, error) ||
                    !read_int(map, "origin", &mount->origin, error))
                        return false;
        }
        return true;
}

static bool parse_limits(const Value *limits, GardenContainerSpec *spec, GError **error) {
        uint64_t weight = 0;
        const Value *cpu = get(limits, "cpu_limits");
        if (!read_uint(cpu, "limit_in_shares", &spec->cpu_shares, error) ||
            !read_uint(cpu, "weight", &weight, error) ||
            !read_uint(get(limits, "memory_limits"), "limit_in_bytes", &spec->memory_bytes,
                       error) ||
            !read_uint(get(limits, "pid_limits"), "max", &spec->pids, error))
                return false;
        if (weight > 0)
                spec->cpu_shares = weight;
        return true;
}

static bool parse_properties(const Value *map, Value **ret, GError **error) {
        if (!map)
                return true;
        if (!value_is(map, VALUE_MAP))
                return wrong("properties", error);
        for (size_t i = 0; i < value_length(map); i++)
                if (!value_is(value_at(map, i), VALUE_STRING))
                        return wrong("properties", error);
        *ret = value_ref(map);
        return true;
}

bool garden_container_spec_parse(const Value *value, GardenContainerSpec *ret, GError **error) {
        g_auto(GardenContainerSpec) spec = { 0 };
        garden_container_spec_init(&spec);
        if (!read_map(value, error) || !read_text(value, "handle", &spec.handle, error) ||
            !read_int(value, "grace_time", &spec.grace_time, error) ||
            !read_text(value, "rootfs", &spec.rootfs, error) ||
            !read_text(get(value, "image"), "uri", &spec.image_uri, error) ||
            !parse_mounts(get(value, "bind_mounts"), spec.mounts, error) ||
            !parse_properties(get(value, "properties"), &spec.properties, error) ||
            !read_texts(value, "env", spec.env, error) ||
            !read_bool(value, "privileged", &spec.privileged, error) ||
            !parse_limits(get(value, "limits"), &spec, error))
                return false;
        spec.outgoing = value_length(get(value, "netout_rules")) > 0;
        const Value *volumes = get(value, "weir_volumes");
        if (volumes && !value_is(volumes, VALUE_LIST)) {
                g_set_error(error, ERROR, ERROR_INVALID, "weir_volumes is not a list");
                return false;
        }
        spec.volumes = volumes ? value_ref(volumes) : NULL;
        *ret = spec;
        spec = (GardenContainerSpec){ 0 };
        return true;
}

void garden_container_spec_clear(GardenContainerSpec *spec) {
        g_free(spec->handle);
        g_free(spec->rootfs);
        g_free(spec->image_uri);
        g_clear_pointer(&spec->mounts, g_array_unref);
        g_clear_pointer(&spec->env, g_ptr_array_unref);
        value_free(spec->properties);
        value_free(spec->volumes);
        *spec = (GardenContainerSpec){ 0 };
}

Value *garden_handle_value(const char *handle) {
        Value *map = value_map();
        value_map_set_string(map, "Handle", handle);
        return map;
}

bool garden_handle_parse(const Value *value, char **ret, GError **error) {
        g_autofree char *handle = NULL;
        if (!read_map(value, error) || !read_text(value, "Handle", &handle, error))
                return false;
        if (!handle)
                return wrong("Handle", error);
        *ret = g_steal_pointer(&handle);
        return true;
}

Value *garden_handles_value(const GPtrArray *handles) {
        Value *map = value_map();
        value_map_set(map, "Handles", make_texts(handles));
        return map;
}

GPtrArray *garden_handles_parse(const Value *value, GError **error) {
        g_autoptr(GPtrArray) handles = g_ptr_array_new_with_free_func(g_free);
        if (!read_map(value, error) || !read_texts(value, "Handles", handles, error))
                return NULL;
        return g_steal_pointer(&handles);
}

/* ---- processes ---- */

void garden_process_spec_init(GardenProcessSpec *spec) {
        *spec = (GardenProcessSpec){ 0 };
        spec->args = g_ptr_array_new_with_free_func(g_free);
        spec->env = g_ptr_array_new_with_free_func(g_free);
}

static Value *window_value(GardenWindow window) {
        Value *tty = value_map(), *size = value_map();
        value_map_set_int_opt(size, "columns", window.columns);
        value_map_set_int_opt(size, "rows", window.rows);
        value_map_set(tty, "window_size", size);
        return tty;
}

/* Sizes beyond what a terminal can have are taken as not said. */
static bool parse_window(const Value *tty, GardenWindow *ret, GError **error) {
        int64_t columns = 0, rows = 0;
        const Value *size = get(tty, "window_size");
        if (!read_int(size, "columns", &columns, error) || !read_int(size, "rows", &rows, error))
                return false;
        if (columns > 0 && columns <= UINT16_MAX && rows > 0 && rows <= UINT16_MAX)
                *ret = (GardenWindow){ (uint32_t) columns, (uint32_t) rows };
        return true;
}

Value *garden_process_spec_value(const GardenProcessSpec *spec) {
        Value *map = value_map();
        value_map_set_string_opt(map, "id", spec->id);
        value_map_set_string_opt(map, "path", spec->path);
        set_texts_opt(map, "args", spec->args);
        set_texts_opt(map, "env", spec->env);
        value_map_set_string_opt(map, "dir", spec->directory);
        value_map_set_string_opt(map, "user", spec->user);
        value_map_set(map, "rlimits", value_map());
        if (spec->tty)
                value_map_set(map, "tty", window_value(spec->window));
        value_map_set(map, "image", value_map());
        if (spec->input) {
                g_autofree char *bytes = crypto_base64(spec->input, spec->input_length);
                value_map_set_string(map, "weir_input", bytes);
        }
        return map;
}

/* Returns new, with a NUL behind it; NULL when it is not base64. */
static char *read_bytes(const Value *text, size_t *ret_length, GError **error) {
        g_autoptr(GBytes) decoded = crypto_base64_decode(value_text(text), error);
        if (!decoded)
                return NULL;
        const void *data = g_bytes_get_data(decoded, ret_length);
        char *bytes = g_malloc0(*ret_length + 1);
        if (*ret_length > 0)
                memcpy(bytes, data, *ret_length);
        return bytes;
}

static bool parse_input(const Value *input, GardenProcessSpec *spec, GError **error) {
        if (!input)
                return true;
        if (!value_is(input, VALUE_STRING))
                return wrong("weir_input", error);
        spec->input = read_bytes(input, &spec->input_length, error);
        if (spec->input && spec->input_length > GARDEN_INPUT_MAX) {
                g_set_error(error, ERROR, ERROR_LIMIT, "standard input is longer than 1 MiB");
                return false;
        }
        return spec->input != NULL;
}

bool garden_process_spec_parse(const Value *value, GardenProcessSpec *ret, GError **error) {
        g_auto(GardenProcessSpec) spec = { 0 };
        garden_process_spec_init(&spec);
        if (!read_map(value, error) || !read_text(value, "id", &spec.id, error) ||
            !read_text(value, "path", &spec.path, error) ||
            !read_texts(value, "args", spec.args, error) ||
            !read_texts(value, "env", spec.env, error) ||
            !read_text(value, "dir", &spec.directory, error) ||
            !read_text(value, "user", &spec.user, error) ||
            !parse_window(get(value, "tty"), &spec.window, error) ||
            !parse_input(get(value, "weir_input"), &spec, error))
                return false;
        spec.tty = get(value, "tty") != NULL;
        *ret = spec;
        spec = (GardenProcessSpec){ 0 };
        return true;
}

void garden_process_spec_clear(GardenProcessSpec *spec) {
        g_free(spec->id);
        g_free(spec->path);
        g_free(spec->directory);
        g_free(spec->user);
        g_free(spec->input);
        g_clear_pointer(&spec->args, g_ptr_array_unref);
        g_clear_pointer(&spec->env, g_ptr_array_unref);
        *spec = (GardenProcessSpec){ 0 };
}

/* ---- the control connection ---- */

void garden_payload_append(GString *text, const GardenPayload *payload) {
        g_autoptr(Value) map = value_map();
        value_map_set_string_opt(map, "process_id", payload->process_id);
        value_map_set_string_opt(map, "stream_id", payload->stream_id);
        if (payload->has & GARDEN_HAS_SOURCE)
                value_map_set_int(map, "source", payload->source);
        if ((payload->has & GARDEN_HAS_DATA) && payload->binary) {
                g_autofree char *bytes = crypto_base64(payload->data, payload->data_length);
                value_map_set_string(map, "bytes", bytes);
        } else if (payload->has & GARDEN_HAS_DATA)
                value_map_set(map, "data", value_string_sized(payload->data, payload->data_length));
        if (payload->has & (GARDEN_HAS_TTY | GARDEN_HAS_WINDOW))
                value_map_set(map, "tty",
                              payload->has & GARDEN_HAS_WINDOW ? window_value(payload->window)
                                                               : value_map());
        if (payload->has & GARDEN_HAS_SIGNAL)
                value_map_set_int(map, "signal", payload->signal);
        if (payload->has & GARDEN_HAS_EXIT_STATUS)
                value_map_set_int(map, "exit_status", payload->exit_status);
        if (payload->has & GARDEN_HAS_LENGTHS) {
                value_map_set_int(map, "weir_stdout", payload->output_length);
                value_map_set_int(map, "weir_stderr", payload->error_length);
        }
        value_map_set_string_opt(map, "error", payload->error);
        json_append(text, map, JSON_COMPACT);
        g_string_append_c(text, '\n');
}

static bool parse_tty(const Value *tty, GardenPayload *payload, GError **error) {
        if (!tty)
                return true;
        payload->has |= GARDEN_HAS_TTY;
        if (!parse_window(tty, &payload->window, error))
                return false;
        if (payload->window.columns > 0)
                payload->has |= GARDEN_HAS_WINDOW;
        return true;
}

static bool parse_number(const Value *map, const char *key, unsigned flag, int64_t *ret,
                         GardenPayload *payload, GError **error) {
        if (!get(map, key))
                return true;
        payload->has |= flag;
        return read_int(map, key, ret, error);
}

static bool parse_data(const Value *data, GardenPayload *payload, GError **error) {
        if (!data)
                return true;
        if (!value_is(data, VALUE_STRING))
                return wrong("data", error);
        payload->has |= GARDEN_HAS_DATA;
        payload->data_length = value_text_length(data);
        payload->data = g_memdup2(value_text(data), payload->data_length + 1);
        return true;
}

static bool parse_bytes(const Value *bytes, GardenPayload *payload, GError **error) {
        if (!bytes || (payload->has & GARDEN_HAS_DATA))
                return true;
        if (!value_is(bytes, VALUE_STRING))
                return wrong("bytes", error);
        payload->data = read_bytes(bytes, &payload->data_length, error);
        if (!payload->data)
                return false;
        payload->has |= GARDEN_HAS_DATA;
        payload->binary = true;
        return true;
}

bool garden_payload_parse(const char *line, size_t length, GardenPayload *ret, GError **error) {
        static const JsonLimits limits = { .bytes = GARDEN_PAYLOAD_MAX, .depth = 8, .items = 64 };
        g_auto(GardenPayload) payload = { 0 };
        g_autoptr(Value) map = json_parse(line, length, &limits, error);
        if (!map || !read_map(map, error) ||
            !read_text(map, "process_id", &payload.process_id, error) ||
            !read_text(map, "stream_id", &payload.stream_id, error) ||
            !parse_number(map, "source", GARDEN_HAS_SOURCE, &payload.source, &payload, error) ||
            !parse_data(get(map, "data"), &payload, error) ||
            !parse_bytes(get(map, "bytes"), &payload, error) ||
            !parse_tty(get(map, "tty"), &payload, error) ||
            !parse_number(map, "signal", GARDEN_HAS_SIGNAL, &payload.signal, &payload, error) ||
            !parse_number(map, "exit_status", GARDEN_HAS_EXIT_STATUS, &payload.exit_status,
                          &payload, error) ||
            !parse_number(map, "weir_stdout", GARDEN_HAS_LENGTHS, &payload.output_length, &payload,
                          error) ||
            !parse_number(map, "weir_stderr", GARDEN_HAS_LENGTHS, &payload.error_length, &payload,
                          error) ||
            !read_text(map, "error", &payload.error, error))
                return false;
        *ret = payload;
        payload = (GardenPayload){ 0 };
        return true;
}

void garden_payload_clear(GardenPayload *payload) {
        g_free(payload->process_id);
        g_free(payload->stream_id);
        g_free(payload->data);
        g_free(payload->error);
        *payload = (GardenPayload){ 0 };
}

void garden_append_input(GString *text, const char *process_id, const char *data, size_t length) {
        GardenPayload payload = { .has = GARDEN_HAS_SOURCE | GARDEN_HAS_DATA,
                                  .process_id = (char *) process_id,
                                  .source = GARDEN_STDIN,
                                  .data = (char *) data,
                                  .data_length = length };
        garden_payload_append(text, &payload);
}

void garden_append_input_end(GString *text, const char *process_id) {
        GardenPayload payload = { .has = GARDEN_HAS_SOURCE,
                                  .process_id = (char *) process_id,
                                  .source = GARDEN_STDIN };
        garden_payload_append(text, &payload);
}

void garden_append_window(GString *text, const char *process_id, GardenWindow window) {
        GardenPayload payload = { .has = GARDEN_HAS_WINDOW,
                                  .process_id = (char *) process_id,
                                  .window = window };
        garden_payload_append(text, &payload);
}
