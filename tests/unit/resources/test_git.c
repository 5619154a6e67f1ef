#include "resources/git.h"

#include "base/child.h"
#include "base/files.h"
#include "base/json.h"

#include <string.h>

/* A place of its own: a home, and the repository "remote" that a script made. */
typedef struct {
        char *directory;
        GitRun run;
        Value *request;
} Fixture;

/* Runs a shell script in the place. Returns its output without the last newline. */
static char *shell(const Fixture *fixture, const char *script) {
        const char *const argv[] = { "sh", "-euc", script, NULL };
        ChildSpec spec = { .argv = argv,
                           .directory = fixture->directory,
                           .input = -1,
                           .output = -1,
                           .error = -1 };
        g_auto(ChildResult) result = {};
        g_autoptr(GError) error = NULL;
        g_assert_true(child_run(&spec, NULL, 0, 1 << 20, NULL, &result, &error));
        if (result.status != 0)
                g_error("%s: %s", script, result.error);
        return g_strdup(g_strchomp(result.output));
}

static const char script_head[] =
        "commit() { echo \"$2\" > \"$1\"; git add \"$1\"; GIT_COMMITTER_DATE=\"@$((1700000000 + $3)) +0000\""
        " git commit -q --date=\"@$((1700000000 + $3)) +0000\" -m \"${4:-$2}\"; }\n";

static void fixture_open(Fixture *fixture, const char *script) {
        fixture->directory = g_dir_make_tmp("weir-git-XXXXXX", NULL);
        g_assert_nonnull(fixture->directory);
        g_setenv("HOME", fixture->directory, true);
        g_setenv("TMPDIR", fixture->directory, true);
        g_setenv("GIT_CONFIG_NOSYSTEM", "1", true);
        static const char setup[] =
                "git config --global user.name git; git config --global user.email git@localhost;"
                "git config --global init.defaultBranch main; git config --global pull.rebase false;"
                "git config --global protocol.file.allow always;"
                "git config --global advice.detachedHead false;"
                "git init -q remote; cd remote; git config receive.denyCurrentBranch ignore;"
                "git config uploadpack.allowFilter true\n";
        g_autofree char *whole = g_strconcat(setup, script_head, script, NULL);
        g_free(shell(fixture, whole));
}

static void fixture_close(Fixture *fixture) {
        value_free(fixture->request);
        g_assert_true(directory_remove(fixture->directory, NULL));
        g_free(fixture->directory);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Fixture, fixture_close)

/* Fills run from a request in which ' stands for " and $R for the remote. */
static void request_set(Fixture *fixture, const char *request) {
        g_autoptr(GString) text = g_string_new(request);
        g_autofree char *uri = g_strdup_printf("file://%s/remote", fixture->directory);
        g_string_replace(text, "'", "\"", 0);
        g_string_replace(text, "$R", uri, 0);
        g_autoptr(GError) error = NULL;
        value_free(fixture->request);
        fixture->request = json_parse(text->str, text->len, NULL, &error);
        g_assert_no_error(error);
        fixture->run = (GitRun){
                .source = value_get(fixture->request, "source"),
                .version = value_get(fixture->request, "version"),
                .params = value_get(fixture->request, "params"),
                .status = 1,
        };
}

/* The refs that a check answers, as messages of their commits (tags as they are), joined by blanks. */
static char *check_messages(Fixture *fixture, const char *request) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Value) versions = NULL;
        request_set(fixture, request);
        if (!git_check(&fixture->run, &versions, &error))
                return g_strdup(error->message);
        g_autoptr(GString) names = g_string_new(NULL);
        for (size_t i = 0; i < value_length(versions); i++) {
                const Value *version = value_at(versions, i);
                const char *ref = value_get_string(version, "ref", "");
                g_autofree char *script = g_strdup_printf("git -C remote log -1 --format=%%s %s",
                                                          ref);
                g_autofree char *message = value_has(version, "commit") ? g_strdup(ref)
                                                                        : shell(fixture, script);
                g_string_append_printf(names, "%s%s", i > 0 ? " " : "", message);
        }
        return g_strdup(names->str);
}

/* A version with the ref of a commit, by its message. */
static char *request_from(const Fixture *fixture, const char *source, const char *message) {
        g_autofree char *script = g_strdup_printf(
                "git -C remote log --all --format=%%H --fixed-strings --grep='%s' | tail -n 1",
                message);
        g_autofree char *ref = shell(fixture, script);
        return g_strdup_printf("{'source':{'uri':'$R'%s},'version':{'ref':'%s'}}", source, ref);
}

typedef struct {
        const char *source; /* beside uri */
        const char *from;   /* the message of the version's commit; NULL: no version */
        const char *expect;
} Case;

static const char history[] =
        "commit a one 1; commit b two 2; git tag v1; commit a three 3; commit b four 4 '[ci skip] four';"
        "commit docs five 5; git tag v2; git tag other;"
        "git checkout -q -b side HEAD~2; commit s side 6; git checkout -q main";

static const Case checks[] = {
        { "", NULL, "five" },
        { ",'branch':'main'", NULL, "five" },
        { ",'branch':'side'", NULL, "side" },
        { ",'branch':'main'", "one", "one two three five" },
        { ",'branch':'main'", "three", "three five" },
        { ",'branch':'main','disable_ci_skip':true", "three", "three [ci skip] four five" },
        { ",'branch':'main','paths':['a']", "one", "one three" },
        { ",'branch':'main','ignore_paths':['docs','b']", "one", "one three" },
        { ",'branch':'main','paths':['nothing']", NULL, "" },
        { ",'branch':'main','version_depth':2,'disable_ci_skip':true", NULL,
          "[ci skip] four five" },
        { ",'branch':'main','commit_filter':{'include':['t']}", "one", "two three" },
        { ",'branch':'main','commit_filter':{'exclude':['t','five']}", "one", "one" },
        { ",'disable_ci_skip':true", NULL, "five" },
        { ",'tag_filter':'v*'", NULL, "v2" },
        { ",'tag_regex':'v[0-9]','version_depth':2", NULL, "v1 v2" },
        { ",'tag_filter':'none*'", NULL, "" },
        { ",'branch':'main','tag_filter':'v*','tag_behaviour':'match_tag_ancestors','version_depth':9",
          NULL, "one two three five" },
};

static void finds_what_the_source_asks_for(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(checks); i++) {
                g_auto(Fixture) fixture = {};
                fixture_open(&fixture, history);
                g_autofree char *request = checks[i].from
                                                   ? request_from(&fixture, checks[i].source,
                                                                  checks[i].from)
                                                   : g_strdup_printf("{'source':{'uri':'$R'%s}}",
                                                                     checks[i].source);
                g_test_message("%s from %s", checks[i].source, checks[i].from);
                g_autofree char *first = check_messages(&fixture, request);
                g_assert_cmpstr(first, ==, checks[i].expect);
                g_autofree char *again = check_messages(&fixture, request); /* from its cache */
                g_assert_cmpstr(again, ==, checks[i].expect);
        }
}

static void follows_the_branch_and_survives_a_forced_push(void) {
        g_auto(Fixture) fixture = {};
        fixture_open(&fixture, history);
        g_autofree char *request = request_from(&fixture, ",'branch':'main'", "five");
        g_autofree char *before = check_messages(&fixture, request);
        g_assert_cmpstr(before, ==, "five");
        g_autofree char *script = g_strconcat(script_head, "cd remote; commit a six 7", NULL);
        g_free(shell(&fixture, script));
        g_autofree char *after = check_messages(&fixture, request);
        g_assert_cmpstr(after, ==, "five six");
        g_autofree char *force = g_strconcat(
                script_head,
                "cd remote; git reset -q --hard v1; commit a new 8; git tag -d v2 other", NULL);
        g_free(shell(&fixture, force));
        g_autofree char *forced = check_messages(
                &fixture, "{'source':{'uri':'$R','branch':'main'},"
                          "'version':{'ref':'0123456789012345678901234567890123456789'}}");
        g_assert_cmpstr(forced, ==, "new");
}

static const Case refused[] = {
        { ",'colour':1,'uri2':2", NULL, "Found unknown keys in source:\n\"colour\"\n\"uri2\"" },
        { ",'tag_filter':'a','tag_regex':'b'", NULL,
          "Cannot provide both tag_filter and tag_regex" },
        { ",'version_depth':-1", NULL, "Invalid version_depth. Must be <= 0." },
        { ",'tag_behaviour':'x'", NULL,
          "Invalid tag_behaviour. Must be one of 'match_tagged' or 'match_tag_ancestors'." },
        { ",'branch':'none','disable_ci_skip':true", NULL, "No commit returned. Invalid branch?" },
        { ",'branch':'none'", NULL, "git clone failed with exit status 128" },
        { ",'commit_filter':{'include':'x'}", NULL,
          "invalid commit filter (expected array of strings)\nx" },
};

static void refuses_what_it_cannot_do(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
                g_auto(Fixture) fixture = {};
                fixture_open(&fixture, history);
                g_autofree char *request = g_strdup_printf("{'source':{'uri':'$R'%s}}",
                                                           refused[i].source);
                g_autofree char *got = check_messages(&fixture, request);
                g_assert_cmpstr(got, ==, refused[i].expect);
        }
}

/* ---- in ---- */

static Value *get(Fixture *fixture, const char *request, GError **error) {
        g_autofree char *destination = g_build_filename(fixture->directory, "get", NULL);
        Value *answer = NULL;
        request_set(fixture, request);
        fixture->run.directory = destination;
        bool done = git_in(&fixture->run, &answer, error);
        g_assert_true(done == (answer != NULL));
        return answer;
}

static void gets_a_commit_and_writes_what_tasks_read(void) {
        g_auto(Fixture) fixture = {};
        g_autoptr(GError) error = NULL;
        fixture_open(&fixture, history);
        g_autoptr(Value) answer = get(
                &fixture, "{'source':{'uri':'$R','branch':'main'},'version':{'ref':'v2'}}", &error);
        g_assert_no_error(error);
        g_autofree char *text = json_write(value_get(answer, "version"), JSON_COMPACT, NULL);
        g_assert_cmpstr(text, ==, "{\"ref\":\"v2\"}");
        g_autofree char *files = shell(
                &fixture, "cd get; cat docs a; cd .git; cat ref short_ref; echo; cat branch tags "
                          "author author_date committer; echo; cat committer_name; echo; "
                          "cat commit_message commit_timestamp describe_ref");
        g_assert_cmpstr(
                files, ==,
                "five\nthree\nv2\nv2\nmain\nother,v2\ngit\n2023-11-14 22:13:25 +0000\ngit@localhost\ngit\n"
                "five\n2023-11-14 22:13:25 +0000\nbcc2a69");
        const Value *metadata = value_get(answer, "metadata");
        static const char *const names[] = { "commit",         "author", "author_date", "committer",
                                             "committer_date", "branch", "tags",        "message" };
        g_assert_cmpuint(value_length(metadata), ==, G_N_ELEMENTS(names));
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
                g_assert_cmpstr(value_get_string(value_at(metadata, i), "name", ""), ==, names[i]);
        g_assert_cmpstr(value_get_string(value_at(metadata, 7), "value", ""), ==, "five\n");
}

typedef struct {
        const char *request;
        const char *script; /* in the place */
        const char *expect; /* its output, or the failure's message when script is NULL */
} GetCase;

static const GetCase get_rows[] = {
        { "{'source':{'uri':'$R','branch':'main'},'version':{'ref':'v2'},'params':{'depth':'1'}}",
          "cd get; git rev-parse --is-shallow-repository; git log --format=%s", "true\nfive" },
        { "{'source':{'uri':'$R','branch':'main'},'version':{'ref':'v1'},'params':{'depth':1}}",
          "cd get; git rev-parse --is-shallow-repository; git log -1 --format=%s; cat .git/tags",
          "false\ntwo\nv1" },
        { "{'source':{'uri':'$R'},'params':{'clean_tags':true}}", "git -C get tag", "" },
        { "{'source':{'uri':'$R'},'params':{'fetch_tags':false}}", "git -C get tag", "" },
        { "{'source':{'uri':'$R','branch':'main'},'params':{'fetch':['side']}}",
          "git -C get branch --format='%(refname:short)' | tail -n 2", "main\nside" },
        { "{'source':{'uri':'$R'},'params':{'short_ref_format':'<%s>'}}",
          "wc -c < get/.git/short_ref", "9" },
        { "{'source':{'uri':'$R','sparse_paths':['docs']}}", "ls get", "docs" },
        { "{'source':{'uri':'$R','branch':'main'},'version':{'ref':'HEAD','branch':'side'}}",
          "ls get", "a\nb\ns" },
        { "{'source':{'uri':'$R'},'params':{'depht':1}}", NULL,
          "Found unknown keys in get params:\n\"depht\"" },
        { "{'source':{}}", NULL, "invalid payload (missing uri):" },
        { "{'source':{'uri':'$R'},'version':{'ref':'0123456789012345678901234567890123456789'}}",
          NULL, "git checkout failed with exit status 128" },
};

static void gets_as_the_params_say(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(get_rows); i++) {
                g_auto(Fixture) fixture = {};
                g_autoptr(GError) error = NULL;
                fixture_open(&fixture, history);
                g_autoptr(Value) answer = get(&fixture, get_rows[i].request, &error);
                g_assert_true((answer != NULL) == (get_rows[i].script != NULL));
                if (!get_rows[i].script) {
                        g_assert_nonnull(error);
                        g_assert_cmpstr(error->message, ==, get_rows[i].expect);
                        continue;
                }
                g_assert_no_error(error);
                g_autofree char *output = shell(&fixture, get_rows[i].script);
                g_assert_cmpstr(output, ==, get_rows[i].expect);
        }
}

static void gets_submodules_unless_told_not_to(void) {
        g_auto(Fixture) fixture = {};
        g_autoptr(GError) error = NULL;
        fixture_open(
                &fixture,
                "commit a one 1; git init -q ../part; cd ../part; commit p part 2; cd ../remote;"
                "git submodule --quiet add \"file://$PWD/../part\" lib; git commit -q -m with");
        g_autoptr(Value) all = get(&fixture, "{'source':{'uri':'$R'}}", &error);
        g_assert_nonnull(all);
        g_assert_no_error(error);
        g_autofree char *with = shell(&fixture, "cat get/lib/p; rm -rf get");
        g_assert_cmpstr(with, ==, "part");
        g_autoptr(Value) none = get(
                &fixture, "{'source':{'uri':'$R'},'params':{'submodules':'none'}}", &error);
        g_assert_nonnull(none);
        g_assert_no_error(error);
        g_autofree char *without = shell(&fixture, "ls get/lib");
        g_assert_cmpstr(without, ==, "");
}

/* ---- out ---- */

typedef struct {
        const char *work;   /* script in the place, before: makes "put/repo" and what else is put */
        const char *params; /* beside repository */
        const char *script; /* NULL: it fails */
        const char *expect;
} PutCase;

#define WORK "git clone -q remote put/repo; cd put/repo; commit a mine 9; cd ../..; "

static const PutCase put_rows[] = {
        { WORK, "", "git -C remote log -1 --format=%s main", "mine" },
        { WORK "echo v3 > put/name; echo notes > put/text",
          ",'tag':'name','tag_prefix':'rel-','annotate':'text'",
          "git -C remote for-each-ref --format='%(objecttype) %(contents)' refs/tags/rel-v3",
          "tag notes" },
        { WORK "echo green > put/name", ",'tag':'name','only_tag':true",
          "cd remote; git log -1 --format=%s main; git log -1 --format=%s green", "five\nmine" },
        { WORK "cd remote; commit c theirs 10", ",'rebase':true",
          "git -C remote log -2 --format=%s main", "mine\ntheirs" },
        { WORK "cd remote; commit c theirs 10", ",'merge':true",
          "git -C remote log --no-merges -2 --format=%s main | sort", "mine\ntheirs" },
        { WORK "cd remote; commit c theirs 10", ",'force':true",
          "git -C remote log -1 --format=%s main", "mine" },
        { WORK, ",'branch':'new'", "git -C remote log -1 --format=%s new", "mine" },
        { WORK "cd remote; commit c theirs 10", "", NULL, "failed to push" },
        { WORK, ",'tag':'nowhere'", NULL, "tag file 'nowhere' does not exist" },
        { WORK, ",'rebase':true,'merge':true", NULL,
          "invalid push strategy (either merge or rebase can be set, but not both)" },
        { WORK, ",'colour':true", NULL, "Found unknown keys in put params:\n\"colour\"" },
        { "mkdir -p put/repo", "", NULL, "'repo' is not a git repository" },
};

static void puts_as_the_params_say(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(put_rows); i++) {
                g_auto(Fixture) fixture = {};
                g_autoptr(GError) error = NULL;
                g_autoptr(Value) answer = NULL;
                fixture_open(&fixture, history);
                g_autofree char *work = g_strconcat(script_head, put_rows[i].work, NULL);
                g_free(shell(&fixture, work));
                g_autofree char *request = g_strdup_printf(
                        "{'source':{'uri':'$R','branch':'main'},'params':{'repository':'repo'%s}}",
                        put_rows[i].params);
                g_autofree char *sources = g_build_filename(fixture.directory, "put", NULL);
                g_test_message("%s", put_rows[i].params);
                request_set(&fixture, request);
                fixture.run.directory = sources;
                bool done = git_out(&fixture.run, &answer, &error);
                if (!put_rows[i].script) {
                        g_assert_false(done);
                        g_assert_cmpstr(error->message, ==, put_rows[i].expect);
                        continue;
                }
                g_assert_no_error(error);
                g_autofree char *output = shell(&fixture, put_rows[i].script);
                g_assert_cmpstr(output, ==, put_rows[i].expect);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/git/check/finds", finds_what_the_source_asks_for);
        g_test_add_func("/git/check/follows", follows_the_branch_and_survives_a_forced_push);
        g_test_add_func("/git/check/refuses", refuses_what_it_cannot_do);
        g_test_add_func("/git/in/files", gets_a_commit_and_writes_what_tasks_read);
        g_test_add_func("/git/in/params", gets_as_the_params_say);
        g_test_add_func("/git/in/submodules", gets_submodules_unless_told_not_to);
        g_test_add_func("/git/out", puts_as_the_params_say);
        return g_test_run();
}
