#include "base/thread.h"
#include "work.h"
#include "worker/helper/packing.h"
#include "worker/helper/protocol.h"

#include <archive_entry.h>
#include <errno.h>

/* ---- what the helper is asked ---- */

static HelperRequest good_mount(void) {
        HelperRequest request = { .op = HELPER_OP_MOUNT, .id = "volume", .layer_count = 1 };
        g_strlcpy(request.layers[0], "layer", HELPER_LAYER_LENGTH);
        return request;
}

static bool accepted(const HelperRequest *request, size_t fd_count) {
        return helper_request_check(request, sizeof *request, fd_count, NULL);
}

static void ids_are_names_and_no_paths(void) {
        static const char *const valid[] = { "a", "8dfb8886-2d10", "A.b_c", "0" };
        static const char *const invalid[] = { "",   ".",  "..",  "a/b", "/",
                                               "-a", ".a", "a b", "a\n", "\xff" };
        for (size_t i = 0; i < G_N_ELEMENTS(valid); i++)
                g_assert_true(helper_id_valid(valid[i]));
        for (size_t i = 0; i < G_N_ELEMENTS(invalid); i++)
                g_assert_false(helper_id_valid(invalid[i]));
        g_autofree char *longest = g_strnfill(HELPER_ID_LENGTH_MAX, 'a');
        g_autofree char *longer = g_strnfill(HELPER_ID_LENGTH_MAX + 1, 'a');
        g_assert_true(helper_id_valid(longest));
        g_assert_false(helper_id_valid(longer));
}

static void malformed_requests_are_refused(void) {
        HelperRequest request = good_mount();
        g_assert_true(accepted(&request, 0));
        g_assert_false(accepted(&request, 1));
        g_assert_false(helper_request_check(&request, sizeof request - 1, 0, NULL));
        g_assert_false(helper_request_check(&request, 0, 0, NULL));

        request.op = 99;
        g_assert_false(accepted(&request, 0));
        request = good_mount();
        g_strlcpy(request.id, "../up", sizeof request.id);
        g_assert_false(accepted(&request, 0));
        request = good_mount();
        memset(request.id, 'a', sizeof request.id);
        g_assert_false(accepted(&request, 0));
        request = good_mount();
        request.layer_count = 0;
        g_assert_false(accepted(&request, 0));
        request.layer_count = HELPER_LAYERS_MAX + 1;
        g_assert_false(accepted(&request, 0));
        request = good_mount();
        g_strlcpy(request.layers[0], "a:b", HELPER_LAYER_LENGTH);
        g_assert_false(accepted(&request, 0));

        request = good_mount();
        request.op = HELPER_OP_JOB;
        request.kind = HELPER_CHOWN;
        g_assert_true(accepted(&request, 0));
        request.kind = 7;
        g_assert_false(accepted(&request, 0));
        request.kind = HELPER_PACK;
        request.has_fd = true;
        g_assert_false(accepted(&request, 0));
        g_assert_true(accepted(&request, 1));
        request.follow_symlinks = true;
        g_assert_false(accepted(&request, 1));
}

/* ---- what of an archive's entry is kept ---- */

static void only_harmless_attributes_are_kept(void) {
        static const struct {
                const char *name;
                bool kept;
        } cases[] = {
                { "user.note", true },
                { "security.capability", true },
                { "security.selinux", false },
                { "trusted.overlay.opaque", false },
                { "trusted.overlay.redirect", false },
                { "system.posix_acl_access", false },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                struct archive_entry *entry = archive_entry_new();
                UnpackSpec spec = { .devices = true, .any_owner = true };
                archive_entry_set_pathname(entry, "//a/./b");
                archive_entry_set_filetype(entry, AE_IFREG);
                archive_entry_xattr_add_entry(entry, cases[i].name, "y", 1);
                g_assert_true(unpack_entry_clean(entry, &spec, NULL));
                g_assert_cmpint(archive_entry_xattr_count(entry), ==, cases[i].kept);
                g_assert_cmpstr(archive_entry_pathname(entry), ==, "a/./b");
                archive_entry_free(entry);
        }
}

static void names_that_lead_out_are_refused(void) {
        static const struct {
                const char *name;
                bool valid;
        } cases[] = {
                { "a", true },       { "/", true },      { "..a", true },    { "a..", true },
                { "a/..b/c", true }, { "..", false },    { "a/..", false },  { "../a", false },
                { "a/../b", false }, { "/../a", false }, { "a//..", false }, { "./../a", false },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
                for (int link = 0; link < 2; link++) {
                        struct archive_entry *entry = archive_entry_new();
                        UnpackSpec spec = { 0 };
                        archive_entry_set_pathname(entry, link ? "name" : cases[i].name);
                        archive_entry_set_filetype(entry, AE_IFREG);
                        if (link)
                                archive_entry_set_hardlink(entry, cases[i].name);
                        g_assert_cmpint(unpack_entry_clean(entry, &spec, NULL), ==, cases[i].valid);
                        archive_entry_free(entry);
                }
}

/* ---- a real helper ---- */

static void a_missing_layer_is_an_error_and_the_helper_lives_on(void) {
        g_autoptr(GError) error = NULL;
        const char *layers[] = { "nope", "neither" };
        for (int i = 0; i < 4; i++) {
                HelperMount mount = { .id = "x",
                                      .layers = layers,
                                      .layer_count = 1 + (size_t) i / 2,
                                      .mapped = i % 2 };
                g_assert_false(helper_mount(helper, &mount, &error));
                g_assert_nonnull(error);
                g_clear_error(&error);
        }
        g_assert_true(helper_unmount(helper, "x", true, &error));
        ASSERT_OUTSIDE("/", "grep -c weir-work /proc/self/mountinfo", "0\n(status 1)");
}

static void ask_often(void *data) {
        for (int i = 0; i < 50; i++) {
                g_autoptr(GError) error = NULL;
                autofd fd = -1;
                HelperNetwork network = { .user_namespace = helper_user_namespace(helper) >= 0 };
                helper_network(helper, &network, &fd, &error);
                g_assert_no_error(error);
        }
}

static void many_threads_ask_at_once(void) {
        Thread *threads[8];
        for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
                threads[i] = thread_start("ask", ask_often, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
                thread_join(threads[i]);
}

/* Children that do nothing but hold their pipe. */
static void a_cancelled_job_is_killed(void) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Cancel) cancel = cancel_new(NULL);
        const char *layers[] = { "held" };
        int ends[2];
        g_free(outside(work, "mkdir -p layers/held/data"));
        g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
        HelperJob job = {
                .kind = HELPER_UNPACK, .layers = layers, .layer_count = 1, .path = "", .fd = ends[0]
        };
        HelperChild *child = helper_job_start(helper, &job, &error);
        g_assert_no_error(error);
        close(ends[0]);
        cancel_fire(cancel, CANCEL_ABORT);
        g_assert_false(helper_job_wait(child, cancel, &error));
        g_assert_error(error, ERROR, ERROR_CANCELLED);
        helper_job_free(child);
        /* The pipe has no reader once it is dead. */
        signal(SIGPIPE, SIG_IGN);
        while (write(ends[1], "x", 1) == 1)
                sched_yield();
        g_assert_cmpint(errno, ==, EPIPE);
        close(ends[1]);
        g_free(outside(work, "rm -r layers/held"));
}

static void nothing_is_seen_on_the_host(void) {
        g_autofree char *mine = g_file_read_link("/proc/self/ns/mnt", NULL);
        g_autofree char *parents = g_strdup_printf("/proc/%d/ns/mnt", (int) getppid());
        g_autofree char *theirs = g_file_read_link(parents, NULL);
        g_assert_cmpstr(mine, !=, theirs);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/helper/ids", ids_are_names_and_no_paths);
        g_test_add_func("/helper/requests", malformed_requests_are_refused);
        g_test_add_func("/helper/attributes", only_harmless_attributes_are_kept);
        g_test_add_func("/helper/names", names_that_lead_out_are_refused);
        bool real = work_start();
        if (real) {
                g_test_add_func("/helper/missing",
                                a_missing_layer_is_an_error_and_the_helper_lives_on);
                g_test_add_func("/helper/threads", many_threads_ask_at_once);
                g_test_add_func("/helper/cancel", a_cancelled_job_is_killed);
                g_test_add_func("/helper/private", nothing_is_seen_on_the_host);
        }
        int result = g_test_run();
        if (real)
                work_stop();
        return result;
}
