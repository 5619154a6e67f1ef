#include "base/files.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char *folder; /* of the test */

static char *within(const char *name) {
        return g_build_filename(folder, name, NULL);
}

static void put(const char *name, const char *text) {
        g_autofree char *path = within(name);
        g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void make(const char *name) {
        g_autofree char *path = within(name);
        g_autoptr(GError) error = NULL;
        g_assert_true(directory_make(path, 0700, &error));
        g_assert_no_error(error);
}

static void set_up(void) {
        folder = g_dir_make_tmp("weir-files-XXXXXX", NULL);
        g_assert_nonnull(folder);
}

static void tear_down(void) {
        g_autoptr(GError) error = NULL;
        g_assert_true(directory_remove(folder, &error));
        g_assert_no_error(error);
        g_assert_false(g_file_test(folder, G_FILE_TEST_EXISTS));
        g_clear_pointer(&folder, g_free);
}

static void a_file_is_read_up_to_the_limit(void) {
        put("five", "12345");
        g_autofree char *path = within("five");
        g_autoptr(GError) error = NULL;
        size_t length;
        g_autofree char *text = file_read(path, 5, &length, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(text, ==, "12345");
        g_assert_cmpuint(length, ==, 5);
        g_assert_null(file_read(path, 4, &length, &error));
        g_assert_error(error, ERROR, ERROR_LIMIT);
}

static void a_missing_file_is_not_found(void) {
        g_autofree char *path = within("nothing");
        g_autoptr(GError) error = NULL;
        g_assert_null(file_read(path, 10, NULL, &error));
        g_assert_error(error, ERROR, ERROR_NOT_FOUND);
}

typedef bool (*WriteFn)(const char *path, const void *data, size_t length, int mode,
                        GError **error);

static void check_writing(WriteFn write) {
        put("file", "something longer");
        g_autofree char *path = within("file");
        g_autoptr(GError) error = NULL;
        struct stat status;
        g_assert_true(write(path, "new", 3, 0640, &error));
        g_assert_no_error(error);
        g_autofree char *text = file_read(path, 100, NULL, &error);
        g_assert_cmpstr(text, ==, "new");
        g_assert_cmpint(stat(path, &status), ==, 0);
        g_assert_cmpint(status.st_mode & 0777, ==, 0640);
        g_autoptr(GDir) entries = g_dir_open(folder, 0, NULL);
        g_assert_cmpstr(g_dir_read_name(entries), ==, "file");
        g_assert_null(g_dir_read_name(entries));
}

static void writing_replaces_the_whole_file_and_leaves_nothing_else(void) {
        check_writing(file_write);
}

static void replacing_does_so_too(void) {
        check_writing(file_replace);
}

static void writing_where_nothing_is_fails(void) {
        g_autofree char *path = within("no/such/file");
        g_autoptr(GError) error = NULL;
        g_assert_false(file_write(path, "x", 1, 0600, &error));
        g_assert_error(error, ERROR, ERROR_NOT_FOUND);
}

static void removing_takes_the_whole_tree(void) {
        make("tree/a/b/c");
        put("tree/a/file", "x");
        put("tree/a/b/c/file", "x");
        g_autofree char *path = within("tree");
        g_autoptr(GError) error = NULL;
        g_assert_true(directory_remove(path, &error));
        g_assert_no_error(error);
        g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
        g_assert_true(directory_remove(path, &error));
        g_assert_no_error(error);
}

static void removing_does_not_follow_links(void) {
        make("kept");
        put("kept/file", "x");
        make("tree");
        g_autofree char *kept = within("kept"), *link = within("tree/link"), *tree = within("tree"),
                        *file = within("kept/file"), *root = within("root");
        g_autoptr(GError) error = NULL;
        g_assert_cmpint(symlink(kept, link), ==, 0);
        g_assert_cmpint(symlink(kept, root), ==, 0);
        g_assert_true(directory_remove(tree, &error));
        g_assert_true(directory_remove(root, &error));
        g_assert_no_error(error);
        g_assert_true(g_file_test(file, G_FILE_TEST_EXISTS));
        g_assert_false(g_file_test(root, G_FILE_TEST_IS_SYMLINK));
}

static void removing_minds_the_last_name_of_a_path(void) {
        make("kept");
        put("kept/file", "x");
        make("tree");
        g_autofree char *kept = within("kept"), *link = within("link"), *file = within("kept/file"),
                        *tree = within("tree");
        g_autofree char *slashed_link = g_strconcat(link, "/", NULL);
        g_autofree char *slashed_tree = g_strconcat(tree, "//", NULL);
        g_autofree char *below_file = g_build_filename(file, "x", NULL);
        static const char *const nameless[] = { "", "/", "//", ".", "..", "/tmp/..", "/tmp/./" };
        g_autoptr(GError) error = NULL;
        g_assert_cmpint(symlink(kept, link), ==, 0);
        g_assert_true(directory_remove(slashed_link, &error));
        g_assert_true(directory_remove(slashed_tree, &error));
        g_assert_no_error(error);
        g_assert_false(g_file_test(link, G_FILE_TEST_IS_SYMLINK));
        g_assert_false(g_file_test(tree, G_FILE_TEST_EXISTS));
        g_assert_true(g_file_test(file, G_FILE_TEST_EXISTS));
        g_assert_false(directory_remove(below_file, &error));
        for (size_t i = 0; i < G_N_ELEMENTS(nameless); i++) {
                g_clear_error(&error);
                g_assert_false(directory_remove(nameless[i], &error));
                g_assert_error(error, ERROR, ERROR_INVALID);
        }
}

/* More levels than descriptors. Exits with 0 when the tree went. */
static int remove_deep(const void *data) {
        const char *path = data;
        const struct rlimit few = { 64, 64 };
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        for (int i = 0; i < 1000; i++) {
                /* A neighbour has the name that moved directories get. */
                int deeper = mkdirat(fd, ".removing-0", 0700) == 0 && mkdirat(fd, "a", 0700) == 0
                                     ? openat(fd, "a", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                                     : -1;
                fd_close(openat(fd, ".removing-0/file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
                fd_close(fd);
                fd = deeper;
        }
        fd_close(fd);
        if (fd < 0 || setrlimit(RLIMIT_NOFILE, &few) < 0)
                return 2;
        return directory_remove(path, NULL) && access(path, F_OK) != 0 ? 0 : 1;
}

/* In a child, because it changes what belongs to the process. Returns what run does, -1: it crashed. */
static int in_child(int (*run)(const void *data), const void *data) {
        int status;
        pid_t child = fork();
        g_assert_cmpint(child, >=, 0);
        if (child == 0)
                _exit(run(data));
        g_assert_cmpint(waitpid(child, &status, 0), ==, child);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void removing_has_no_depth_limit(void) {
        make("tree");
        g_autofree char *tree = within("tree");
        g_assert_cmpint(in_child(remove_deep, tree), ==, 0);
}

typedef struct {
        const char *what;  /* is mounted; "tmpfs": an empty one */
        const char *point; /* on this */
        const char *file;  /* that must be there still */
} Mount;

/* In a mount namespace of its own. Exits with 0 when the mount was left alone and named as the reason. */
static int remove_with_mount(const void *data) {
        const Mount *mounted = data;
        g_autoptr(GError) error = NULL;
        g_autofree char *tree = within("tree"), *what = within(mounted->what),
                        *point = within(mounted->point), *file = within(mounted->file);
        bool bind = !g_str_equal(mounted->what, "tmpfs");
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount(bind ? what : "none", point, bind ? NULL : "tmpfs", bind ? MS_BIND : 0, NULL) < 0)
                return 2;
        fd_close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        bool removed = directory_remove(tree, &error);
        bool kept = access(file, F_OK) == 0;
        umount2(point, MNT_DETACH);
        return !removed && kept && error_is(error, ERROR_BUSY) ? 0 : 1;
}

static void removing_does_not_cross_mounts(void) {
        static const Mount cases[] = {
                { "tmpfs", "tree/point", "tree/point/file" },
                { "kept", "tree/point", "kept/file" }, /* the device is the tree's own */
                { "kept/file", "tree/file", "kept/file" },
                { "kept", "tree", "kept/file" },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                make("tree/point");
                make("kept");
                put("tree/file", "x");
                put("kept/file", "x");
                int status = in_child(remove_with_mount, &cases[i]);
                if (status == 2) {
                        g_test_skip("no right to mount");
                        return;
                }
                g_test_message("%s on %s", cases[i].what, cases[i].point);
                g_assert_cmpint(status, ==, 0);
        }
}

static void names_from_outside_stay_beneath(void) {
        make("in/side");
        put("in/side/file", "x");
        put("secret", "x");
        g_autofree char *path = within("in"), *link = within("in/link"), *up = within("in/up");
        g_assert_cmpint(symlink("../secret", link), ==, 0);
        g_assert_cmpint(symlink("side/file", up), ==, 0);
        autofd at = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        static const struct {
                const char *name;
                bool opens;
        } cases[] = {
                { "side/file", true },         { "up", true },
                { "side/../side/file", true }, { "../secret", false },
                { "/etc/passwd", false },      { "link", false },
                { "side/nothing", false },     { "side/../../secret", false },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GError) error = NULL;
                autofd fd = open_beneath(at, cases[i].name, O_RDONLY, 0, &error);
                g_assert_cmpint(fd >= 0, ==, cases[i].opens);
                g_assert_cmpint(error != NULL, ==, !cases[i].opens);
        }
        g_autoptr(GError) error = NULL;
        autofd fd = open_beneath(at, "side/new", O_WRONLY | O_CREAT | O_EXCL, 0600, &error);
        g_assert_no_error(error);
        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(fcntl(fd, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
}

static void a_short_read_is_an_error(void) {
        int ends[2];
        char bytes[4];
        g_autoptr(GError) error = NULL;
        g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
        g_assert_true(write_all(ends[1], "abcdef", 6, &error));
        g_assert_true(read_exactly(ends[0], bytes, 4, &error));
        g_assert_no_error(error);
        g_assert_cmpmem(bytes, 4, "abcd", 4);
        fd_close(ends[1]);
        g_assert_false(read_exactly(ends[0], bytes, 4, &error));
        g_assert_error(error, ERROR, ERROR_PROTOCOL);
        fd_close(ends[0]);
}

static void closing_keeps_errno(void) {
        errno = EPERM;
        fd_close(-1);
        fd_close(open("/", O_RDONLY | O_CLOEXEC));
        g_assert_cmpint(errno, ==, EPERM);
}

static void the_disk_tells_what_is_free(void) {
        g_autoptr(GError) error = NULL;
        uint64_t free_bytes = 0, total = 0;
        g_assert_true(disk_free(folder, &free_bytes, &total, &error));
        g_assert_no_error(error);
        g_assert_cmpuint(total, >=, free_bytes);
        g_assert_cmpuint(total, >, 0);
}

static void a_copy_has_content_and_mode_and_replaces_nothing(void) {
        g_autofree char *from = within("from"), *to = within("to"), *text = NULL;
        g_autoptr(GError) error = NULL, exists = NULL, missing = NULL;
        struct stat status;
        int64_t bytes = -1;
        put("from", "12345");
        g_assert_cmpint(chmod(from, 0640), ==, 0);
        g_assert_true(file_copy(from, to, &bytes, &error));
        g_assert_no_error(error);
        g_assert_cmpint(bytes, ==, 5);
        g_assert_true(g_file_get_contents(to, &text, NULL, NULL));
        g_assert_cmpstr(text, ==, "12345");
        g_assert_cmpint(stat(to, &status), ==, 0);
        g_assert_cmpint(status.st_mode & 07777, ==, 0640);
        g_assert_false(file_copy(from, to, &bytes, &exists));
        g_assert_error(exists, ERROR, ERROR_IO);
        unlink(from);
        g_assert_false(file_copy(from, to, &bytes, &missing));
        g_assert_error(missing, ERROR, ERROR_NOT_FOUND);
}

static void what_stands_beside_the_program_is_found(void) {
        g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
        g_autofree char *name = g_path_get_basename(self);
        g_autofree char *directory = program_directory();
        g_autofree char *above = g_path_get_dirname(self);
        g_assert_cmpstr(directory, ==, above);

        const char *const places[] = { "not-there", ".", name, NULL }; /* a folder is no program */
        g_autofree char *found = program_beside(places, X_OK);
        g_assert_cmpstr(found, ==, self);
        const char *const nowhere[] = { "not-there", "..", NULL };
        g_assert_null(program_beside(nowhere, R_OK));
}

static const struct {
        const char *name;
        void (*run)(void);
} tests[] = {
        { "/files/read/limit", a_file_is_read_up_to_the_limit },
        { "/files/read/missing", a_missing_file_is_not_found },
        { "/files/write/whole", writing_replaces_the_whole_file_and_leaves_nothing_else },
        { "/files/write/unsynced", replacing_does_so_too },
        { "/files/write/nowhere", writing_where_nothing_is_fails },
        { "/files/copy", a_copy_has_content_and_mode_and_replaces_nothing },
        { "/files/remove/tree", removing_takes_the_whole_tree },
        { "/files/remove/links", removing_does_not_follow_links },
        { "/files/remove/names", removing_minds_the_last_name_of_a_path },
        { "/files/remove/deep", removing_has_no_depth_limit },
        { "/files/remove/mounts", removing_does_not_cross_mounts },
        { "/files/beneath", names_from_outside_stay_beneath },
        { "/files/exactly", a_short_read_is_an_error },
        { "/files/close", closing_keeps_errno },
        { "/files/beside", what_stands_beside_the_program_is_found },
        { "/files/free", the_disk_tells_what_is_free },
};

static void run(const void *data) {
        void (*const *test)(void) = data;
        set_up();
        (*test)();
        tear_down();
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add_data_func(tests[i].name, &tests[i].run, run);
        return g_test_run();
}
