#include "pool/artifact.h"

#include "base/json.h"

#include <string.h>

static void artifacts_survive_the_journal(void) {
        static const struct {
                ArtifactSpec spec;
                const char *text;
        } cases[] = {
                { { .worker = "w1", .volume = "v" }, "{\"worker\":\"w1\",\"volume\":\"v\"}" },
                { { .worker = "w1", .volume = "v", .resource_cache_id = 7 },
                  "{\"worker\":\"w1\",\"volume\":\"v\",\"resource_cache_id\":7}" },
                { { .worker = "w",
                    .volume = "v",
                    .resource_cache_id = INT64_MAX,
                    .from_cache = true },
                  "{\"worker\":\"w\",\"volume\":\"v\",\"resource_cache_id\":9223372036854775807,"
                  "\"from_cache\":true}" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(Artifact) artifact = artifact_new(&cases[i].spec);
                g_autoptr(Value) value = artifact_to_value(artifact);
                g_autofree char *text = json_write(value, JSON_COMPACT, NULL);
                g_autoptr(Artifact) back = artifact_from_value(value);
                g_assert_cmpstr(text, ==, cases[i].text);
                g_assert_cmpstr(artifact_worker(back), ==, cases[i].spec.worker);
                g_assert_cmpstr(artifact_volume(back), ==, cases[i].spec.volume);
                g_assert_cmpint(artifact_resource_cache(back), ==, cases[i].spec.resource_cache_id);
                g_assert_cmpint(artifact_from_cache(back), ==, cases[i].spec.from_cache);
        }
}

static void what_is_no_artifact_is_none(void) {
        static const char *const cases[] = {
                "null", "{}", "[]", "\"v\"", "{\"worker\":\"w\"}", "{\"volume\":\"v\"}",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(Value) value = json_parse(cases[i], strlen(cases[i]), NULL, NULL);
                g_assert_nonnull(value);
                g_assert_null(artifact_from_value(value));
        }
        g_assert_null(artifact_from_value(NULL));
}

static void an_artifact_lives_as_long_as_its_last_reference(void) {
        g_autofree char *worker = g_strdup("w1");
        Artifact *artifact = artifact_new(&(ArtifactSpec){ .worker = worker, .volume = "v" });
        g_autoptr(Artifact) second = artifact_ref(artifact);

        worker[1] = '2'; /* it has its own copy */
        artifact_free(artifact);
        g_assert_cmpstr(artifact_worker(second), ==, "w1");
        g_assert_null(artifact_ref(NULL));
        artifact_free(NULL);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/artifact/journal", artifacts_survive_the_journal);
        g_test_add_func("/artifact/none", what_is_no_artifact_is_none);
        g_test_add_func("/artifact/references", an_artifact_lives_as_long_as_its_last_reference);
        return g_test_run();
}
