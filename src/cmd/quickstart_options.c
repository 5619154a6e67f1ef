#include "cmd/quickstart_options.h"

#include "base/files.h"

#include <unistd.h>

/* Where one process for people differs from a server for many. */
static const struct {
        const char *name, *standard, *help;
} own_standards[] = {
        { "work-dir", "/var/lib/weir",
          "Directory of everything: database, logs, containers and volumes." },
        { "bind-ip", "127.0.0.1", NULL },
        { "worker-bind-port", "0", NULL },
        { "worker-baggageclaim-bind-port", "0", NULL },
        { "worker-healthcheck-bind-ip", "127.0.0.1", NULL },
        { "worker-healthcheck-bind-port", "0", NULL },
        { "worker-work-dir", NULL,
          "Directory in which to place container data; below --work-dir when not given." },
};

static void set_own_standard(Option *option) {
        for (size_t i = 0; i < G_N_ELEMENTS(own_standards); i++)
                if (g_str_equal(own_standards[i].name, option->name)) {
                        option->standard = own_standards[i].standard;
                        if (own_standards[i].help)
                                option->help = own_standards[i].help;
                }
}

/* They live as long as the program. */
static const char *keep(char *text) {
        return g_intern_string(text);
}

static void add_options(GArray *all, const Option *options, const char *prefix, size_t offset) {
        for (; options->name; options++) {
                Option option = *options;
                bool ours = g_str_equal(option.name, "web-socket") ||
                            g_str_equal(option.name, "listener");
                if (ours)
                        continue;
                if (*prefix) {
                        g_autofree char *name = g_strconcat(prefix, option.name, NULL);
                        g_autofree char *group = g_strconcat(
                                "Worker ", option.group ? option.group : "Options", NULL);
                        option.name = keep(name);
                        option.group = keep(group);
                }
                option.offset += offset;
                option.required = false;
                set_own_standard(&option);
                g_array_append_val(all, option);
        }
}

GArray *quickstart_options_new(void) {
        GArray *all = g_array_new(true, true, sizeof(Option));
        add_options(all, web_options, "", offsetof(QuickstartOptions, web));
        add_options(all, worker_options, "worker-", offsetof(QuickstartOptions, worker));
        return all;
}

/* ---- what stands beside the program ---- */

char *quickstart_programs(void) {
        char *directory = program_directory();
        return directory ? directory : g_strdup(".");
}

char *quickstart_find_program(const char *programs, const char *name, GError **error) {
        static const char *const places[] = { ".", "../libexec/weir", "../bin" };
        for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
                g_autofree char *path = g_build_filename(programs, places[i], name, NULL);
                if (access(path, X_OK) == 0)
                        return g_canonicalize_filename(path, NULL);
        }
        g_set_error(error, ERROR, ERROR_NOT_FOUND,
                    "the program %s is not installed beside this one", name);
        return NULL;
}

void quickstart_find_resource_types(const char *programs, QuickstartOptions *options) {
        static const char *const places[] = { "../lib/weir/resource-types",
                                              "../share/weir/resource-types",
                                              "../../../.cache/resource-types" };
        char **types = &options->worker.resource_types;
        for (size_t i = 0; !*types && i < G_N_ELEMENTS(places); i++) {
                g_autofree char *path = g_canonicalize_filename(places[i], programs);
                if (g_file_test(path, G_FILE_TEST_IS_DIR))
                        *types = g_steal_pointer(&path);
        }
}
