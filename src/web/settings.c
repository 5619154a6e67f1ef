#include "web/settings.h"

#include "auth/auth.h"
#include "base/crypto.h"
#include "base/files.h"
#include "base/yaml.h"

#include <string.h>

#define DEFAULTS_MAX ((size_t) 1024 * 1024)

/* ---- what the table of options cannot say ---- */

static bool check_cipher(const char *flag, const char *key, GError **error) {
        size_t length = key ? strlen(key) : 0;

        if (length == 0 || length == 16 || length == 24 || length == 32)
                return true;
        g_set_error(
                error, ERROR, ERROR_INVALID,
                "invalid argument for flag `--%s' (expected flag.Cipher): failed to construct AES "
                "cipher: crypto/aes: invalid key size %zu",
                flag, length);
        return false;
}

static bool check_signing_key(const char *path, GError **error) {
        if (!path)
                return true;
        g_autoptr(Key) key = key_load(path, error);
        if (key)
                return true;
        g_prefix_error(error,
                       "invalid argument for flag `--session-signing-key' (expected "
                       "flag.PrivateKey): failed to read private key file (%s): ",
                       path);
        return false;
}

bool settings_check(const WebOptions *options, GError **error) {
        for (guint i = 0; i < options->local_users->len; i++)
                if (!auth_check_local_user(g_ptr_array_index(options->local_users, i), error))
                        return false;
        return check_cipher("encryption-key", options->encryption_key, error) &&
               check_cipher("old-encryption-key", options->old_encryption_key, error) &&
               check_signing_key(options->session_signing_key, error);
}

/* ---- PostgreSQL ---- */

/* Appends key='value' as libpq quotes; NULL: nothing. */
static void add_setting(GString *text, const char *key, const char *value) {
        if (!value)
                return;
        g_string_append_printf(text, "%s%s='", text->len ? " " : "", key);
        for (; *value; value++) {
                if (*value == '\'' || *value == '\\')
                        g_string_append_c(text, '\\');
                g_string_append_c(text, *value);
        }
        g_string_append_c(text, '\'');
}

char *settings_conninfo(const WebOptions *options) {
        g_autoptr(GString) text = g_string_new(NULL);
        const char *host = options->postgres_socket ? options->postgres_socket
                                                    : options->postgres_host;
        const char *database = options->postgres_database;
        g_autofree char *port = g_strdup_printf("%" G_GINT64_FORMAT, options->postgres_port);
        g_autofree char *timeout = g_strdup_printf(
                "%" G_GINT64_FORMAT, options->postgres_connect_timeout / DURATION_SECOND);

        add_setting(text, "host", host ? host : "127.0.0.1");
        add_setting(text, "port", port);
        add_setting(text, "dbname", database ? database : "atc");
        add_setting(text, "user", options->postgres_user);
        add_setting(text, "password", options->postgres_password);
        add_setting(text, "application_name", options->postgres_application_name);
        add_setting(text, "connect_timeout", timeout);
        add_setting(text, "sslmode", options->postgres_sslmode);
        add_setting(text, "sslrootcert", options->postgres_ca_cert);
        add_setting(text, "sslcert", options->postgres_client_cert);
        add_setting(text, "sslkey", options->postgres_client_key);
        return g_string_free(g_steal_pointer(&text), false);
}

/* ---- placement ---- */

static const char *const strategy_names[] = {
        [PLACEMENT_VOLUME_LOCALITY] = "volume-locality",
        [PLACEMENT_RANDOM] = "random",
        [PLACEMENT_FEWEST_BUILD_CONTAINERS] = "fewest-build-containers",
        [PLACEMENT_LIMIT_ACTIVE_TASKS] = "limit-active-tasks",
        [PLACEMENT_LIMIT_ACTIVE_CONTAINERS] = "limit-active-containers",
        [PLACEMENT_LIMIT_ACTIVE_VOLUMES] = "limit-active-volumes",
};

/* locality: whether volume-locality makes sense. */
static bool strategy_parse(const char *text, bool locality, PlacementStrategy *ret,
                           GError **error) {
        for (size_t i = 0; i < G_N_ELEMENTS(strategy_names); i++)
                if (g_str_equal(strategy_names[i], text) &&
                    (locality || i != PLACEMENT_VOLUME_LOCALITY)) {
                        *ret = (PlacementStrategy) i;
                        return true;
                }
        g_set_error(error, ERROR, ERROR_INVALID, "invalid container placement strategy '%s'", text);
        return false;
}

static bool strategies_parse(const GPtrArray *texts, bool locality, PlacementStrategies *ret,
                             GError **error) {
        g_autofree PlacementStrategy *list = g_new0(PlacementStrategy, texts->len + 1);

        if (texts->len > PLACEMENT_STRATEGIES_MAX) {
                g_set_error(error, ERROR, ERROR_INVALID,
                            "at most %d container placement strategies can be given",
                            PLACEMENT_STRATEGIES_MAX);
                return false;
        }
        for (size_t i = 0; i < texts->len; i++)
                if (!strategy_parse(g_ptr_array_index(texts, i), locality, &list[i], error))
                        return false;
        *ret = (PlacementStrategies){ g_steal_pointer(&list), texts->len };
        return true;
}

bool settings_placement(const WebOptions *options, PoolSpec *ret, GError **error) {
        const struct {
                const char *name;
                int64_t value, *ret;
        } limits[] = {
                { "tasks", options->max_active_tasks, &ret->max_active_tasks },
                { "containers", options->max_active_containers, &ret->max_active_containers },
                { "volumes", options->max_active_volumes, &ret->max_active_volumes },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(limits); i++) {
                if (limits[i].value < 0) {
                        g_set_error(error, ERROR, ERROR_INVALID,
                                    "max-active-%s-per-worker must be greater or equal than 0",
                                    limits[i].name);
                        return false;
                }
                *limits[i].ret = limits[i].value;
        }
        return strategies_parse(options->placement_strategies, true, &ret->strategies, error) &&
               strategies_parse(options->no_input_strategies, false, &ret->no_input, error) &&
               strategies_parse(options->check_strategies, false, &ret->check, error);
}

void settings_placement_clear(PoolSpec *pool) {
        PlacementStrategies *all[] = { &pool->strategies, &pool->no_input, &pool->check };

        for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
                g_free((PlacementStrategy *) all[i]->list);
                *all[i] = (PlacementStrategies){ 0 };
        }
}

/* ---- the rest ---- */

bool settings_type_defaults(const WebOptions *options, Value **ret, GError **error) {
        const char *path = options->base_resource_type_defaults;
        size_t length;

        *ret = NULL;
        if (!path)
                return true;
        g_autofree char *text = file_read(path, DEFAULTS_MAX, &length, error);
        g_autoptr(Value) value = text ? yaml_parse(text, length, NULL, 0, error) : NULL;
        if (!value)
                return false;
        if (value_kind(value) != VALUE_MAP) {
                g_set_error(error, ERROR, ERROR_INVALID,
                            "%s: base resource type defaults must be a map of types", path);
                return false;
        }
        *ret = g_steal_pointer(&value);
        return true;
}

Value *settings_main_team(const WebOptions *options, GError **error) {
        g_autoptr(Value) auth = team_auth_from_local_users(options->main_team_local_users);

        if (!team_auth_validate(auth, error)) {
                g_prefix_error(error, "default team auth not configured: ");
                return NULL;
        }
        return g_steal_pointer(&auth);
}
