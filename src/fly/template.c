#include "fly/template.h"

#include "base/files.h"
#include "base/yaml.h"
#include "config/vars.h"
#include "fly/table.h"

#include <glob.h>
#include <string.h>
#include <sys/stat.h>

#define TEMPLATE_MAX ((size_t) 16 * 1024 * 1024)
#define SCHEMA_LINK                                                                                \
        "identifier schema documentation: "                                                        \
        "https://concourse-ci.org/config-basics.html#schema.identifier\n\n"

/* ---- paths ---- */

static bool path_expand(const char *text, char **ret, GError **error) {
        glob_t matches = { 0 };
        bool good = glob(text, 0, NULL, &matches) == 0 && matches.gl_pathc == 1;

        if (good)
                *ret = g_strdup(matches.gl_pathv[0]);
        else if (matches.gl_pathc > 1) {
                g_autofree char *all = g_strjoinv(", ", matches.gl_pathv);
                fly_fail(error, "path '%s' resolves to multiple entries: %s", text, all);
        } else
                fly_fail(error, "path '%s' does not exist", text);
        globfree(&matches);
        return good;
}

char *path_argument(const char *text, const char *flag, const char *type, GError **error) {
        g_autoptr(GError) cause = NULL;
        char *path = NULL;

        if (g_str_equal(text, "-"))
                return g_strdup("/dev/stdin");
        if (path_expand(text, &path, &cause))
                return path;
        if (flag)
                fly_fail(error, "invalid argument for flag `%s' (expected %s): %s", flag, type,
                         cause->message);
        else
                g_propagate_error(error, g_steal_pointer(&cause));
        return NULL;
}

char *config_read(const char *path, size_t *ret_length, GError **error) {
        g_autoptr(GError) cause = NULL;
        char *text = file_read(path, TEMPLATE_MAX, ret_length, &cause);

        if (!text) {
                char *reason = strrchr(cause->message, ':');
                if (reason && reason[1] == ' ')
                        reason[2] = g_ascii_tolower(reason[2]);
                g_propagate_error(error, g_steal_pointer(&cause));
        }
        return text;
}

/* ---- variables ---- */

static bool add_pair(Value *map, const char *pair, bool yaml, GError **error) {
        const char *equals = strchr(pair, '=');

        if (!equals)
                return fly_fail(error, "invalid variable pair '%s' (must be name=value)", pair);
        g_autofree char *name = g_strndup(pair, (size_t) (equals - pair));
        g_autoptr(VarReference) reference = var_reference_parse(name, error);
        if (!reference)
                return false;
        Value *value = yaml ? yaml_parse(equals + 1, strlen(equals + 1), NULL, YAML_DEFAULT, error)
                            : value_string(equals + 1);
        if (!value)
                return false;
        static_vars_set(map, reference, value);
        return true;
}

bool template_add_pairs(Value *map, const GPtrArray *pairs, bool yaml, const char *flag,
                        GError **error) {
        for (size_t i = 0; pairs && i < pairs->len; i++) {
                g_autoptr(GError) cause = NULL;
                if (!add_pair(map, pairs->pdata[i], yaml, &cause))
                        return fly_fail(error,
                                        "invalid argument for flag `%s' (expected "
                                        "[]flaghelpers.%sVariablePairFlag): %s",
                                        flag, yaml ? "YAML" : "", cause->message);
        }
        return true;
}

/* Go decodes a file into a map: nothing is an empty one, anything else is told by what it is. */
static bool is_map_of_vars(const char *path, const Value *value, GError **error) {
        static const char *const kinds[] = {
                [VALUE_NULL] = NULL,       [VALUE_BOOL] = "bool",  [VALUE_NUMBER] = "number",
                [VALUE_STRING] = "string", [VALUE_LIST] = "array", [VALUE_MAP] = NULL,
        };
        const char *kind = kinds[value_kind(value)];

        return !kind || fly_fail(error,
                                 "could not unmarshal template variables (%s): error unmarshaling "
                                 "JSON: while decoding JSON: json: cannot unmarshal %s into Go "
                                 "value of type vars.StaticVariables",
                                 path, kind);
}

static bool read_vars_file(const char *path, GPtrArray *files, GError **error) {
        g_autoptr(GError) cause = NULL;
        size_t length;
        g_autofree char *text = config_read(path, &length, &cause);

        if (!text)
                return fly_fail(error, "could not read template variables file (%s): %s", path,
                                cause->message);
        Value *value = yaml_parse(text, length, NULL, YAML_DEFAULT, &cause);
        if (!value)
                return fly_fail(error, "could not unmarshal template variables (%s): %s", path,
                                cause->message);
        g_ptr_array_insert(files, 0, value);
        return is_map_of_vars(path, value, error);
}

static void lay_over(Value *map, const Value *over) {
        for (size_t i = 0; i < value_length(over); i++)
                value_map_set(map, value_key_at(over, i), value_copy(value_at(over, i)));
}

static bool gather(const TemplateSpec *spec, Value *flags, GPtrArray *files, GError **error) {
        if (!template_add_pairs(flags, spec->vars, false, "-v, --var", error) ||
            !template_add_pairs(flags, spec->yaml_vars, true, "-y, --yaml-var", error))
                return false;
        lay_over(flags, spec->instance_vars);
        for (size_t i = 0; spec->files && i < spec->files->len; i++) {
                g_autofree char *path = path_argument(spec->files->pdata[i], "-l, --load-vars-from",
                                                      "[]atc.PathFlag", error);
                if (!path || !read_vars_file(path, files, error))
                        return false;
        }
        return true;
}

/* ---- evaluation ---- */

static void free_value(void *value) {
        value_free(value);
}

static Value *interpolate(const Value *value, const Value *flags, const GPtrArray *files,
                          GError **error) {
        const size_t count = files->len + 1;
        g_autofree StaticVars *maps = g_new0(StaticVars, count);
        g_autofree Vars *sources = g_new0(Vars, count);
        g_autoptr(GPtrArray) list = g_ptr_array_new();

        for (size_t i = 0; i < count; i++) {
                maps[i] = (StaticVars){ i == 0 ? flags : files->pdata[i - 1], i > 0 };
                sources[i] = (Vars){ static_vars_lookup, &maps[i] };
                g_ptr_array_add(list, &sources[i]);
        }
        g_ptr_array_add(list, NULL);
        const Vars all = { multi_vars_lookup, list->pdata };
        return vars_interpolate(value, &all, VARS_LENIENT | VARS_TEMPLATE, error);
}

char *template_evaluate(const char *path, const TemplateSpec *spec, GError **error) {
        g_autoptr(GError) cause = NULL;
        g_autoptr(Value) flags = value_map();
        g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(free_value);
        size_t length;
        g_autofree char *text = config_read(path, &length, &cause);

        if (!text) {
                fly_fail(error, "could not read file: %s", cause->message);
                return NULL;
        }
        if (spec->strict && !yaml_check_keys(text, length, NULL, &cause)) {
                fly_fail(error, "error parsing yaml before applying templates: %s", cause->message);
                return NULL;
        }
        if (!gather(spec, flags, files, error))
                return NULL;
        g_autoptr(Value) value = yaml_parse(text, length, NULL, YAML_TEMPLATE, error);
        g_autoptr(Value) filled = value ? interpolate(value, flags, files, error) : NULL;
        return filled ? yaml_write_template(filled, error) : NULL;
}

/* ---- warnings and errors (reference 02 §6.3) ---- */

static void open_warnings(const Fly *fly) {
        fputc('\n', stderr);
        color_print(fly, stderr, COLOR_ERRORED, "DEPRECATION WARNING:");
        fputc('\n', stderr);
}

void show_config_warnings(const Fly *fly, const GPtrArray *warnings) {
        bool identifiers = false;

        if (warnings->len == 0)
                return;
        fflush(stdout);
        open_warnings(fly);
        for (size_t i = 0; i < warnings->len; i++) {
                const ConfigWarning *warning = warnings->pdata[i];
                fprintf(stderr, "  - %s\n", warning->message);
                identifiers = identifiers || g_str_equal(warning->type, "invalid_identifier");
        }
        fprintf(stderr, "\n%s", identifiers ? SCHEMA_LINK : "");
}

void show_warnings_of_value(const Fly *fly, const Value *warnings) {
        bool identifiers = false;

        if (value_length(warnings) == 0)
                return;
        fflush(stdout);
        open_warnings(fly);
        for (size_t i = 0; i < value_length(warnings); i++) {
                const Value *warning = value_at(warnings, i);
                fprintf(stderr, "  - %s\n", value_get_string(warning, "message", ""));
                identifiers = identifiers || g_str_equal(value_get_string(warning, "type", ""),
                                                         "invalid_identifier");
        }
        fprintf(stderr, "\n%s", identifiers ? SCHEMA_LINK : "");
}

void show_config_errors(const Fly *fly, const char *header, const GPtrArray *errors) {
        fflush(stdout);
        fputc('\n', stderr);
        color_print(fly, stderr, COLOR_BLINKING, "WARNING:");
        fprintf(stderr, "\n%s:\n", header);
        for (size_t i = 0; i < errors->len; i++)
                fprintf(stderr, "  - %s\n", (const char *) errors->pdata[i]);
        fputc('\n', stderr);
}
