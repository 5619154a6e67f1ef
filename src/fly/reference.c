#include "fly/reference.h"

#include "base/yaml.h"
#include "config/instance_vars.h"
#include "config/vars.h"

#include <string.h>

void pipeline_ref_clear(PipelineRef *ref) {
        g_clear_pointer(&ref->name, g_free);
        g_clear_pointer(&ref->vars, value_free);
}

void item_ref_clear(ItemRef *ref) {
        pipeline_ref_clear(&ref->pipeline);
        g_clear_pointer(&ref->name, g_free);
}

/* ---- instance vars ---- */

/* Where the first ':' outside double quotes stands; NULL: nowhere. */
static const char *key_end(const char *text) {
        bool quoted = false;

        for (; *text; text++)
                if (*text == '"')
                        quoted = !quoted;
                else if (*text == ':' && !quoted)
                        return text;
        return NULL;
}

/* Where the value ends: at a comma outside quotes and brackets, or at the end. */
static const char *value_end(const char *text) {
        char quote = 0;
        int depth = 0;

        for (; *text; text++) {
                if (quote) {
                        if (*text == quote)
                                quote = 0;
                        continue;
                }
                if (*text == '"' || *text == '\'')
                        quote = *text;
                else if (*text == '{' || *text == '[')
                        depth++;
                else if (*text == '}' || *text == ']')
                        depth--;
                else if (*text == ',' && depth <= 0)
                        return text;
        }
        return text;
}

static bool add_instance_var(Value *vars, const char *key, const char *text, GError **error) {
        g_autofree char *trimmed = g_strstrip(g_strdup(key));
        g_autoptr(VarReference) reference = var_reference_parse(trimmed, error);

        if (!reference)
                return false;
        Value *value = yaml_parse(text, strlen(text), NULL, YAML_DEFAULT, error);
        if (!value) {
                g_prefix_error(error, "invalid value for key '%s': ", trimmed);
                return false;
        }
        static_vars_set(vars, reference, value);
        return true;
}

Value *instance_vars_parse(const char *text, GError **error) {
        g_autoptr(Value) vars = value_map();

        for (const char *at = text; at;) {
                const char *colon = key_end(at);
                if (!colon) {
                        fly_fail(error, "instance vars should be formatted as "
                                        "<key1:value1>(,<key2:value2>)");
                        return NULL;
                }
                const char *end = value_end(colon + 1);
                g_autofree char *key = g_strndup(at, (size_t) (colon - at));
                g_autofree char *value = g_strndup(colon + 1, (size_t) (end - colon - 1));
                if (!add_instance_var(vars, key, value, error))
                        return NULL;
                at = *end ? end + 1 : NULL;
        }
        return g_steal_pointer(&vars);
}

/* ---- references ---- */

static bool bad_argument(const char *flag, const char *type, const GError *cause, GError **error) {
        return fly_fail(error, "invalid argument for flag `%s' (expected %s): %s", flag, type,
                        cause->message);
}

static bool pipeline_part(const char *text, PipelineRef *ret, GError **error) {
        const char *slash = strchr(text, '/');
        g_auto(PipelineRef) ref = { 0 };

        ref.name = slash ? g_strndup(text, (size_t) (slash - text)) : g_strdup(text);
        if (slash && !(ref.vars = instance_vars_parse(slash + 1, error)))
                return false;
        *ret = (PipelineRef){ g_steal_pointer(&ref.name), g_steal_pointer(&ref.vars) };
        return true;
}

bool pipeline_ref_parse(const char *text, const char *flag, PipelineRef *ret, GError **error) {
        g_autoptr(GError) cause = NULL;

        if (!pipeline_part(text, ret, &cause))
                return bad_argument(flag, "flaghelpers.PipelineFlag", cause, error);
        if (!*ret->name) {
                pipeline_ref_clear(ret);
                return fly_fail(error, "pipeline: identifier cannot be an empty string");
        }
        return true;
}

bool item_ref_parse(const char *text, ItemKind kind, const char *flag, ItemRef *ret,
                    GError **error) {
        static const struct {
                const char *type, *format;
        } kinds[] = {
                [ITEM_JOB] = { "flaghelpers.JobFlag",
                               "argument format should be <pipeline>/<job>" },
                [ITEM_RESOURCE] = { "flaghelpers.ResourceFlag",
                                    "argument format should be <pipeline>/<resource>" },
        };
        g_autoptr(GError) cause = NULL;
        const char *slash = strrchr(text, '/');
        g_autofree char *left = slash ? g_strndup(text, (size_t) (slash - text)) : NULL;

        if (!left || !slash[1])
                fly_fail(&cause, "%s", kinds[kind].format);
        else if (pipeline_part(left, &ret->pipeline, &cause)) {
                ret->name = g_strdup(slash + 1);
                return true;
        }
        return bad_argument(flag, kinds[kind].type, cause, error);
}

char *pipeline_ref_format(const PipelineRef *ref) {
        return pipeline_reference_format(ref->name, ref->vars);
}

char *item_ref_format(const ItemRef *ref) {
        g_autofree char *pipeline = pipeline_ref_format(&ref->pipeline);

        return g_strdup_printf("%s/%s", pipeline, ref->name);
}

char *pipeline_ref_of(const Value *object, const char *name_key, const char *vars_key) {
        return pipeline_reference_format(value_get_string(object, name_key, ""),
                                         value_get(object, vars_key));
}
