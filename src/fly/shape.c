#include "fly/shape.h"

#include "base/json.h"

static bool is_empty(const Value *value) {
        switch (value_kind(value)) {
        case VALUE_NULL:
                return true;
        case VALUE_BOOL:
                return !value_as_bool(value);
        case VALUE_NUMBER:
                return value_as_double(value) == 0;
        case VALUE_STRING:
                return value_text_length(value) == 0;
        case VALUE_LIST:
        case VALUE_MAP:
                break;
        }
        return value_length(value) == 0;
}

static Value *shaped(const Value *object, const Field *shape);

static Value *shaped_list(const Value *list, const Field *shape) {
        if (!value_is(list, VALUE_LIST))
                return value_null();
        Value *out = value_list();
        for (size_t i = 0; i < value_length(list); i++)
                value_list_add(out, shaped(value_at(list, i), shape));
        return out;
}

static Value *zero(FieldKind kind) {
        switch (kind) {
        case FIELD_STRING:
                return value_string("");
        case FIELD_NUMBER:
                return value_int(0);
        case FIELD_BOOL:
                return value_bool(false);
        case FIELD_TIME:
                return value_string("0001-01-01T00:00:00Z"); /* Go's zero time */
        default:
                return value_null();
        }
}

static Value *shaped_field(const Value *value, const Field *field) {
        if (value_is_null(value))
                return zero(field->kind);
        if (field->kind == FIELD_OBJECT)
                return shaped(value, field->shape);
        if (field->kind == FIELD_LIST)
                return shaped_list(value, field->shape);
        return field->kind == FIELD_MAP ? value_sorted(value) : value_copy(value);
}

static Value *shaped(const Value *object, const Field *shape) {
        if (!value_is(object, VALUE_MAP))
                return value_null();
        Value *out = value_map();
        for (; shape->name; shape++) {
                const Value *value = value_get(object, shape->name);
                /* As Go: an object that is there is not empty, whatever it holds. */
                bool empty = shape->kind == FIELD_OBJECT ? value_is_null(value) : is_empty(value);
                if (!shape->optional || !empty)
                        value_map_set(out, shape->name, shaped_field(value, shape));
        }
        return out;
}

Value *shape_object(const Value *object, const Field *shape) {
        return shaped(object, shape);
}

static void print_value(Value *value) {
        g_autoptr(Value) owned = value;
        g_autofree char *text = json_write(owned, JSON_INDENT, NULL);

        puts(text);
}

void print_json_list(const Value *list, const Field *shape) {
        print_value(shaped_list(list, shape));
}

void print_json_object(const Value *object, const Field *shape) {
        print_value(shaped(object, shape));
}

#define TEXT(name)                                                                                 \
        { name, FIELD_STRING, false, NULL }
#define TEXT_OPT(name)                                                                             \
        { name, FIELD_STRING, true, NULL }
#define NUMBER(name)                                                                               \
        { name, FIELD_NUMBER, false, NULL }
#define NUMBER_OPT(name)                                                                           \
        { name, FIELD_NUMBER, true, NULL }
#define BOOL(name)                                                                                 \
        { name, FIELD_BOOL, false, NULL }
#define BOOL_OPT(name)                                                                             \
        { name, FIELD_BOOL, true, NULL }
#define TIME(name)                                                                                 \
        { name, FIELD_TIME, false, NULL }
#define ANY(name)                                                                                  \
        { name, FIELD_ANY, false, NULL }
#define ANY_OPT(name)                                                                              \
        { name, FIELD_ANY, true, NULL }
#define MAP(name)                                                                                  \
        { name, FIELD_MAP, false, NULL }
#define MAP_OPT(name)                                                                              \
        { name, FIELD_MAP, true, NULL }
#define END                                                                                        \
        { NULL, FIELD_ANY, false, NULL }

static const Field rerun_of_shape[] = { NUMBER_OPT("id"), TEXT_OPT("name"), END };

const Field build_shape[] = {
        NUMBER("id"),
        TEXT("team_name"),
        TEXT("name"),
        TEXT("status"),
        TEXT("api_url"),
        TEXT_OPT("comment"),
        TEXT_OPT("job_name"),
        TEXT_OPT("resource_name"),
        NUMBER_OPT("pipeline_id"),
        TEXT_OPT("pipeline_name"),
        MAP_OPT("pipeline_instance_vars"),
        NUMBER_OPT("start_time"),
        NUMBER_OPT("end_time"),
        NUMBER_OPT("reap_time"),
        NUMBER_OPT("rerun_number"),
        { "rerun_of", FIELD_OBJECT, true, rerun_of_shape },
        TEXT_OPT("created_by"),
        END,
};

const Field pipeline_shape[] = {
        NUMBER("id"),
        TEXT("name"),
        MAP_OPT("instance_vars"),
        BOOL("paused"),
        TEXT_OPT("paused_by"),
        NUMBER_OPT("paused_at"),
        BOOL("public"),
        BOOL("archived"),
        ANY_OPT("groups"),
        TEXT("team_name"),
        ANY_OPT("display"),
        ANY_OPT("user_data"),
        NUMBER_OPT("parent_build_id"),
        NUMBER_OPT("parent_job_id"),
        NUMBER_OPT("last_updated"),
        END,
};

static const Field summary_shape[] = {
        NUMBER("id"),
        TEXT("name"),
        TEXT("status"),
        NUMBER_OPT("start_time"),
        NUMBER_OPT("end_time"),
        TEXT("team_name"),
        NUMBER("pipeline_id"),
        TEXT("pipeline_name"),
        MAP_OPT("pipeline_instance_vars"),
        TEXT_OPT("job_name"),
        ANY_OPT("plan"),
        END,
};

static const Field input_shape[] = {
        TEXT("name"), TEXT("resource"), BOOL("trigger"), ANY_OPT("passed"), MAP_OPT("version"), END,
};
static const Field output_shape[] = { TEXT("name"), TEXT("resource"), END };

const Field job_shape[] = {
        NUMBER("id"),
        TEXT("name"),
        TEXT("team_name"),
        NUMBER("pipeline_id"),
        TEXT("pipeline_name"),
        MAP_OPT("pipeline_instance_vars"),
        BOOL_OPT("paused"),
        TEXT_OPT("paused_by"),
        NUMBER_OPT("paused_at"),
        BOOL_OPT("has_new_inputs"),
        ANY_OPT("groups"),
        NUMBER_OPT("first_logged_build_id"),
        BOOL_OPT("disable_manual_trigger"),
        BOOL_OPT("disable_reruns"),
        { "next_build", FIELD_OBJECT, false, build_shape },
        { "finished_build", FIELD_OBJECT, false, build_shape },
        { "transition_build", FIELD_OBJECT, true, build_shape },
        { "inputs", FIELD_LIST, true, input_shape },
        { "outputs", FIELD_LIST, true, output_shape },
        END,
};

const Field resource_shape[] = {
        TEXT("name"),
        NUMBER("pipeline_id"),
        TEXT("pipeline_name"),
        MAP_OPT("pipeline_instance_vars"),
        TEXT("team_name"),
        TEXT("type"),
        NUMBER_OPT("last_checked"),
        TEXT_OPT("icon"),
        MAP_OPT("pinned_version"),
        BOOL_OPT("pinned_in_config"),
        TEXT_OPT("pin_comment"),
        { "build", FIELD_OBJECT, true, summary_shape },
        END,
};

static const Field metadata_shape[] = { TEXT("name"), TEXT("value"), END };

const Field version_shape[] = {
        NUMBER("id"),
        { "metadata", FIELD_LIST, true, metadata_shape },
        MAP("version"),
        BOOL("enabled"),
        END,
};

const Field container_shape[] = {
        TEXT("id"),
        TEXT("worker_name"),
        TEXT_OPT("state"),
        TEXT_OPT("type"),
        TEXT_OPT("step_name"),
        TEXT_OPT("attempt"),
        NUMBER_OPT("pipeline_id"),
        NUMBER_OPT("job_id"),
        NUMBER_OPT("build_id"),
        NUMBER_OPT("resource_id"),
        NUMBER_OPT("resource_type_id"),
        TEXT_OPT("pipeline_name"),
        MAP_OPT("pipeline_instance_vars"),
        TEXT_OPT("job_name"),
        TEXT_OPT("build_name"),
        TEXT_OPT("resource_name"),
        TEXT_OPT("resource_type_name"),
        TEXT_OPT("user"),
        TEXT_OPT("working_directory"),
        TEXT_OPT("expires_in"),
        END,
};

static const Field base_type_shape[] = { TEXT("name"), TEXT("version"), END };
static const Field volume_type_shape[] = {
        { "resource_type", FIELD_OBJECT, false, volume_type_shape },
        { "base_resource_type", FIELD_OBJECT, false, base_type_shape },
        MAP("version"),
        END,
};

const Field volume_shape[] = {
        TEXT("id"),
        TEXT("worker_name"),
        TEXT("type"),
        TEXT("container_handle"),
        TEXT("path"),
        TEXT("parent_handle"),
        { "resource_type", FIELD_OBJECT, false, volume_type_shape },
        { "base_resource_type", FIELD_OBJECT, false, base_type_shape },
        NUMBER("pipeline_id"),
        TEXT("pipeline_name"),
        MAP("pipeline_instance_vars"),
        TEXT("job_name"),
        TEXT("step_name"),
        END,
};

static const Field worker_type_shape[] = {
        TEXT("type"),
        TEXT("image"),
        TEXT("version"),
        BOOL("privileged"),
        BOOL("unique_version_history"),
        END,
};

const Field worker_shape[] = {
        TEXT("addr"),
        TEXT("baggageclaim_url"),
        TEXT_OPT("certs_path"),
        TEXT_OPT("http_proxy_url"),
        TEXT_OPT("https_proxy_url"),
        TEXT_OPT("no_proxy"),
        NUMBER("active_containers"),
        NUMBER("active_volumes"),
        NUMBER("active_tasks"),
        NUMBER("max_active_tasks"),
        { "resource_types", FIELD_LIST, false, worker_type_shape },
        TEXT("platform"),
        ANY("tags"),
        TEXT("team"),
        TEXT("name"),
        TEXT("version"),
        NUMBER("start_time"),
        BOOL("ephemeral"),
        TEXT("state"),
        END,
};

const Field team_shape[] = { NUMBER_OPT("id"), TEXT_OPT("name"), MAP_OPT("auth"), END };

const Field user_info_shape[] = {
        TEXT("sub"),
        TEXT("name"),
        TEXT("user_id"),
        TEXT("user_name"),
        TEXT("email"),
        BOOL("is_admin"),
        BOOL("is_system"),
        MAP("teams"),
        TEXT("connector"),
        TEXT("display_user_id"),
        END,
};

const Field user_shape[] = {
        NUMBER_OPT("id"),         TEXT_OPT("username"), TEXT_OPT("connector"),
        NUMBER_OPT("last_login"), TEXT_OPT("sub"),      END,
};

const Field component_shape[] = {
        TEXT("name"), NUMBER("interval"), TIME("last_ran"), BOOL("paused"), END,
};

static const Field health_database_shape[] = { TEXT("status"), TEXT_OPT("error"), END };
static const Field health_workers_shape[] = {
        TEXT("status"), NUMBER("total"), NUMBER("running"), ANY_OPT("unhealthy_workers"), END,
};
static const Field health_component_shape[] = {
        TEXT("name"), TEXT("status"), BOOL("paused"), TIME("last_ran"), END,
};

const Field health_shape[] = {
        TEXT("status"),
        TIME("timestamp"),
        { "database", FIELD_OBJECT, false, health_database_shape },
        { "workers", FIELD_OBJECT, false, health_workers_shape },
        { "components", FIELD_LIST, false, health_component_shape },
        END,
};
