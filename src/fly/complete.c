#include "fly/complete.h"

#include "fly/api.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>

/* ---- where the last word stands ---- */

typedef struct {
        Fly *fly;
        const Command *command; /* NULL: not yet */
        Option *options;        /* of the command, or the global ones */
        const Option *pending;  /* the last word is its value; NULL: no */
        bool bare;              /* behind "--" */
        GPtrArray *found;       /* of text */
        const char *lead;       /* stands before every candidate: "--team=" */
} Completion;

static const Option *find_long(const Option *options, const char *name, size_t length) {
        for (; options->name; options++)
                if (strlen(options->name) == length && memcmp(options->name, name, length) == 0)
                        return options;
        return NULL;
}

static const Option *find_letter(const Option *options, char letter) {
        for (; options->name; options++)
                if (options->letter == letter)
                        return options;
        return NULL;
}

static void take_value(Completion *at, const Option *option, const char *value) {
        if (g_str_equal(option->name, "target"))
                at->fly->target_name = value;
}

/* Letters up to the first that takes a value. */
static void read_letters(Completion *at, const char *letters) {
        for (; *letters; letters++) {
                const Option *option = find_letter(at->options, *letters);
                if (!option)
                        return;
                if (option->kind == OPTION_FLAG)
                        continue;
                if (letters[1])
                        take_value(at, option, letters + 1 + (letters[1] == '='));
                else
                        at->pending = option;
                return;
        }
}

static void read_long(Completion *at, const char *name) {
        const char *equals = strchr(name, '=');
        size_t length = equals ? (size_t) (equals - name) : strlen(name);
        const Option *option = find_long(at->options, name, length);

        if (option && equals)
                take_value(at, option, equals + 1);
        else if (option && option->kind != OPTION_FLAG)
                at->pending = option;
}

static void read_word(Completion *at, const char *word) {
        if (at->pending) {
                take_value(at, at->pending, word);
                at->pending = NULL;
        } else if (at->bare)
                return;
        else if (g_str_equal(word, "--"))
                at->bare = true;
        else if (g_str_has_prefix(word, "--"))
                read_long(at, word + 2);
        else if (word[0] == '-' && word[1])
                read_letters(at, word + 1);
        else if (!at->command && (at->command = command_find(word))) {
                g_free(at->options);
                at->options = command_options(at->command);
        }
}

/* ---- candidates ---- */

static void offer(Completion *at, const char *text, const char *prefix) {
        if (g_str_has_prefix(text, prefix))
                g_ptr_array_add(at->found, g_strconcat(at->lead, text, NULL));
}

/* The team's pipelines. Returns new, or NULL. */
static Value *ask_pipelines(Completion *at) {
        Fly *fly = at->fly;

        if (!fly_load(fly, NULL) || !fly_check_version(fly, false, NULL))
                return NULL;
        g_autofree char *path = path_team(fly, "/pipelines");
        return api_get(fly, path, NULL);
}

static void offer_names(Completion *at, const char *path, const char *prefix) {
        g_autoptr(Value) list = fly_load(at->fly, NULL) ? api_get(at->fly, path, NULL) : NULL;

        for (size_t i = 0; i < value_length(list); i++)
                offer(at, value_get_string(value_at(list, i), "name", ""), prefix);
}

static void offer_teams(Completion *at, const char *prefix) {
        offer_names(at, "/api/v1/teams", prefix);
}

static void offer_workers(Completion *at, const char *prefix) {
        offer_names(at, "/api/v1/workers", prefix);
}

static void offer_targets(Completion *at, const char *prefix) {
        g_autoptr(Targets) targets = targets_load(NULL);

        for (size_t i = 0; targets && i < targets->list->len; i++)
                offer(at, ((Target *) targets->list->pdata[i])->name, prefix);
}

static void offer_paths(Completion *at, const char *prefix) {
        g_autofree char *pattern = g_strconcat(prefix, "*", NULL);
        glob_t matches = { 0 };

        if (glob(pattern, 0, NULL, &matches) == 0)
                for (size_t i = 0; i < matches.gl_pathc; i++)
                        offer(at, matches.gl_pathv[i], "");
        globfree(&matches);
}

static void offer_pipelines(Completion *at, const char *prefix) {
        g_autoptr(Value) list = ask_pipelines(at);

        for (size_t i = 0; i < value_length(list); i++) {
                g_autofree char *ref = pipeline_ref_of(value_at(list, i), "name", "instance_vars");
                offer(at, ref, prefix);
        }
}

/* "PIPE/" first, then the instance vars, then the job. */
static void offer_references(Completion *at, const char *prefix, bool with_vars) {
        g_autoptr(Value) list = ask_pipelines(at);

        for (size_t i = 0; i < value_length(list); i++) {
                const Value *item = value_at(list, i);
                g_autofree char *ref = pipeline_ref_of(item, "name", "instance_vars");
                g_autofree char *text = g_strconcat(
                        with_vars ? ref : value_get_string(item, "name", ""), "/", NULL);
                offer(at, text, prefix);
        }
}

static void offer_jobs_of(Completion *at, const char *prefix) {
        const char *slash = strrchr(prefix, '/');
        g_autofree char *left = g_strndup(prefix, (size_t) (slash - prefix));
        g_auto(PipelineRef) ref = { 0 };

        if (!pipeline_ref_parse(left, "", &ref, NULL) || !fly_load(at->fly, NULL) ||
            !fly_check_version(at->fly, false, NULL))
                return;
        g_autofree char *path = path_pipeline(at->fly, &ref, "/jobs", NULL);
        g_autoptr(Value) jobs = api_get(at->fly, path, NULL);
        for (size_t i = 0; i < value_length(jobs); i++) {
                g_autofree char *text = g_strdup_printf(
                        "%s/%s", left, value_get_string(value_at(jobs, i), "name", ""));
                offer(at, text, prefix);
        }
}

static void offer_jobs(Completion *at, const char *prefix) {
        const char *slash = strchr(prefix, '/');
        g_autoptr(Value) vars = slash && !strchr(slash + 1, '/')
                                        ? instance_vars_parse(slash + 1, NULL)
                                        : NULL;

        if (!slash || vars)
                offer_references(at, prefix, slash != NULL);
        else
                offer_jobs_of(at, prefix);
}

/* By the name of an option: what its value names. The first that fits. */
static const struct {
        const char *option, *command; /* command NULL: of any */
        void (*offer)(Completion *at, const char *prefix);
} kinds[] = {
        { "pipeline", "set-pipeline", NULL },
        { "pipeline", "order-pipelines", NULL },
        { "pipeline", "order-instanced-pipelines", NULL },
        { "pipeline", NULL, offer_pipelines },
        { "job", NULL, offer_jobs },
        { "inputs-from", NULL, offer_jobs },
        { "target", NULL, offer_targets },
        { "team", NULL, offer_teams },
        { "team-name", "login", NULL },
        { "team-name", "edit-target", NULL },
        { "team-name", NULL, offer_teams },
        { "worker", NULL, offer_workers },
        { "config", NULL, offer_paths },
        { "load-vars-from", NULL, offer_paths },
        { "ca-cert", NULL, offer_paths },
        { "client-cert", NULL, offer_paths },
        { "client-key", NULL, offer_paths },
};

static void offer_value(Completion *at, const Option *option, const char *prefix) {
        const char *command = at->command ? at->command->name : "";

        for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
                if (g_str_equal(kinds[i].option, option->name) &&
                    (!kinds[i].command || g_str_equal(kinds[i].command, command))) {
                        if (kinds[i].offer)
                                kinds[i].offer(at, prefix);
                        return;
                }
}

static void offer_options(Completion *at, const char *prefix) {
        offer(at, "--help", prefix);
        for (const Option *option = at->options; option->name; option++) {
                g_autofree char *text = g_strconcat("--", option->name, NULL);
                offer(at, text, prefix);
        }
}

/* "--team=ma" and "-tma": a value behind its option. */
static void offer_attached(Completion *at, const char *word) {
        const char *equals = strchr(word, '=');
        bool is_long = g_str_has_prefix(word, "--");
        const Option *option = is_long ? find_long(at->options, word + 2,
                                                   (size_t) (equals - word) - 2)
                                       : find_letter(at->options, word[1]);
        size_t length = is_long ? (size_t) (equals - word) + 1 : strlen("-t");
        g_autofree char *lead = g_strndup(word, length);

        if (!option || option->kind == OPTION_FLAG)
                return;
        at->lead = lead;
        offer_value(at, option, word + length);
        at->lead = "";
}

static void offer_word(Completion *at, const char *word) {
        if (at->pending)
                offer_value(at, at->pending, word);
        else if (at->bare)
                return;
        else if (g_str_equal(word, "-") || (g_str_has_prefix(word, "--") && !strchr(word, '=')))
                offer_options(at, word);
        else if (*word == '-')
                offer_attached(at, word);
        else
                for (size_t i = 0; !at->command && commands[i]; i++)
                        offer(at, commands[i]->name, word);
}

static int compare_texts(const void *a, const void *b) {
        return strcmp(*(const char *const *) a, *(const char *const *) b);
}

void complete(Fly *fly, int argc, char **argv) {
        Completion at = { .fly = fly,
                          .options = command_options(&(Command){ 0 }),
                          .found = g_ptr_array_new_with_free_func(g_free),
                          .lead = "" };

        /* Whoever is typing must not see why there is nothing to complete. */
        if (!freopen("/dev/null", "w", stderr))
                abort();
        for (int i = 1; i < argc - 1; i++)
                read_word(&at, argv[i]);
        if (argc > 1)
                offer_word(&at, argv[argc - 1]);
        g_ptr_array_sort(at.found, compare_texts);
        for (size_t i = 0; i < at.found->len; i++)
                puts(at.found->pdata[i]);
        fflush(stdout);
        g_ptr_array_unref(at.found);
        g_free(at.options);
}
