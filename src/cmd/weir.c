/* weir, and concourse: execs the program of its first word. */
#include "base/error.h"
#include "base/files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
        const char *name, *program, *help; /* program NULL: not part of this tree yet */
} Command;

static const Command commands[] = {
        { "quickstart", "weir-quickstart", "Run a web node and a worker, without settings." },
        { "web", "weir-web", "Run the web node: API, scheduler and build engine." },
        { "worker", "weir-worker", "Run containers and keep volumes for a web node." },
        { "gateway", NULL, "Run the SSH gateway that workers register with." },
        { "migrate", NULL, "Migrate the database." },
        { "generate-key", NULL, "Generate RSA keys for use with Weir components." },
        { "land-worker", NULL, "Safely drain a worker's assignments for temporary downtime." },
        { "retire-worker", NULL, "Safely remove a worker from the cluster permanently." },
        { "import", NULL, "Move an existing Concourse database over." },
        { "backup", "weir-backup", "Copy what a web node keeps, while it runs." },
        { "doctor", "weir-doctor", "Say what stands in the way of running here." },
};

static void print_help(FILE *to, const char *name) {
        fprintf(to, "Usage:\n  %s [OPTIONS] <command>\n\nApplication Options:\n", name);
        fprintf(to, "  -v, --version  Print the version of Weir and exit\n\n");
        fprintf(to, "Help Options:\n  -h, --help     Show this help message\n\n");
        fprintf(to, "Available commands:\n");
        for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
                if (commands[i].program)
                        fprintf(to, "  %-14s %s\n", commands[i].name, commands[i].help);
}

static const Command *find_command(const char *name) {
        for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
                if (g_str_equal(commands[i].name, name))
                        return &commands[i];
        return NULL;
}

/* Beside this program, or where an installation keeps what people do not call. */
static void run(const char *program, char **argv) {
        static const char *const places[] = { ".", "../libexec/weir" };
        g_autofree char *directory = program_directory();

        for (size_t i = 0; directory && i < G_N_ELEMENTS(places); i++) {
                g_autofree char *path = g_build_filename(directory, places[i], program, NULL);
                execv(path, argv);
                if (errno != ENOENT) {
                        fprintf(stderr, "error: %s: %s\n", path, strerror(errno));
                        return;
                }
        }
        fprintf(stderr, "error: the program %s is not installed beside this one\n", program);
}

int main(int argc, char **argv) {
        g_autofree char *name = g_path_get_basename(argv[0]);
        const char *word = argc > 1 ? argv[1] : "";

        if (g_str_equal(word, "-v") || g_str_equal(word, "--version")) {
                puts(WEIR_VERSION);
                return EXIT_SUCCESS;
        }
        if (g_str_equal(word, "-h") || g_str_equal(word, "--help") || g_str_equal(word, "help")) {
                print_help(stdout, name);
                return EXIT_SUCCESS;
        }
        const Command *command = find_command(word);
        if (!command) {
                if (*word)
                        fprintf(stderr, "error: Unknown command `%s'\n", word);
                print_help(stderr, name);
        } else if (!command->program) {
                fprintf(stderr, "error: %s is not part of this version yet\n", word);
        } else {
                run(command->program, argv + 1);
        }
        return EXIT_FAILURE;
}
