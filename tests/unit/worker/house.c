#include "house.h"

#include "base/child.h"
#include "base/files.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void house_enter(House *house) {
        g_autoptr(GError) error = NULL;
        ContainersSpec spec = { .work_directory = house->directory,
                                .init = g_getenv("WEIR_INIT"),
                                .runtime = house->runtime,
                                .spool_ceiling = house->spool_ceiling,
                                .read_keep = house->read_keep };
        house->containers = containers_open(&spec, &error);
        g_assert_no_error(error);
}

static void make_root(House *house) {
        const char *argv[] = { g_getenv("WEIR_ROOTFS"), house->root, "100000", NULL };
        ChildSpec spec = { .argv = argv, .input = -1, .output = -1, .error = -1 };
        g_auto(ChildResult) result = { 0 };
        g_autoptr(GError) error = NULL;
        child_run(&spec, NULL, 0, 65536, NULL, &result, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(result.error, ==, "");
        g_assert_cmpint(result.status, ==, 0);
}

House *house_open(void) {
        g_autoptr(GError) error = NULL;
        signal(SIGPIPE, SIG_IGN);
        if (geteuid() != 0) {
                g_test_skip("not root");
                return NULL;
        }
        House *house = g_new0(House, 1);
        house->directory = g_dir_make_tmp("weir-test-XXXXXX", &error);
        g_assert_no_error(error);
        chmod(house->directory, 0711);
        g_autofree char *state = g_build_filename(house->directory, "runtime", NULL);
        house->root = g_build_filename(house->directory, "root", NULL);
        house->runtime = runtime_find(NULL, state, &error);
        if (!house->runtime) {
                g_test_skip(error->message);
                house_close(house);
                return NULL;
        }
        make_root(house);
        house_enter(house);
        return house;
}

void house_close(House *house) {
        if (!house)
                return;
        g_autoptr(GPtrArray) left = house->containers ? containers_list(house->containers, NULL)
                                                      : NULL;
        for (guint i = 0; left && i < left->len; i++)
                containers_destroy(house->containers, g_ptr_array_index(left, i), NULL);
        containers_free(house->containers);
        runtime_free(house->runtime);
        directory_remove(house->directory, NULL);
        g_free(house->directory);
        g_free(house->root);
        g_free(house);
}

void house_leave(House *house) {
        g_clear_pointer(&house->containers, containers_free);
}

void house_restart(House *house) {
        house_leave(house);
        house_enter(house);
}

void house_make(House *house, const GardenContainerSpec *spec) {
        g_autoptr(GError) error = NULL;
        g_autofree char *made = NULL;
        containers_create(house->containers, spec, NULL, &made, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(made, ==, spec->handle);
}

void house_container(House *house, const char *handle) {
        g_auto(GardenContainerSpec) spec = { 0 };
        garden_container_spec_init(&spec);
        spec.handle = g_strdup(handle);
        spec.rootfs = g_strconcat("raw://", house->root, NULL);
        house_make(house, &spec);
}

void ran_clear(Ran *ran) {
        g_free(ran->output);
        g_free(ran->error);
}

char *house_read(Process *process, unsigned stream, size_t *ret_length) {
        g_autoptr(GString) text = g_string_new(NULL);
        char chunk[65536];
        ssize_t n;
        int watch = process_watch(process, PROCESS_WATCH_STDOUT | PROCESS_WATCH_STDERR, NULL);
        while ((n = process_read(process, stream, (int64_t) text->len, chunk, sizeof(chunk),
                                 NULL)) > 0)
                g_string_append_len(text, chunk, n);
        process_unwatch(process, watch);
        if (ret_length)
                *ret_length = text->len;
        return g_string_free(g_steal_pointer(&text), false);
}

Process *house_start(House *house, const char *handle, const char *id, const char *script,
                     bool tty) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Container) container = containers_get(house->containers, handle, &error);
        g_auto(GardenProcessSpec) spec = { 0 };
        garden_process_spec_init(&spec);
        spec.id = g_strdup(id);
        spec.path = g_strdup("sh");
        spec.tty = tty;
        spec.window = (GardenWindow){ 80, 24 };
        g_ptr_array_add(spec.args, g_strdup("-c"));
        g_ptr_array_add(spec.args, g_strdup(script));
        g_assert_no_error(error);
        Process *process = container_run(container, &spec, NULL, &error);
        g_assert_no_error(error);
        return process;
}

void house_run(House *house, const char *handle, const char *script, const char *input, Ran *ret) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Process) process = house_start(house, handle, NULL, script, false);
        if (input) {
                autofd fd = process_input(process);
                write_all(fd, input, strlen(input), &error);
                g_assert_no_error(error);
        }
        process_close_input(process);
        process_wait(process, NULL, &ret->code, &error);
        g_assert_no_error(error);
        ret->output = house_read(process, SHIM_STDOUT, &ret->output_length);
        ret->error = house_read(process, SHIM_STDERR, NULL);
}

pid_t house_init(House *house, const char *handle) {
        g_autoptr(GError) error = NULL;
        g_autofree char *path = g_build_filename(house->directory, "containers", handle, "init.pid",
                                                 NULL);
        g_autofree char *pid = file_read(path, 32, NULL, &error);
        g_assert_no_error(error);
        return (pid_t) atoi(pid);
}
