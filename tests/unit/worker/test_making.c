/* Containers come whole or not at all, and go without a trace. */
#include "base/files.h"
#include "base/thread.h"
#include "house.h"

#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- nothing is left ---- */

static size_t count_entries(const char *path) {
        size_t count = 0;
        DIR *stream = opendir(path);
        for (struct dirent *entry; stream && (entry = readdir(stream));)
                count += entry->d_name[0] != '.';
        if (stream)
                closedir(stream);
        return count;
}

static void expect_nothing(House *house, const char *handle) {
        static const char *const folders[] = { "containers", "runtime" };
        static const char *const trees[] = { ".", "unified", "memory", "pids", "systemd" };
        const CgroupHost *cgroup = containers_cgroup(house->containers);
        g_autoptr(GPtrArray) listed = containers_list(house->containers, NULL);
        g_assert_cmpuint(listed->len, ==, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(folders); i++) {
                g_autofree char *path = g_build_filename(house->directory, folders[i], NULL);
                g_assert_cmpuint(count_entries(path), ==, 0);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(trees); i++) {
                g_autofree char *path = g_build_filename(cgroup->root, trees[i], "weir", handle,
                                                         NULL);
                g_assert_cmpint(access(path, F_OK), <, 0);
        }
}

static bool is_mentioned(const char *path, const char *text) {
        g_autofree char *content = NULL;
        return g_file_get_contents(path, &content, NULL, NULL) && strstr(content, text);
}

static void destroy_leaves_nothing(void) {
        g_autoptr(House) house = house_open();
        if (!house)
                return;
        size_t fds = 0;
        for (int round = 0; round < 3; round++) {
                g_autoptr(GError) error = NULL;
                house_container(house, "census");
                g_autoptr(Process) process = house_start(house, "census", "task",
                                                         "sleep 1000 & exec sleep 1000", false);
                g_assert_true(containers_destroy(house->containers, "census", &error));
                g_assert_no_error(error);
                g_clear_pointer(&process, process_free);
                if (round > 0) /* the first opens what stays open */
                        g_assert_cmpuint(count_entries("/proc/self/fd"), ==, fds);
                fds = count_entries("/proc/self/fd");
        }
        expect_nothing(house, "census");
        g_assert_false(is_mentioned("/proc/self/mountinfo", "census"));
}

/* ---- making ---- */

typedef struct {
        const char *handle, *rootfs, *source, *destination;
        int64_t mode, origin;
        const char *expect;
} Wrong;

static const Wrong wrongs[] = {
        { "", "raw:///x", NULL, NULL, 0, 0, "handle must be specified" },
        { "../x", "raw:///x", NULL, NULL, 0, 0, "invalid handle" },
        { "a", NULL, NULL, NULL, 0, 0, "rootfs must not be empty" },
        { "a", "/x", NULL, NULL, 0, 0,
          "malformatted rootfs: must be of form 'scheme://<abs_dir>'" },
        { "a", "docker:///x", NULL, NULL, 0, 0, "unsupported scheme 'docker'" },
        { "a", "raw://x", NULL, NULL, 0, 0, "directory must be an absolute path" },
        { "a", "raw:///x", "", "/y", 0, 0, "src and dst must not be empty" },
        { "a", "raw:///x", "y", "/y", 0, 0, "src and dst must be absolute" },
        { "a", "raw:///x", "/y", "/y", 0, 2, "unknown bind mount origin 2" },
        { "a", "raw:///x", "/y", "/y", 7, 0, "unknown bind mount mode 7" },
};

static void what_cannot_be_made_says_why_and_leaves_nothing(void) {
        g_autoptr(House) house = house_open();
        if (!house)
                return;
        for (size_t i = 0; i < G_N_ELEMENTS(wrongs); i++) {
                g_auto(GardenContainerSpec) spec = { 0 };
                g_autoptr(GError) error = NULL;
                g_autofree char *handle = NULL, *expect = NULL;
                garden_container_spec_init(&spec);
                spec.handle = g_strdup(wrongs[i].handle);
                spec.rootfs = g_strdup(wrongs[i].rootfs);
                if (wrongs[i].source) {
                        garden_mount_add(&spec, wrongs[i].source, wrongs[i].destination, true);
                        GardenMount *mount = &g_array_index(spec.mounts, GardenMount, 0);
                        mount->mode = wrongs[i].mode;
                        mount->origin = wrongs[i].origin;
                }
                expect = g_strconcat("new container: garden spec to oci spec: ", wrongs[i].expect,
                                     NULL);
                g_assert_false(containers_create(house->containers, &spec, NULL, &handle, &error));
                g_assert_cmpstr(error->message, ==, expect);
        }
        g_autofree char *containers = g_build_filename(house->directory, "containers", NULL);
        g_assert_cmpuint(count_entries(containers), ==, 0);
}

/* Of this root a container does not come about, and nothing is left of the try. */
static void expect_undone(House *house, const char *root) {
        g_auto(GardenContainerSpec) spec = { 0 };
        g_autoptr(GError) error = NULL;
        g_autofree char *handle = NULL;
        garden_container_spec_init(&spec);
        spec.handle = g_strdup("box");
        spec.rootfs = g_strconcat("raw://", root, NULL);
        g_assert_false(containers_create(house->containers, &spec, NULL, &handle, &error));
        expect_nothing(house, "box");
        house_container(house, "box"); /* its name is free again */
}

static void a_failed_start_is_undone(void) {
        g_autoptr(House) house = house_open();
        if (!house)
                return;
        expect_undone(house, "/no/such/root");
}

static void a_failure_after_the_start_is_undone(void) {
        if (!g_test_subprocess()) {
                g_setenv("WEIR_FAULT", "container-started=error", true);
                g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
                g_unsetenv("WEIR_FAULT");
                g_test_trap_assert_passed();
                return;
        }
        g_autoptr(House) house = house_open();
        if (!house)
                return;
        expect_undone(house, house->root);
}

/* ---- making that is cut off ---- */

/* In a subprocess: a worker that dies when process 1 runs and nobody knows its pid. */
static void die_while_making(void) {
        g_autofree char *state = g_build_filename(g_getenv("WEIR_TEST_DIRECTORY"), "runtime", NULL);
        House house = { .directory = g_strdup(g_getenv("WEIR_TEST_DIRECTORY")),
                        .root = g_build_filename(g_getenv("WEIR_TEST_DIRECTORY"), "root", NULL),
                        .runtime = runtime_find(NULL, state, NULL) };
        house_enter(&house);
        house_container(&house, "box");
}

static void what_a_dead_worker_began_is_removed_by_the_next(void) {
        if (g_test_subprocess()) {
                die_while_making();
                return;
        }
        g_autoptr(House) house = house_open();
        if (!house)
                return;
        house_leave(house);
        g_setenv("WEIR_FAULT", "container-started=kill", true);
        g_setenv("WEIR_TEST_DIRECTORY", house->directory, true);
        g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
        g_unsetenv("WEIR_FAULT");
        g_unsetenv("WEIR_TEST_DIRECTORY");
        g_test_trap_assert_failed();
        g_assert_cmpint(kill(house_init(house, "box"), 0), ==, 0);

        house_enter(house);
        expect_nothing(house, "box");
        house_container(house, "box");
}

/* A runtime that waits, while `hold` is there, before it makes a container. */
static const char slow_runtime[] = "#!/bin/sh\n"
                                   "case \" $* \" in *\" run \"*)\n"
                                   "touch '%1$s/held'\n"
                                   "while [ -e '%1$s/hold' ]; do sleep 0.01; done;; esac\n"
                                   "exec '%2$s' \"$@\"\n";

static void make_box(void *data) {
        house_container(data, "box");
}

static void destroy_box(void *data) {
        House *house = data;
        g_autoptr(GError) error = NULL;
        containers_destroy(house->containers, "box", &error);
        g_assert_no_error(error);
}

static void destroy_waits_for_what_is_being_made(void) {
        g_autoptr(House) house = house_open();
        if (!house)
                return;
        g_autofree char *program = g_build_filename(house->directory, "slow", NULL);
        g_autofree char *hold = g_build_filename(house->directory, "hold", NULL);
        g_autofree char *held = g_build_filename(house->directory, "held", NULL);
        g_autofree char *state = g_build_filename(house->directory, "runtime", NULL);
        g_autofree char *script = g_strdup_printf(slow_runtime, house->directory,
                                                  runtime_path(house->runtime));
        g_autoptr(GError) error = NULL;
        g_assert_true(file_replace(program, script, strlen(script), 0755, NULL));
        g_assert_true(file_replace(hold, "", 0, 0644, NULL));
        house_leave(house);
        runtime_free(house->runtime);
        house->runtime = runtime_find(program, state, &error);
        g_assert_no_error(error);
        house_enter(house);

        Thread *making = thread_start("making", make_box, house);
        while (access(held, F_OK) < 0)
                sched_yield();
        /* The web node that asked is gone, the next one makes its name free. */
        Thread *destroying = thread_start("destroying", destroy_box, house);
        unlink(hold);
        thread_join(making);
        thread_join(destroying);
        expect_nothing(house, "box");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/making/fault", a_failure_after_the_start_is_undone);
        g_test_add_func("/making/census", destroy_leaves_nothing);
        g_test_add_func("/making/wrong", what_cannot_be_made_says_why_and_leaves_nothing);
        g_test_add_func("/making/undone", a_failed_start_is_undone);
        g_test_add_func("/making/killed", what_a_dead_worker_began_is_removed_by_the_next);
        g_test_add_func("/making/destroyed", destroy_waits_for_what_is_being_made);
        return g_test_run();
}
