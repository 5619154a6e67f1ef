#include "base/child.h"
#include "base/files.h"
#include "resources/git.h"

#include <string.h>

/* The most that a file which names a tag may hold. */
#define TAG_FILE_LIMIT ((size_t) 1 << 16)

static const char *const put_keys[] = { "repository",
                                        "rebase",
                                        "rebase_strategy",
                                        "rebase_strategy_option",
                                        "merge",
                                        "returning",
                                        "tag",
                                        "tag_prefix",
                                        "annotate",
                                        "only_tag",
                                        "force",
                                        "notes",
                                        "branch",
                                        "refs_prefix",
                                        "push_options",
                                        "debug",
                                        NULL };

typedef enum { PUSH_DONE, PUSH_REJECTED, PUSH_FAILED } PushResult;

typedef struct {
        GitRun *run;
        const Value *source, *params;
        const char *branch;
        char *repository, *tag_file, *annotation, *notes; /* paths; NULL when not asked for */
        char *tag;                                        /* the tag's whole name, or NULL */
        char *original;                                   /* HEAD before anything was done */
} Put;

static void put_clear(Put *put) {
        g_free(put->repository);
        g_free(put->tag_file);
        g_free(put->annotation);
        g_free(put->notes);
        g_free(put->tag);
        g_free(put->original);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Put, put_clear)

/* ---- what was asked for ---- */

static bool refuse(GError **error, const char *text) {
        g_set_error(error, ERROR, ERROR_INVALID, "%s", text);
        return false;
}

static bool file_named(const Put *put, const char *key, const char *what, char **ret,
                       GError **error) {
        const char *name = git_text(put->params, key);
        if (!*name)
                return true;
        g_autofree char *path = g_build_filename(put->run->directory, name, NULL);
        if (!g_file_test(path, G_FILE_TEST_EXISTS)) {
                g_set_error(error, ERROR, ERROR_INVALID, "%s file '%s' does not exist", what, name);
                return false;
        }
        *ret = g_canonicalize_filename(path, NULL);
        return true;
}

static bool request_check(Put *put, GError **error) {
        const char *repository = git_text(put->params, "repository");
        const char *override = git_text(put->params, "branch");
        if (!git_keys_check(put->params, put_keys, "put params", error))
                return false;
        if (!put->run->directory)
                return refuse(error, "usage: out <path/to/source>");
        if (!*git_text(put->source, "uri"))
                return refuse(error, "invalid payload (missing uri)");
        if (!*put->branch && !*override && !git_flag(put->params, "only_tag"))
                return refuse(error, "invalid payload (missing branch)");
        if (!*repository)
                return refuse(error, "invalid payload (missing repository)");
        if (git_flag(put->params, "merge") && git_flag(put->params, "rebase"))
                return refuse(
                        error,
                        "invalid push strategy (either merge or rebase can be set, but not both)");
        if (*override) {
                git_say("Override %s with %s", put->branch, override);
                put->branch = override;
        }
        put->repository = g_build_filename(put->run->directory, repository, NULL);
        return file_named(put, "tag", "tag", &put->tag_file, error) &&
               file_named(put, "annotate", "annotation", &put->annotation, error) &&
               file_named(put, "notes", "notes", &put->notes, error);
}

static bool tag_name_read(Put *put, GError **error) {
        if (!put->tag_file)
                return true;
        g_autofree char *text = file_read(put->tag_file, TAG_FILE_LIMIT, NULL, error);
        if (!text)
                return false;
        put->tag = g_strconcat(git_text(put->params, "tag_prefix"), g_strchomp(text), NULL);
        return true;
}

/* ---- the parts of a push ---- */

static bool tag_head(Put *put, GError **error) {
        if (!put->tag)
                return true;
        GPtrArray *arguments = git_arguments("tag", "--force", NULL);
        if (put->annotation) {
                git_argument(arguments, "--annotate");
                git_argument(arguments, "--file=%s", put->annotation);
        }
        git_argument(arguments, "--");
        git_argument(arguments, "%s", put->tag);
        git_argument(arguments, "HEAD");
        return git_show(put->run, arguments, error);
}

/* A push of ours is worth another try when somebody else was faster. */
static bool is_rejection(const char *output) {
        const char *remote = strstr(output, "[remote rejected]");
        return strstr(output, "[rejected]") || (remote && strstr(remote, "cannot lock ref"));
}

static PushResult push(Put *put, const char *what) {
        g_autoptr(GPtrArray) arguments = git_arguments("push", "--tags", NULL);
        const Value *options = value_get(put->params, "push_options");
        if (git_flag(put->params, "force"))
                git_argument(arguments, "--force");
        for (size_t i = 0; i < value_length(options); i++) {
                const char *option = value_text(value_at(options, i));
                git_argument(arguments, "--push-option=%s", option ? option : "");
        }
        git_argument(arguments, "push-target");
        if (what)
                git_argument(arguments, "%s", what);
        g_ptr_array_add(arguments, NULL);

        /* Collected, because what it says decides; then shown. */
        ChildSpec spec = {
                .argv = (const char *const *) arguments->pdata,
                .directory = put->repository,
                .input = -1,
                .output = -1,
                .error = -1,
        };
        g_auto(ChildResult) result = {};
        g_autoptr(GError) failure = NULL;
        if (!child_run(&spec, NULL, 0, GIT_OUTPUT_LIMIT, NULL, &result, &failure)) {
                git_say("%s", failure->message);
                return PUSH_FAILED;
        }
        git_say("%s%s", result.output, g_strchomp(result.error));
        if (result.status == 0)
                return PUSH_DONE;
        return is_rejection(result.error) ? PUSH_REJECTED : PUSH_FAILED;
}

static bool notes_fetch(Put *put, GError **error) {
        return !put->notes ||
               git_show(put->run,
                        git_arguments("fetch", "push-target", "refs/notes/*:refs/notes/*", NULL),
                        error);
}

static bool notes_push(Put *put, GError **error) {
        if (!put->notes)
                return true;
        GPtrArray *arguments = git_arguments("notes", "add", "--force", NULL);
        git_argument(arguments, "--file=%s", put->notes);
        return git_show(put->run, arguments, error) &&
               git_show(put->run, git_arguments("push", "push-target", "refs/notes/*", NULL),
                        error);
}

/* Tag, branch and notes. */
static bool push_all(Put *put, PushResult *ret, GError **error) {
        const char *prefix = git_text(put->params, "refs_prefix");
        g_autofree char *what = g_strdup_printf("HEAD:%s/%s", *prefix ? prefix : "refs/heads",
                                                put->branch);
        if (!tag_head(put, error))
                return false;
        *ret = push(put, git_flag(put->params, "only_tag") ? NULL : what);
        return *ret != PUSH_DONE || notes_push(put, error);
}

/* ---- when somebody else pushes too ---- */

static GPtrArray *rebase_arguments(Put *put) {
        const char *strategy = git_text(put->params, "rebase_strategy");
        const Value *list = value_get(put->params, "rebase_strategy_option");
        GPtrArray *arguments = git_arguments("pull", "--rebase=merges", NULL);
        if (*strategy)
                git_argument(arguments, "--strategy=%s", strategy);
        for (size_t i = 0; i < value_length(list); i++) {
                const char *option = value_text(value_at(list, i));
                git_argument(arguments, "-X%s", option ? option : "");
        }
        g_auto(GStrv) words = g_strsplit(git_text(put->params, "rebase_strategy_option"), " ", -1);
        for (char **word = words; *word; word++)
                if (**word)
                        git_argument(arguments, "-X%s", *word);
        git_argument(arguments, "push-target");
        git_argument(arguments, "%s", put->branch);
        return arguments;
}

static bool pull_rebasing(Put *put, GError **error) {
        GPtrArray *arguments = rebase_arguments(put);
        g_ptr_array_add(arguments, NULL);
        g_autofree char *command = g_strjoinv(" ", (char **) arguments->pdata);
        g_ptr_array_set_size(arguments, (int) arguments->len - 1);
        git_say("rebasing using rebase command: %s...", command);
        bool fetched = notes_fetch(put, error);
        if (!fetched)
                g_ptr_array_unref(arguments);
        return fetched && git_show(put->run, arguments, error);
}

static bool pull_merging(Put *put, GError **error) {
        git_say("merging...");
        return git_show(put->run, git_arguments("reset", "--hard", put->original, NULL), error) &&
               notes_fetch(put, error) &&
               git_show(put->run,
                        git_arguments("pull", "--no-edit", "--no-rebase", "push-target",
                                      put->branch, NULL),
                        error);
}

/* Without limit, as upstream: whoever is always slower needs another branch. */
static bool push_until_done(Put *put, GError **error) {
        bool rebase = git_flag(put->params, "rebase"), merge = git_flag(put->params, "merge");
        bool pulls = (rebase || merge) && !git_flag(put->params, "only_tag");
        for (;;) {
                PushResult result;
                if (pulls && !(rebase ? pull_rebasing : pull_merging)(put, error))
                        return false;
                if (!push_all(put, &result, error))
                        return false;
                if (result == PUSH_DONE) {
                        git_say("pushed");
                        return true;
                }
                if (result == PUSH_FAILED || !pulls)
                        return refuse(error,
                                      pulls ? "failed with non-rebase error" : "failed to push");
                git_say("%s and trying again...", rebase ? "rebasing" : "merging");
        }
}

/* ---- out ---- */

static Value *version_new(const Put *put, const char *ref) {
        Value *version = value_map();
        value_map_set_string_opt(version, "branch", git_text(put->params, "branch"));
        value_map_set_string(version, "ref", ref);
        return version;
}

bool git_out(GitRun *run, Value **ret, GError **error) {
        g_auto(Put) put = {
                .run = run,
                .source = run->source,
                .params = run->params,
                .branch = git_text(run->source, "branch"),
        };
        if (!request_check(&put, error) || !git_credentials_set_up(run->source, error) ||
            !tag_name_read(&put, error))
                return false;
        run->repository = put.repository;
        put.original = git_line(run, git_arguments("rev-parse", "HEAD", NULL));
        if (!put.original) {
                g_set_error(error, ERROR, ERROR_INVALID, "'%s' is not a git repository",
                            git_text(put.params, "repository"));
                return false;
        }
        if (!git_show(run,
                      git_arguments("remote", "add", "push-target", git_text(run->source, "uri"),
                                    NULL),
                      error) ||
            !push_until_done(&put, error))
                return false;

        g_autoptr(Value) metadata = NULL;
        g_autofree char *head = git_line(run, git_arguments("rev-parse", "HEAD", NULL));
        bool unmerged = git_flag(put.params, "merge") &&
                        g_str_equal(git_text(put.params, "returning"), "unmerged");
        if (!git_metadata(run, &metadata, error))
                return false;
        *ret = value_map();
        value_map_set(*ret, "version", version_new(&put, unmerged ? put.original : head));
        value_map_set(*ret, "metadata", g_steal_pointer(&metadata));
        return true;
}
