/* weir-worker: the worker's program. */
#include "base/log.h"
#include "worker/worker.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

static const OptionTable table = {
        .program = "weir worker",
        .summary = "Run containers and keep volumes for a web node.",
        .options = worker_options,
        .natural = true,
};

int main(int argc, char **argv) {
        WorkerOptions options = { 0 };
        g_autoptr(GError) error = NULL;
        LogLevel level = LOG_INFO;

        mallopt(M_ARENA_MAX, 2);
        worker_block_signals();
        if (!options_parse(&table, argc, argv, &options, NULL, &error)) {
                bool help = error_is(error, ERROR_EXISTS);
                g_autofree char *text = help ? options_help(&table) : g_strdup(error->message);
                fprintf(help ? stdout : stderr, "%s%s\n", help ? "" : "error: ", text);
                options_clear(&table, &options);
                return help ? EXIT_SUCCESS : EXIT_FAILURE;
        }
        log_level_parse(options.log_level, &level, NULL);
        log_open("worker", level, 2);

        bool ran = worker_run(&options, NULL, &error);
        if (!ran) {
                log_error("worker", "failed", error);
                fprintf(stderr, "error: %s\n", error->message);
        }
        options_clear(&table, &options);
        return ran ? EXIT_SUCCESS : EXIT_FAILURE;
}
