#include "http/url.h"

#include "base/json.h"

#include <string.h>

static void escapes_as_go_does(void) {
        static const struct {
                const char *text, *path, *query;
        } cases[] = {
                { "a b", "a%20b", "a+b" },
                { "a/b?c;d,e", "a%2Fb%3Fc%3Bd%2Ce", "a%2Fb%3Fc%3Bd%2Ce" },
                { "$&+=:@", "$&+=:@", "%24%26%2B%3D%3A%40" },
                { "-_.~", "-_.~", "-_.~" },
                { "!*'()#%\"", "%21%2A%27%28%29%23%25%22", "%21%2A%27%28%29%23%25%22" },
                { "caf\xc3\xa9", "caf%C3%A9", "caf%C3%A9" },
                { "", "", "" },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *path = url_encode_path(cases[i].text);
                g_autofree char *query = url_encode_query(cases[i].text);
                g_autofree char *back = url_decode(query, strlen(query), true, NULL);
                g_assert_cmpstr(path, ==, cases[i].path);
                g_assert_cmpstr(query, ==, cases[i].query);
                g_assert_cmpstr(back, ==, cases[i].text);
        }
}

static void refuses_bad_escapes(void) {
        static const struct {
                const char *text, *message;
        } cases[] = {
                { "a%zz", "invalid URL escape \"%zz\"" },
                { "%4", "invalid URL escape \"%4\"" },
                { "%", "invalid URL escape \"%\"" },
                { "a%00b", "invalid URL escape \"%00\"" },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GError) error = NULL;
                g_assert_null(url_decode(cases[i].text, strlen(cases[i].text), false, &error));
                g_assert_error(error, ERROR, ERROR_INVALID);
                g_assert_cmpstr(error->message, ==, cases[i].message);
        }
}

static Value *parse(const char *text) {
        g_autoptr(GError) error = NULL;
        Value *value = json_parse(text, strlen(text), NULL, &error);
        g_assert_no_error(error);
        return value;
}

static void writes_instance_vars(void) {
        static const struct {
                const char *json, *query;
        } cases[] = {
                { "null", "" },
                { "{}", "" },
                { "{\"branch\":\"master\"}", "vars.branch=%22master%22" },
                { "{\"b\":1,\"a\":{\"y\":[1,{\"b\":1,\"a\":2}],\"x\":null}}",
                  "vars.a.x=null&vars.a.y=%5B1%2C%7B%22a%22%3A2%2C%22b%22%3A1%7D%5D&vars.b=1" },
                { "{\"a.b\":{\"c d\":true}}", "vars.%22a.b%22.%22c+d%22=true" },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(Value) value = parse(cases[i].json);
                g_autofree char *query = url_instance_vars(value);
                g_assert_cmpstr(query, ==, cases[i].query);
        }
}

typedef struct {
        const char *names[5], *values[5];
        const char *json, *message; /* json NULL and message NULL: no vars */
} ParseCase;

static void reads_instance_vars(void) {
        static const ParseCase cases[] = {
                { { 0 }, { 0 }, NULL, NULL },
                { { "varsfoo", "page" }, { "1", "2" }, NULL, NULL },
                { { "vars" }, { "null" }, NULL, NULL },
                { { "vars" }, { "{}" }, "{}", NULL },
                { { "vars.branch" }, { "\"main\"" }, "{\"branch\":\"main\"}", NULL },
                { { "vars.b", "vars", "vars.b" },
                  { "2", "{\"a\":{\"x\":1},\"b\":1}", "3" },
                  "{\"a\":{\"x\":1},\"b\":2}",
                  NULL },
                { { "vars.a.y", "vars" },
                  { "2", "{\"a\":{\"x\":1}}" },
                  "{\"a\":{\"x\":1,\"y\":2}}",
                  NULL },
                { { "vars.\"a.b\". c " }, { "[1]" }, "{\"a.b\":{\"c\":[1]}}", NULL },
                { { "vars.foo." }, { "1" }, NULL, "invalid var 'vars.foo.': empty field" },
                { { "vars.x" }, { "main" }, NULL, "" },
                { { "vars" }, { "3" }, NULL, "" },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                const ParseCase *each = &cases[i];
                size_t count = 0;
                g_autoptr(GError) error = NULL;
                while (count < 5 && each->names[count])
                        count++;
                g_autoptr(Value)
                        vars = url_parse_instance_vars(each->names, each->values, count, &error);
                g_autofree char *json = vars ? json_write(vars, JSON_SORTED, NULL) : NULL;
                g_assert_cmpstr(json, ==, each->json);
                g_assert_cmpint(error != NULL, ==, each->message != NULL);
                if (each->message && *each->message)
                        g_assert_cmpstr(error->message, ==, each->message);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/url/escape", escapes_as_go_does);
        g_test_add_func("/url/decode", refuses_bad_escapes);
        g_test_add_func("/url/instance-vars/write", writes_instance_vars);
        g_test_add_func("/url/instance-vars/read", reads_instance_vars);
        return g_test_run();
}
