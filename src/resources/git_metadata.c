#include "resources/git.h"

#include <string.h>

/* Of the commit's message; the rest is in .git/commit_message. */
#define MESSAGE_LIMIT 10240

static void add(Value *list, const char *name, const char *value, const char *type) {
        Value *entry = value_map();
        value_map_set_string(entry, "name", name);
        value_map_set_string(entry, "value", value);
        value_map_set_string_opt(entry, "type", type);
        value_list_add(list, entry);
}

/* Lines of git's output, joined by commas. */
static bool add_list(GitRun *run, GPtrArray *arguments, const char *name, Value *list,
                     GError **error) {
        g_autofree char *lines = NULL;
        if (!git_read(run, arguments, NULL, &lines, error))
                return false;
        g_strdelimit(g_strchomp(lines), "\n", ',');
        if (*lines)
                add(list, name, lines, NULL);
        return true;
}

typedef struct {
        const char *part;   /* of the host's name */
        const char *format; /* of the path between repository and commit */
} Forge;

static const Forge forges[] = {
        { "github", "commit" },
        { "gogs", "commit" },
        { "gitlab", "-/commit" },
        { "bitbucket", "commits" },
};

/* Host and path of an origin's URL in one of the three accepted forms; false: another form. */
static bool origin_parse(const char *url, char **ret_host, char **ret_path) {
        static const char *const prefixes[] = { "https://", "http://", "ssh://git@", "git@" };
        for (size_t i = 0; i < G_N_ELEMENTS(prefixes); i++) {
                if (!g_str_has_prefix(url, prefixes[i]))
                        continue;
                const char *host = url + strlen(prefixes[i]);
                size_t length = strcspn(host, g_str_equal(prefixes[i], "git@") ? ":" : "/");
                if (length == 0 || !host[length])
                        return false;
                *ret_host = g_strndup(host, length);
                *ret_path = g_strdup(host + length + 1);
                if (g_str_has_suffix(*ret_path, ".git"))
                        (*ret_path)[strlen(*ret_path) - 4] = '\0';
                return true;
        }
        return false;
}

static void add_url(GitRun *run, const char *commit, Value *list) {
        g_autofree char *origin = git_line(
                run, git_arguments("remote", "get-url", "--all", "origin", NULL));
        g_autofree char *host = NULL, *path = NULL;
        if (!origin || !origin_parse(origin, &host, &path))
                return;
        for (size_t i = 0; i < G_N_ELEMENTS(forges); i++)
                if (strstr(host, forges[i].part)) {
                        g_autofree char *url = g_strdup_printf("https://%s/%s/%s/%s", host, path,
                                                               forges[i].format, commit);
                        add(list, "url", url, NULL);
                        return;
                }
}

static bool add_message(GitRun *run, Value *list, GError **error) {
        g_autofree char *message = NULL;
        if (!git_read(run, git_arguments("log", "-1", "--format=format:%B", NULL), NULL, &message,
                      error))
                return false;
        size_t length = MIN(strlen(message), MESSAGE_LIMIT);
        while (length < strlen(message) && length > 0 && (message[length] & 0xc0) == 0x80)
                length--; /* not in the middle of a character */
        message[length] = '\0';
        add(list, "message", message, "message");
        return true;
}

/* hash, author's name and date, committer's name and date: one per line. */
static bool head_read(GitRun *run, char ***ret, GError **error) {
        g_autofree char *text = NULL;
        GPtrArray *arguments = git_arguments("log", "-1", "--format=format:%H%n%an%n%ai%n%cn%n%ci",
                                             NULL);
        if (!git_read(run, arguments, NULL, &text, error))
                return false;
        g_auto(GStrv) lines = g_strsplit(text, "\n", 5);
        if (g_strv_length(lines) != 5) {
                g_set_error(error, ERROR, ERROR_PROTOCOL,
                            "git log printed something else than asked for");
                return false;
        }
        *ret = g_steal_pointer(&lines);
        return true;
}

bool git_metadata(GitRun *run, Value **ret, GError **error) {
        g_autoptr(Value) list = value_list();
        g_auto(GStrv) head = NULL;
        if (!head_read(run, &head, error))
                return false;
        add(list, "commit", head[0], NULL);
        add(list, "author", head[1], NULL);
        add(list, "author_date", head[2], "time");
        /* Only when they are the same: upstream's condition is the wrong way round (reference 09 §6.3). */
        if (g_str_equal(head[1], head[3]) && g_str_equal(head[2], head[4])) {
                add(list, "committer", head[3], NULL);
                add(list, "committer_date", head[4], "time");
        }
        GPtrArray *branches = git_arguments("for-each-ref", "--format=%(refname:short)",
                                            "--points-at=HEAD", "refs/heads", NULL);
        if (!add_list(run, branches, "branch", list, error) ||
            !add_list(run, git_arguments("tag", "--points-at", "HEAD", NULL), "tags", list,
                      error) ||
            !add_message(run, list, error))
                return false;
        add_url(run, head[0], list);
        *ret = g_steal_pointer(&list);
        return true;
}
