#include "resources/strict.h"

typedef struct {
        const char *type; /* of the struct that holds the field */
        GString *path;    /* "source.metadata" */
} Place;

const char *strict_kind_word(const Value *value) {
        static const char *const words[] = {
                [VALUE_NULL] = "null",     [VALUE_BOOL] = "bool",  [VALUE_NUMBER] = "number",
                [VALUE_STRING] = "string", [VALUE_LIST] = "array", [VALUE_MAP] = "object",
        };
        return words[value_kind(value)];
}

static ValueKind kind_wanted(const StrictField *field) {
        static const ValueKind kinds[] = {
                [FIELD_BOOL] = VALUE_BOOL,    [FIELD_STRING] = VALUE_STRING,
                [FIELD_TEXT] = VALUE_STRING,  [FIELD_STRINGS] = VALUE_LIST,
                [FIELD_ANYTHING] = VALUE_MAP, [FIELD_OBJECT] = VALUE_MAP,
                [FIELD_OBJECTS] = VALUE_LIST,
        };
        return kinds[field->kind];
}

static const char *type_name(const StrictField *field) {
        static const char *const names[] = {
                [FIELD_BOOL] = "bool",
                [FIELD_STRING] = "string",
                [FIELD_TEXT] = "string",
                [FIELD_STRINGS] = "[]string",
                [FIELD_ANYTHING] = "map[string]interface {}",
        };
        return field->type ? field->type : names[field->kind];
}

static const StrictField *field_find(const StrictField *fields, const char *name) {
        for (const StrictField *field = fields; field->name; field++)
                if (g_str_equal(field->name, name))
                        return field;
        for (const StrictField *field = fields; field->name; field++)
                if (g_ascii_strcasecmp(field->name, name) == 0)
                        return field;
        return NULL;
}

static Value *decode_object(const Value *given, Place place, const StrictField *fields,
                            GError **error);

static Value *decode_objects(const Value *given, Place place, const StrictField *field,
                             GError **error) {
        g_autoptr(Value) list = value_list();
        for (size_t i = 0; i < value_length(given); i++) {
                const Value *item = value_at(given, i);
                if (!value_is_null(item) && !value_is(item, VALUE_MAP)) {
                        g_set_error(
                                error, ERROR, ERROR_INVALID,
                                "json: cannot unmarshal %s into Go struct field %s.%s of type %s",
                                strict_kind_word(item), place.type, place.path->str, field->type);
                        return NULL;
                }
                Place inner = { .type = field->type, .path = place.path };
                Value *decoded = decode_object(item, inner, field->fields, error);
                if (!decoded)
                        return NULL;
                value_list_add(list, decoded);
        }
        return g_steal_pointer(&list);
}

static Value *decode_strings(const Value *given, Place place, GError **error) {
        for (size_t i = 0; i < value_length(given); i++)
                if (!value_is(value_at(given, i), VALUE_STRING)) {
                        g_set_error(
                                error, ERROR, ERROR_INVALID,
                                "json: cannot unmarshal %s into Go struct field %s.%s of type string",
                                strict_kind_word(value_at(given, i)), place.type, place.path->str);
                        return NULL;
                }
        return value_ref(given);
}

static Value *decode_field(const Value *given, Place place, const StrictField *field,
                           GError **error) {
        if (field->kind == FIELD_TEXT && value_is(given, VALUE_NUMBER))
                return value_string(value_text(given));
        if (!value_is(given, kind_wanted(field))) {
                g_set_error(error, ERROR, ERROR_INVALID,
                            "json: cannot unmarshal %s into Go struct field %s.%s of type %s",
                            strict_kind_word(given), place.type, place.path->str, type_name(field));
                return NULL;
        }
        Place inner = { .type = field->type, .path = place.path };
        if (field->kind == FIELD_OBJECT)
                return decode_object(given, inner, field->fields, error);
        if (field->kind == FIELD_OBJECTS)
                return decode_objects(given, place, field, error);
        if (field->kind == FIELD_STRINGS)
                return decode_strings(given, place, error);
        return value_ref(given);
}

static Value *decode_object(const Value *given, Place place, const StrictField *fields,
                            GError **error) {
        g_autoptr(Value) map = value_map();
        size_t length = place.path->len;
        for (size_t i = 0; i < value_length(given); i++) {
                const char *key = value_key_at(given, i);
                const Value *item = value_at(given, i);
                const StrictField *field = field_find(fields, key);
                if (!field) {
                        g_set_error(error, ERROR, ERROR_INVALID, "json: unknown field \"%s\"", key);
                        return NULL;
                }
                if (value_is_null(item))
                        continue;
                g_string_append_printf(place.path, "%s%s", length > 0 ? "." : "", field->name);
                Value *decoded = decode_field(item, place, field, error);
                g_string_truncate(place.path, length);
                if (!decoded)
                        return NULL;
                value_map_set(map, field->name, decoded);
        }
        return g_steal_pointer(&map);
}

Value *strict_decode(const Value *given, const char *type, const StrictField *fields,
                     GError **error) {
        if (!value_is_null(given) && !value_is(given, VALUE_MAP)) {
                g_set_error(error, ERROR, ERROR_INVALID,
                            "json: cannot unmarshal %s into Go value of type main.%s",
                            strict_kind_word(given), type);
                return NULL;
        }
        g_autoptr(GString) path = g_string_new(NULL);
        return decode_object(given, (Place){ .type = type, .path = path }, fields, error);
}

Value *strict_request(const Value *given, StrictRole role, const StrictRequest *parts,
                      GError **error) {
        const StrictField source = { "source", FIELD_OBJECT, "Source", parts->source };
        const StrictField version = { "version", FIELD_OBJECT, "Version", parts->version };
        const StrictField get = { "params", FIELD_OBJECT, "GetParams", parts->get_params };
        const StrictField put = { "params", FIELD_OBJECT, "PutParams", parts->put_params };
        const struct {
                const char *type;
                StrictField fields[4];
        } requests[] = {
                [STRICT_CHECK] = { "CheckRequest", { source, version } },
                [STRICT_IN] = { "InRequest", { source, version, get } },
                [STRICT_OUT] = { "OutRequest", { source, put } },
        };
        Value *request = strict_decode(given, requests[role].type, requests[role].fields, error);
        if (!request)
                g_prefix_error(error, "invalid payload: ");
        return request;
}
