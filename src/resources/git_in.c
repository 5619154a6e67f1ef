#include "base/files.h"
#include "base/json.h"
#include "resources/git.h"
#include "resources/git_secrets.h"
#include "resources/git_ssh.h"

#include <regex.h>
#include <string.h>
#include <sys/stat.h>

/* A shallow clone is deepened until it has this many commits more; then the rest comes at once. */
#define DEEPEN_LIMIT 127

static const char *const get_keys[] = { "depth",
                                        "fetch",
                                        "fetch_tags",
                                        "submodules",
                                        "submodule_recursive",
                                        "submodule_remote",
                                        "disable_git_lfs",
                                        "clean_tags",
                                        "short_ref_format",
                                        "timestamp_format",
                                        "describe_ref_options",
                                        "all_branches",
                                        "debug",
                                        NULL };

typedef struct {
        GitRun *run;
        const Value *source, *params;
        const char *branch, *ref; /* ref: what to check out, "HEAD" when none was given */
        const char *tag_option;   /* NULL: git's default */
        int64_t depth;            /* 0: everything */
} Get;

/* ---- clone and checkout ---- */

static const char *tag_option(const Value *source, const Value *params) {
        const Value *wish = value_get(
                value_is_null(value_get(params, "fetch_tags")) ? source : params, "fetch_tags");
        const char *text = value_is(wish, VALUE_BOOL) ? (value_as_bool(wish) ? "true" : "false")
                                                      : value_text(wish);
        if (g_strcmp0(text, "true") == 0)
                return "--tags";
        if (g_strcmp0(text, "false") == 0)
                return "--no-tags";
        return *git_text(source, "tag_filter") || *git_text(source, "tag_regex") ? "--tags" : NULL;
}

static bool clone_repository(Get *get, GError **error) {
        GPtrArray *arguments = git_arguments("clone", "--progress", NULL);
        if (!git_flag(get->params, "all_branches"))
                git_argument(arguments, "--single-branch");
        if (get->depth > 0)
                git_argument(arguments, "--depth=%" G_GINT64_FORMAT, get->depth);
        if (*get->branch)
                git_argument(arguments, "--branch=%s", get->branch);
        /* clone knows no --tags: it is what it does by itself */
        if (g_strcmp0(get->tag_option, "--no-tags") == 0)
                git_argument(arguments, "--no-tags");
        if (value_length(value_get(get->source, "sparse_paths")) > 0)
                git_argument(arguments, "--no-checkout");
        git_argument(arguments, "--");
        git_argument(arguments, "%s", git_text(get->source, "uri"));
        git_argument(arguments, "%s", get->run->directory);
        if (!git_show(get->run, arguments, error))
                return false;
        get->run->repository = get->run->directory;
        return true;
}

static bool configure(Get *get, GError **error) {
        const Value *list = value_get(get->source, "git_config");
        const Value *sparse = value_get(get->source, "sparse_paths");
        for (size_t i = 0; i < value_length(list); i++) {
                const Value *item = value_at(list, i);
                if (!git_show(get->run,
                              git_arguments("config", git_text(item, "name"),
                                            git_text(item, "value"), NULL),
                              error))
                        return false;
        }
        if (value_length(sparse) == 0)
                return true;
        GPtrArray *arguments = git_arguments("sparse-checkout", "set", "--no-cone", NULL);
        for (size_t i = 0; i < value_length(sparse); i++) {
                const char *path = value_text(value_at(sparse, i));
                git_argument(arguments, "%s", path ? path : "");
        }
        return git_show(get->run, arguments, error);
}

static bool fetch(Get *get, const char *option, const char *what, GError **error) {
        GPtrArray *arguments = git_arguments("fetch", "origin", NULL);
        if (what)
                git_argument(arguments, "%s", what);
        if (get->tag_option)
                git_argument(arguments, "%s", get->tag_option);
        if (option)
                git_argument(arguments, "%s", option);
        return git_show(get->run, arguments, error);
}

static bool commit_exists(Get *get, const char *commit) {
        GPtrArray *arguments = git_arguments("rev-parse", "--verify", "--quiet", NULL);
        git_argument(arguments, "%s^{commit}", commit);
        g_autofree char *found = git_line(get->run, arguments);
        return found != NULL;
}

/* Fetches more history until the ref and depth - 1 of its ancestors are there. */
static bool deepen(Get *get, GError **error) {
        int64_t total = get->depth, step = get->depth;
        g_autofree char *wanted = g_strdup_printf("%s~%" G_GINT64_FORMAT, get->ref, get->depth - 1);
        while (!commit_exists(get, wanted)) {
                g_autofree char *shallow = git_line(
                        get->run, git_arguments("rev-parse", "--is-shallow-repository", NULL));
                if (g_strcmp0(shallow, "true") != 0) {
                        git_say("Reached max depth of the origin repo while deepening the shallow clone,"
                                " it's a deep clone now");
                        return true;
                }
                git_say("Could not find ref %s in a shallow clone of depth %" G_GINT64_FORMAT,
                        wanted, total);
                step *= 2;
                if (total >= DEEPEN_LIMIT) {
                        git_say("Reached depth threshold %d, falling back to deep clone...",
                                DEEPEN_LIMIT);
                        return fetch(get, "--unshallow", NULL, error);
                }
                git_say("Deepening the shallow clone by an additional %" G_GINT64_FORMAT "...",
                        step);
                g_autofree char *option = g_strdup_printf("--deepen=%" G_GINT64_FORMAT, step);
                if (!fetch(get, option, NULL, error))
                        return false;
                total += step;
        }
        return true;
}

/* A commit of a pull request, say, is on no branch: it is fetched by the remote ref that names it. */
static bool remote_ref_fetch(Get *get, GError **error) {
        g_autofree char *listed = NULL;
        if (!git_flag(get->source, "search_remote_refs") || !*get->branch ||
            commit_exists(get, get->ref))
                return true;
        if (!git_read(get->run, git_arguments("ls-remote", "origin", NULL), NULL, &listed, error))
                return false;
        g_auto(GStrv) lines = g_strsplit(listed, "\n", -1);
        for (char **line = lines; *line; line++) {
                char *name = strchr(*line, '\t');
                if (!name || !strstr(*line, get->ref))
                        continue;
                git_say("%s not found locally, but search_remote_refs is enabled. Attempting to fetch %s first.",
                        get->ref, name + 1);
                return fetch(get, NULL, name + 1, error);
        }
        git_say("WARNING: couldn't find a ref for %s listed on the remote", get->ref);
        return true;
}

static bool check_out(Get *get, GError **error) {
        if (!fetch(get, NULL, "refs/notes/*:refs/notes/*", error) ||
            !(get->depth > 0 ? deepen : remote_ref_fetch)(get, error))
                return false;
        if (!git_show(get->run,
                      git_arguments("checkout", "--force", "--quiet", "--detach", get->ref, NULL),
                      error) ||
            !git_commit_verify(get->run, get->ref, error))
                return false;
        return git_show(get->run, git_arguments("--no-pager", "log", "-1", "--oneline", NULL),
                        error) &&
               git_show(get->run, git_arguments("clean", "--force", "--force", "-d", NULL),
                        error) &&
               git_crypt_unlock(get->run, error);
}

/* ---- submodules ---- */

/* Whether the step asks for this submodule: "all", or a list of expressions that match its end. */
static bool submodule_wanted(const Value *wish, const char *path) {
        if (!value_is(wish, VALUE_LIST))
                return true;
        for (size_t i = 0; i < value_length(wish); i++) {
                const char *text = value_text(value_at(wish, i));
                g_autofree char *expression = g_strconcat(text ? text : "", "$", NULL);
                regex_t regex;
                if (regcomp(&regex, expression, REG_EXTENDED | REG_NOSUB) != 0)
                        continue;
                bool matches = regexec(&regex, path, 0, NULL, 0) == 0;
                regfree(&regex);
                if (matches)
                        return true;
        }
        return false;
}

/* Which of the source's keys is for this submodule's URL; NULL: none. */
static const Value *submodule_key(const Get *get, const char *url) {
        const Value *list = value_get(get->source, "submodule_credentials");
        for (size_t i = 0; i < value_length(list); i++)
                if (*git_text(value_at(list, i), "private_key") &&
                    g_str_equal(git_text(value_at(list, i), "url"), url))
                        return value_at(list, i);
        return NULL;
}

/* Runs git with the submodule's own key, if it has one. Takes arguments. */
static bool show_with_key(Get *get, const char *name, GPtrArray *taken, GError **error) {
        g_autoptr(GPtrArray) arguments = taken;
        g_autofree char *key_name = g_strdup_printf("submodule.%s.url", name);
        g_autofree char *url = git_line(get->run, git_arguments("config", "--file", ".gitmodules",
                                                                "--get", key_name, NULL));
        const Value *key = submodule_key(get, url ? url : "");
        if (!key)
                return git_show(get->run, g_steal_pointer(&arguments), error);
        g_autofree char *file = g_build_filename(git_temporary(), "git-resource-submodule-key",
                                                 NULL);
        g_autofree char *before = g_strdup(g_getenv("GIT_SSH_COMMAND"));
        GitKeyUse use = {
                .file = file,
                .key = git_text(key, "private_key"),
                .passphrase = git_text(key, "private_key_passphrase"),
                .user = "",
        };
        g_autofree char *command = git_ssh_command(get->source, &use, error);
        if (!command)
                return false;
        g_setenv("GIT_SSH_COMMAND", command, true);
        bool shown = git_show(get->run, g_steal_pointer(&arguments), error);
        if (before)
                g_setenv("GIT_SSH_COMMAND", before, true);
        else
                g_unsetenv("GIT_SSH_COMMAND");
        return shown;
}

static bool submodule_update(Get *get, const char *name, const char *path, GError **error) {
        g_autofree char *place = g_build_filename(get->run->directory, path, NULL);
        if (!g_file_test(place, G_FILE_TEST_IS_DIR)) {
                git_say("\033[31mwarning: skipping missing submodule: %s\033[0m", path);
                return true;
        }
        GPtrArray *arguments = git_arguments("submodule", "update", "--init", NULL);
        if (get->depth > 0)
                git_argument(arguments, "--depth=%" G_GINT64_FORMAT, get->depth);
        else
                git_argument(arguments, "--no-fetch");
        if (git_flag(get->params, "submodule_remote"))
                git_argument(arguments, "--remote");
        /* The bool false is honoured: upstream's jq takes it for absent, against its own documentation. */
        const Value *recursive = value_get(get->params, "submodule_recursive");
        if (value_is_null(recursive) || git_flag(get->params, "submodule_recursive"))
                git_argument(arguments, "--recursive");
        git_argument(arguments, "--");
        git_argument(arguments, "%s", path);
        return show_with_key(get, name, arguments, error);
}

static bool submodules_update(Get *get, GError **error) {
        const Value *wish = value_get(get->params, "submodules");
        g_autofree char *file = g_build_filename(get->run->directory, ".gitmodules", NULL);
        if (g_str_equal(git_text(get->params, "submodules"), "none") ||
            !g_file_test(file, G_FILE_TEST_EXISTS))
                return true;
        g_autofree char *paths = NULL;
        if (!git_show(get->run, git_arguments("submodule", "sync", NULL), error) ||
            !git_read(get->run,
                      git_arguments("config", "--file", ".gitmodules", "--get-regexp", "\\.path$",
                                    NULL),
                      NULL, &paths, error))
                return false;
        g_auto(GStrv) lines = g_strsplit(paths, "\n", -1);
        for (char **line = lines; *line; line++) {
                /* "submodule.<name>.path <path>" */
                const char *blank = strstr(*line, ".path ");
                const char *path = blank ? blank + strlen(".path ") : NULL;
                if (!blank || !g_str_has_prefix(*line, "submodule.") ||
                    !submodule_wanted(wish, path))
                        continue;
                const char *start = *line + strlen("submodule.");
                g_autofree char *name = g_strndup(start, (size_t) (blank - start));
                if (!submodule_update(get, name, path, error))
                        return false;
        }
        return true;
}

/* ---- what else is asked for ---- */

static bool branches_fetch(Get *get, GError **error) {
        const Value *list = value_get(get->params, "fetch");
        for (size_t i = 0; i < value_length(list); i++) {
                const char *branch = value_text(value_at(list, i));
                if (!branch)
                        continue;
                if (!fetch(get, NULL, branch, error))
                        return false;
                GPtrArray *verify = git_arguments("rev-parse", "--verify", "--quiet", NULL);
                git_argument(verify, "refs/heads/%s", branch);
                g_autofree char *exists = git_line(get->run, verify);
                if (!exists &&
                    !git_show(get->run, git_arguments("branch", "--", branch, "FETCH_HEAD", NULL),
                              error))
                        return false;
        }
        return true;
}

static bool tags_clean(Get *get, GError **error) {
        g_autofree char *tags = NULL;
        if (!git_flag(get->params, "clean_tags"))
                return true;
        if (!git_read(get->run, git_arguments("tag", "--list", NULL), NULL, &tags, error))
                return false;
        g_auto(GStrv) lines = g_strsplit(g_strchomp(tags), "\n", -1);
        GPtrArray *arguments = git_arguments("tag", "--delete", NULL);
        for (char **line = lines; *line && **line; line++)
                git_argument(arguments, "%s", *line);
        if (arguments->len == 3) {
                g_ptr_array_unref(arguments);
                return true;
        }
        return git_show(get->run, arguments, error);
}

/* ---- the files in .git that tasks read ---- */

static bool write_file(Get *get, const char *name, const char *text, GError **error) {
        g_autofree char *path = g_build_filename(get->run->directory, ".git", name, NULL);
        return file_write(path, text, strlen(text), 0644, error);
}

static const char *metadata_find(const Value *metadata, const char *name) {
        for (size_t i = 0; i < value_length(metadata); i++)
                if (g_str_equal(value_get_string(value_at(metadata, i), "name", ""), name))
                        return value_get_string(value_at(metadata, i), "value", "");
        return "";
}

typedef struct {
        const char *file;
        const char *metadata; /* the entry whose value it is, */
        const char *format;   /* or git log's format */
        bool line;            /* ends with a newline, unless there is no value */
} RefFile;

/* That "committer" is the author's address and "committer_name" the author's name is upstream's. */
static const RefFile ref_files[] = {
        { "branch", .metadata = "branch", .line = true },
        { "tags", .metadata = "tags", .line = true },
        { "committer_date", .metadata = "committer_date", .line = true },
        { "url", .metadata = "url", .line = true },
        { "commit", .format = "%H", .line = true },
        { "author", .format = "%an", .line = true },
        { "author_date", .format = "%ai", .line = true },
        { "committer", .format = "%ae" },
        { "committer_name", .format = "%an" },
        { "commit_message", .format = "%B" },
        { "commit_timestamp", .format = "%cd", .line = true },
};

static bool ref_file_write(Get *get, const RefFile *file, const Value *metadata, GError **error) {
        g_autofree char *text = NULL;
        if (file->metadata) {
                text = g_strdup(metadata_find(metadata, file->metadata));
        } else {
                const char *dates = git_text(get->params, "timestamp_format");
                GPtrArray *arguments = git_arguments("log", "-1", NULL);
                git_argument(arguments, "--format=format:%s", file->format);
                git_argument(arguments, "--date=%s", *dates ? dates : "iso8601");
                if (!git_read(get->run, arguments, NULL, &text, error))
                        return false;
        }
        bool newline = file->line && (*text || !file->metadata);
        g_autofree char *content = g_strconcat(text, newline ? "\n" : "", NULL);
        return write_file(get, file->file, content, error);
}

/* printf's %s, once; other conversions have no argument to take. */
static char *short_ref(const Get *get, const char *ref) {
        const char *format = git_text(get->params, "short_ref_format");
        g_autofree char *shortened = g_strndup(ref, 7);
        const char *place = strstr(*format ? format : "%s", "%s");
        if (!*format)
                return g_steal_pointer(&shortened);
        if (!place)
                return g_strdup(format);
        return g_strdup_printf("%.*s%s%s", (int) (place - format), format, shortened, place + 2);
}

static bool describe_write(Get *get, GError **error) {
        const char *wish = git_text(get->params, "describe_ref_options");
        g_auto(GStrv) options = g_strsplit(*wish ? wish : "--always --dirty --broken", " ", -1);
        GPtrArray *arguments = git_arguments("describe", NULL);
        for (char **option = options; *option; option++)
                if (**option)
                        git_argument(arguments, "%s", *option);
        g_autofree char *text = NULL;
        return git_read(get->run, arguments, NULL, &text, error) &&
               write_file(get, "describe_ref", text, error);
}

static bool files_write(Get *get, const char *ref, const Value *metadata, GError **error) {
        g_autofree char *line = g_strconcat(ref, "\n", NULL);
        g_autofree char *brief = short_ref(get, ref);
        g_autofree char *json = json_write(metadata, JSON_INDENT | JSON_NO_HTML, NULL);
        g_autofree char *document = g_strconcat(json, "\n", NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(ref_files); i++)
                if (!ref_file_write(get, &ref_files[i], metadata, error))
                        return false;
        return write_file(get, "ref", line, error) && write_file(get, "short_ref", brief, error) &&
               write_file(get, "metadata.json", document, error) && describe_write(get, error);
}

/* ---- in ---- */

static bool request_check(Get *get, GError **error) {
        const char *from = git_text(get->source, "branch"),
                   *put = git_text(get->run->version, "branch");
        if (!git_keys_check(get->params, get_keys, "get params", error))
                return false;
        if (!get->run->directory) {
                g_set_error(error, ERROR, ERROR_INVALID, "usage: in <path/to/destination>");
                return false;
        }
        if (!*git_text(get->source, "uri")) {
                g_set_error(error, ERROR, ERROR_INVALID, "invalid payload (missing uri):");
                return false;
        }
        if (*put) {
                git_say("Override %s with %s", from, put);
                get->branch = put;
        }
        if (get->ref[0] == '-') {
                g_set_error(error, ERROR, ERROR_INVALID, "invalid ref '%s'", get->ref);
                return false;
        }
        return true;
}

bool git_in(GitRun *run, Value **ret, GError **error) {
        const char *given = git_text(run->version, "ref");
        Get get = {
                .run = run,
                .source = run->source,
                .params = run->params,
                .branch = git_text(run->source, "branch"),
                .ref = *given ? given : "HEAD",
                .tag_option = tag_option(run->source, run->params),
                .depth = git_number(run->params, "depth", 0),
        };
        if (!request_check(&get, error) || !git_credentials_set_up(run->source, error))
                return false;
        if (git_flag(run->params, "disable_git_lfs"))
                g_setenv("GIT_LFS_SKIP_SMUDGE", "1", true);
        if (!directory_make(run->directory, 0755, error) || !clone_repository(&get, error) ||
            !configure(&get, error) || !check_out(&get, error) || !submodules_update(&get, error) ||
            !branches_fetch(&get, error))
                return false;

        g_autoptr(Value) metadata = NULL;
        g_autofree char *head = git_line(run, git_arguments("rev-parse", "HEAD", NULL));
        const char *ref = *given || !head ? get.ref : head;
        if (!git_metadata(run, &metadata, error) || !files_write(&get, ref, metadata, error) ||
            !tags_clean(&get, error))
                return false;

        Value *version = value_map();
        value_map_set_string(version, "ref", ref);
        *ret = value_map();
        value_map_set(*ret, "version", version);
        value_map_set(*ret, "metadata", g_steal_pointer(&metadata));
        return true;
}
