#include "base/json.h"
#include "work.h"
#include "worker/volumes/volumes.h"

static Volumes *volumes;

/* ---- verbs ---- */

static Volumes *open_volumes(VolumesDriver driver) {
        g_autoptr(GError) error = NULL;
        VolumesSpec spec = { .work_directory = work, .helper = helper, .driver = driver };
        Volumes *opened = volumes_open(&spec, &error);
        g_assert_no_error(error);
        return opened;
}

static char *create(const VolumeRequest *request) {
        g_autoptr(GError) error = NULL;
        g_auto(VolumeResponse) response = { 0 };
        volumes_create(volumes, request, NULL, &response, &error);
        g_assert_no_error(error);
        return g_steal_pointer(&response.path);
}

static char *make_empty(const char *handle) {
        VolumeRequest request = { .handle = (char *) handle,
                                  .strategy.kind = VOLUME_STRATEGY_EMPTY };
        return create(&request);
}

static char *make_cow(const char *handle, const char *parent) {
        VolumeRequest request = {
                .handle = (char *) handle,
                .strategy = { .kind = VOLUME_STRATEGY_COW, .volume = (char *) parent },
                .has_uid = true,
                .has_gid = true,
                .uid = -1,
                .gid = -1,
        };
        return create(&request);
}

static char *make_import(const char *handle, const char *path, bool follow) {
        VolumeRequest request = { .handle = (char *) handle,
                                  .strategy = { .kind = VOLUME_STRATEGY_IMPORT,
                                                .path = (char *) path,
                                                .follow_symlinks = follow } };
        return create(&request);
}

static char *use(const char *container, const char *path, bool privileged) {
        g_autoptr(GError) error = NULL;
        VolumesUse spec = { .container = container, .path = path, .privileged = privileged };
        char *mounted = volumes_mount(volumes, &spec, &error);
        g_assert_no_error(error);
        return mounted;
}

static void destroy(const char *handle) {
        g_autoptr(GError) error = NULL;
        volumes_destroy(volumes, handle, &error);
        g_assert_no_error(error);
}

/* ---- owners ---- */

static void a_container_sees_its_owners_and_the_disk_unshifted_ones(void) {
        g_autofree char *path = make_empty("owners");
        g_autofree char *mounted = use("c1", path, false);

        ASSERT_INSIDE(mounted, "echo hi > a && mkdir d && chown 33:44 d && stat -c %u:%g . a d",
                      "0:0\n0:0\n33:44\n");
        g_autofree char *user = inside_as(1000, mounted, "touch x");
        g_assert_nonnull(strstr(user, "Permission denied"));
        volumes_release(volumes, "c1");

        g_autofree char *plain = use("c2", path, true);
        ASSERT_OUTSIDE(plain, "stat -c %u:%g . a d", "0:0\n0:0\n33:44\n");
        volumes_release(volumes, "c2");
        destroy("owners");
}

static void a_child_changes_nothing_in_its_parent(void) {
        g_autofree char *parent = make_empty("parent");
        g_autofree char *first = use("c1", parent, false);
        ASSERT_INSIDE(first,
                      "echo one > kept; echo two > changed; echo three > removed; mkdir -p d/e; "
                      "echo deep > d/e/f; cp /bin/true suid; chown 7:8 suid; chmod 4755 suid",
                      "");
        volumes_release(volumes, "c1");

        g_autofree char *child = make_cow("child", "parent");
        g_autofree char *second = use("c2", child, false);
        ASSERT_INSIDE(second,
                      "echo more >> changed; rm removed; rm -r d; mkdir d; mv kept moved; "
                      "chmod 600 suid; chmod 4755 suid; stat -c %u:%g:%a suid; ls; cat changed",
                      "7:8:4755\nchanged\nd\nmoved\nsuid\ntwo\nmore\n");
        volumes_release(volumes, "c2");

        g_autofree char *again = use("c3", parent, false);
        ASSERT_INSIDE(again, "cat kept changed removed d/e/f", "one\ntwo\nthree\ndeep\n");
        volumes_release(volumes, "c3");

        g_autofree char *grandchild = make_cow("grandchild", "child");
        g_autofree char *third = use("c4", grandchild, false);
        ASSERT_INSIDE(third, "ls -R . | tr '\\n' ' '; cat moved; stat -c %u:%g:%a suid",
                      ".: changed d moved suid  ./d: one\n7:8:4755\n");
        volumes_release(volumes, "c4");

        /* Parents may go first: children keep the layers. */
        destroy("parent");
        destroy("child");
        g_autofree char *after = use("c5", grandchild, false);
        ASSERT_INSIDE(after, "cat moved changed", "one\ntwo\nmore\n");
        volumes_release(volumes, "c5");
        destroy("grandchild");
}

static void a_privileged_flip_touches_no_file(void) {
        g_autoptr(GError) error = NULL;
        g_autofree char *path = make_empty("flip");
        g_autofree char *mounted = use("c1", path, true);
        ASSERT_OUTSIDE(mounted, "echo x > f; chown 5:6 f", "");
        volumes_release(volumes, "c1");

        g_assert_true(volumes_set_privileged(volumes, "flip", true, &error));
        g_assert_true(volumes_set_privileged(volumes, "flip", false, &error));
        g_auto(VolumeResponse) response = { 0 };
        g_assert_true(volumes_get(volumes, "flip", &response, &error));
        g_assert_false(response.privileged);
        g_autofree char *mapped = use("c2", path, false);
        ASSERT_INSIDE(mapped, "stat -c %u:%g f", "5:6\n");
        volumes_release(volumes, "c2");
        destroy("flip");
}

static void a_volume_can_be_made_for_a_user(void) {
        g_autofree char *parent = make_empty("base");
        g_autofree char *mounted = use("c1", parent, false);
        ASSERT_INSIDE(mounted,
                      "mkdir d; echo x > d/f; ln -s nowhere l; cp /bin/true s; chmod 6755 s", "");
        volumes_release(volumes, "c1");

        VolumeRequest request = {
                .handle = (char *) "owned",
                .strategy = { .kind = VOLUME_STRATEGY_COW, .volume = (char *) "base" },
                .has_uid = true,
                .has_gid = true,
                .uid = 1000,
                .gid = 1001,
        };
        g_autofree char *path = create(&request);
        g_autofree char *owned = use("c2", path, false);
        ASSERT_INSIDE(owned, "stat -c %u:%g:%a . d d/f s; stat -c %u:%g l",
                      "1000:1001:755\n1000:1001:755\n1000:1001:644\n1000:1001:6755\n1000:1001\n");
        g_autofree char *as_user = inside_as(1000, owned, "echo y >> d/f && cat d/f");
        g_assert_cmpstr(as_user, ==, "x\ny\n");
        volumes_release(volumes, "c2");
        g_autofree char *unchanged = use("c3", parent, false);
        ASSERT_INSIDE(unchanged, "stat -c %u:%g d/f", "0:0\n");
        volumes_release(volumes, "c3");
        destroy("owned");
        destroy("base");
}

/* ---- chains ---- */

static size_t stack_length(const char *handle) {
        g_autofree char *path = g_build_filename(work, "volumes/live", handle, "stack.json", NULL);
        size_t length;
        g_autofree char *text = file_read(path, 1 << 20, &length, NULL);
        g_assert_nonnull(text);
        g_autoptr(Value) stack = json_parse(text, length, NULL, NULL);
        return value_length(stack);
}

static void a_long_chain_of_children_keeps_every_generation(void) {
        enum { GENERATIONS = 100 };
        g_autofree char *first = make_empty("g0");
        for (int i = 1; i <= GENERATIONS; i++) {
                g_autofree char *handle = g_strdup_printf("g%d", i);
                g_autofree char *parent = g_strdup_printf("g%d", i - 1);
                g_autofree char *path = make_cow(handle, parent);
                g_autofree char *mounted = use("c", path, false);
                g_autofree char *script = g_strdup_printf("echo %d > f%d; echo %d > last", i, i, i);
                ASSERT_INSIDE(mounted, script, "");
                volumes_release(volumes, "c");
                g_assert_cmpint((int) stack_length(handle), <=, 65);
        }
        g_autofree char *last = g_strdup_printf("%s/volumes/live/g100/volume", work);
        g_autofree char *mounted = use("c", last, false);
        ASSERT_INSIDE(mounted, "ls | wc -l; cat f1 f50 f100 last; stat -c %u f1",
                      "101\n1\n50\n100\n100\n0\n");
        volumes_release(volumes, "c");
        for (int i = 0; i <= GENERATIONS; i++) {
                g_autofree char *handle = g_strdup_printf("g%d", i);
                destroy(handle);
        }
        ASSERT_OUTSIDE(work, "ls layers | wc -l", "0\n");
}

static void children_of_unchanged_children_add_no_layer(void) {
        g_autofree char *first = make_empty("v0");
        g_autofree char *second = make_cow("v1", "v0");
        g_autofree char *third = make_cow("v2", "v1");
        g_autofree char *fourth = make_cow("v3", "v2");
        g_assert_cmpint((int) stack_length("v3"), ==, 2);
        destroy("v1");
        destroy("v2");
        g_autofree char *mounted = use("c", fourth, false);
        ASSERT_INSIDE(mounted, "touch x; ls", "x\n");
        volumes_release(volumes, "c");
        destroy("v3");
        destroy("v0");
}

/* ---- use ---- */

static void an_overlay_is_written_through_one_mount_only(void) {
        g_autoptr(GError) error = NULL;
        g_autofree char *parent = make_empty("p");
        g_autofree char *child = make_cow("k", "p");
        g_autofree char *mapped = use("c1", child, false);
        g_autofree char *same = use("c2", child, false);
        g_assert_cmpstr(mapped, ==, same);

        VolumesUse other = { .container = "c3", .path = child, .privileged = true };
        g_assert_null(volumes_mount(volumes, &other, &error));
        g_assert_error(error, ERROR, ERROR_BUSY);
        g_clear_error(&error);
        g_assert_false(volumes_destroy(volumes, "k", &error));
        g_assert_error(error, ERROR, ERROR_BUSY);
        g_clear_error(&error);

        volumes_release(volumes, "c1");
        ASSERT_INSIDE(same, "touch still-there", "");
        volumes_release(volumes, "c2");
        g_autofree char *plain = use("c3", child, true);
        ASSERT_OUTSIDE(plain, "ls", "still-there\n");
        volumes_release(volumes, "c3");
        destroy("k");
        destroy("p");
}

static void a_claimed_overlay_is_not_mounted_again(void) {
        g_autoptr(GError) error = NULL;
        g_autofree char *parent = make_empty("p");
        g_autofree char *child = make_cow("k", "p");
        VolumesUse survivor = { .container = "old", .path = child };
        VolumesUse next = { .container = "new", .path = child };
        g_assert_true(volumes_claim(volumes, &survivor, &error));
        g_assert_null(volumes_mount(volumes, &next, &error));
        g_assert_error(error, ERROR, ERROR_BUSY);
        volumes_release(volumes, "old");
        g_autofree char *mounted = use("new", child, false);
        volumes_release(volumes, "new");
        destroy("k");
        destroy("p");
}

static void paths_below_a_volume_are_real_directories(void) {
        g_autoptr(GError) error = NULL;
        g_autofree char *path = make_empty("image");
        g_autofree char *mounted = use("c1", path, false);
        ASSERT_INSIDE(mounted, "mkdir -p real/rootfs; ln -s /etc rootfs; ln -s real way", "");
        static const char *const hostile[] = { "rootfs", "way/rootfs", "../../../etc", "missing" };
        for (size_t i = 0; i < G_N_ELEMENTS(hostile); i++) {
                g_autofree char *below = g_strdup_printf("%s/%s", path, hostile[i]);
                VolumesUse spec = { .container = "c2", .path = below };
                g_assert_null(volumes_mount(volumes, &spec, &error));
                g_assert_nonnull(error);
                g_clear_error(&error);
        }
        g_autofree char *good = g_strdup_printf("%s/real/rootfs", path);
        g_autofree char *found = use("c2", good, false);
        g_assert_true(g_str_has_suffix(found, "/mounts/image/mapped/real/rootfs"));
        volumes_release(volumes, "c1");
        volumes_release(volumes, "c2");
        destroy("image");

        static const char *const foreign[] = { "/etc", "/", "", "relative" };
        for (size_t i = 0; i < G_N_ELEMENTS(foreign); i++) {
                VolumesUse spec = { .container = "c", .path = foreign[i] };
                g_assert_null(volumes_mount(volumes, &spec, &error));
                g_assert_error(error, ERROR, ERROR_NOT_FOUND);
                g_clear_error(&error);
        }
}

static void mounts_of_containers_hold_no_devices(void) {
        g_autofree char *path = make_empty("nodev");
        g_autofree char *plain = use("c1", path, true);
        ASSERT_OUTSIDE(plain, "mknod -m 666 null c 1 3; echo x > null", "");
        volumes_release(volumes, "c1");
        g_autofree char *mapped = use("c2", path, false);
        g_autofree char *got = inside(mapped, "echo x > null");
        g_assert_nonnull(strstr(got, "Permission denied"));
        volumes_release(volumes, "c2");
        destroy("nodev");
}

/* ---- import ---- */

static void an_archive_is_imported_with_everything_in_it(void) {
        g_autofree char *made = outside(
                work,
                "rm -rf src && mkdir -p src/bin src/dev && cp /bin/true src/bin/su && "
                "chown 0:8 src/bin/su && chmod 4755 src/bin/su && mknod src/dev/null c 1 3 && "
                "ln -s bin/su link && ln src/bin/su src/hard && mkfifo src/pipe && "
                "chown 4000000:5 src/dev && tar -C src -czf src.tgz . && rm -rf src link");
        g_assert_cmpstr(made, ==, "");
        g_autofree char *archive = g_build_filename(work, "src.tgz", NULL);
        g_autofree char *path = make_import("imported", archive, false);
        g_autofree char *mounted = use("c", path, false);
        ASSERT_INSIDE(mounted,
                      "stat -c '%n %F %u:%g:%a:%h' bin/su hard pipe; stat -c '%F %t,%T' dev/null; "
                      "stat -c %u:%g dev",
                      "bin/su regular file 0:8:4755:2\nhard regular file 0:8:4755:2\npipe fifo "
                      "0:0:644:1\ncharacter special file 1,3\n65534:5\n");
        volumes_release(volumes, "c");
        destroy("imported");
}

static void directories_and_volumes_are_imported(void) {
        g_autofree char *made = outside(
                work, "mkdir -p certs/sub other && echo pem > other/real && "
                      "ln -s ../other/real certs/a.pem && echo b > certs/sub/b && "
                      "ln -s nowhere certs/dangling");
        g_assert_cmpstr(made, ==, "");
        g_autofree char *directory = g_build_filename(work, "certs", NULL);

        g_autofree char *copy = make_import("copied", directory, false);
        g_autofree char *copied = use("c1", copy, false);
        ASSERT_INSIDE(copied, "readlink a.pem dangling; cat sub/b", "../other/real\nnowhere\nb\n");
        volumes_release(volumes, "c1");

        g_autofree char *follow = make_import("followed", directory, true);
        g_autofree char *followed = use("c2", follow, false);
        ASSERT_INSIDE(followed, "stat -c %F a.pem; cat a.pem sub/b; ls",
                      "regular file\npem\nb\n"
                      "a.pem\nsub\n");
        volumes_release(volumes, "c2");

        g_autofree char *child = make_cow("cache", "copied");
        g_autofree char *changed = use("c3", child, false);
        ASSERT_INSIDE(changed, "rm dangling; echo new > new; chown 9:9 new", "");
        g_autofree char *saved = make_import("saved", child, false);
        volumes_release(volumes, "c3");
        g_assert_cmpint((int) stack_length("saved"), ==, 1);
        g_autofree char *cache = use("c4", saved, false);
        ASSERT_INSIDE(cache, "ls; stat -c %u:%g new", "a.pem\nnew\nsub\n9:9\n");
        volumes_release(volumes, "c4");
        static const char *const handles[] = { "copied", "followed", "cache", "saved" };
        for (size_t i = 0; i < G_N_ELEMENTS(handles); i++)
                destroy(handles[i]);
        g_autofree char *gone = outside(work, "rm -rf certs other src.tgz");
}

/* ---- refusals ---- */

static void wrong_requests_are_refused_and_leave_nothing(void) {
        static const struct {
                VolumeRequest request;
                int code;
                const char *message;
        } cases[] = {
                { { .handle = (char *) "x" }, ERROR_INVALID, "no strategy given" },
                { { .handle = (char *) "x", .strategy.kind = VOLUME_STRATEGY_UNKNOWN },
                  ERROR_INVALID,
                  "unknown strategy" },
                { { .handle = (char *) "x", .strategy.kind = VOLUME_STRATEGY_COW },
                  ERROR_INVALID,
                  "no parent volume provided" },
                { { .handle = (char *) "x",
                    .strategy = { .kind = VOLUME_STRATEGY_COW, .volume = (char *) "nope" } },
                  ERROR_INVALID,
                  "parent volume not found" },
                { { .handle = (char *) "../x", .strategy.kind = VOLUME_STRATEGY_EMPTY },
                  ERROR_INVALID,
                  "invalid handle" },
                { { .handle = (char *) "x",
                    .strategy = { .kind = VOLUME_STRATEGY_IMPORT, .path = (char *) "/nope" } },
                  ERROR_NOT_FOUND,
                  NULL },
                { { .handle = (char *) "x",
                    .strategy = { .kind = VOLUME_STRATEGY_IMPORT,
                                  .path = (char *) "/etc/passwd" } },
                  ERROR_IO,
                  NULL },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GError) error = NULL;
                VolumeResponse response = { 0 };
                g_assert_false(volumes_create(volumes, &cases[i].request, NULL, &response, &error));
                g_assert_error(error, ERROR, cases[i].code);
                if (cases[i].message)
                        g_assert_cmpstr(error->message, ==, cases[i].message);
        }
        ASSERT_OUTSIDE(work, "ls volumes/init volumes/dead layers",
                       "layers:\n\nvolumes/dead:\n\n"
                       "volumes/init:\n");
}

static void a_handle_is_made_once(void) {
        g_autoptr(GError) error = NULL;
        g_autofree char *path = make_empty("once");
        VolumeRequest again = { .handle = (char *) "once", .strategy.kind = VOLUME_STRATEGY_EMPTY };
        VolumeResponse response = { 0 };
        g_assert_false(volumes_create(volumes, &again, NULL, &response, &error));
        g_assert_error(error, ERROR, ERROR_EXISTS);
        destroy("once");
}

/* ---- restart ---- */

static void everything_is_found_again_after_a_crash(void) {
        g_autoptr(GError) error = NULL;
        g_autofree char *parent = make_empty("p");
        g_autofree char *mounted = use("c", parent, false);
        ASSERT_INSIDE(mounted, "echo kept > f", "");
        volumes_release(volumes, "c");
        g_autofree char *child = make_cow("k", "p");
        g_assert_true(volumes_set_property(volumes, "k", "name", "va\"lue", &error));
        g_assert_true(volumes_set_privileged(volumes, "k", true, &error));

        volumes_free(volumes);
        g_autofree char *crash = outside(
                work, "mkdir -p volumes/init/half/volume volumes/dead/gone/volume "
                      "layers/feed/data volumes/live/torn/volume && echo '[' > "
                      "volumes/live/torn/stack.json && touch layers/feed/data/x");
        g_assert_cmpstr(crash, ==, "");
        volumes = open_volumes(VOLUMES_DETECT);
        ASSERT_OUTSIDE(work,
                       "ls volumes/init volumes/dead volumes/live | tr '\\n' ' '; "
                       "ls layers | wc -l",
                       "volumes/dead:  volumes/init:  volumes/live: k p 2\n");

        g_autoptr(Value) filter = value_map();
        value_map_set_string(filter, "name", "va\"lue");
        g_autoptr(GPtrArray) list = volumes_list(volumes, filter);
        g_assert_cmpint((int) list->len, ==, 1);
        const VolumeResponse *found = list->pdata[0];
        g_assert_cmpstr(found->handle, ==, "k");
        g_assert_cmpstr(found->path, ==, child);
        g_assert_true(found->privileged);
        g_autofree char *again = use("c", child, false);
        ASSERT_INSIDE(again, "cat f", "kept\n");
        volumes_release(volumes, "c");
        destroy("k");
        destroy("p");
}

static void the_naive_driver_copies(void) {
        volumes_free(volumes);
        volumes = open_volumes(VOLUMES_NAIVE);
        g_autofree char *parent = make_empty("p");
        g_autofree char *mounted = use("c1", parent, false);
        ASSERT_INSIDE(mounted, "echo x > f; chown 5:6 f; ln f g", "");
        volumes_release(volumes, "c1");
        g_autofree char *child = make_cow("k", "p");
        g_assert_cmpint((int) stack_length("k"), ==, 1);
        g_autofree char *copied = use("c2", child, false);
        ASSERT_INSIDE(copied, "stat -c %u:%g:%h f; echo y > f; cat g", "5:6:2\ny\n");
        volumes_release(volumes, "c2");
        destroy("k");
        destroy("p");
        volumes_free(volumes);
        volumes = open_volumes(VOLUMES_DETECT);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        if (!work_start()) {
                g_print("1..0 # SKIP needs root\n");
                return 0;
        }
        if (!helper_features(helper)->mapped) {
                /* ThreadSanitizer's own thread keeps a child from making one, too. */
                g_print("1..0 # SKIP %s\n", helper_features(helper)->reason);
                work_stop();
                return 0;
        }
        volumes = open_volumes(VOLUMES_OVERLAY);
        g_test_add_func("/volumes/owners", a_container_sees_its_owners_and_the_disk_unshifted_ones);
        g_test_add_func("/volumes/child", a_child_changes_nothing_in_its_parent);
        g_test_add_func("/volumes/flip", a_privileged_flip_touches_no_file);
        g_test_add_func("/volumes/user", a_volume_can_be_made_for_a_user);
        g_test_add_func("/volumes/chain", a_long_chain_of_children_keeps_every_generation);
        g_test_add_func("/volumes/void", children_of_unchanged_children_add_no_layer);
        g_test_add_func("/volumes/one-mount", an_overlay_is_written_through_one_mount_only);
        g_test_add_func("/volumes/claim", a_claimed_overlay_is_not_mounted_again);
        g_test_add_func("/volumes/below", paths_below_a_volume_are_real_directories);
        g_test_add_func("/volumes/nodev", mounts_of_containers_hold_no_devices);
        g_test_add_func("/volumes/archive", an_archive_is_imported_with_everything_in_it);
        g_test_add_func("/volumes/import", directories_and_volumes_are_imported);
        g_test_add_func("/volumes/refused", wrong_requests_are_refused_and_leave_nothing);
        g_test_add_func("/volumes/once", a_handle_is_made_once);
        g_test_add_func("/volumes/restart", everything_is_found_again_after_a_crash);
        g_test_add_func("/volumes/naive", the_naive_driver_copies);
        int result = g_test_run();
        volumes_free(volumes);
        work_stop();
        return result;
}
