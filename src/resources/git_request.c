#include "resources/git.h"

#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const source_keys[] = { "uri",
                                           "branch",
                                           "private_key",
                                           "private_key_user",
                                           "private_key_passphrase",
                                           "forward_agent",
                                           "username",
                                           "password",
                                           "paths",
                                           "ignore_paths",
                                           "sparse_paths",
                                           "skip_ssl_verification",
                                           "tag_filter",
                                           "tag_regex",
                                           "tag_behaviour",
                                           "fetch_tags",
                                           "submodule_credentials",
                                           "git_config",
                                           "disable_ci_skip",
                                           "commit_verification_keys",
                                           "commit_verification_key_ids",
                                           "gpg_keyserver",
                                           "git_crypt_key",
                                           "https_tunnel",
                                           "commit_filter",
                                           "version_depth",
                                           "search_remote_refs",
                                           "debug",
                                           NULL };

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

bool git_keys_check(const Value *map, const char *const *names, const char *what, GError **error) {
        g_autoptr(GString) unknown = g_string_new(NULL);
        for (size_t i = 0; i < value_length(map); i++)
                if (!g_strv_contains(names, value_key_at(map, i))) {
                        g_string_append_c(unknown, '\n');
                        json_append_string(unknown, value_key_at(map, i),
                                           value_key_length_at(map, i), JSON_NO_HTML);
                }
        if (unknown->len == 0)
                return true;
        g_set_error(error, ERROR, ERROR_INVALID, "Found unknown keys in %s:%s", what, unknown->str);
        return false;
}

bool git_source_check(const Value *source, GError **error) {
        return git_keys_check(source, source_keys, "source", error);
}
