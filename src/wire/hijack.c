#include "wire/hijack.h"

#include "base/crypto.h"
#include "base/json.h"

#include <string.h>

/* A message has one level of objects below a window's size. */
static const JsonLimits limits = { .bytes = 16 * 1024 * 1024, .depth = 8, .items = 64 };

/* ---- parts of messages ---- */

static Value *texts_value(const GPtrArray *texts) {
        if (!texts || texts->len == 0)
                return value_null();
        Value *list = value_list();
        for (guint i = 0; i < texts->len; i++)
                value_list_add(list, value_string(g_ptr_array_index(texts, i)));
        return list;
}

static Value *tty_value(GardenWindow window) {
        Value *tty = value_map(), *size = value_map();
        value_map_set_int(size, "columns", window.columns);
        value_map_set_int(size, "rows", window.rows);
        value_map_set(tty, "window_size", size);
        return tty;
}

static GardenWindow read_window(const Value *tty) {
        const Value *size = value_get(tty, "window_size");
        int64_t columns = value_get_int(size, "columns", 0), rows = value_get_int(size, "rows", 0);
        if (columns < 1 || columns > UINT16_MAX || rows < 1 || rows > UINT16_MAX)
                return (GardenWindow){ 0 };
        return (GardenWindow){ (uint32_t) columns, (uint32_t) rows };
}

static void set_bytes(Value *map, const char *key, GBytes *data) {
        gsize length = 0;
        const void *bytes = data ? g_bytes_get_data(data, &length) : NULL;
        g_autofree char *text = crypto_base64(bytes, length);
        value_map_set_string(map, key, text);
}

/* *ret stays NULL where the key is absent. */
static bool read_bytes(const Value *map, const char *key, GBytes **ret, GError **error) {
        const Value *value = value_get(map, key);
        if (value_is_null(value))
                return true;
        if (!value_is(value, VALUE_STRING)) {
                g_set_error(error, ERROR, ERROR_INVALID, "json: cannot unmarshal field %s", key);
                return false;
        }
        *ret = crypto_base64_decode(value_text(value), error);
        return *ret != NULL;
}

/* Returns new: the message, an object. */
static Value *read_message(const char *text, size_t length, GError **error) {
        g_autoptr(Value) map = json_parse(text, length, &limits, error);
        if (!map || value_is(map, VALUE_MAP))
                return g_steal_pointer(&map);
        g_set_error(error, ERROR, ERROR_INVALID, "json: cannot unmarshal: not an object");
        return NULL;
}

static void append_message(GString *text, const Value *map) {
        json_append(text, map, JSON_COMPACT);
        g_string_append_c(text, '\n');
}

/* ---- the first message ---- */

char *hijack_spec_write(const GardenProcessSpec *spec, size_t *ret_length) {
        g_autoptr(Value) map = value_map();
        GString *text = g_string_new(NULL);
        value_map_set_string(map, "path", spec->path);
        value_map_set(map, "args", texts_value(spec->args));
        value_map_set(map, "env", texts_value(spec->env));
        value_map_set_string(map, "dir", spec->directory ? spec->directory : "");
        value_map_set_bool(map, "privileged", true); /* as fly says; nobody asks for it */
        value_map_set_string(map, "user", spec->user ? spec->user : "");
        value_map_set(map, "tty", spec->tty ? tty_value(spec->window) : value_null());
        append_message(text, map);
        *ret_length = text->len;
        return g_string_free(text, false);
}

/* ---- from fly ---- */

void hijack_input_append(GString *text, const HijackInput *input) {
        g_autoptr(Value) map = value_map();
        if (input->kind == HIJACK_INPUT_ENDED)
                value_map_set_bool(map, "closed", true);
        else if (input->kind == HIJACK_RESIZED)
                value_map_set(map, "tty", tty_value(input->window));
        else if (input->data && g_bytes_get_size(input->data) > 0)
                set_bytes(map, "stdin", input->data);
        append_message(text, map);
}

bool hijack_input_parse(const char *text, size_t length, HijackInput *ret, GError **error) {
        g_autoptr(Value) map = read_message(text, length, error);
        const Value *tty = value_get(map, "tty");
        g_autoptr(GBytes) data = NULL;
        if (!map || !read_bytes(map, "stdin", &data, error))
                return false;
        if (value_get_bool(map, "closed", false))
                *ret = (HijackInput){ .kind = HIJACK_INPUT_ENDED };
        else if (!value_is_null(tty))
                *ret = (HijackInput){ .kind = HIJACK_RESIZED, .window = read_window(tty) };
        else
                *ret = (HijackInput){ .kind = HIJACK_INPUT, .data = g_steal_pointer(&data) };
        return true;
}

void hijack_input_clear(HijackInput *input) {
        g_clear_pointer(&input->data, g_bytes_unref);
        *input = (HijackInput){ 0 };
}

/* ---- from the web node ---- */

void hijack_output_append(GString *text, const HijackOutput *output) {
        g_autoptr(Value) map = value_map();
        switch (output->kind) {
        case HIJACK_STDOUT:
                set_bytes(map, "stdout", output->data);
                break;
        case HIJACK_STDERR:
                set_bytes(map, "stderr", output->data);
                break;
        case HIJACK_EXITED:
                value_map_set_int(map, "exit_status", output->status);
                break;
        case HIJACK_NO_EXECUTABLE:
                value_map_set_bool(map, "executable_not_found", true);
                break;
        case HIJACK_FAILED:
                value_map_set_string(map, "error", output->error);
                break;
        case HIJACK_NOTHING:
                break;
        }
        append_message(text, map);
}

/* 02 §14.3: the order in which the fields are looked at. */
bool hijack_output_parse(const char *text, size_t length, HijackOutput *ret, GError **error) {
        g_autoptr(Value) map = read_message(text, length, error);
        const char *failure = value_get_string(map, "error", "");
        g_autoptr(GBytes) out = NULL, err = NULL;
        if (!map || !read_bytes(map, "stdout", &out, error) ||
            !read_bytes(map, "stderr", &err, error))
                return false;
        *ret = (HijackOutput){ .kind = HIJACK_NOTHING };
        if (value_as_int(value_get(map, "exit_status"), &ret->status))
                ret->kind = HIJACK_EXITED;
        else if (value_get_bool(map, "executable_not_found", false))
                ret->kind = HIJACK_NO_EXECUTABLE;
        else if (*failure) {
                ret->kind = HIJACK_FAILED;
                ret->error = g_strdup(failure);
        } else if (out) {
                ret->kind = HIJACK_STDOUT;
                ret->data = g_steal_pointer(&out);
        } else if (err) {
                ret->kind = HIJACK_STDERR;
                ret->data = g_steal_pointer(&err);
        }
        return true;
}

void hijack_output_clear(HijackOutput *output) {
        g_clear_pointer(&output->data, g_bytes_unref);
        g_free(output->error);
        *output = (HijackOutput){ 0 };
}

bool hijack_error_is_no_executable(const char *text) {
        const char *stat_text = strstr(text, ": stat ");
        return strstr(text, "executable file not found") ||
               (stat_text && strstr(text, "exec: ") &&
                strstr(stat_text, ": no such file or directory"));
}
