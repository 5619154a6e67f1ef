#include "resources/git.h"

#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>

static const GitKey source_keys[] = {
        { "uri" },
        { "branch" },
        { "private_key" },
        { "private_key_user" },
        { "private_key_passphrase", .unsupported = true },
        { "forward_agent", .unsupported = true },
        { "username" },
        { "password" },
        { "paths" },
        { "ignore_paths" },
        { "sparse_paths" },
        { "skip_ssl_verification" },
        { "tag_filter" },
        { "tag_regex" },
        { "tag_behaviour" },
        { "fetch_tags" },
        { "submodule_credentials", .unsupported = true },
        { "git_config" },
        { "disable_ci_skip" },
        { "commit_verification_keys", .unsupported = true },
        { "commit_verification_key_ids", .unsupported = true },
        { "gpg_keyserver" }, /* means something only together with the two above */
        { "git_crypt_key", .unsupported = true },
        { "https_tunnel", .unsupported = true },
        { "commit_filter" },
        { "version_depth" },
        { "search_remote_refs", .unsupported = true },
        { "debug" },
        {},
};

const char *git_text(const Value *map, const char *key) {
        const Value *value = value_get(map, key);
        const char *text = value_text(value);
        if (text)
                return text;
        return value_as_bool(value) ? "true" : "";
}

bool git_flag(const Value *map, const char *key) {
        return g_str_equal(git_text(map, key), "true");
}

int64_t git_number(const Value *map, const char *key, int64_t otherwise) {
        const char *text = git_text(map, key);
        return *text ? g_ascii_strtoll(text, NULL, 10) : otherwise;
}

static const GitKey *key_find(const GitKey *keys, const char *name) {
        for (; keys->name; keys++)
                if (g_str_equal(keys->name, name))
                        return keys;
        return NULL;
}

static bool unknown_refuse(const Value *map, const GitKey *keys, const char *what, GError **error) {
        g_autoptr(GString) unknown = g_string_new(NULL);
        for (size_t i = 0; i < value_length(map); i++)
                if (!key_find(keys, value_key_at(map, i))) {
                        g_string_append_c(unknown, '\n');
                        json_append_string(unknown, value_key_at(map, i),
                                           value_key_length_at(map, i), JSON_NO_HTML);
                }
        if (unknown->len == 0)
                return true;
        g_set_error(error, ERROR, ERROR_INVALID, "Found unknown keys in %s:%s", what, unknown->str);
        return false;
}

static bool is_set(const Value *value) {
        switch (value_kind(value)) {
        case VALUE_NULL:
                return false;
        case VALUE_BOOL:
                return value_as_bool(value);
        case VALUE_STRING:
        case VALUE_LIST:
        case VALUE_MAP:
                return value_is(value, VALUE_STRING) ? *value_text(value) : value_length(value) > 0;
        default:
                return true;
        }
}

static bool unsupported_refuse(const Value *map, const GitKey *keys, const char *what,
                               GError **error) {
        for (; keys->name; keys++)
                if (keys->unsupported && is_set(value_get(map, keys->name))) {
                        g_set_error(error, ERROR, ERROR_UNSUPPORTED,
                                    "'%s' in the %s is not supported by this git resource type yet",
                                    keys->name, what);
                        return false;
                }
        return true;
}

bool git_keys_check(const Value *map, const GitKey *keys, const char *what, GError **error) {
        return unknown_refuse(map, keys, what, error) && unsupported_refuse(map, keys, what, error);
}

bool git_source_check(const Value *source, bool refuse_unknown, GError **error) {
        return (!refuse_unknown || unknown_refuse(source, source_keys, "source", error)) &&
               unsupported_refuse(source, source_keys, "source", error);
}
