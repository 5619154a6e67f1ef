/* One run: the words become a command and its options, the command runs, its error gets its words. */
#include "fly/fly.h"

#include "fly/complete.h"
#include "fly/table.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

G_DEFINE_QUARK(weir - fly - error, fly_error)

bool fly_error_is(const GError *error, FlyErrorCode code) {
        return g_error_matches(error, FLY_ERROR, (int) code);
}

bool fly_fail(GError **error, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        g_autofree char *text = g_strdup_vprintf(format, arguments);
        va_end(arguments);
        g_set_error_literal(error, FLY_ERROR, FLY_FAILED, text);
        return false;
}

bool fly_fail_plain(GError **error, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        g_autofree char *text = g_strdup_vprintf(format, arguments);
        va_end(arguments);
        g_set_error_literal(error, FLY_ERROR, FLY_PLAIN, text);
        return false;
}

bool fly_fail_missing(GError **error, GError **cause, FlyErrorCode code, const char *format, ...) {
        va_list arguments;

        if (!fly_error_is(*cause, FLY_NOT_FOUND)) {
                g_propagate_error(error, g_steal_pointer(cause));
                return false;
        }
        g_clear_error(cause);
        va_start(arguments, format);
        g_autofree char *text = g_strdup_vprintf(format, arguments);
        va_end(arguments);
        g_set_error_literal(error, FLY_ERROR, (int) code, text);
        return false;
}

const char *fly_version(void) {
        const char *fake = g_getenv("FAKE_FLY_VERSION");

        return fake && *fake ? fake : FLY_VERSION;
}

/* ---- what is printed when it goes wrong (reference 02 §1.3) ---- */

static void say_unauthorized(const Fly *fly) {
        g_autofree char *line = g_strdup_printf("%s -t %s login", fly->program, fly->target_name);

        fputs("not authorized. run the following to log in:\n\n    ", stderr);
        color_print(fly, stderr, COLOR_BOLD, line);
        fputs("\n\n", stderr);
}

static void say_no_target(const Fly *fly) {
        g_autofree char *line = g_strdup_printf("%s -t (alias) login -c (concourse url)",
                                                fly->program);

        fputs("no target specified. specify the target with ", stderr);
        color_print(fly, stderr, COLOR_BOLD, "-t");
        fputs(" or log in like so:\n\n    ", stderr);
        color_print(fly, stderr, COLOR_BOLD, line);
        fputs("\n\n", stderr);
}

static void say_network(const Fly *fly, const GError *error) {
        fputs("could not reach the Concourse server called ", stderr);
        color_print(fly, stderr, COLOR_BOLD, fly->target_name ? fly->target_name : "");
        fputs(":\n\n    ", stderr);
        color_print(fly, stderr, COLOR_BOLD, error->message);
        fputs("\n\nis the targeted Concourse running? better go catch it lol\n", stderr);
}

static void say(const Fly *fly, const GError *error) {
        fflush(stdout);
        if (fly_error_is(error, FLY_SILENT))
                return;
        if (fly_error_is(error, FLY_UNAUTHORIZED) && fly->target_name)
                say_unauthorized(fly);
        else if (fly_error_is(error, FLY_NO_TARGET))
                say_no_target(fly);
        else if (fly_error_is(error, FLY_NETWORK))
                say_network(fly, error);
        else if (fly_error_is(error, FLY_PLAIN))
                fprintf(stderr, "%s\n", error->message);
        else
                fprintf(stderr, "error: %s\n", error->message);
}

/* ---- the command line ---- */

const Option global_options[] = {
        OPT(Globals, target, OPTION_STRING, 't', "target", "Concourse target name"),
        OPT(Globals, version, OPTION_FLAG, 'v', "version", "Print the version of Fly and exit"),
        OPT(Globals, verbose, OPTION_FLAG, 0, "verbose", "Print API requests and responses"),
        OPT(Globals, print_table_headers, OPTION_FLAG, 0, "print-table-headers",
            "Print table headers even for redirected output"),
        OPT_END,
};

static size_t option_count(const Option *options) {
        size_t count = 0;

        while (options && options[count].name)
                count++;
        return count;
}

Option *command_options(const Command *command) {
        size_t own = option_count(command->options), global = option_count(global_options);
        Option *all = g_new0(Option, own + global + 1);

        if (own > 0)
                memcpy(all, command->options, own * sizeof *all);
        memcpy(all + own, global_options, global * sizeof *all);
        for (size_t i = own; i < own + global; i++)
                for (size_t j = 0; j < own; j++)
                        if (all[i].letter == all[j].letter)
                                all[i].letter = 0;
        return all;
}

/* Where the command's name stands: the first word that is neither an option nor the argument of one. */
static int command_index(int argc, char **argv) {
        for (int i = 1; i < argc; i++) {
                if (argv[i][0] != '-' || argv[i][1] == '\0')
                        return i;
                if (g_str_equal(argv[i], "--target") || g_str_equal(argv[i], "-t"))
                        i++;
        }
        return argc;
}

const Command *command_find(const char *name) {
        for (size_t i = 0; commands[i]; i++) {
                if (g_str_equal(commands[i]->name, name))
                        return commands[i];
                for (size_t j = 0; commands[i]->aliases[j]; j++)
                        if (g_str_equal(commands[i]->aliases[j], name))
                                return commands[i];
        }
        return NULL;
}

/* [quirk] go-flags' table of distances lacks its upper right corner: it holds 0, so that no word is further from
 * another than its own length. */
static size_t edit_distance(const char *a, const char *b) {
        size_t length = strlen(b);
        g_autofree size_t *row = g_new0(size_t, length + 1);

        for (size_t j = 0; j < length; j++)
                row[j] = j;
        for (size_t i = 1; a[i - 1]; i++) {
                size_t diagonal = row[0];
                row[0] = i;
                for (size_t j = 1; j <= length; j++) {
                        size_t above = row[j];
                        size_t best = MIN(row[j], row[j - 1]) + 1;
                        row[j] = MIN(best, diagonal + (a[i - 1] != b[j - 1]));
                        diagonal = above;
                }
        }
        return row[length];
}

/* go-flags' words: a near one is suggested, else all are listed. */
static bool unknown_command(const char *word, GError **error) {
        const char *nearest = NULL;
        size_t least = SIZE_MAX;
        g_autoptr(GString) all = g_string_new(NULL);

        for (size_t i = 0; commands[i]; i++) {
                size_t distance = edit_distance(word, commands[i]->name);
                if (distance < least) {
                        least = distance;
                        nearest = commands[i]->name;
                }
                g_string_append_printf(all, "%s%s",
                                       i == 0            ? ""
                                       : commands[i + 1] ? ", "
                                                         : " or ",
                                       commands[i]->name);
        }
        if (nearest && least * 2 < strlen(nearest))
                return fly_fail(error, "Unknown command `%s', did you mean `%s'?", word, nearest);
        return fly_fail(error, "Unknown command `%s'. Please specify one command of: %s", word,
                        all->str);
}

static void adopt(Fly *fly, const Globals *globals) {
        if (globals->target)
                fly->target_name = g_intern_string(globals->target);
        fly->verbose = fly->verbose || globals->verbose;
        fly->headers = fly->headers || globals->print_table_headers;
}

/* Words before the command. */
static bool parse_globals(Fly *fly, int count, char **argv, bool *ret_version, GError **error) {
        const OptionTable table = { .program = "fly",
                                    .options = global_options,
                                    .arguments = "<command>" };
        Globals globals = { 0 };
        g_autofree char **words = g_new0(char *, (size_t) count + 1);

        memcpy(words, argv, (size_t) count * sizeof *words);
        bool good = options_parse(&table, count, words, &globals, NULL, error);
        *ret_version = globals.version;
        adopt(fly, &globals);
        options_clear(&table, &globals);
        return good;
}

static bool run_command(Fly *fly, const Command *command, int argc, char **argv, GError **error) {
        g_autofree Option *options = command_options(command);
        const OptionTable table = { .program = "fly", .options = options, .arguments = "" };
        g_autofree Globals *target = g_malloc0(MAX(command->size, sizeof(Globals)));
        g_autoptr(GPtrArray) arguments = NULL;
        g_autoptr(GError) cause = NULL;
        bool good = options_parse(&table, argc, argv, target, &arguments, &cause);

        adopt(fly, target);
        if (good && target->version)
                puts(fly_version());
        else if (good)
                good = command->run(fly, target, arguments, error);
        else if (error_is(cause, ERROR_EXISTS)) {
                g_autofree char *help = fly_command_help(command);
                fputs(help, stdout);
                good = true;
        } else
                g_propagate_error(error, g_steal_pointer(&cause));
        options_clear(&table, target);
        return good;
}

static bool run(Fly *fly, int argc, char **argv, GError **error) {
        int index = command_index(argc, argv);
        bool version = false;
        g_autoptr(GError) cause = NULL;

        if (!parse_globals(fly, index, argv, &version, &cause)) {
                if (!error_is(cause, ERROR_EXISTS)) {
                        g_propagate_error(error, g_steal_pointer(&cause));
                        return false;
                }
                if (!version)
                        index = argc; /* --help before a command is that of fly itself */
        }
        if (version) {
                puts(fly_version());
                return true;
        }
        if (index == argc) {
                g_autofree char *help = fly_help();
                fputs(help, stdout);
                return true;
        }
        const Command *command = command_find(argv[index]);
        return command ? run_command(fly, command, argc - index, argv + index, error)
                       : unknown_command(argv[index], error);
}

static bool is_terminal(void) {
        const char *term = g_getenv("TERM");

        return isatty(STDOUT_FILENO) && !g_getenv("NO_COLOR") && g_strcmp0(term, "dumb") != 0;
}

static void fly_clear(Fly *fly) {
        http_client_free(fly->http);
        targets_free(fly->targets);
        g_free(fly->team);
        g_free(fly->worker_version);
}

int fly_main(int argc, char **argv) {
        Fly fly = { .program = argv[0], .terminal = is_terminal() };
        g_autoptr(GError) error = NULL;

        if (g_getenv("GO_FLAGS_COMPLETION")) {
                complete(&fly, argc, argv);
                fly_clear(&fly);
                return EXIT_SUCCESS;
        }
        fly.headers = isatty(STDOUT_FILENO);
        bool good = run(&fly, argc, argv, &error);
        if (!good)
                say(&fly, error);
        fflush(stdout);
        if (!good && fly.status == 0)
                fly.status = EXIT_FAILURE;
        fly_clear(&fly);
        return fly.status;
}
