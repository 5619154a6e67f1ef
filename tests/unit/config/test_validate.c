#include "config/validate.h"

#include <string.h>

#include "base/json.h"

#define RESOURCE "\"resources\":[{\"name\":\"r\",\"type\":\"t\"}],"
#define JOB(plan) "{" RESOURCE "\"jobs\":[{\"name\":\"j\",\"plan\":[{\"get\":\"r\"}," plan "]}]}"

static const struct {
        const char *text;
        const char *errors; /* joined by "|" */
        const char *warnings;
} cases[] = {
        { "{}", "invalid jobs:\n\tjobs: pipeline must contain at least one job\n", "" },
        { "{\"jobs\":[{\"name\":\"a\"}]}", "", "" },
        { "{\"jobs\":[{\"name\":\"\"}]}",
          "invalid jobs:\n\tjobs[0]: identifier cannot be an empty string\n\tjobs[0] has no name\n",
          "" },
        { "{\"jobs\":[{\"name\":\"A\"},{\"name\":\"12\"},{\"name\":\"a b\"},{\"name\":\"\u00e9-1\"}]}",
          "",
          "jobs.A: 'A' is not a valid identifier: must start with a lowercase letter or a number|"
          "jobs.12: '12' is not a valid identifier: cannot be just numbers|"
          "jobs.a b: 'a b' is not a valid identifier: illegal character ' '" },
        { "{\"groups\":[{\"name\":\"g\",\"jobs\":[\"x\"],\"resources\":[\"q\"]}],\"jobs\":[{\"name\":\"a\"}]}",
          "invalid groups:\n\tno jobs match 'x' for group 'g'\n\tgroup 'g' has unknown resource 'q'\n\tjob 'a' belongs "
          "to no group\n",
          "" },
        { "{" RESOURCE "\"jobs\":[{\"name\":\"a\"}]}",
          "invalid resources:\n\tresource 'r' is not used\n", "" },
        { "{\"resource_types\":[{\"name\":\"x\",\"type\":\"t\"}],\"prototypes\":[{\"name\":\"y\",\"type\":\"t\"},"
          "{\"name\":\"x\",\"type\":\"t\"}],\"jobs\":[{\"name\":\"a\"}]}",
          "invalid prototypes:\n\tresource_types[0] and prototypes[1] have the same name ('x')\n",
          "" },
        { "{\"jobs\":[{\"name\":\"a\",\"build_logs_to_retain\":1,\"build_log_retention\":{\"builds\":-1}}]}",
          "invalid jobs:\n\tjobs.a can't use both build_log_retention and build_logs_to_retain\n\tjobs.a has negative "
          "build_log_retention.builds: -1\n",
          "jobs.a.build_logs_to_retain is deprecated. Use build_log_retention instead." },
        { "{\"display\":{\"background_image\":\"ftp://x\"},\"jobs\":[{\"name\":\"a\"}]}",
          "invalid display config:\n\tbackground_image scheme must be either http, https or relative\n",
          "" },
        { "{\"var_sources\":[{\"name\":\"v\",\"type\":\"dummy\",\"config\":{}}],\"jobs\":[{\"name\":\"a\"}]}",
          "invalid variable sources:\n\tfailed to create credential manager v: invalid vars config: <nil>\n",
          "" },
        { JOB("{\"get\":\"gone\",\"bogus\":1}"),
          "invalid jobs:\n\tjobs.j.plan.do[1]: unknown fields [\"bogus\"]\n\tjobs.j.plan.do[1].get(gone): unknown resource "
          "'gone'\n",
          "" },
        { JOB("{\"do\":[{\"get\":\"r\"}],\"timeout\":\"x\",\"attempts\":0}"),
          "invalid jobs:\n\tjobs.j.plan.do[1].do[0].get(r): repeated name\n\tjobs.j.plan.do[1].timeout: invalid duration "
          "'x'\n\tjobs.j.plan.do[1].attempts: must be greater than 0\n",
          "" },
        { JOB("{\"task\":\"\"}"),
          "invalid jobs:\n\tjobs.j.plan.do[1].task(): jobs.j.plan.do[1].task(): identifier cannot be an empty "
          "string\n\tjobs.j.plan.do[1].task(): must specify either `file:` or `config:`\n",
          "" },
        { JOB("{\"across\":[{\"var\":\"v\",\"max_in_flight\":0}],\"load_var\":\"V\",\"file\":\"f\"}"),
          "invalid jobs:\n\tjobs.j.plan.do[1].across[0].max_in_flight: must be greater than 0\n",
          "jobs.j.plan.do[1].across.load_var(V): 'V' is not a valid identifier: must start with a lowercase letter or "
          "a number" },
        { JOB("{\"across\":[{\"var\":\"v\"}],\"task\":\"T-((.:v))\",\"file\":\"f\"}"), "", "" },
        { JOB("{\"load_var\":\"v\",\"file\":\"f\"},{\"across\":[{\"var\":\"v\"}],\"do\":[]}"), "",
          "jobs.j.plan.do[2].across[0]: shadows local var 'v'" },
        { JOB("{\"get\":\"x\",\"resource\":\"r\",\"passed\":[\"none\",\"j\"]}"),
          "invalid jobs:\n\tjobs.j.plan.do[1].get(x).passed: no matching job(s) for 'none'\n|"
          "invalid jobs:\n\tpipeline contains a cycle that starts at Job 'j'\n",
          "" },
        { JOB("{\"run\":\"m\",\"type\":\"p\"}"),
          "invalid jobs:\n\tjobs.j.plan.do[1].run(p.m): unknown prototype 'p'\n", "" },
};

static char *join(const GPtrArray *texts) {
        GString *joined = g_string_new(NULL);
        for (size_t i = 0; i < texts->len; i++)
                g_string_append_printf(joined, "%s%s", i > 0 ? "|" : "",
                                       (char *) g_ptr_array_index(texts, i));
        return g_string_free(joined, FALSE);
}

static void finds_what_upstream_finds(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(Value)
                        value = json_parse(cases[i].text, strlen(cases[i].text), NULL, &error);
                g_assert_no_error(error);
                g_autoptr(PipelineConfig)
                        config = pipeline_config_from_value(value, PIPELINE_CONFIG_SAVE, &error);
                g_assert_no_error(error);
                g_autoptr(ConfigFindings) findings = pipeline_config_validate(config);
                g_autoptr(GPtrArray) messages = g_ptr_array_new();
                for (size_t j = 0; j < findings->warnings->len; j++)
                        g_ptr_array_add(messages,
                                        ((ConfigWarning *) g_ptr_array_index(findings->warnings, j))
                                                ->message);
                g_autofree char *errors = join(findings->errors);
                g_autofree char *warnings = join(messages);
                g_assert_cmpstr(errors, ==, cases[i].errors);
                g_assert_cmpstr(warnings, ==, cases[i].warnings);
        }
}

static void checks_names_of_pipelines_and_teams(void) {
        g_autoptr(ConfigFindings) findings = config_findings_new();
        g_autoptr(GError) error = NULL;

        g_assert_null(config_warnings_to_value(findings));
        g_assert_true(identifier_check("good", "pipeline", findings, &error));
        g_assert_true(identifier_check("Bad", "pipeline", findings, &error));
        g_assert_false(identifier_check("", "team", findings, &error));
        g_assert_error(error, ERROR, ERROR_INVALID);
        g_assert_cmpstr(error->message, ==, "team: identifier cannot be an empty string");
        g_autoptr(Value) warnings = config_warnings_to_value(findings);
        g_autofree char *json = json_write(warnings, JSON_NO_HTML, NULL);
        g_assert_cmpstr(
                json, ==,
                "[{\"type\":\"invalid_identifier\",\"message\":\"pipeline: 'Bad' is not a valid identifier: must "
                "start with a lowercase letter or a number\"}]");
}

/* ---- order of var sources ---- */

static const struct {
        const char *sources; /* "name>needs+needs name" */
        const char *expect;
} orders[] = {
        { "vs4>vs2 vs2 vs5>vs3+vs4 vs1 vs3>vs1", "vs2 vs4 vs1 vs3 vs5" },
        { "a b", "a b" },
        { "p1>p2 p2>x x", "could not resolve inter-dependent var sources: p1" },
        { "a>b b>a", "could not resolve inter-dependent var sources: a, b" },
        { "a>.", "could not resolve inter-dependent var sources: a" },
};

static GPtrArray *make_sources(const char *text) {
        GPtrArray *sources = g_ptr_array_new_with_free_func(
                (GDestroyNotify) var_source_config_free);
        g_auto(GStrv) words = g_strsplit(text, " ", -1);
        for (char **word = words; *word; word++) {
                g_auto(GStrv) parts = g_strsplit(*word, ">", 2);
                g_auto(GStrv) needs = g_strsplit(parts[1] ? parts[1] : "", "+", -1);
                g_autoptr(Value) value = value_map();
                Value *list = value_list();
                for (char **need = needs; *need; need++) {
                        g_autofree char *var = g_strdup_printf("((%s:k))", *need);
                        value_list_add(list, value_string(var));
                }
                value_map_set_string(value, "name", parts[0]);
                value_map_set(value, "config", list);
                g_ptr_array_add(sources, var_source_config_from_value(value, NULL));
        }
        return sources;
}

static void orders_var_sources_in_one_pass_per_placement(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(orders); i++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(GPtrArray) sources = make_sources(orders[i].sources);
                g_autoptr(GPtrArray) order = var_sources_order(sources, &error);
                g_autoptr(GString) names = g_string_new(error ? error->message : NULL);
                for (size_t j = 0; order && j < order->len; j++)
                        g_string_append_printf(
                                names, "%s%s", j > 0 ? " " : "",
                                ((VarSourceConfig *) g_ptr_array_index(order, j))->name);
                g_assert_cmpstr(names->str, ==, orders[i].expect);
        }
}

/* Knows "known", and nothing of any source. */
static bool know(const VarReference *reference, void *data, Value **ret, bool *ret_inexact,
                 GError **error) {
        bool known = !*reference->source && g_str_equal(reference->path, "known");

        *ret = known ? value_string("secret") : NULL;
        return true;
}

static const struct {
        const char *text, *fault;
} credentials[] = {
        { "{" RESOURCE "\"jobs\":[]}", NULL },
        { "{\"resources\":[{\"name\":\"r\",\"type\":\"t\",\"source\":{\"a\":\"((known))\"},"
          "\"webhook_token\":\"((known))\"}]}",
          NULL },
        { "{\"resources\":[{\"name\":\"r\",\"type\":\"t\",\"source\":{\"a\":\"((x)) ((b)) ((x))\"},"
          "\"webhook_token\":\"((hook))\"}]}",
          "2 errors occurred:\n\t* undefined vars: b, x\n\t* undefined vars: hook\n\n" },
        { "{\"resource_types\":[{\"name\":\"r\",\"type\":\"t\",\"source\":{\"a\":\"((vault:x))\"}}]}",
          "1 error occurred:\n\t* undefined vars: vault:x\n\n" },
        { JOB("{\"try\":{\"task\":\"t\",\"params\":{\"A\":\"((.:l))\"},\"vars\":{\"b\":\"((c))\"},\"config\":"
              "{\"platform\":\"linux\",\"run\":{\"path\":\"((p))\"}}}}"),
          "3 errors occurred:\n\t* undefined vars: .:l\n\t* undefined vars: c\n\t* failed to interpolate task "
          "config: undefined vars: p\n\n" },
        { JOB("{\"put\":\"r\",\"params\":{\"A\":\"((put-params-are-not-looked-at))\"}}"), NULL },
};

static void checks_that_the_cluster_knows_every_var(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(credentials); i++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(PipelineConfig) config = pipeline_config_parse(
                        credentials[i].text, strlen(credentials[i].text), PIPELINE_CONFIG_SAVE,
                        &error);
                g_assert_no_error(error);
                g_autofree char *fault = pipeline_config_check_creds(config,
                                                                     &(Vars){ .lookup = know });
                g_autofree char *expected = credentials[i].fault
                                                    ? g_strconcat(
                                                              "credential validation failed\n\n",
                                                              credentials[i].fault, NULL)
                                                    : NULL;
                g_assert_cmpstr(fault, ==, expected);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/validate/findings", finds_what_upstream_finds);
        g_test_add_func("/validate/identifier", checks_names_of_pipelines_and_teams);
        g_test_add_func("/validate/credentials", checks_that_the_cluster_knows_every_var);
        g_test_add_func("/validate/var-sources/order",
                        orders_var_sources_in_one_pass_per_placement);
        return g_test_run();
}
