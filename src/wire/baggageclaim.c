#include "wire/baggageclaim.h"

#include <string.h>

static const char *const encoding_names[] = {
        [VOLUME_ENCODING_RAW] = "raw",
        [VOLUME_ENCODING_GZIP] = "gzip",
        [VOLUME_ENCODING_ZSTD] = "zstd",
        [VOLUME_ENCODING_S2] = "s2",
};

static const char *const strategy_names[] = {
        [VOLUME_STRATEGY_NONE] = "",
        [VOLUME_STRATEGY_EMPTY] = "empty",
        [VOLUME_STRATEGY_COW] = "cow",
        [VOLUME_STRATEGY_IMPORT] = "import",
};

/* ---- reading: names in any case, null is absent, a wrong kind is an error, as in Go ---- */

static const Value *member(const Value *map, const char *name) {
        const Value *exact = value_get(map, name);
        for (size_t i = 0; !exact && i < value_length(map); i++)
                if (g_ascii_strcasecmp(value_key_at(map, i), name) == 0)
                        exact = value_at(map, i);
        return value_is_null(exact) ? NULL : exact;
}

static bool check_kind(const Value *value, ValueKind kind, const char *name, GError **error) {
        if (value_is_null(value) || value_is(value, kind))
                return true;
        g_set_error(error, ERROR, ERROR_INVALID, "field %s has the wrong type", name);
        return false;
}

static bool read_text(const Value *map, const char *name, char **ret, GError **error) {
        const Value *value = member(map, name);
        if (!check_kind(value, VALUE_STRING, name, error))
                return false;
        if (value && strlen(value_text(value)) != value_text_length(value)) {
                g_set_error(error, ERROR, ERROR_INVALID, "field %s holds a NUL byte", name);
                return false;
        }
        *ret = g_strdup(value ? value_text(value) : NULL);
        return true;
}

static bool read_bool(const Value *map, const char *name, bool *ret, GError **error) {
        const Value *value = member(map, name);
        if (!check_kind(value, VALUE_BOOL, name, error))
                return false;
        *ret = value_as_bool(value);
        return true;
}

static bool read_id(const Value *map, const char *name, bool *ret_has, int64_t *ret,
                    GError **error) {
        const Value *value = member(map, name);
        int64_t number = 0;
        *ret_has = value != NULL;
        if (!value)
                return true;
        if (!value_as_int(value, &number) || number < INT32_MIN || number > UINT32_MAX) {
                g_set_error(error, ERROR, ERROR_INVALID, "field %s is not an id", name);
                return false;
        }
        *ret = number;
        return true;
}

/* A map of strings, or null. */
static bool read_properties(const Value *map, Value **ret, GError **error) {
        const Value *properties = member(map, "properties");
        if (!check_kind(properties, VALUE_MAP, "properties", error))
                return false;
        for (size_t i = 0; i < value_length(properties); i++)
                if (!check_kind(value_at(properties, i), VALUE_STRING, "properties", error))
                        return false;
        *ret = value_ref(properties);
        return true;
}

static bool read_strategy(const Value *map, VolumeStrategy *ret, GError **error) {
        const Value *value = member(map, "strategy");
        g_autofree char *type = NULL;

        ret->kind = VOLUME_STRATEGY_NONE;
        if (!value)
                return true;
        if (!check_kind(value, VALUE_MAP, "strategy", error) ||
            !read_text(value, "type", &type, error) ||
            !read_text(value, "volume", &ret->volume, error) ||
            !read_text(value, "path", &ret->path, error) ||
            !read_bool(value, "follow_symlinks", &ret->follow_symlinks, error))
                return false;
        ret->kind = VOLUME_STRATEGY_UNKNOWN;
        for (size_t i = VOLUME_STRATEGY_EMPTY; i < G_N_ELEMENTS(strategy_names); i++)
                if (type && strcmp(type, strategy_names[i]) == 0)
                        ret->kind = (VolumeStrategyKind) i;
        return true;
}

bool volume_request_from_value(const Value *value, VolumeRequest *ret, GError **error) {
        g_auto(VolumeRequest) request = { 0 };

        if (value_is_null(value) || !value_is(value, VALUE_MAP)) {
                g_set_error(error, ERROR, ERROR_INVALID, "a volume request is an object");
                return false;
        }
        if (!read_text(value, "handle", &request.handle, error) ||
            !read_strategy(value, &request.strategy, error) ||
            !read_properties(value, &request.properties, error) ||
            !read_bool(value, "privileged", &request.privileged, error) ||
            !read_id(value, "uid", &request.has_uid, &request.uid, error) ||
            !read_id(value, "gid", &request.has_gid, &request.gid, error))
                return false;
        *ret = request;
        request = (VolumeRequest){ 0 };
        return true;
}

bool volume_response_from_value(const Value *value, VolumeResponse *ret, GError **error) {
        g_auto(VolumeResponse) response = { 0 };

        if (!value_is(value, VALUE_MAP)) {
                g_set_error(error, ERROR, ERROR_PROTOCOL, "a volume is an object");
                return false;
        }
        if (!read_text(value, "handle", &response.handle, error) ||
            !read_text(value, "path", &response.path, error) ||
            !read_properties(value, &response.properties, error) ||
            !read_bool(value, "privileged", &response.privileged, error) ||
            !read_id(value, "uid", &response.has_uid, &response.uid, error) ||
            !read_id(value, "gid", &response.has_gid, &response.gid, error))
                return false;
        if (!response.handle || !response.path) {
                g_set_error(error, ERROR, ERROR_PROTOCOL, "a volume without handle or path");
                return false;
        }
        *ret = response;
        response = (VolumeResponse){ 0 };
        return true;
}

/* ---- writing: members in the order of upstream's structs ---- */

static Value *strategy_to_value(const VolumeStrategy *strategy) {
        Value *map = value_map();
        value_map_set_string(map, "type", strategy_names[strategy->kind]);
        if (strategy->kind == VOLUME_STRATEGY_COW)
                value_map_set_string(map, "volume", strategy->volume ? strategy->volume : "");
        if (strategy->kind == VOLUME_STRATEGY_IMPORT) {
                value_map_set_string(map, "path", strategy->path ? strategy->path : "");
                value_map_set_bool(map, "follow_symlinks", strategy->follow_symlinks);
        }
        return map;
}

static void set_properties(Value *map, const Value *properties) {
        value_map_set(map, "properties", properties ? value_ref(properties) : value_null());
}

Value *volume_request_to_value(const VolumeRequest *request) {
        Value *map = value_map();
        g_assert(request->strategy.kind != VOLUME_STRATEGY_UNKNOWN);
        value_map_set_string(map, "handle", request->handle ? request->handle : "");
        value_map_set(map, "strategy",
                      request->strategy.kind == VOLUME_STRATEGY_NONE
                              ? value_null()
                              : strategy_to_value(&request->strategy));
        set_properties(map, request->properties);
        value_map_set_bool_opt(map, "privileged", request->privileged);
        if (request->has_uid)
                value_map_set_int(map, "uid", request->uid);
        if (request->has_gid)
                value_map_set_int(map, "gid", request->gid);
        return map;
}

Value *volume_response_to_value(const VolumeResponse *response) {
        Value *map = value_map();
        value_map_set_string(map, "handle", response->handle);
        value_map_set_string(map, "path", response->path);
        set_properties(map, response->properties);
        value_map_set_bool(map, "privileged", response->privileged);
        if (response->has_uid)
                value_map_set_int(map, "uid", response->uid);
        if (response->has_gid)
                value_map_set_int(map, "gid", response->gid);
        return map;
}

void volume_request_clear(VolumeRequest *request) {
        g_free(request->handle);
        g_free(request->strategy.volume);
        g_free(request->strategy.path);
        value_free(request->properties);
        *request = (VolumeRequest){ 0 };
}

void volume_response_clear(VolumeResponse *response) {
        g_free(response->handle);
        g_free(response->path);
        value_free(response->properties);
        *response = (VolumeResponse){ 0 };
}

void volume_response_free(VolumeResponse *response) {
        if (!response)
                return;
        volume_response_clear(response);
        g_free(response);
}

/* ---- the small ones ---- */

const char *volume_encoding_name(VolumeEncoding encoding) {
        return encoding_names[encoding];
}

bool volume_encoding_parse(const char *name, VolumeEncoding *ret, GError **error) {
        for (size_t i = 0; name && i < G_N_ELEMENTS(encoding_names); i++)
                if (strcmp(name, encoding_names[i]) == 0) {
                        *ret = (VolumeEncoding) i;
                        return true;
                }
        g_set_error(error, ERROR, ERROR_INVALID, "unknown encoding '%s'", name ? name : "");
        return false;
}

static Value *single(const char *name, Value *item) {
        Value *map = value_map();
        value_map_set(map, name, item);
        return map;
}

Value *volume_property_to_value(const char *value) {
        return single("value", value_string(value));
}

const char *volume_property_from_value(const Value *body, GError **error) {
        const Value *value = member(body, "value");
        if (!value_is(body, VALUE_MAP) || !value_is(value, VALUE_STRING)) {
                g_set_error(error, ERROR, ERROR_INVALID, "a property is {\"value\": text}");
                return NULL;
        }
        return value_text(value);
}

Value *volume_privileged_to_value(bool privileged) {
        return single("value", value_bool(privileged));
}

bool volume_privileged_from_value(const Value *body, bool *ret, GError **error) {
        if (!value_is(body, VALUE_MAP)) {
                g_set_error(error, ERROR, ERROR_INVALID, "privileged is {\"value\": bool}");
                return false;
        }
        return read_bool(body, "value", ret, error);
}

Value *volume_future_to_value(const char *handle) {
        return single("handle", value_string(handle));
}

char *volume_future_from_value(const Value *value, GError **error) {
        const Value *handle = member(value, "handle");
        if (!value_is(handle, VALUE_STRING)) {
                g_set_error(error, ERROR, ERROR_PROTOCOL, "a future volume without handle");
                return NULL;
        }
        return g_strdup(value_text(handle));
}

Value *volume_error_to_value(const char *text) {
        return single("error", value_string(text));
}

const char *volume_error_from_value(const Value *body) {
        const Value *text = member(body, "error");
        return value_is(text, VALUE_STRING) ? value_text(text) : NULL;
}
