#include "base/files.h"
#include "resources/git.h"

#include <regex.h>
#include <string.h>

typedef struct {
        GitRun *run;
        const Value *source;
        const char *uri, *branch, *given; /* given: the version's ref, "" when there is none */
        int64_t depth;                    /* how many versions at most */
        bool tags, ancestors;             /* tag mode; match_tag_ancestors */
        bool found;                       /* the given ref is a commit we have */
} Check;

/* ---- what the source asks for ---- */

static bool filter_check(const Value *filter, const char *key, GError **error) {
        const Value *list = value_get(filter, key);
        if (value_is_null(list) || value_is(list, VALUE_LIST))
                return true;
        g_set_error(error, ERROR, ERROR_INVALID,
                    "invalid commit filter (expected array of strings)\n%s",
                    value_is(list, VALUE_STRING) ? value_text(list) : key);
        return false;
}

static bool settings_check(Check *check, GError **error) {
        const Value *source = check->source, *filter = value_get(source, "commit_filter");
        const char *behaviour = git_text(source, "tag_behaviour");
        if (*git_text(source, "tag_filter") && *git_text(source, "tag_regex")) {
                g_set_error(error, ERROR, ERROR_INVALID,
                            "Cannot provide both tag_filter and tag_regex");
                return false;
        }
        check->tags = *git_text(source, "tag_filter") || *git_text(source, "tag_regex");
        check->ancestors = g_str_equal(behaviour, "match_tag_ancestors");
        if (*behaviour && !check->ancestors && !g_str_equal(behaviour, "match_tagged")) {
                g_set_error(
                        error, ERROR, ERROR_INVALID,
                        "Invalid tag_behaviour. Must be one of 'match_tagged' or 'match_tag_ancestors'.");
                return false;
        }
        if (!filter_check(filter, "include", error) || !filter_check(filter, "exclude", error))
                return false;
        if (check->depth <= 0) {
                /* The text is wrong, and upstream's. */
                g_set_error(error, ERROR, ERROR_INVALID, "Invalid version_depth. Must be <= 0.");
                return false;
        }
        return true;
}

static bool has_filters(const Check *check) {
        static const char *const keys[] = { "paths", "ignore_paths" };
        const Value *filter = value_get(check->source, "commit_filter");
        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
                if (value_length(value_get(check->source, keys[i])) > 0)
                        return true;
        return value_length(value_get(filter, "include")) > 0 ||
               value_length(value_get(filter, "exclude")) > 0;
}

static bool has_paths(const Check *check) {
        return value_length(value_get(check->source, "paths")) > 0 ||
               value_length(value_get(check->source, "ignore_paths")) > 0;
}

/* ---- without a clone ---- */

static Value *version_new(const char *ref, const char *commit) {
        Value *version = value_map();
        value_map_set_string(version, "ref", ref);
        value_map_set_string_opt(version, "commit", commit);
        return version;
}

/* Asks the remote for its branch. *ret stays NULL when the answer needs the history after all. */
static bool check_quickly(Check *check, Value **ret, GError **error) {
        if (!git_flag(check->source, "disable_ci_skip") || check->depth != 1 ||
            has_filters(check) || *git_text(check->source, "tag_filter") ||
            *git_text(check->source, "tag_regex"))
                return true;
        const char *pattern = *check->branch ? check->branch : "HEAD";
        g_autofree char *lines = NULL;
        if (!git_read(check->run, git_arguments("ls-remote", check->uri, pattern, NULL), NULL,
                      &lines, error))
                return false;
        size_t length = strcspn(lines, "\t\n");
        if (length == 0) {
                g_set_error(error, ERROR, ERROR_NOT_FOUND, "No commit returned. Invalid branch?");
                return false;
        }
        lines[length] = '\0';
        if (!*check->given || g_str_equal(check->given, lines)) {
                *ret = value_list();
                value_list_add(*ret, version_new(lines, NULL));
        }
        return true;
}

/* ---- the history, kept between checks ---- */

static bool cache_clone(Check *check, const char *cache, GError **error) {
        GPtrArray *arguments = git_arguments("clone", "--bare", NULL);
        git_argument(arguments, "--filter=%s", has_paths(check) ? "blob:none" : "tree:0");
        if (check->tags) {
                git_argument(arguments, "--tags");
        } else {
                git_argument(arguments, "--single-branch");
                git_argument(arguments, "--no-tags");
        }
        if (*check->branch)
                git_argument(arguments, "--branch=%s", check->branch);
        git_argument(arguments, "--");
        git_argument(arguments, "%s", check->uri);
        git_argument(arguments, "%s", cache);
        return git_show(check->run, arguments, error);
}

static bool cache_update(Check *check, GError **error) {
        GitRun *run = check->run;
        if (check->tags)
                return git_show(run,
                                git_arguments("fetch", "--force", "--tags", "--update-head-ok",
                                              "origin", "+refs/heads/*:refs/heads/*", NULL),
                                error);
        GPtrArray *fetch = git_arguments("fetch", "--force", "--no-tags", "origin", NULL);
        git_argument(fetch, "%s", *check->branch ? check->branch : "HEAD");
        if (!git_show(run, fetch, error))
                return false;
        g_autofree char *head = git_line(run, git_arguments("symbolic-ref", "HEAD", NULL));
        return git_show(run, git_arguments("update-ref", head ? head : "HEAD", "FETCH_HEAD", NULL),
                        error);
}

/* git removes what a failed clone leaves; one that was killed leaves a folder without HEAD. */
static bool cache_prepare(Check *check, const char *cache, GError **error) {
        g_autofree char *head = g_build_filename(cache, "HEAD", NULL);
        if (!g_file_test(head, G_FILE_TEST_EXISTS)) {
                if (g_file_test(cache, G_FILE_TEST_IS_DIR) && !directory_remove(cache, error))
                        return false;
                if (!cache_clone(check, cache, error))
                        return false;
                check->run->repository = cache;
                return true;
        }
        check->run->repository = cache;
        return cache_update(check, error);
}

/* ---- which commits ---- */

/* Splits as the shell did upstream: blanks separate, quotes group. */
static bool add_paths(GPtrArray *arguments, const Value *list, const char *prefix, GError **error) {
        for (size_t i = 0; i < value_length(list); i++) {
                const char *text = value_text(value_at(list, i));
                g_auto(GStrv) words = NULL;
                if (!text || !g_shell_parse_argv(text, NULL, &words, NULL)) {
                        g_set_error(error, ERROR, ERROR_INVALID, "invalid path '%s'",
                                    text ? text : "");
                        return false;
                }
                for (char **word = words; *word; word++)
                        git_argument(arguments, "%s%s", word == words ? prefix : "", *word);
        }
        return true;
}

/* Commits of the range that touch the paths, newest first. */
static bool commits_list(Check *check, char **ret, GError **error) {
        g_autoptr(GPtrArray) arguments = git_arguments("rev-list", "--all", "--first-parent", NULL);
        if (check->found) {
                g_autofree char *roots = NULL;
                if (!git_read(check->run,
                              git_arguments("rev-list", "--max-parents=0", "HEAD", NULL), NULL,
                              &roots, error))
                        return false;
                if (strstr(roots, check->given))
                        git_argument(arguments, "HEAD");
                else
                        git_argument(arguments, "%s~1..HEAD", check->given);
        }
        git_argument(arguments, "--");
        const Value *paths = value_get(check->source, "paths");
        const Value *ignored = value_get(check->source, "ignore_paths");
        if (value_length(paths) == 0)
                git_argument(arguments, ".");
        if (!add_paths(arguments, paths, "", error) || !add_paths(arguments, ignored, ":!", error))
                return false;
        if (!has_paths(check)) /* without paths, empty commits count too */
                g_ptr_array_set_size(arguments, (int) arguments->len - 2);
        return git_read(check->run, g_steal_pointer(&arguments), NULL, ret, error);
}

/* One stage: keeps the commits in *list that git's own selection keeps, in their order. Takes options. */
static bool commits_filter(Check *check, GPtrArray *options, char **list, GError **error) {
        if (!**list) {
                g_ptr_array_unref(options);
                return true;
        }
        char *kept = NULL;
        if (!git_read(check->run, options, *list, &kept, error))
                return false;
        g_free(*list);
        *list = kept;
        return true;
}

static GPtrArray *stage_new(void) {
        return git_arguments("rev-list", "--stdin", "--no-walk=unsorted", NULL);
}

static bool filter_messages(Check *check, const char *key, char **list, GError **error) {
        const Value *filter = value_get(check->source, "commit_filter");
        const Value *patterns = value_get(filter, key);
        bool exclude = g_str_equal(key, "exclude");
        if (value_length(patterns) == 0)
                return true;
        GPtrArray *stage = stage_new();
        for (size_t i = 0; i < value_length(patterns); i++) {
                const char *pattern = value_text(value_at(patterns, i));
                git_argument(stage, "--grep=%s", pattern ? pattern : "");
        }
        if (exclude)
                git_argument(stage, "--invert-grep");
        if (git_flag(filter, exclude ? "exclude_all_match" : "include_all_match"))
                git_argument(stage, "--all-match");
        return commits_filter(check, stage, list, error);
}

static bool commits_select(Check *check, char **ret, GError **error) {
        g_autofree char *list = NULL;
        /* A tag that sits on a root commit has no parent to start from: nothing is new, says upstream. */
        if (!commits_list(check, &list, check->tags ? NULL : error)) {
                if (!check->tags)
                        return false;
                check->run->status = 1;
                list = g_strdup("");
        }
        if (!filter_messages(check, "include", &list, error) ||
            !filter_messages(check, "exclude", &list, error))
                return false;
        if (!git_flag(check->source, "disable_ci_skip")) {
                GPtrArray *stage = stage_new();
                git_argument(stage, "--grep=\\[ci\\sskip\\]");
                git_argument(stage, "--grep=\\[skip\\sci\\]");
                git_argument(stage, "--invert-grep");
                if (!commits_filter(check, stage, &list, error))
                        return false;
        }
        *ret = g_steal_pointer(&list);
        return true;
}

/* ---- versions ---- */

static bool versions_of_commits(Check *check, Value **ret, GError **error) {
        g_autofree char *list = NULL;
        if (!commits_select(check, &list, error))
                return false;
        GPtrArray *stage = stage_new();
        git_argument(stage, "--reverse");
        if (!check->found)
                git_argument(stage, "--max-count=%" G_GINT64_FORMAT, check->depth);
        if (!commits_filter(check, stage, &list, error))
                return false;
        g_autoptr(Value) versions = value_list();
        g_auto(GStrv) commits = g_strsplit(list, "\n", -1);
        for (char **commit = commits; *commit; commit++)
                if (**commit)
                        value_list_add(versions, version_new(*commit, NULL));
        *ret = g_steal_pointer(&versions);
        return true;
}

/* Keeps whole-line matches of an extended regular expression, as grep -Ex. */
static bool tags_match(const char *expression, char ***tags, GError **error) {
        g_autofree char *whole = g_strdup_printf("^(%s)$", expression);
        regex_t regex;
        if (regcomp(&regex, whole, REG_EXTENDED | REG_NOSUB) != 0) {
                g_set_error(error, ERROR, ERROR_INVALID, "invalid tag_regex '%s'", expression);
                return false;
        }
        GPtrArray *kept = g_ptr_array_new();
        for (char **tag = *tags; *tag; tag++)
                if (**tag && regexec(&regex, *tag, 0, NULL, 0) == 0)
                        g_ptr_array_add(kept, g_strdup(*tag));
        regfree(&regex);
        g_ptr_array_add(kept, NULL);
        g_strfreev(*tags);
        *tags = (char **) g_ptr_array_free(kept, false);
        return true;
}

/* Candidate tags, oldest first. */
static bool tags_list(Check *check, char ***ret, GError **error) {
        const char *glob = git_text(check->source, "tag_filter");
        const char *expression = git_text(check->source, "tag_regex");
        GPtrArray *arguments = git_arguments("tag", "--sort=creatordate", NULL);
        if (*check->branch)
                git_argument(arguments, "--merged=%s", check->branch);
        if (*check->branch && check->found)
                git_argument(arguments, "--contains=%s", check->given);
        git_argument(arguments, "--list");
        if (*glob)
                git_argument(arguments, "%s", glob);
        g_autofree char *lines = NULL;
        if (!git_read(check->run, arguments, NULL, &lines, error))
                return false;
        g_auto(GStrv) tags = g_strsplit(lines, "\n", -1);
        if (*expression && !tags_match(expression, &tags, error))
                return false;
        char **first = tags;
        if (check->found &&
            !*check->branch) /* from the first line that has the ref in it, as sed did */
                while (*first && !strstr(*first, check->given))
                        first++;
        *ret = g_strdupv(first);
        return true;
}

static char *tag_commit(Check *check, const char *tag) {
        GPtrArray *arguments = git_arguments("rev-parse", "--verify", "--quiet", NULL);
        git_argument(arguments, "refs/tags/%s^{commit}", tag);
        return git_line(check->run, arguments);
}

static void versions_tagged(Check *check, char **tags, const char *commits, Value *versions) {
        for (; *tags; tags++) {
                g_autofree char *commit = **tags ? tag_commit(check, *tags) : NULL;
                if (commit && strstr(commits, commit))
                        value_list_add(versions, version_new(*tags, commit));
        }
}

/* Commits, oldest first, that a candidate tag is on or contains. */
static bool versions_ancestors(Check *check, char **tags, const char *commits, Value *versions,
                               GError **error) {
        GPtrArray *arguments = git_arguments("rev-list", NULL);
        for (; *tags; tags++)
                if (**tags)
                        git_argument(arguments, "refs/tags/%s", *tags);
        git_argument(arguments, "--");
        g_autofree char *reachable = NULL;
        if (!git_read(check->run, arguments, NULL, &reachable, error))
                return false;
        g_autoptr(GHashTable) set = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g_auto(GStrv) ancestors = g_strsplit(reachable, "\n", -1);
        for (char **ancestor = ancestors; *ancestor; ancestor++)
                g_hash_table_add(set, g_strdup(*ancestor));
        g_auto(GStrv) lines = g_strsplit(commits, "\n", -1);
        for (size_t i = g_strv_length(lines); i-- > 0;)
                if (*lines[i] && g_hash_table_contains(set, lines[i]))
                        value_list_add(versions, version_new(lines[i], NULL));
        return true;
}

static bool versions_of_tags(Check *check, Value **ret, GError **error) {
        g_auto(GStrv) tags = NULL;
        g_autofree char *commits = NULL;
        g_autoptr(Value) versions = value_list();
        if (!tags_list(check, &tags, error))
                return false;
        if (tags[0] && *tags[0]) {
                if (!commits_select(check, &commits, error))
                        return false;
                if (!check->ancestors)
                        versions_tagged(check, tags, commits, versions);
                else if (!versions_ancestors(check, tags, commits, versions, error))
                        return false;
        }
        size_t count = value_length(versions),
               first = count > (size_t) check->depth ? count - (size_t) check->depth : 0;
        *ret = value_list();
        for (size_t i = first; i < count; i++)
                value_list_add(*ret, value_ref(value_at(versions, i)));
        return true;
}

/* Whether the given ref is a commit of the cache; it may be a tag's name, or gone since a forced push. */
static bool given_exists(const Check *check) {
        if (!*check->given || check->given[0] == '-')
                return false;
        GPtrArray *arguments = git_arguments("rev-parse", "--verify", "--quiet", NULL);
        git_argument(arguments, "%s^{commit}", check->given);
        g_autofree char *commit = git_line(check->run, arguments);
        return commit != NULL;
}

bool git_check(GitRun *run, Value **ret, GError **error) {
        Check check = {
                .run = run,
                .source = run->source,
                .uri = git_text(run->source, "uri"),
                .branch = git_text(run->source, "branch"),
                .given = git_text(run->version, "ref"),
                .depth = git_number(run->source, "version_depth", 1),
        };
        if (check.uri[0] == ' ')
                check.uri++;
        if (!git_source_check(run->source, error) || !git_credentials_set_up(run->source, error))
                return false;
        if (!*check.uri) {
                g_set_error(error, ERROR, ERROR_INVALID,
                            "source.uri is required and must not be empty");
                return false;
        }
        g_autoptr(Value) quick = NULL;
        if (!check_quickly(&check, &quick, error))
                return false;
        if (quick) {
                *ret = g_steal_pointer(&quick);
                return true;
        }
        g_autofree char *cache = g_build_filename(git_temporary(), "git-resource-repo-cache", NULL);
        g_setenv("GIT_LFS_SKIP_SMUDGE", "1", true);
        if (!settings_check(&check, error) || !cache_prepare(&check, cache, error))
                return false;
        check.found = given_exists(&check);
        return check.tags ? versions_of_tags(&check, ret, error)
                          : versions_of_commits(&check, ret, error);
}
