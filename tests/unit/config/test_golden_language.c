/*
 * Compares what we say about a pipeline text with what the stock client said, for every recorded case (WEIR_GOLDEN:
 * the folder of recordings; without it the test is skipped). Plays the part of fly's validate-pipeline and
 * format-pipeline around the functions of config.
 */
#include <string.h>

#include "base/json.h"
#include "base/yaml.h"
#include "config/validate.h"
#include "config/vars.h"

typedef struct {
        int exit_code;
        GString *out;
        GString *err;
} Answer;

static Answer answer_new(void) {
        return (Answer){ 0, g_string_new(NULL), g_string_new(NULL) };
}

static void answer_clear(Answer *answer) {
        g_string_free(answer->out, TRUE);
        g_string_free(answer->err, TRUE);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Answer, answer_clear)

static void answer_fail(Answer *answer, const char *prefix, GError *error) {
        answer->exit_code = 1;
        g_string_append_printf(answer->err, "%s%s\n", prefix, error->message);
}

/* Text of a recording: plain, or in base64. Returns new. */
static char *recorded_text(const Value *value, size_t *ret_length) {
        const char *base64 = value_get_string(value, "base64", NULL);
        if (base64)
                return (char *) g_base64_decode(base64, ret_length);
        *ret_length = value_text_length(value);
        return g_memdup2(value_text(value), *ret_length + 1);
}

/* ---- fly's side ---- */

/* Vars as fly has them: one map of -v and -y, then the files, last first. */
typedef struct {
        Value *flags;
        GPtrArray *files; /* of Value */
} FlyVars;

static void fly_vars_clear(FlyVars *vars) {
        value_free(vars->flags);
        g_ptr_array_unref(vars->files);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(FlyVars, fly_vars_clear)

/* False with unsupported when the arguments are a matter of fly's own; with an error when a file is bad. */
static bool read_vars(const Value *test, FlyVars *vars, bool *ret_supported, GError **error) {
        const Value *args = value_get(test, "args");
        *ret_supported = value_length(args) % 2 == 0;
        if (!*ret_supported)
                return false;
        for (int pass = 0; pass < 2; pass++)
                for (size_t i = 0; i + 1 < value_length(args); i += 2) {
                        const char *flag = value_text(value_at(args, i));
                        const char *text = value_text(value_at(args, i + 1));
                        if (g_str_equal(flag, "-l"))
                                continue;
                        const char *equals = strchr(text, '=');
                        if ((!g_str_equal(flag, "-v") && !g_str_equal(flag, "-y")) || !equals) {
                                *ret_supported = false;
                                return false;
                        }
                        if ((pass == 0) != g_str_equal(flag, "-v"))
                                continue;
                        g_autofree char *name = g_strndup(text, (size_t) (equals - text));
                        g_autoptr(VarReference) reference = var_reference_parse(name, NULL);
                        Value *value = pass == 0 ? value_string(equals + 1)
                                                 : yaml_parse(equals + 1, strlen(equals + 1), NULL,
                                                              0, NULL);
                        if (!reference || !value) {
                                value_free(value);
                                *ret_supported = false;
                                return false;
                        }
                        static_vars_set(vars->flags, reference, value);
                }
        for (size_t i = 0; i + 1 < value_length(args); i += 2) {
                const char *name = value_text(value_at(args, i + 1));
                if (!g_str_equal(value_text(value_at(args, i)), "-l"))
                        continue;
                const char *text = value_get_string(value_get(test, "files"), name, NULL);
                if (!text) {
                        *ret_supported = false;
                        return false;
                }
                Value *value = yaml_parse(text, strlen(text), NULL, YAML_DEFAULT, error);
                if (!value) {
                        g_prefix_error(error,
                                       "could not unmarshal template variables (%s): ", name);
                        return false;
                }
                g_ptr_array_insert(vars->files, 0, value);
                if (!value_is_null(value) && !value_is(value, VALUE_MAP)) {
                        g_set_error(
                                error, ERROR, ERROR_INVALID,
                                "could not unmarshal template variables (%s): error unmarshaling JSON: while "
                                "decoding JSON: json: cannot unmarshal %s into Go value of type "
                                "vars.StaticVariables",
                                name, value_is(value, VALUE_LIST) ? "array" : "string");
                        return false;
                }
        }
        return true;
}

static Value *interpolate(const Value *value, const FlyVars *vars, GError **error) {
        StaticVars flags = { vars->flags, false };
        g_autofree StaticVars *files = g_new0(StaticVars, vars->files->len + 1);
        g_autofree Vars *sources = g_new0(Vars, vars->files->len + 1);
        g_autoptr(GPtrArray) list = g_ptr_array_new();

        sources[0] = (Vars){ static_vars_lookup, &flags };
        g_ptr_array_add(list, &sources[0]);
        for (size_t i = 0; i < vars->files->len; i++) {
                files[i] = (StaticVars){ g_ptr_array_index(vars->files, i), true };
                sources[i + 1] = (Vars){ static_vars_lookup, &files[i] };
                g_ptr_array_add(list, &sources[i + 1]);
        }
        g_ptr_array_add(list, NULL);
        const Vars all = { multi_vars_lookup, list->pdata };
        return vars_interpolate(value, &all, VARS_LENIENT | VARS_TEMPLATE, error);
}

static void show_findings(const ConfigFindings *findings, GString *text) {
        bool identifiers = false;
        if (findings->warnings->len > 0) {
                g_string_append(text, "\nDEPRECATION WARNING:\n");
                for (size_t i = 0; i < findings->warnings->len; i++) {
                        const ConfigWarning *warning = g_ptr_array_index(findings->warnings, i);
                        g_string_append_printf(text, "  - %s\n", warning->message);
                        identifiers |= g_str_equal(warning->type, "invalid_identifier");
                }
                g_string_append(text, "\n");
                if (identifiers)
                        g_string_append(
                                text,
                                "identifier schema documentation: "
                                "https://concourse-ci.org/config-basics.html#schema.identifier\n\n");
        }
        if (findings->errors->len > 0) {
                g_string_append(text, "\nWARNING:\nError loading existing config:\n");
                for (size_t i = 0; i < findings->errors->len; i++)
                        g_string_append_printf(text, "  - %s\n",
                                               (char *) g_ptr_array_index(findings->errors, i));
                g_string_append(text, "\n");
        }
}

/* Returns false when the case is not for config to answer. */
static bool play_validate(const Value *test, const char *text, size_t length, bool strict,
                          bool output, Answer *answer) {
        g_autoptr(GError) error = NULL;
        g_auto(FlyVars)
                vars = { value_map(), g_ptr_array_new_with_free_func((GDestroyNotify) value_free) };
        bool supported;

        if (!read_vars(test, &vars, &supported, &error) && !supported)
                return false;
        GError *early = g_steal_pointer(&error);
        if (!yaml_check_keys(text, length, NULL, &error)) {
                g_clear_error(&early);
                answer_fail(answer, "error: error parsing yaml before applying templates: ", error);
                return true;
        }
        if (early) {
                error = early;
                answer_fail(answer, "error: ", error);
                return true;
        }
        g_autoptr(Value) parsed = yaml_parse(text, length, NULL, YAML_TEMPLATE, &error);
        g_autoptr(Value) evaluated = parsed ? interpolate(parsed, &vars, &error) : NULL;
        g_autofree char *yaml = evaluated ? yaml_write_template(evaluated, &error) : NULL;
        g_autoptr(PipelineConfig)
                config = yaml ? pipeline_config_parse(yaml, strlen(yaml),
                                                      strict ? PIPELINE_CONFIG_STRICT
                                                             : PIPELINE_CONFIG_LENIENT,
                                                      &error)
                              : NULL;
        if (!config) {
                answer_fail(answer, "error: ", error);
                return true;
        }
        g_autoptr(ConfigFindings) findings = pipeline_config_validate(config);
        show_findings(findings, answer->err);
        if (findings->errors->len > 0 || (strict && findings->warnings->len > 0)) {
                answer->exit_code = 1;
                g_string_append(answer->err, "error: configuration invalid\n");
        } else if (output) {
                g_string_append_printf(answer->out, "%s\n", yaml);
        } else {
                g_string_append(answer->out, "looks good\n");
        }
        return true;
}

static void play_format(const char *text, size_t length, Answer *answer) {
        g_autoptr(GError) error = NULL;
        g_autoptr(PipelineConfig)
                config = pipeline_config_parse(text, length, PIPELINE_CONFIG_LENIENT, &error);
        if (!config) {
                answer_fail(answer, "could not unmarshal config: ", error);
                return;
        }
        g_autoptr(Value) value = pipeline_config_to_value(config);
        g_autofree char *yaml = yaml_write(value, &error);
        if (yaml)
                g_string_append(answer->out, yaml);
        else
                answer_fail(answer, "could not marshal config: ", error);
}

/* ---- comparing ---- */

static int compare_lines(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

/* The words of a text in order, for messages that list map keys as they come. */
static char *sorted_words(const char *text) {
        g_auto(GStrv) words = g_strsplit_set(text, "\n []", -1);
        qsort(words, g_strv_length(words), sizeof *words, compare_lines);
        return g_strjoinv("\n", words);
}

static bool text_matches(const Value *expect, const char *got) {
        const char *prefix = value_get_string(expect, "prefix", NULL);
        const char *suffix = value_get_string(expect, "suffix", NULL);
        if (prefix)
                return *got != '\0'; /* the stock client crashed there */
        if (suffix)
                return g_str_has_suffix(got, suffix);
        size_t length;
        g_autofree char *text = recorded_text(expect, &length);
        return strlen(got) == length && memcmp(text, got, length) == 0;
}

static bool result_matches(const Value *expect, const Answer *got) {
        bool crash = value_get_string(value_get(expect, "stderr"), "prefix", NULL) != NULL;
        int64_t code = crash ? 1 : value_get_int(expect, "exit", -1);
        return got->exit_code == code && text_matches(value_get(expect, "stdout"), got->out->str) &&
               text_matches(value_get(expect, "stderr"), got->err->str);
}

static bool matches(const Value *expect, const Answer *got) {
        if (result_matches(expect, got))
                return true;
        const Value *any = value_get(expect, "any_of");
        for (size_t i = 0; i < value_length(any); i++)
                if (result_matches(value_at(any, i), got))
                        return true;
        if (!any || got->exit_code != value_get_int(expect, "exit", -1))
                return false;
        g_autofree char *ours = sorted_words(got->err->str);
        g_autofree char *theirs = sorted_words(value_get_string(expect, "stderr", ""));
        return g_str_equal(ours, theirs);
}

/* What is known to differ still, and why. */
static const struct {
        const char *area, *slug, *mode, *why;
} known[] = {
        { "schema", "resource-version-scalars", "format",
          "1e10 where text is wanted: upstream writes 1e+10, the reader has made it 10000000000 by then" },
        { "scalars", "double-quote-escapes", "format",
          "behind U+2028 or U+2029 at a text's end libyaml indents before the closing quote" },
};

static bool is_known(const Value *test, const char *mode) {
        for (size_t i = 0; i < G_N_ELEMENTS(known); i++)
                if (g_str_equal(known[i].area, value_get_string(test, "area", "")) &&
                    g_str_equal(known[i].slug, value_get_string(test, "slug", "")) &&
                    g_str_equal(known[i].mode, mode))
                        return true;
        return false;
}

typedef struct {
        size_t same, different, known, skipped;
} Tally;

static void compare(const Value *test, const char *mode, const Answer *got, Tally *tally) {
        const Value *expect = value_get(test, mode);
        if (!expect)
                return;
        if (matches(expect, got)) {
                tally->same++;
                return;
        }
        bool expected = is_known(test, mode);
        tally->known += expected;
        tally->different += !expected;
        g_autofree char *json = json_write(expect, JSON_NO_HTML, NULL);
        g_test_message("DIFFERS %s/%s %s\n  recorded: %s\n  ours: exit %d stdout %s stderr %s",
                       value_get_string(test, "area", ""), value_get_string(test, "slug", ""), mode,
                       json, got->exit_code, got->out->str, got->err->str);
}

static void run_case(const Value *test, Tally *tally) {
        static const struct {
                const char *mode;
                bool strict, output;
        } modes[] = { { "validate", false, false },
                      { "validate_output", false, true },
                      { "strict", true, false } };
        size_t length;

        if (value_has(test, "line")) {
                tally->skipped += 4;
                return;
        }
        g_autofree char *text = recorded_text(value_get(test, "input"), &length);
        for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
                g_auto(Answer) answer = answer_new();
                if (play_validate(test, text, length, modes[i].strict, modes[i].output, &answer))
                        compare(test, modes[i].mode, &answer, tally);
                else
                        tally->skipped++;
        }
        g_auto(Answer) answer = answer_new();
        play_format(text, length, &answer);
        compare(test, "format", &answer, tally);
}

static void run_area(const char *path, Tally *tally) {
        g_autofree char *text = NULL;
        g_autoptr(GError) error = NULL;
        g_assert_true(g_file_get_contents(path, &text, NULL, &error));
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        for (char **line = lines; *line; line++) {
                if (!**line)
                        continue;
                g_autoptr(Value) test = json_parse(*line, strlen(*line), NULL, &error);
                g_assert_no_error(error);
                run_case(test, tally);
        }
}

static void answers_as_the_stock_client_does(const void *data) {
        const char *area = data;
        const char *golden = g_getenv("WEIR_GOLDEN");
        if (!golden) {
                g_test_skip("WEIR_GOLDEN is not set");
                return;
        }
        g_autofree char *name = g_strdup_printf("%s.jsonl", area);
        g_autofree char *path = g_build_filename(golden, "language", "given", name, NULL);
        Tally tally = {};
        run_area(path, &tally);
        g_test_message("%s: %zu same, %zu different, %zu known to differ, %zu skipped", area,
                       tally.same, tally.different, tally.known, tally.skipped);
        if (tally.different > 0)
                g_test_fail();
}

int main(int argc, char **argv) {
        static const char *const areas[] = { "scalars", "schema", "validation",
                                             "vars",    "steps",  "pipelines" };

        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(areas); i++) {
                g_autofree char *path = g_strdup_printf("/golden/language/%s", areas[i]);
                g_test_add_data_func(path, areas[i], answers_as_the_stock_client_does);
        }
        return g_test_run();
}
