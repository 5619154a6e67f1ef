/* completion: what a shell reads to complete words by asking fly (reference 02 §18) */
#include "fly/commands.h"

typedef struct {
        Globals globals;
        char *shell;
} CompletionOptions;

static const char *const shells[] = { "bash", "zsh", "fish", NULL };

static const Option completion_options[] = {
        OPT(CompletionOptions, shell, OPTION_CHOICE, 0, "shell", "", .required = true,
            .choices = shells),
        OPT_END,
};

static const char bash_script[] =
        "_fly_compl() {\n"
        "    args=(\"${COMP_WORDS[@]:1:$COMP_CWORD}\")\n"
        "    local IFS=$'\\n'\n"
        "    COMPREPLY=($(GO_FLAGS_COMPLETION=1 ${COMP_WORDS[0]} \"${args[@]}\"))\n"
        "    return 0\n"
        "}\n"
        "complete -F _fly_compl fly\n";

/* One line of fish for an option; where NULL: for any command. */
static void print_fish_option(const char *where, const Option *option) {
        fputs("complete -c fly", stdout);
        if (where)
                printf(" -n \"__fish_seen_subcommand_from %s\"", where);
        if (*option->help)
                printf(" -d \"%s\"", option->help);
        printf(" -l \"%s\"", option->name);
        if (option->letter)
                printf(" -s \"%c\"", option->letter);
        putchar('\n');
}

static void print_fish(void) {
        for (const Option *option = global_options; option->name; option++)
                print_fish_option(NULL, option);
        for (size_t i = 0; commands[i]; i++) {
                const Command *command = commands[i];
                const char *alias = command->aliases[0];
                printf("complete -c fly -n __fish_use_subcommand -a \"%s\" -d \"%s%s%s%s\"\n",
                       command->name, command->summary, alias ? " (alias: " : "",
                       alias ? alias : "", alias ? ")" : "");
                for (const Option *option = command->options; option && option->name; option++)
                        print_fish_option(command->name, option);
        }
}

static bool completion_run(Fly *fly, const void *data, const GPtrArray *arguments, GError **error) {
        const CompletionOptions *options = data;

        if (g_str_equal(options->shell, "fish")) {
                print_fish();
                return true;
        }
        if (g_str_equal(options->shell, "zsh"))
                fputs("autoload -Uz compinit && compinit\n"
                      "autoload -Uz bashcompinit && bashcompinit\n",
                      stdout);
        fputs(bash_script, stdout);
        return true;
}

const Command command_completion = {
        .name = "completion",
        .summary = "generate shell completion code",
        .options = completion_options,
        .size = sizeof(CompletionOptions),
        .run = completion_run,
};
