/* weir-web: the web node's program. */
#include "base/log.h"
#include "cmd/stop_signals.h"
#include "web/web.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

static const OptionTable table = {
        .program = "weir web",
        .summary = "Run the web node: API, scheduler and build engine.",
        .options = web_options,
        .natural = true,
};

int main(int argc, char **argv) {
        WebOptions options = { 0 };
        g_autoptr(GError) error = NULL;
        LogLevel level = LOG_INFO;

        mallopt(M_ARENA_MAX, 2);
        stop_signals_block();
        if (!options_parse(&table, argc, argv, &options, NULL, &error)) {
                bool help = error_is(error, ERROR_EXISTS);
                g_autofree char *text = help ? options_help(&table) : g_strdup(error->message);
                fprintf(help ? stdout : stderr, "%s%s\n", help ? "" : "error: ", text);
                options_clear(&table, &options);
                return help ? EXIT_SUCCESS : EXIT_FAILURE;
        }
        log_level_parse(options.log_level, &level, NULL);
        log_open("atc", level, 2);

        StopSignals *signals = stop_signals_new();
        bool ran = web_run(&options, stop_signals_cancel(signals), &error);
        if (!ran)
                fprintf(stderr, "error: %s\n", error->message);
        stop_signals_free(signals);
        options_clear(&table, &options);
        return ran ? EXIT_SUCCESS : EXIT_FAILURE;
}
