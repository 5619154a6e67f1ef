/* What registry-image decides without a network: names, challenges, requests, versions, tags. */
#include "resources/registry.h"
#include "resources/registry_challenge.h"
#include "resources/registry_image.h"
#include "resources/registry_regex.h"
#include "resources/registry_tags.h"
#include "resources/registry_versions.h"

#include "base/json.h"

#include <string.h>

/* ---- names ---- */

static const struct {
        const char *repository, *registry, *path; /* NULL: refused */
        bool local;
} names[] = {
        { "alpine", "index.docker.io", "library/alpine", false },
        { "team/app", "index.docker.io", "team/app", false },
        { "docker.io/alpine", "index.docker.io", "library/alpine", false },
        { "ghcr.io/team/app", "ghcr.io", "team/app", false },
        { "localhost/app", "localhost", "app", true },
        { "localhost:5000/a/b/c", "localhost:5000", "a/b/c", true },
        { "10.1.2.3:5000/app", "10.1.2.3:5000", "app", true },
        { "172.20.0.1/app", "172.20.0.1", "app", true },
        { "172.32.0.1/app", "172.32.0.1", "app", false },
        { "[::1]:5000/app", "[::1]:5000", "app", true },
        { "registry.local/app", "registry.local", "app", true },
        { "registry:5000/app", "registry:5000", "app", false },
        { "", NULL, NULL, false },
        { "alpine:3", NULL, NULL, false },
        { "Alpine", NULL, NULL, false },
        { "ghcr.io/a/../b", NULL, NULL, false },
        { "ghcr.io//b", NULL, NULL, false },
        { "host.io@evil/app", NULL, NULL, false },
        { "ghcr.io/app?x=y", NULL, NULL, false },
};

static void repositories_name_a_registry_and_a_path(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                g_auto(RegistryName) name = { 0 };
                g_autoptr(GError) error = NULL;
                bool parsed = registry_name_parse(names[i].repository, &name, &error);
                g_test_message("%s", names[i].repository);
                g_assert_cmpint(parsed, ==, names[i].path != NULL);
                g_assert_cmpstr(name.registry, ==, names[i].registry);
                g_assert_cmpstr(name.path, ==, names[i].path);
                if (parsed)
                        g_assert_cmpint(registry_name_is_local(&name), ==, names[i].local);
        }
}

/* ---- challenges ---- */

static const struct {
        const char *value;
        Challenge expect;
} challenges[] = {
        { "Basic realm=\"x\"", { CHALLENGE_BASIC, (char *) "x", (char *) "", (char *) "" } },
        { "Bearer realm=\"https://a/t\",service=\"s\",scope=\"repository:a:pull,push\"",
          { CHALLENGE_BEARER, (char *) "https://a/t", (char *) "s",
            (char *) "repository:a:pull,push" } },
        { "bearer realm=https://a/t , service = s",
          { CHALLENGE_BEARER, (char *) "https://a/t", (char *) "s", (char *) "" } },
        { "Basic realm=\"x\", Bearer realm=\"https://a\"",
          { CHALLENGE_BEARER, (char *) "https://a", (char *) "", (char *) "" } },
        { "Bearer realm=\"https://a\", Basic realm=\"x\"",
          { CHALLENGE_BEARER, (char *) "https://a", (char *) "", (char *) "" } },
        { "Bearer realm=\"a\\\"b\"",
          { CHALLENGE_BEARER, (char *) "a\"b", (char *) "", (char *) "" } },
        { "Negotiate", { CHALLENGE_NONE, (char *) "", (char *) "", (char *) "" } },
        { "Bearer service=\"s\"", { CHALLENGE_NONE, (char *) "", (char *) "", (char *) "" } },
        { "", { CHALLENGE_NONE, (char *) "", (char *) "", (char *) "" } },
        { "=,\"\"=", { CHALLENGE_NONE, (char *) "", (char *) "", (char *) "" } },
        { "Bearer realm=\"unterminated",
          { CHALLENGE_BEARER, (char *) "unterminated", (char *) "", (char *) "" } },
};

static void challenges_are_read_and_bearer_is_preferred(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(challenges); i++) {
                g_auto(Challenge) got = { 0 };
                const Challenge *expect = &challenges[i].expect;
                g_test_message("%s", challenges[i].value);
                challenge_parse(challenges[i].value, &got);
                g_assert_cmpint(got.kind, ==, expect->kind);
                if (expect->kind == CHALLENGE_NONE)
                        continue;
                g_assert_cmpstr(got.realm, ==, expect->realm);
                g_assert_cmpstr(got.service, ==, expect->service);
                g_assert_cmpstr(got.scope, ==, expect->scope);
        }
}

/* ---- requests ---- */

static const struct {
        StrictRole role;
        const char *request, *message;
} refused[] = {
        { STRICT_CHECK, "{\"source\":{\"repository\":\"alpine\",\"foo\":1}}",
          "invalid payload: json: unknown field \"foo\"" },
        { STRICT_IN,
          "{\"source\":{\"repository\":\"alpine\"},\"params\":{\"rootfs\":true},\"version\":{}}",
          "invalid payload: json: unknown field \"rootfs\"" },
        { STRICT_CHECK, "{\"source\":{}}",
          "failed to resolve repository: a repository name must be specified" },
        { STRICT_CHECK, "{\"source\":{\"repository\":\"alpine\",\"tag\":\"a b\"}}",
          "invalid payload: invalid tag 'a b'" },
        { STRICT_CHECK, "{\"source\":{\"repository\":\"alpine\",\"aws_region\":\"x\"}}",
          "'aws_region' in the source is not supported by this registry-image resource type: give the registry's whole name as the repository, and AWS as username with a password of aws ecr get-login-password" },
        { STRICT_CHECK, "{\"source\":{\"repository\":\"alpine\",\"azure_acr\":true}}",
          "'azure_acr' in the source is not supported by this registry-image resource type: give the username and password of a token or service principal" },
        { STRICT_OUT,
          "{\"source\":{\"repository\":\"alpine\",\"content_trust\":{\"server\":\"x\"}}}",
          "'content_trust' in the source is not supported by this registry-image resource type: Notary v1 signatures are not made, and an unsigned push would pass for a signed one" },
        { STRICT_IN, "{\"source\":{\"repository\":\"alpine\"},\"version\":{\"digest\":\"../x\"}}",
          "invalid payload: '../x' is no digest of an image" },
};

static void requests_that_cannot_be_met_are_refused_by_name(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
                g_autoptr(GError) error = NULL;
                g_auto(RegistryRun) run = { 0 };
                g_autoptr(Value) request = json_parse(refused[i].request,
                                                      strlen(refused[i].request), NULL, NULL);
                g_assert_false(registry_run_init(refused[i].role, request, &run, &error));
                g_assert_cmpstr(error->message, ==, refused[i].message);
        }
}

static void a_mirror_serves_only_docker_hub_and_the_params_platform_wins(void) {
        static const char text[] =
                "{\"source\":{\"Repository\":\"alpine\",\"tag\":1.10,"
                "\"registry_mirror\":{\"host\":\"mirror.io\"},\"azure_acr\":false,"
                "\"platform\":{\"architecture\":\"arm\",\"os\":\"plan9\"}},"
                "\"params\":{\"platform\":{\"architecture\":\"arm64\"}},"
                "\"version\":{\"tag\":\"1\",\"digest\":\"sha256:"
                "0123456789012345678901234567890123456789012345678901234567890123\"}}";
        g_autoptr(GError) error = NULL;
        g_auto(RegistryRun) run = { 0 };
        g_autoptr(Value) request = json_parse(text, strlen(text), NULL, NULL);
        registry_run_init(STRICT_IN, request, &run, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(registry_source(&run, "tag"), ==, "1.10");
        g_assert_cmpstr(run.mirror.registry, ==, "mirror.io");
        g_assert_cmpstr(run.mirror.path, ==, "library/alpine");
        g_assert_cmpstr(run.architecture, ==, "arm64");
        g_assert_cmpstr(run.os, ==, "linux");
}

/* ---- versions: the table of the reference ---- */

typedef struct {
        const char *constraint, *variant, *prefixes;
        bool pre_releases;
        const char *from; /* "1.2.1:b": tag and digest */
        const char *tags; /* "1:a 2:b": tag and digest; without one, its own */
        const char *expect;
} VersionCase;

static const VersionCase version_cases[] = {
        { .tags = "1:a 2:b 2.1:b latest:c 3:c 3.2:c 3.2.1:c 3.1:d 3.1.0:d 3.0:e 3.0.0:e",
          .expect = "1 2.1 3.0.0 3.1.0 3.2.1" },
        { .tags = "1.0.0:a x:b latest:c", .expect = "1.0.0 latest" },
        { .from = "1.2.1:1.2.1", .tags = "1.0.0 1.2.1 2.0.0", .expect = "1.2.1 2.0.0" },
        { .from = "1.2.1:other", .tags = "1.0.0 1.2.1 2.0.0", .expect = "1.0.0 1.2.1 2.0.0" },
        { .from = "2.0.0:2.0.0",
          .tags = "1.0.0 3.0.0 latest:3.0.0 2.0.0",
          .expect = "2.0.0 3.0.0" },
        { .from = "9:9", .tags = "1.0.0 2.0.0", .expect = "1.0.0 2.0.0" },
        { .constraint = "1.2.x",
          .tags = "1.0.0 1.2.1 1.2.2 v1.2.3 2.0.0 latest",
          .expect = "1.2.1 1.2.2 v1.2.3" },
        { .pre_releases = true,
          .tags = "1.0.0-rc.1:a 1.0.0-rc1:a 1.0.0-rc:a 1.0.0:a",
          .expect = "1.0.0" },
        { .pre_releases = true,
          .tags = "1.0.0-rc.1:a 1.0.0-rc:a 1.0.0-dev:b",
          .expect = "1.0.0-rc.1" },
        { .tags = "1.0.0-rc.1 1.0.0", .expect = "1.0.0" },
        { .variant = "foo",
          .tags = "latest:x 1.0.0:y foo:a 0.8.0-foo:b 1.0.0-bar:z",
          .expect = "0.8.0-foo foo" },
        { .variant = "foo",
          .pre_releases = true,
          .tags = "1.0.0-foo 1.0.0-rc.1-foo 1.0.0-bar-foo 1.0.0-rc.1-bar-foo",
          .expect = "1.0.0-rc.1-foo 1.0.0-foo" },
        { .variant = "foo",
          .pre_releases = true,
          .prefixes = "[\"build\"]",
          .tags = "1.0.0-build-foo 1.0.0-rc.1-foo 1.0.0-rc.1-bar-foo 1.0.0-bar-foo",
          .expect = "1.0.0-build-foo 1.0.0-rc.1-foo 1.0.0-rc.1-bar-foo" },
        { .tags = "1.0.0:gone 2.0.0", .expect = "2.0.0" },
        { .tags = "", .expect = "" },
};

static bool table_digests(const GPtrArray *tags, GPtrArray *digests, void *data, GError **error) {
        GHashTable *table = data;
        for (guint i = 0; i < tags->len; i++) {
                const char *digest = g_hash_table_lookup(table, tags->pdata[i]);
                digests->pdata[i] = g_str_equal(digest, "gone") ? NULL : g_strdup(digest);
        }
        return true;
}

static char *run_version_case(const VersionCase *one) {
        g_autoptr(GHashTable)
                table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        g_autoptr(GPtrArray) tags = g_ptr_array_new_with_free_func(g_free);
        g_auto(GStrv) words = g_strsplit(one->tags, " ", -1), from = NULL;
        for (char **word = words; *word && **word; word++) {
                g_auto(GStrv) pair = g_strsplit(*word, ":", 2);
                g_ptr_array_add(tags, g_strdup(pair[0]));
                g_hash_table_insert(table, g_strdup(pair[0]),
                                    g_strdup(pair[1] ? pair[1] : pair[0]));
        }
        g_autoptr(VersionConstraint) constraint = NULL;
        if (one->constraint)
                constraint = version_constraint_parse(one->constraint, NULL);
        g_autoptr(Value) prefixes = NULL;
        if (one->prefixes)
                prefixes = json_parse(one->prefixes, strlen(one->prefixes), NULL, NULL);
        if (one->from)
                from = g_strsplit(one->from, ":", 2);
        const VersionRules rules = { .variant = one->variant ? one->variant : "",
                                     .constraint = constraint,
                                     .pre_releases = one->pre_releases,
                                     .prefixes = prefixes };
        const VersionSearch search = { .rules = &rules,
                                       .tags = tags,
                                       .given_tag = from ? from[0] : NULL,
                                       .given_digest = from ? from[1] : NULL,
                                       .digests = table_digests,
                                       .data = table };
        g_autoptr(Value) versions = NULL;
        g_assert_true(registry_versions(&search, &versions, NULL));
        GString *text = g_string_new(NULL);
        for (size_t i = 0; i < value_length(versions); i++)
                g_string_append_printf(text, "%s%s", i > 0 ? " " : "",
                                       value_get_string(value_at(versions, i), "tag", "?"));
        return g_string_free(text, false);
}

static void tags_become_versions_as_in_the_reference(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(version_cases); i++) {
                g_autofree char *got = run_version_case(&version_cases[i]);
                g_test_message("%s", version_cases[i].tags);
                g_assert_cmpstr(got, ==, version_cases[i].expect);
        }
}

/* ---- aliases ---- */

static const struct {
        const char *version, *variant, *existing, *expect;
} aliases[] = {
        { "1.2.3", "", "", "latest 1 1.2" },
        { "1.2.3", "", "1.2.2 1.2.3 1.2 latest x 2.0.0-rc.1", "latest 1 1.2" },
        { "1.2.3", "", "2.0.0", "1 1.2" },
        { "1.2.3", "", "2.0.0 1.3.0", "1.2" },
        { "1.2.3", "", "2.0.0 1.3.0 1.2.4", "" },
        { "1.2.3", "", "1.2.4", "" },
        { "1.2.3", "slim", "9.0.0 1.2.2-slim", "slim 1-slim 1.2-slim" },
        { "1.2.3", "slim", "2.0.0-slim", "1-slim 1.2-slim" },
        { "1.2.3-rc.1", "", "", "" },
};

static void aliases_move_only_when_nothing_greater_is_there(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(aliases); i++) {
                g_autoptr(GPtrArray) existing = g_ptr_array_new();
                g_auto(GStrv) words = g_strsplit(aliases[i].existing, " ", -1);
                for (char **word = words; *word; word++)
                        g_ptr_array_add(existing, *word);
                g_autoptr(GPtrArray)
                        tags = registry_aliases(aliases[i].version, aliases[i].variant, existing);
                g_ptr_array_add(tags, NULL);
                g_autofree char *text = g_strjoinv(" ", (char **) tags->pdata);
                g_assert_cmpstr(text, ==, aliases[i].expect);
        }
}

/* ---- regular expressions ---- */

static void patterns_beyond_go_are_refused(void) {
        static const char *const good[] = { "^v[0-9]+", "(?i)abc", "(?P<x>a)\\.\\d", "a|b",
                                            "[[:alpha:]]" };
        static const char *const bad[] = { "(?=a)", "(?<!a)b", "(a)\\1", "(?>a)", "a(", "[" };
        for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
                g_autoptr(GRegex) regex = registry_regex(good[i], NULL);
                g_assert_nonnull(regex);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(GRegex) regex = registry_regex(bad[i], &error);
                g_assert_null(regex);
                g_assert_true(g_str_has_prefix(error->message, "invalid regex pattern: "));
        }
}

/* ---- platforms ---- */

static const struct {
        const char *entries, *architecture, *expect; /* the digest; NULL: none */
} platforms[] = {
        { "{\"digest\":\"a\",\"platform\":{\"architecture\":\"arm64\",\"os\":\"linux\"}},"
          "{\"digest\":\"b\",\"platform\":{\"architecture\":\"amd64\",\"os\":\"linux\"}}",
          "amd64", "b" },
        { "{\"digest\":\"a\",\"platform\":{\"architecture\":\"amd64\",\"os\":\"windows\"}}",
          "amd64", NULL },
        { "{\"digest\":\"a\"}", "amd64", "a" },
        { "{\"digest\":\"a\"}", "arm64", NULL },
        { "{\"digest\":\"a\",\"platform\":{}}", "amd64", NULL },
        { "", "amd64", NULL },
};

static void an_entry_without_platform_is_for_linux_on_amd64(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(platforms); i++) {
                g_autoptr(GError) error = NULL;
                g_autofree char *text = g_strdup_printf("{\"manifests\":[%s]}",
                                                        platforms[i].entries);
                g_autoptr(Value) index = json_parse(text, strlen(text), NULL, &error);
                g_autofree char *architecture = g_strdup(platforms[i].architecture),
                                *os = g_strdup("linux");
                RegistryRun run = { .architecture = architecture, .os = os };
                const Value *child = image_child(index, &run);
                g_assert_cmpstr(child ? value_get_string(child, "digest", NULL) : NULL, ==,
                                platforms[i].expect);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/registry/name", repositories_name_a_registry_and_a_path);
        g_test_add_func("/registry/challenge", challenges_are_read_and_bearer_is_preferred);
        g_test_add_func("/registry/refused", requests_that_cannot_be_met_are_refused_by_name);
        g_test_add_func("/registry/request",
                        a_mirror_serves_only_docker_hub_and_the_params_platform_wins);
        g_test_add_func("/registry/platforms", an_entry_without_platform_is_for_linux_on_amd64);
        g_test_add_func("/registry/versions", tags_become_versions_as_in_the_reference);
        g_test_add_func("/registry/aliases", aliases_move_only_when_nothing_greater_is_there);
        g_test_add_func("/registry/regex", patterns_beyond_go_are_refused);
        return g_test_run();
}
