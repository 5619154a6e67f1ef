#include "../store/house.h"

#include "creds/creds.h"

#include "base/json.h"

static void free_config(void *config) {
        var_source_config_free(config);
}

/* sources: a JSON list of them. */
static GPtrArray *configs_of(const char *sources) {
        g_autoptr(Value) list = json(sources);
        GPtrArray *configs = g_ptr_array_new_with_free_func(free_config);
        for (size_t i = 0; i < value_length(list); i++)
                g_ptr_array_add(configs,
                                OK(var_source_config_from_value(value_at(list, i), &error)));
        return configs;
}

static Creds *open_creds(const char *sources, GError **error) {
        g_autoptr(GPtrArray) configs = configs_of(sources);
        return creds_new(configs, &(CredsScope){ "main", "p" }, error);
}

/* What a text becomes, as JSON, or the error. */
static char *resolve(Creds *creds, const char *text) {
        g_autoptr(GError) error = NULL;
        const Vars vars = { creds_lookup, creds };
        g_autoptr(Value)
                value = vars_interpolate_text(text, &vars, VARS_EXPECT_ALL | VARS_SERVER, &error);
        return value ? json_write(value, JSON_SORTED, NULL) : g_strdup(error->message);
}

static void a_name_asks_the_source_of_that_name(void) {
        static const char sources[] =
                "[{'name':'vs','type':'dummy','config':{'vars':{'pw':'s3cret','num':4242,'yes':true,'map':{'k':'v'},"
                "'main/p/deep':'pipeline','main/deep':'team','deep':'all','main/shared':'team'}}}]";
        static const struct {
                const char *text, *expect;
        } cases[] = {
                { "((vs:pw))", "\"s3cret\"" },
                { "a((vs:pw))b((vs:num))", "\"as3cretb4242\"" },
                { "((vs:num))", "4242" },
                { "((vs:map))", "{\"k\":\"v\"}" },
                { "((vs:map.k))", "\"v\"" },
                { "((vs:deep))", "\"pipeline\"" },
                { "((vs:shared))", "\"team\"" },
                { "((vs:map.nope))", "missing field 'nope' in var: map.nope" },
                { "((vs:zz))", "undefined vars: vs:zz" },
                { "((pw))", "undefined vars: pw" },
                { "((other:pw))", "missing source 'other' in var: other:pw" },
                { "((.:pw))", "missing source '.' in var: .:pw" },
                { "x((vs:yes))", "cannot interpolate non-primitive value (bool) from var: vs:yes" },
        };
        g_autoptr(Creds) creds = OK(open_creds(sources, &error));
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *got = resolve(creds, cases[i].text);
                g_assert_cmpstr(got, ==, cases[i].expect);
        }
}

static void without_sources_no_name_is_known_and_none_is_wrong(void) {
        g_autoptr(Creds) creds = OK(creds_new(NULL, &(CredsScope){ "main", NULL }, &error));
        static const char *const names[] = { "a", "vs:a", ".:a" };
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                g_autofree char *text = g_strdup_printf("((%s))", names[i]);
                g_autofree char *expect = g_strdup_printf("undefined vars: %s", names[i]);
                g_autofree char *got = resolve(creds, text);
                g_assert_cmpstr(got, ==, expect);
        }
}

static void a_source_may_need_another(void) {
        g_autoptr(Creds) creds = OK(
                open_creds("[{'name':'b','type':'dummy','config':{'vars':{'x':'<((a:y))>'}}},"
                           "{'name':'a','type':'dummy','config':{'vars':{'y':'z'}}}]",
                           &error));
        g_autofree char *got = resolve(creds, "((b:x))");
        g_assert_cmpstr(got, ==, "\"\\u003cz\\u003e\"");
}

static const struct {
        const char *sources;
        ErrorCode code;
        const char *message;
} faults[] = {
        { "[{'name':'n','type':'magic','config':{}}]", ERROR_INVALID,
          "unknown credential manager type: magic" },
        { "[{'name':'n','type':'vault','config':{}}]", ERROR_UNSUPPORTED,
          "create var_source 'n' error: credential manager type 'vault' is not supported by this version of Weir" },
        { "[{'name':'n','type':'dummy','config':{'vars':{'a':'((nope))'}}}]", ERROR_INVALID,
          "evaluate var_source 'n' error: undefined vars: nope" },
        { "[{'name':'n','type':'dummy','config':[]}]", ERROR_INVALID,
          "var_source 'n' invalid config" },
        { "[{'name':'n','type':'dummy','config':{'vars':'x'}}]", ERROR_INVALID,
          "create var_source 'n' error: invalid vars config: string" },
        { "[{'name':'n','type':'dummy','config':{}}]", ERROR_INVALID,
          "create var_source 'n' error: invalid vars config: <nil>" },
        { "[{'name':'n','type':'dummy','config':{'vars':{'a':'((n:b))'}}}]", ERROR_INVALID,
          "could not resolve inter-dependent var sources: n" },
};

static void what_cannot_be_opened_is_named(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(faults); i++) {
                g_autoptr(GError) error = NULL;
                g_assert_null(open_creds(faults[i].sources, &error));
                g_assert_error(error, ERROR, (int) faults[i].code);
                g_assert_cmpstr(error->message, ==, faults[i].message);
        }
}

static void a_pipeline_has_the_sources_that_were_saved_with_it(House *house) {
        const CredsScope scope = { "main", "p" };
        house_save(house,
                   "{'var_sources':[{'name':'vs','type':'dummy','config':{'vars':{'a':'b'}}}],"
                   "'jobs':[{'name':'j','plan':[]}]}");
        g_autoptr(Creds)
                creds = OK(creds_of_pipeline(house->store, house->pipeline_id, &scope, &error));
        g_autofree char *got = resolve(creds, "((vs:a))");
        g_assert_cmpstr(got, ==, "\"b\"");

        OK(pipeline_archive(house->store, house->pipeline_id, &error));
        g_autoptr(Creds)
                none = OK(creds_of_pipeline(house->store, house->pipeline_id, &scope, &error));
        g_autofree char *nothing = resolve(none, "((vs:a))");
        g_assert_cmpstr(nothing, ==, "undefined vars: vs:a");
}

static void add(void) {
        g_test_add_func("/creds/lookup", a_name_asks_the_source_of_that_name);
        g_test_add_func("/creds/none", without_sources_no_name_is_known_and_none_is_wrong);
        g_test_add_func("/creds/order", a_source_may_need_another);
        g_test_add_func("/creds/faults", what_cannot_be_opened_is_named);
        house_add("/creds/pipeline", a_pipeline_has_the_sources_that_were_saved_with_it);
}

int main(int argc, char **argv) {
        return house_main(argc, argv, add);
}
