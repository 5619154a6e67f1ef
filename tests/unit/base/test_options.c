#include "base/options.h"

#include <string.h>

typedef struct {
        bool verbose, force;
        char *name, *kind, *path, *raw;
        int64_t count;
        double share;
        Duration wait;
        GPtrArray *tags, *pairs;
        char *folder, *url, *ip;
        int64_t port;
} Target;

#define FIELD(field) offsetof(Target, field)

static const char *const kinds[] = { "bash", "zsh", "fish", NULL };

static const Option options[] = {
        { .name = "verbose",
          .letter = 'v',
          .kind = OPTION_FLAG,
          .offset = FIELD(verbose),
          .help = "Say more" },
        { .name = "force",
          .letter = 'f',
          .kind = OPTION_FLAG,
          .offset = FIELD(force),
          .help = "Do it" },
        { .name = "name",
          .letter = 'n',
          .kind = OPTION_STRING,
          .offset = FIELD(name),
          .standard = "main",
          .help = "A name",
          .value_name = "NAME" },
        { .name = "kind", .kind = OPTION_CHOICE, .offset = FIELD(kind), .choices = kinds },
        { .name = "count",
          .letter = 'c',
          .kind = OPTION_INT,
          .offset = FIELD(count),
          .standard = "50",
          .help = "How many",
          .group = "Numbers" },
        { .name = "share", .kind = OPTION_FLOAT, .offset = FIELD(share), .group = "Numbers" },
        { .name = "wait",
          .kind = OPTION_DURATION,
          .offset = FIELD(wait),
          .standard = "1m",
          .help = "How long",
          .group = "Numbers" },
        { .name = "tag",
          .letter = 't',
          .kind = OPTION_LIST,
          .offset = FIELD(tags),
          .standard = "a,b",
          .help = "Tags" },
        { .name = "pair", .kind = OPTION_PAIRS, .offset = FIELD(pairs), .help = "Pairs" },
        { .name = "path", .kind = OPTION_PATH, .offset = FIELD(path), .help = "A file" },
        { .name = "folder", .kind = OPTION_FOLDER, .offset = FIELD(folder), .hidden = true },
        { .name = "url", .kind = OPTION_URL, .offset = FIELD(url), .hidden = true },
        { .name = "ip", .kind = OPTION_IP, .offset = FIELD(ip), .hidden = true },
        { .name = "port",
          .kind = OPTION_INT,
          .offset = FIELD(port),
          .maximum = UINT16_MAX,
          .hidden = true },
        { .name = "raw",
          .kind = OPTION_STRING,
          .offset = FIELD(raw),
          .verbatim = true,
          .environment = "",
          .hidden = true },
        { .name = NULL },
};

static const OptionTable table = { .program = "weir try",
                                   .summary = "Try options.",
                                   .options = options,
                                   .arguments = "[FILE...]" };

typedef struct {
        const char *line; /* words with one space between them */
        const char *expect;
} Case;

static bool parse(const OptionTable *of, const char *line, Target *ret, GPtrArray **ret_arguments,
                  GError **error) {
        g_auto(GStrv) words = g_strsplit(line, " ", -1);

        *ret = (Target){ 0 };
        return options_parse(of, (int) g_strv_length(words), words, ret, ret_arguments, error);
}

static char *list(const GPtrArray *items) {
        GString *text = g_string_new(NULL);

        for (size_t i = 0; i < items->len; i++)
                g_string_append_printf(text, "%s%s", i ? "," : "", (char *) items->pdata[i]);
        return g_string_free(text, FALSE);
}

/* All that is set, as text. */
static char *show(const Target *target, const GPtrArray *arguments) {
        g_autofree char *tags = list(target->tags), *pairs = list(target->pairs),
                        *rest = list(arguments);
        g_autofree char *wait = duration_format(target->wait);

        return g_strdup_printf("%d%d n=%s k=%s c=%d s=%g w=%s t=%s p=%s r=%s (%s)", target->verbose,
                               target->force, target->name, target->kind ? target->kind : "",
                               (int) target->count, target->share, wait, tags, pairs,
                               target->raw ? target->raw : "", rest);
}

static void check_valid(const Case *cases, size_t count) {
        for (size_t i = 0; i < count; i++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(GPtrArray) arguments = NULL;
                Target target;
                g_assert_true(parse(&table, cases[i].line, &target, &arguments, &error));
                g_assert_no_error(error);
                g_autofree char *got = show(&target, arguments);
                g_assert_cmpstr(got, ==, cases[i].expect);
                options_clear(&table, &target);
        }
}

static void the_command_line_is_read_as_go_flags_does(void) {
        static const Case cases[] = {
                { "x", "00 n=main k= c=50 s=0 w=1m0s t=a,b p= r= ()" },
                { "x -vf --name=a", "11 n=a k= c=50 s=0 w=1m0s t=a,b p= r= ()" },
                { "x -na -n=b -n c", "00 n=c k= c=50 s=0 w=1m0s t=a,b p= r= ()" },
                { "x -vna", "10 n=a k= c=50 s=0 w=1m0s t=a,b p= r= ()" },
                { "x --name= f1 -v f2", "10 n= k= c=50 s=0 w=1m0s t=a,b p= r= (f1,f2)" },
                { "x --count -5 --share -0.5 --wait 90s",
                  "00 n=main k= c=-5 s=-0.5 w=1m30s t=a,b p= r= ()" },
                { "x -t x,y --tag z --pair k:v",
                  "00 n=main k= c=50 s=0 w=1m0s t=x,y,z p=k:v r= ()" },
                { "x --kind zsh -- -v --name",
                  "00 n=main k=zsh c=50 s=0 w=1m0s t=a,b p= r= (-v,--name)" },
                { "x - -n -", "00 n=- k= c=50 s=0 w=1m0s t=a,b p= r= (-)" },
                { "x -n \"a\\tb\\x41\\101\\u00e9\" --raw \"q\"",
                  "00 n=a\tbAA\xc3\xa9 k= c=50 s=0 w=1m0s t=a,b p= r=\"q\" ()" },
        };
        check_valid(cases, G_N_ELEMENTS(cases));
}

static void what_is_wrong_is_told_in_go_flags_words(void) {
        static const Case cases[] = {
                { "x --bogus-flag", "unknown flag `bogus-flag'" },
                { "x -vx", "unknown flag `x'" },
                { "x --verbose=1", "bool flag `-v, --verbose' cannot have an argument" },
                { "x -v=1", "bool flag `-v, --verbose' cannot have an argument" },
                { "x -n", "expected argument for flag `-n, --name'" },
                { "x -n -v", "expected argument for flag `-n, --name', but got option `-v'" },
                { "x -n --", "expected argument for flag `-n, --name', but got double dash `--'" },
                { "x -n -5", "expected argument for flag `-n, --name', but got option `-5'" },
                { "x --kind csh",
                  "Invalid value `csh' for option `--kind'. Allowed values are: bash, zsh or fish" },
                { "x -c 5x",
                  "invalid argument for flag `-c, --count' (expected int): strconv.ParseInt: parsing \"5x\": invalid syntax" },
                { "x -c 99999999999999999999",
                  "invalid argument for flag `-c, --count' (expected int): strconv.ParseInt: parsing "
                  "\"99999999999999999999\": value out of range" },
                { "x --wait ten",
                  "invalid argument for flag `--wait' (expected time.Duration): time: invalid duration \"ten\"" },
                { "x --path /no/such/file",
                  "invalid argument for flag `--path' (expected flag.File): path '/no/such/file' does not exist" },
                { "x --path /",
                  "invalid argument for flag `--path' (expected flag.File): path '/' is a directory, not a file" },
                { "x --folder /etc/passwd",
                  "invalid argument for flag `--folder' (expected flag.Dir): path '/etc/passwd' is not a directory" },
                { "x --url host",
                  "invalid argument for flag `--url' (expected flag.URL): missing scheme in 'host'" },
                { "x --url http:///",
                  "invalid argument for flag `--url' (expected flag.URL): missing host in 'http:///'" },
                { "x --ip here",
                  "invalid argument for flag `--ip' (expected flag.IP): invalid IP: 'here'" },
                { "x --port 65536",
                  "invalid argument for flag `--port' (expected uint16): strconv.ParseUint: parsing \"65536\": value out of range" },
                { "x --port=-1",
                  "invalid argument for flag `--port' (expected uint16): strconv.ParseUint: parsing \"-1\": invalid syntax" },
                { "x -n \"a\\q\"",
                  "invalid argument for flag `-n, --name' (expected string): invalid syntax" },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GError) error = NULL;
                Target target;
                g_assert_false(parse(&table, cases[i].line, &target, NULL, &error));
                g_assert_error(error, ERROR, ERROR_INVALID);
                g_assert_cmpstr(error->message, ==, cases[i].expect);
                options_clear(&table, &target);
        }
}

static void a_server_has_no_numbers_below_nothing(void) {
        OptionTable server = table;
        server.natural = true;
        static const Case cases[] = {
                { "x -c=-1",
                  "invalid argument for flag `-c, --count' (expected int): '-1' is below 0" },
                { "x --wait=-5s",
                  "invalid argument for flag `--wait' (expected time.Duration): '-5s' is below 0" },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GError) error = NULL, fine = NULL;
                Target target;
                g_assert_false(parse(&server, cases[i].line, &target, NULL, &error));
                g_assert_cmpstr(error->message, ==, cases[i].expect);
                options_clear(&server, &target);
                g_assert_true(parse(&table, cases[i].line, &target, NULL, &fine));
                g_assert_no_error(fine);
                options_clear(&table, &target);
        }
}

static void a_url_loses_the_slashes_at_its_end(void) {
        g_autoptr(GError) error = NULL;
        Target target;
        g_assert_true(parse(&table, "x --url http://a:1/b// --ip ::1 --folder / --port 65535",
                            &target, NULL, &error));
        g_assert_no_error(error);
        g_assert_cmpstr(target.url, ==, "http://a:1/b");
        g_assert_cmpstr(target.ip, ==, "::1");
        g_assert_cmpstr(target.folder, ==, "/");
        g_assert_cmpint(target.port, ==, 65535);
        options_clear(&table, &target);
}

static void help_is_asked_for(void) {
        static const char *const cases[] = { "x -h", "x --help", "x -vh", "x -v --help --bogus" };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GError) error = NULL;
                Target target;
                g_assert_false(parse(&table, cases[i], &target, NULL, &error));
                g_assert_error(error, ERROR, ERROR_EXISTS);
                options_clear(&table, &target);
        }
}

static void the_environment_comes_before_the_line_and_is_forgotten(void) {
        g_setenv("CONCOURSE_NAME", "env", true);
        g_setenv("CONCOURSE_TAG", "p,,q", true);
        g_setenv("CONCOURSE_VERBOSE", "", true);
        g_setenv("WEIR_FORCE", "T", true);
        g_setenv("WEIR_COUNT", "7", true);
        g_setenv("CONCOURSE_RAW", "ignored", true);
        static const Case cases[] = { { "x -n line",
                                        "11 n=line k= c=7 s=0 w=1m0s t=p,q p= r= ()" } };
        check_valid(cases, 1);
        g_assert_null(g_getenv("CONCOURSE_NAME"));
        g_assert_null(g_getenv("WEIR_COUNT"));
        g_assert_nonnull(g_getenv("CONCOURSE_RAW"));
        g_unsetenv("CONCOURSE_RAW");
}

static void a_bad_variable_is_an_error(void) {
        static const struct {
                const char *name, *text;
        } cases[] = { { "CONCOURSE_VERBOSE", "yes" },
                      { "CONCOURSE_COUNT", "" },
                      { "CONCOURSE_WAIT", "" },
                      { "CONCOURSE_KIND", "csh" } };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GError) error = NULL;
                Target target;
                g_setenv(cases[i].name, cases[i].text, true);
                g_assert_false(parse(&table, "x", &target, NULL, &error));
                g_assert_error(error, ERROR, ERROR_INVALID);
                g_unsetenv(cases[i].name);
                options_clear(&table, &target);
        }
}

static void what_is_required_must_be_given(void) {
        static const Option required[] = {
                { .name = "pipeline",
                  .letter = 'p',
                  .kind = OPTION_STRING,
                  .offset = FIELD(name),
                  .required = true },
                { .name = "group",
                  .letter = 'g',
                  .kind = OPTION_STRING,
                  .offset = FIELD(kind),
                  .required = true },
                { .name = "job", .kind = OPTION_STRING, .offset = FIELD(raw), .required = true },
                { .name = NULL },
        };
        static const OptionTable strict = { .program = "x", .options = required };
        static const Case cases[] = {
                { "x",
                  "the required flags `--job', `-g, --group' and `-p, --pipeline' were not specified" },
                { "x -g a --job b", "the required flag `-p, --pipeline' was not specified" },
                { "x -g a --job b -p c d e", "unexpected positional arguments: [d e]" },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GError) error = NULL;
                Target target;
                g_assert_false(parse(&strict, cases[i].line, &target, NULL, &error));
                g_assert_cmpstr(error ? error->message : NULL, ==, cases[i].expect);
                options_clear(&strict, &target);
        }
}

static void tables_share_a_line(void) {
        static const OptionTable worker = { .program = "x",
                                            .options = options,
                                            .prefix = "worker-" };
        const char *words[] = {
                "x", "-n", "web", "--worker-name", "worker", "--worker-tag=t", NULL
        };
        Target first = { 0 }, second = { 0 };
        const OptionScope scopes[] = { { &table, &first }, { &worker, &second } };
        g_autoptr(GError) error = NULL;
        g_setenv("CONCOURSE_WORKER_COUNT", "3", true);
        g_assert_true(options_parse_scopes(scopes, 2, 6, (char **) words, NULL, &error));
        g_assert_no_error(error);
        g_assert_cmpstr(first.name, ==, "web");
        g_assert_cmpstr(second.name, ==, "worker");
        g_assert_cmpint(first.count, ==, 50);
        g_assert_cmpint(second.count, ==, 3);
        g_assert_cmpuint(second.tags->len, ==, 1);
        options_clear(&table, &first);
        options_clear(&worker, &second);
}

static void help_shows_groups_defaults_and_variables(void) {
        g_autofree char *text = options_help(&table);
        g_assert_cmpstr(
                text, ==,
                "Usage:\n  weir try [OPTIONS] [FILE...]\n\nTry options.\n\nApplication Options:\n"
                "  -v, --verbose                 Say more [$CONCOURSE_VERBOSE]\n"
                "  -f, --force                   Do it [$CONCOURSE_FORCE]\n"
                "  -n, --name=NAME               A name (default: main) [$CONCOURSE_NAME]\n"
                "      --kind=[bash|zsh|fish]    [$CONCOURSE_KIND]\n"
                "  -t, --tag=                    Tags (default: a,b) [$CONCOURSE_TAG]\n"
                "      --pair=                   Pairs [$CONCOURSE_PAIR]\n"
                "      --path=                   A file [$CONCOURSE_PATH]\n"
                "\n    Numbers:\n"
                "  -c, --count=                  How many (default: 50) [$CONCOURSE_COUNT]\n"
                "      --share=                  [$CONCOURSE_SHARE]\n"
                "      --wait=                   How long (default: 1m) [$CONCOURSE_WAIT]\n"
                "\nHelp Options:\n"
                "  -h, --help                    Show this help message\n");
}

static void the_man_page_escapes_what_roff_would_read(void) {
        static const Option odd[] = {
                { .name = "odd",
                  .letter = 'o',
                  .kind = OPTION_STRING,
                  .offset = FIELD(name),
                  .help = ".Not a \\request",
                  .environment = "" },
                { .name = NULL },
        };
        static const OptionTable page = { .program = "weir odd",
                                          .summary = "Be odd",
                                          .options = odd };
        g_autofree char *text = options_man(&page);
        g_assert_cmpstr(
                text, ==,
                ".Dd $Mdocdate$\n.Dt WEIR-ODD 1\n.Os\n.Sh NAME\n.Nm weir-odd\n.Nd Be odd\n"
                ".Sh SYNOPSIS\n.Nm weir odd\n.Op Ar options\n.Sh OPTIONS\n.Bl -tag -width Ds\n"
                ".It Fl o , Fl -odd Ns = Ns Ar value\n\\&.Not a \\erequest\n.El\n");
}

/* ---- programs: a part of fly ---- */

typedef struct {
        char *target;
        bool version, verbose, headers;
} Globals;

typedef struct {
        char *pipeline, *config;
        GPtrArray *vars, *yaml_vars, *files;
        bool timestamps, dry_run;
} Command;

static const Option globals[] = {
        { .name = "target",
          .letter = 't',
          .kind = OPTION_STRING,
          .offset = offsetof(Globals, target),
          .help = "Concourse target name" },
        { .name = "version",
          .letter = 'v',
          .kind = OPTION_FLAG,
          .offset = offsetof(Globals, version),
          .help = "Print the version of Fly and exit" },
        { .name = "verbose",
          .kind = OPTION_FLAG,
          .offset = offsetof(Globals, verbose),
          .help = "Print API requests and responses" },
        { .name = "print-table-headers",
          .kind = OPTION_FLAG,
          .offset = offsetof(Globals, headers),
          .help = "Print table headers even for redirected output" },
        { .name = NULL },
};
static const Option validate[] = {
        { .name = "config",
          .letter = 'c',
          .kind = OPTION_STRING,
          .offset = offsetof(Command, config),
          .required = true,
          .help = "Pipeline configuration file" },
        { .name = "strict",
          .letter = 's',
          .kind = OPTION_FLAG,
          .offset = offsetof(Command, dry_run),
          .help = "Fail on warnings" },
        { .name = "output",
          .letter = 'o',
          .kind = OPTION_FLAG,
          .offset = offsetof(Command, dry_run),
          .help = "Output templated pipeline to stdout" },
        { .name = "enable-across-step",
          .kind = OPTION_FLAG,
          .offset = offsetof(Command, dry_run),
          .help = "DEPRECATED: The across step is always enabled. This flag has no effect." },
        { .name = "var",
          .letter = 'v',
          .kind = OPTION_LIST,
          .offset = offsetof(Command, vars),
          .value_name = "[NAME=STRING]",
          .verbatim = true,
          .help = "Specify a string value to set for a variable in the pipeline" },
        { .name = "yaml-var",
          .letter = 'y',
          .kind = OPTION_LIST,
          .offset = offsetof(Command, yaml_vars),
          .value_name = "[NAME=YAML]",
          .verbatim = true,
          .help = "Specify a YAML value to set for a variable in the pipeline" },
        { .name = "load-vars-from",
          .letter = 'l',
          .kind = OPTION_LIST,
          .offset = offsetof(Command, files),
          .help = "Variable flag that can be used for filling in template values in configuration from a YAML file" },
        { .name = NULL },
};
static const Option watch[] = {
        { .name = "timestamps",
          .letter = 't',
          .kind = OPTION_FLAG,
          .offset = offsetof(Command, timestamps),
          .help = "Print with local timestamp" },
        { .name = NULL },
};
static const Option curl[] = {
        { .name = "print-and-exit",
          .kind = OPTION_FLAG,
          .offset = offsetof(Command, dry_run),
          .help = "Print curl command and exit" },
        { .name = NULL },
};
static const char *const shells[] = { "bash", "zsh", "fish", NULL };
static const Option completion[] = {
        { .name = "shell",
          .kind = OPTION_CHOICE,
          .offset = offsetof(Command, config),
          .choices = shells,
          .required = true },
        { .name = NULL },
};
static const OptionArgument curl_arguments[] = {
        { .name = "PATH",
          .required = true,
          .help = "Pass query params as normal curl path like path?key=value" },
        { .name = "curl flags",
          .many = true,
          .help = "To pass flags to curl, pass a -- argument, so that fly can distinguish them from its own flags" },
        { .name = NULL },
};
static const char *const validate_aliases[] = { "vp", NULL };
static const OptionCommand commands[] = {
        { .name = "completion",
          .summary = "generate shell completion code",
          .options = completion,
          .size = sizeof(Command) },
        { .name = "curl",
          .summary = "curl the api",
          .options = curl,
          .arguments = curl_arguments,
          .size = sizeof(Command) },
        { .name = "help", .summary = "Print this help message" },
        { .name = "validate-pipeline",
          .aliases = validate_aliases,
          .summary = "Validate a pipeline config",
          .options = validate,
          .size = sizeof(Command) },
        { .name = "watch",
          .summary = "Stream a build's output",
          .options = watch,
          .size = sizeof(Command) },
        { .name = NULL },
};
static const OptionProgram fly = { "fly", globals, commands };

static bool call(const char *line, Globals *ret_globals, OptionCall *ret, GError **error) {
        g_auto(GStrv) words = g_strsplit(line, " ", -1);

        *ret_globals = (Globals){ 0 };
        return options_parse_program(&fly, (int) g_strv_length(words), words, ret_globals, ret,
                                     error);
}

static void options_may_stand_before_and_behind_the_command(void) {
        g_autoptr(GError) error = NULL;
        OptionCall got;
        Globals set;
        g_assert_true(call("fly -t a watch -t --verbose x y", &set, &got, &error));
        g_assert_no_error(error);
        g_assert_cmpstr(set.target, ==, "a");
        g_assert_true(set.verbose && ((Command *) got.target)->timestamps);
        g_assert_cmpstr(got.command->name, ==, "watch");
        g_assert_cmpuint(got.arguments->len, ==, 2);
        options_call_clear(&got);
        options_clear_globals(&fly, &set);

        g_assert_true(call("fly vp -c f -v a=\"b\" -v c", &set, &got, &error));
        g_assert_cmpstr(got.command->name, ==, "validate-pipeline");
        g_assert_cmpstr(((Command *) got.target)->vars->pdata[0], ==, "a=\"b\"");
        options_call_clear(&got);
        options_clear_globals(&fly, &set);
}

static void a_command_must_be_known(void) {
        static const Case cases[] = {
                { "fly",
                  "Please specify one command of: completion, curl, help, validate-pipeline or watch" },
                { "fly wotch", "Unknown command `wotch', did you mean `watch'?" },
                { "fly zzzzzzzzz",
                  "Unknown command `zzzzzzzzz'. Please specify one command of: completion, curl, help, validate-pipeline or watch" },
                { "fly curl", "the required argument `PATH` was not provided" },
                { "fly vp", "the required flag `-c, --config' was not specified" },
                { "fly --timestamps watch", "unknown flag `timestamps'" },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GError) error = NULL;
                OptionCall got;
                Globals set;
                g_assert_false(call(cases[i].line, &set, &got, &error));
                g_assert_cmpstr(error->message, ==, cases[i].expect);
                options_call_clear(&got);
                options_clear_globals(&fly, &set);
        }
}

static void recorded_help_agrees(void) {
        static const char *const names[] = { "completion", "curl", "help", "validate-pipeline" };
        const char *golden = g_getenv("WEIR_GOLDEN");
        if (!golden) {
                g_test_skip("WEIR_GOLDEN is not set");
                return;
        }
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                g_autofree char *path = g_strdup_printf("%s/help/fly-%s.txt", golden, names[i]);
                g_autofree char *expect = NULL, *got = NULL;
                g_autoptr(GError) error = NULL;
                OptionCall asked;
                Globals set;
                g_autofree char *line = g_strdup_printf("fly %s --help", names[i]);
                g_assert_true(g_file_get_contents(path, &expect, NULL, NULL));
                g_assert_false(call(line, &set, &asked, &error));
                g_assert_error(error, ERROR, ERROR_EXISTS);
                got = options_program_help(&fly, asked.command);
                g_assert_cmpstr(g_strchomp(got), ==, g_strchomp(expect));
                options_call_clear(&asked);
                options_clear_globals(&fly, &set);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/options/line", the_command_line_is_read_as_go_flags_does);
        g_test_add_func("/options/wrong", what_is_wrong_is_told_in_go_flags_words);
        g_test_add_func("/options/natural", a_server_has_no_numbers_below_nothing);
        g_test_add_func("/options/url", a_url_loses_the_slashes_at_its_end);
        g_test_add_func("/options/asked", help_is_asked_for);
        g_test_add_func("/options/environment",
                        the_environment_comes_before_the_line_and_is_forgotten);
        g_test_add_func("/options/variable", a_bad_variable_is_an_error);
        g_test_add_func("/options/required", what_is_required_must_be_given);
        g_test_add_func("/options/scopes", tables_share_a_line);
        g_test_add_func("/options/help", help_shows_groups_defaults_and_variables);
        g_test_add_func("/options/man", the_man_page_escapes_what_roff_would_read);
        g_test_add_func("/options/program", options_may_stand_before_and_behind_the_command);
        g_test_add_func("/options/command", a_command_must_be_known);
        g_test_add_func("/options/recorded", recorded_help_agrees);
        return g_test_run();
}
