#include "resources/strict.h"

#include "base/json.h"

#include <string.h>

static const StrictField pair[] = { { "name", FIELD_STRING }, { "value", FIELD_STRING }, {} };

static const StrictField source[] = {
        { "flag", FIELD_BOOL },
        { "text", FIELD_STRING },
        { "files", FIELD_ANYTHING },
        { "tag", FIELD_TEXT },
        { "words", FIELD_STRINGS },
        { "pairs", FIELD_OBJECTS, "Pair", pair },
        {},
};

static const StrictField request[] = { { "source", FIELD_OBJECT, "Source", source }, {} };

typedef struct {
        const char *given;
        const char *expect; /* JSON, or the error's message */
} Case;

static const Case valid[] = {
        { "null", "{}" },
        { "{}", "{}" },
        { "{\"source\":null}", "{}" },
        { "{\"Source\":{\"FLAG\":true,\"text\":null}}", "{\"source\":{\"flag\":true}}" },
        { "{\"source\":{\"tag\":1.10}}", "{\"source\":{\"tag\":\"1.10\"}}" },
        { "{\"source\":{\"tag\":\"v1\",\"words\":[\"a\",\"b\"]}}",
          "{\"source\":{\"tag\":\"v1\",\"words\":[\"a\",\"b\"]}}" },
        { "{\"source\":{\"files\":{\"a/b\":[1,{\"c\":null}]}}}",
          "{\"source\":{\"files\":{\"a/b\":[1,{\"c\":null}]}}}" },
        { "{\"source\":{\"pairs\":[{\"name\":\"a\"},null]}}",
          "{\"source\":{\"pairs\":[{\"name\":\"a\"},{}]}}" },
};

static const Case invalid[] = {
        { "{\"sauce\":{}}", "json: unknown field \"sauce\"" },
        { "{\"source\":{\"foo\":null}}", "json: unknown field \"foo\"" },
        { "{\"source\":{\"pairs\":[{\"key\":\"a\"}]}}", "json: unknown field \"key\"" },
        { "[]", "json: cannot unmarshal array into Go value of type main.Request" },
        { "{\"source\":\"x\"}",
          "json: cannot unmarshal string into Go struct field Request.source of type Source" },
        { "{\"source\":{\"flag\":\"yes\"}}",
          "json: cannot unmarshal string into Go struct field Source.source.flag of type bool" },
        { "{\"source\":{\"text\":1.5}}",
          "json: cannot unmarshal number into Go struct field Source.source.text of type string" },
        { "{\"source\":{\"tag\":true}}",
          "json: cannot unmarshal bool into Go struct field Source.source.tag of type string" },
        { "{\"source\":{\"words\":[1]}}",
          "json: cannot unmarshal number into Go struct field Source.source.words of type string" },
        { "{\"source\":{\"words\":\"a\"}}",
          "json: cannot unmarshal string into Go struct field Source.source.words of type []string" },
        { "{\"source\":{\"pairs\":[1]}}",
          "json: cannot unmarshal number into Go struct field Source.source.pairs of type Pair" },
};

static Value *decode(const char *text, GError **error) {
        g_autoptr(GError) malformed = NULL;
        g_autoptr(Value) given = json_parse(text, strlen(text), NULL, &malformed);
        g_assert_no_error(malformed);
        return strict_decode(given, "Request", request, error);
}

static void keeps_the_fields_it_knows(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(valid); i++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(Value) decoded = decode(valid[i].given, &error);
                g_assert_no_error(error);
                g_autofree char *text = json_write(decoded, JSON_COMPACT, NULL);
                g_assert_cmpstr(text, ==, valid[i].expect);
        }
}

static void refuses_the_rest_as_go_does(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(invalid); i++) {
                g_autoptr(GError) error = NULL;
                g_assert_null(decode(invalid[i].given, &error));
                g_assert_error(error, ERROR, ERROR_INVALID);
                g_assert_cmpstr(error->message, ==, invalid[i].expect);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/strict/valid", keeps_the_fields_it_knows);
        g_test_add_func("/strict/invalid", refuses_the_rest_as_go_does);
        return g_test_run();
}
