/* curl: the API by hand, with the target's token (reference 02 §17) */
#include "fly/api.h"
#include "fly/commands.h"

#include "base/child.h"

#include <string.h>
#include <unistd.h>

typedef struct {
        Globals globals;
        bool print_and_exit;
} CurlOptions;

static const Option curl_options[] = {
        OPT(CurlOptions, print_and_exit, OPTION_FLAG, 0, "print-and-exit",
            "Print curl command and exit"),
        OPT_END,
};

static const char *const curl_arguments[] = {
        "PATH:",
        "Pass query params as normal curl path like path?key=value",
        "curl flags:",
        "To pass flags to curl, pass a -- argument, so that fly can distinguish them from its own "
        "flags",
        NULL,
};

/* The target's server with the path and query of what was given. Returns new. */
static char *full_url(const char *api, const char *path) {
        const char *scheme = strstr(path, "://");
        const char *rest = scheme ? strchr(scheme + 3, '/') : path;
        const char *host = strstr(api, "://");
        size_t length = host ? (size_t) (host + 3 - api) + strcspn(host + 3, "/") : strlen(api);
        g_autofree char *server = g_strndup(api, length);

        if (!rest)
                rest = "";
        return g_strconcat(server, *rest == '/' ? "" : "/", rest, NULL);
}

static void print_words(char **words) {
        for (size_t i = 0; words[i]; i++)
                printf(strchr(words[i], ' ') ? "%s\"%s\"" : "%s%s", i ? " " : "", words[i]);
        putchar('\n');
}

static bool run_curl(char **words, GError **error) {
        const ChildSpec spec = { .argv = (const char *const *) words,
                                 .input = STDIN_FILENO,
                                 .output = STDOUT_FILENO,
                                 .error = STDERR_FILENO };
        pid_t pid;
        int pidfd, status;

        if (!child_start(&spec, &pid, &pidfd, error) ||
            !child_wait(pid, pidfd, NULL, &status, error))
                return false;
        return status == 0 || fly_fail(error, "exit status %d", status);
}

static bool curl_run(Fly *fly, const void *data, const GPtrArray *arguments, GError **error) {
        const CurlOptions *options = data;
        g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);

        if (arguments->len == 0)
                return fly_fail(error, "the required argument `PATH` was not provided");
        if (!fly_open(fly, NULL, error))
                return false;
        if (!fly->target->has_token) {
                g_set_error_literal(error, FLY_ERROR, FLY_UNAUTHORIZED, "not authorized");
                return false;
        }
        g_ptr_array_add(words, g_strdup("curl"));
        g_ptr_array_add(words, g_strdup("-H"));
        g_ptr_array_add(words, g_strdup_printf("Authorization: %s %s", fly->target->token_type,
                                               fly->target->token_value));
        for (size_t i = 1; i < arguments->len; i++)
                g_ptr_array_add(words, g_strdup(arguments->pdata[i]));
        g_ptr_array_add(words, full_url(fly->target->api, arguments->pdata[0]));
        g_ptr_array_add(words, NULL);
        fflush(stdout);
        if (!options->print_and_exit)
                return run_curl((char **) words->pdata, error);
        print_words((char **) words->pdata);
        return true;
}

const Command command_curl = {
        .name = "curl",
        .aliases = { "c" },
        .summary = "curl the api",
        .options = curl_options,
        .size = sizeof(CurlOptions),
        .usage = "PATH [curl flags...]",
        .arguments = curl_arguments,
        .run = curl_run,
};
