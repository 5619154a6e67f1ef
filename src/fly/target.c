#include "fly/target.h"

#include "base/files.h"
#include "base/yaml.h"

#include <string.h>
#include <sys/stat.h>

#define FLYRC_MAX ((size_t) 4 * 1024 * 1024)

Target *target_new(const char *name) {
        Target *target = g_new0(Target, 1);

        target->name = g_strdup(name);
        target->api = g_strdup("");
        target->team = g_strdup("main");
        target->token_type = g_strdup("");
        target->token_value = g_strdup("");
        target->ca_cert = g_strdup("");
        target->client_cert_path = g_strdup("");
        target->client_key_path = g_strdup("");
        return target;
}

void target_free(Target *target) {
        if (!target)
                return;
        g_free(target->name);
        g_free(target->api);
        g_free(target->team);
        g_free(target->token_type);
        g_free(target->token_value);
        g_free(target->ca_cert);
        g_free(target->client_cert_path);
        g_free(target->client_key_path);
        g_free(target);
}

void target_set(char **field, const char *text) {
        char *copy = g_strdup(text);

        g_free(*field);
        *field = copy;
}

static void free_target(void *target) {
        target_free(target);
}

void targets_free(Targets *targets) {
        if (!targets)
                return;
        g_free(targets->path);
        g_ptr_array_unref(targets->list);
        g_free(targets);
}

/* ---- reading ---- */

static Target *target_from_value(const char *name, const Value *value) {
        Target *target = target_new(name);
        const Value *token = value_get(value, "token");
        const char *team = value_get_string(value, "team", "");

        target_set(&target->api, value_get_string(value, "api", ""));
        for (size_t end = strlen(target->api); end > 0 && target->api[end - 1] == '/'; end--)
                target->api[end - 1] = '\0';
        target_set(&target->team, *team ? team : "main");
        target->insecure = value_get_bool(value, "insecure", false);
        target->has_token = value_is(token, VALUE_MAP);
        target_set(&target->token_type, value_get_string(token, "type", ""));
        target_set(&target->token_value, value_get_string(token, "value", ""));
        target_set(&target->ca_cert, value_get_string(value, "ca_cert", ""));
        target_set(&target->client_cert_path, value_get_string(value, "client_cert_path", ""));
        target_set(&target->client_key_path, value_get_string(value, "client_key_path", ""));
        return target;
}

static char *flyrc_path(GError **error) {
        const char *home = g_getenv("FLY_HOME");

        if (!home || !*home)
                home = g_getenv("HOME");
        if (!home || !*home) {
                g_set_error_literal(error, ERROR, ERROR_NOT_FOUND,
                                    "could not detect home directory for .flyrc");
                return NULL;
        }
        return g_build_filename(home, ".flyrc", NULL);
}

static Value *read_flyrc(const char *path, GError **error) {
        g_autoptr(GError) cause = NULL;
        size_t length;
        g_autofree char *text = file_read(path, FLYRC_MAX, &length, &cause);

        if (!text && error_is(cause, ERROR_NOT_FOUND))
                return value_null();
        Value *value = text ? yaml_parse(text, length, NULL, YAML_DEFAULT, &cause) : NULL;
        if (!value)
                g_set_error(error, ERROR, ERROR_INVALID, "in the file '%s': %s", path,
                            cause->message);
        return value;
}

Targets *targets_load(GError **error) {
        g_autofree char *path = flyrc_path(error);
        g_autoptr(Value) value = path ? read_flyrc(path, error) : NULL;

        if (!value)
                return NULL;
        Targets *targets = g_new0(Targets, 1);
        const Value *map = value_get(value, "targets");
        targets->path = g_steal_pointer(&path);
        targets->list = g_ptr_array_new_with_free_func(free_target);
        if (value_is(map, VALUE_MAP))
                for (size_t i = 0; i < value_length(map); i++)
                        targets_put(targets,
                                    target_from_value(value_key_at(map, i), value_at(map, i)));
        return targets;
}

Target *targets_find(const Targets *targets, const char *name) {
        for (size_t i = 0; i < targets->list->len; i++) {
                Target *target = targets->list->pdata[i];
                if (g_str_equal(target->name, name))
                        return target;
        }
        return NULL;
}

static int compare_targets(const void *a, const void *b) {
        return strcmp((*(Target *const *) a)->name, (*(Target *const *) b)->name);
}

void targets_put(Targets *targets, Target *target) {
        targets_remove(targets, target->name);
        g_ptr_array_add(targets->list, target);
        g_ptr_array_sort(targets->list, compare_targets);
}

void targets_remove(Targets *targets, const char *name) {
        Target *old = targets_find(targets, name);

        if (old)
                g_ptr_array_remove(targets->list, old);
}

void targets_clear(Targets *targets) {
        g_ptr_array_set_size(targets->list, 0);
}

void targets_rename(Targets *targets, Target *target, const char *name) {
        if (g_str_equal(target->name, name))
                return;
        targets_remove(targets, name);
        target_set(&target->name, name);
        g_ptr_array_sort(targets->list, compare_targets);
}

/* ---- writing ---- */

static Value *target_to_value(const Target *target) {
        Value *value = value_map();

        value_map_set_string(value, "api", target->api);
        value_map_set_bool_opt(value, "insecure", target->insecure);
        value_map_set_string_opt(value, "ca_cert", target->ca_cert);
        value_map_set_string_opt(value, "client_cert_path", target->client_cert_path);
        value_map_set_string_opt(value, "client_key_path", target->client_key_path);
        value_map_set_string(value, "team", target->team);
        if (target->has_token) {
                Value *token = value_map();
                value_map_set_string(token, "type", target->token_type);
                value_map_set_string(token, "value", target->token_value);
                value_map_set(value, "token", token);
        }
        return value;
}

bool targets_save(const Targets *targets, GError **error) {
        g_autoptr(Value) root = value_map();
        Value *map = value_map();
        struct stat status;

        for (size_t i = 0; i < targets->list->len; i++) {
                const Target *target = targets->list->pdata[i];
                value_map_set(map, target->name, target_to_value(target));
        }
        value_map_set(root, "targets", map);
        g_autofree char *text = yaml_write(root, error);
        if (!text)
                return false;
        int mode = stat(targets->path, &status) == 0 ? (int) (status.st_mode & 0777) : 0600;
        /* Where .flyrc is a link, what it points to is written: dotfiles often live elsewhere. */
        g_autofree char *real = realpath(targets->path, NULL);
        return file_write(real ? real : targets->path, text, strlen(text), mode, error);
}
