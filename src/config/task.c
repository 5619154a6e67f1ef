#include "config/task.h"

#include <stddef.h>
#include <string.h>

#include "base/json.h"
#include "base/yaml.h"
#include "config/go_text.h"
#include "config/records.h"

/* ---- environment ---- */

/* Text for any value, as reference 03 §3.7 has it. Returns new. */
static Value *environment_text(const Value *value) {
        switch (value_kind(value)) {
        case VALUE_NULL:
                return value_string("");
        case VALUE_STRING:
                return value_ref(value);
        case VALUE_NUMBER:
                return value_string(value_text(value));
        default: {
                g_autofree char *json = json_write(value, JSON_SORTED, NULL);
                return value_string(json);
        }
        }
}

static Value *environment_read(const Value *map) {
        Value *environment = value_map();
        g_autoptr(Value) sorted = value_sorted(map);
        for (size_t i = 0; i < value_length(sorted); i++)
                value_map_set_sized(environment, value_key_at(sorted, i),
                                    value_key_length_at(sorted, i),
                                    environment_text(value_at(sorted, i)));
        return environment;
}

Value *task_params_coerce(const Value *value, GError **error) {
        if (value_is_null(value) || value_is(value, VALUE_MAP))
                return environment_read(value);
        g_set_error(error, ERROR, ERROR_INVALID,
                    "json: cannot unmarshal %s into Go value of type atc.TaskEnv",
                    value_json_kind(value));
        return NULL;
}

static void environment_clear(const Field *field, void *data) {
        g_clear_pointer((Value **) data, value_free);
}

static void environment_decode(Decoder *decoder, const Field *field, const Value *value,
                               void *data) {
        environment_clear(field, data);
        if (value_is(value, VALUE_MAP))
                *(Value **) data = environment_read(value);
        else if (!value_is_null(value))
                decoder_fail_type(decoder, value, "map[string]atc.CoercedString");
}

static Value *environment_encode(const Field *field, const void *data) {
        const Value *value = *(Value *const *) data;
        return value_length(value) > 0 ? value_ref(value) : NULL;
}

const Codec codec_environment = { environment_decode, environment_encode, environment_clear, NULL };

/* ---- tables ---- */

#define F(struct_, member_) offsetof(struct_, member_)

static const Field image_fields[] = {
        { "name", F(ImageResourceConfig, name), &codec_text, FIELD_ALWAYS },
        { "type", F(ImageResourceConfig, type), &codec_text, FIELD_ALWAYS },
        { "source", F(ImageResourceConfig, source), &codec_map, FIELD_ALWAYS, "atc.Source" },
        { "version", F(ImageResourceConfig, version), &codec_text_map, 0, "atc.Version" },
        { "params", F(ImageResourceConfig, params), &codec_map, 0, "atc.Params" },
        { "tags", F(ImageResourceConfig, tags), &codec_tags },
};
static const Record record_image = RECORD("ImageResource", "atc.ImageResource", ImageResourceConfig,
                                          image_fields);

static const Field run_fields[] = {
        { "path", F(TaskRunConfig, path), &codec_text, FIELD_ALWAYS },
        { "args", F(TaskRunConfig, args), &codec_texts },
        { "dir", F(TaskRunConfig, dir), &codec_text },
        { "user", F(TaskRunConfig, user), &codec_text },
};

static const Record record_run_table = RECORD("TaskRunConfig", "atc.TaskRunConfig", TaskRunConfig,
                                              run_fields);

static const Field input_fields[] = {
        { "name", F(TaskInputConfig, name), &codec_text, FIELD_ALWAYS },
        { "path", F(TaskInputConfig, path), &codec_text },
        { "optional", F(TaskInputConfig, optional), &codec_bool },
};
static const Record record_input = RECORD("TaskInputConfig", "atc.TaskInputConfig", TaskInputConfig,
                                          input_fields);

static const Field output_fields[] = {
        { "name", F(TaskOutputConfig, name), &codec_text, FIELD_ALWAYS },
        { "path", F(TaskOutputConfig, path), &codec_text },
};
static const Record record_output = RECORD("TaskOutputConfig", "atc.TaskOutputConfig",
                                           TaskOutputConfig, output_fields);

static const Field cache_fields[] = {
        { "path", F(TaskCacheConfig, path), &codec_text },
        { "ttl", F(TaskCacheConfig, ttl), &codec_text },
};
static const Record record_cache_table = RECORD("alias", "atc.alias", TaskCacheConfig,
                                                cache_fields);

static void cache_decode(Decoder *decoder, const Value *value, void *record) {
        const TaskCacheConfig *cache = record;
        if (value_is_null(value))
                return;
        record_decode(decoder, &record_cache_table, value, record);
        if (decoder->failed || !*cache->ttl)
                return;
        g_autoptr(GError) error = NULL;
        Duration ttl;
        if (!duration_parse(cache->ttl, &ttl, &error)) {
                g_autofree char *reason = duration_error_text(cache->ttl);
                decoder_fail(decoder, "invalid cache ttl '%s': %s", cache->ttl, reason);
        } else if (ttl < DURATION_SECOND) {
                decoder_fail(decoder, "cache ttl must be at least 1s, got '%s'", cache->ttl);
        }
}

static const Record record_cache = {
        .name = "alias",
        .type = "atc.alias",
        .size = sizeof(TaskCacheConfig),
        .fields = cache_fields,
        .field_count = G_N_ELEMENTS(cache_fields),
        .flags = FIELD_OPAQUE,
        .decode = cache_decode,
};

/* run is left out when all of it is zero. */
static Value *run_encode(const Field *field, const void *data) {
        const TaskRunConfig *run = data;
        bool zero = !*run->path && !run->args && !*run->dir && !*run->user;
        return zero ? NULL : record_encode(&record_run_table, run);
}

static void run_decode(Decoder *decoder, const Field *field, const Value *value, void *data) {
        codec_record.decode(decoder, field, value, data);
}

static void run_clear(const Field *field, void *data) {
        codec_record.clear(field, data);
}

static void run_init(const Field *field, void *data) {
        codec_record.init(field, data);
}

static const Codec codec_run = { run_decode, run_encode, run_clear, run_init };

static const Field task_fields[] = {
        { "platform", F(TaskConfig, platform), &codec_text },
        { "rootfs_uri", F(TaskConfig, rootfs_uri), &codec_text },
        { "image_resource", F(TaskConfig, image_resource), &codec_pointer, 0, NULL, &record_image },
        { "container_limits", F(TaskConfig, container_limits), &codec_pointer, 0, NULL,
          &record_container_limits },
        { "params", F(TaskConfig, params), &codec_environment },
        { "run", F(TaskConfig, run), &codec_run, 0, NULL, &record_run_table },
        { "inputs", F(TaskConfig, inputs), &codec_records, 0, "[]atc.TaskInputConfig",
          &record_input },
        { "outputs", F(TaskConfig, outputs), &codec_records, 0, "[]atc.TaskOutputConfig",
          &record_output },
        { "caches", F(TaskConfig, caches), &codec_records, 0, "[]atc.TaskCacheConfig",
          &record_cache },
};
static const Record record_task_table = RECORD("target", "atc.target", TaskConfig, task_fields);

static void task_decode(Decoder *decoder, const Value *value, void *record) {
        TaskConfig *config = record;
        if (value_is_null(value))
                return;
        if (!value_is(value, VALUE_MAP)) {
                decoder_fail_type(decoder, value, "map[string]*json.RawMessage");
                return;
        }
        bool coerce = decoder->coerce, strict = decoder->strict;
        decoder->coerce = decoder->strict = false;
        record_decode(decoder, &record_task_table, value, record);
        decoder->coerce = coerce;
        decoder->strict = strict;

        g_autoptr(Value) sorted = value_sorted(value);
        for (size_t i = 0; i < value_length(sorted); i++) {
                const char *key = value_key_at(sorted, i);
                const Field *field = record_field(&record_task_table, key);
                if (field && g_str_equal(field->key, key))
                        continue;
                if (!config->unknown)
                        config->unknown = value_map();
                value_map_set(config->unknown, key, value_ref(value_at(sorted, i)));
        }
}

static void task_clear(void *record) {
        TaskConfig *config = record;
        g_clear_pointer(&config->unknown, value_free);
}

const Record record_task_config = {
        .name = "TaskConfig",
        .type = "atc.TaskConfig",
        .size = sizeof(TaskConfig),
        .fields = task_fields,
        .field_count = G_N_ELEMENTS(task_fields),
        .flags = FIELD_OPAQUE,
        .decode = task_decode,
        .clear = task_clear,
};

/* ---- whole configs ---- */

TaskConfig *task_config_from_value(const Value *value, GError **error) {
        return record_from_value(&record_task_config, value, false, false, error);
}

Value *task_config_to_value(const TaskConfig *config) {
        return record_encode(&record_task_config, config);
}

TaskConfig *task_config_copy(const TaskConfig *config) {
        g_autoptr(Value) value = task_config_to_value(config);
        g_autoptr(GError) error = NULL;
        TaskConfig *copy = task_config_from_value(value, &error);
        g_assert_no_error(error);
        if (config->unknown)
                copy->unknown = value_ref(config->unknown);
        return copy;
}

void task_config_free(TaskConfig *config) {
        record_free(&record_task_config, config);
}

static bool refuse_unknown(const TaskConfig *config, GError **error) {
        if (!config->unknown)
                return true;
        g_autoptr(GString) names = g_string_new(NULL);
        for (size_t i = 0; i < value_length(config->unknown); i++)
                g_string_append_printf(names, "%s%s", i > 0 ? " " : "",
                                       value_key_at(config->unknown, i));
        g_set_error(error, ERROR, ERROR_INVALID, "unknown fields: [%s]", names->str);
        return false;
}

TaskConfig *task_config_parse(const char *text, size_t length, GError **error) {
        g_autoptr(GError) cause = NULL;
        g_autoptr(Value) value = yaml_parse(text, length, NULL, YAML_DEFAULT, &cause);
        if (!value) {
                g_propagate_error(error, g_steal_pointer(&cause));
                return NULL;
        }
        g_autoptr(TaskConfig) config = task_config_from_value(value, error);
        if (!config) {
                g_prefix_error(error, "error unmarshaling JSON: while decoding JSON: ");
                return NULL;
        }
        if (!refuse_unknown(config, error) || !task_config_validate(config, error))
                return NULL;
        return g_steal_pointer(&config);
}

GPtrArray *task_config_faults(const TaskConfig *config) {
        GPtrArray *faults = g_ptr_array_new_with_free_func(g_free);
        if (!*config->platform)
                g_ptr_array_add(faults, g_strdup("missing 'platform'"));
        for (size_t i = 0; config->inputs && i < config->inputs->len; i++) {
                const TaskInputConfig *input = g_ptr_array_index(config->inputs, i);
                if (!*input->name)
                        g_ptr_array_add(
                                faults,
                                g_strdup_printf("  input in position %zu is missing a name", i));
        }
        for (size_t i = 0; config->outputs && i < config->outputs->len; i++) {
                const TaskOutputConfig *output = g_ptr_array_index(config->outputs, i);
                if (!*output->name)
                        g_ptr_array_add(
                                faults,
                                g_strdup_printf("  output in position %zu is missing a name", i));
        }
        return faults;
}

bool task_config_validate(const TaskConfig *config, GError **error) {
        g_autoptr(GPtrArray) faults = task_config_faults(config);
        if (faults->len == 0)
                return true;
        g_autoptr(GString) text = g_string_new("invalid task configuration:");
        for (size_t i = 0; i < faults->len; i++)
                g_string_append_printf(text, "\n%s", (const char *) g_ptr_array_index(faults, i));
        g_set_error_literal(error, ERROR, ERROR_INVALID, text->str);
        return false;
}

/* ---- putting step and file together ---- */

Value *source_merge(const Value *defaults, const Value *over) {
        if (!over && !defaults)
                return NULL;
        g_autoptr(Value) merged = value_map();
        const Value *const layers[] = { defaults, over };
        for (size_t layer = 0; layer < G_N_ELEMENTS(layers); layer++)
                for (size_t i = 0; i < value_length(layers[layer]); i++)
                        value_map_set_sized(merged, value_key_at(layers[layer], i),
                                            value_key_length_at(layers[layer], i),
                                            value_ref(value_at(layers[layer], i)));
        return value_sorted(merged);
}

void task_config_override(TaskConfig *config, const ContainerLimits *limits, const Value *params) {
        if (limits) {
                if (!config->container_limits)
                        config->container_limits = g_new0(ContainerLimits, 1);
                if (limits->has_cpu) {
                        config->container_limits->has_cpu = true;
                        config->container_limits->cpu = limits->cpu;
                }
                if (limits->has_memory) {
                        config->container_limits->has_memory = true;
                        config->container_limits->memory = limits->memory;
                }
        }
        if (value_length(params) > 0) {
                Value *merged = source_merge(config->params, params);
                value_free(config->params);
                config->params = merged;
        }
}

void task_config_default_limits(TaskConfig *config, uint64_t cpu, uint64_t memory) {
        if (cpu == 0 && memory == 0)
                return;
        if (!config->container_limits)
                config->container_limits = g_new0(ContainerLimits, 1);
        ContainerLimits *limits = config->container_limits;
        if (cpu > 0 && !limits->has_cpu) {
                limits->has_cpu = true;
                limits->cpu = cpu;
        }
        if (memory > 0 && !limits->has_memory) {
                limits->has_memory = true;
                limits->memory = memory;
        }
}

void task_config_image_defaults(TaskConfig *config, const Value *defaults) {
        ImageResourceConfig *image = config->image_resource;
        if (!image || !defaults)
                return;
        Value *merged = source_merge(defaults, image->source);
        value_free(image->source);
        image->source = merged;
}

char *task_path(const char *working_directory, const char *path) {
        if (g_path_is_absolute(path))
                return g_canonicalize_filename(path, "/");
        g_auto(GStrv) parts = g_strsplit(path, "..", -1);
        g_autofree char *harmless = g_strjoinv("", parts);
        g_autofree char *joined = g_build_path("/", working_directory, harmless, NULL);
        return g_canonicalize_filename(joined, "/");
}
