/* Volumes on a disk that runs out half way: what is said, that nothing is left, that the next try works. */
#include "work.h"
#include "worker/volumes/volumes.h"

/* ext4 keeps some of its 64 MiB for itself. */
#define MAKE_DISK                                                                                  \
        "truncate -s 64M disk.img && mkfs.ext4 -q -F -m 0 disk.img && mkdir disk && mount -o loop disk.img disk && chmod 755 . disk"

static char *outer;
static Volumes *volumes;

/* Zeros pack well: the archives themselves fit in. */
static char *archive(const char *name, int mebibytes) {
        g_autofree char *script = g_strdup_printf(
                "mkdir s && head -c %dM /dev/zero > s/zeros && tar -C s -czf %s . && rm -rf s",
                mebibytes, name);
        ASSERT_OUTSIDE(outer, script, "");
        return g_build_filename(outer, name, NULL);
}

static bool import(const char *handle, const char *path, GError **error) {
        const VolumeRequest request = { .handle = (char *) handle,
                                        .strategy = { .kind = VOLUME_STRATEGY_IMPORT,
                                                      .path = (char *) path } };
        g_auto(VolumeResponse) response = { 0 };
        return volumes_create(volumes, &request, NULL, &response, error);
}

static void destroy(const char *handle) {
        g_autoptr(GError) error = NULL;
        volumes_destroy(volumes, handle, &error);
        g_assert_no_error(error);
}

static void nothing_is_left(void) {
        ASSERT_OUTSIDE(work, "ls volumes/init volumes/dead layers",
                       "layers:\n\nvolumes/dead:\n\nvolumes/init:\n");
}

static void an_image_that_does_not_fit_leaves_nothing(void) {
        g_autofree char *large = archive("large.tgz", 100), *small = archive("small.tgz", 16);
        g_autoptr(GError) error = NULL;

        g_assert_false(import("image", large, &error));
        g_assert_error(error, ERROR, ERROR_IO);
        g_assert_cmpstr(error->message, ==, "failed to unpack: the disk is nearly full");
        g_clear_error(&error);
        nothing_is_left();

        import("image", small, &error);
        g_assert_no_error(error);
        destroy("image");
}

static void a_copy_that_does_not_fit_leaves_nothing(void) {
        g_autofree char *tree = g_build_filename(outer, "tree", NULL);
        g_autoptr(GError) error = NULL;

        ASSERT_OUTSIDE(outer, "mkdir tree && head -c 100M /dev/zero > tree/zeros", "");
        g_assert_false(import("copy", tree, &error));
        g_assert_error(error, ERROR, ERROR_IO);
        g_assert_nonnull(strstr(error->message, "the disk is nearly full"));
        g_clear_error(&error);
        nothing_is_left();

        ASSERT_OUTSIDE(outer, "truncate -s 16M tree/zeros", "");
        import("copy", tree, &error);
        g_assert_no_error(error);
        destroy("copy");
}

static ssize_t read_file(void *ret, size_t length, void *data, GError **error) {
        return read(*(int *) data, ret, length);
}

static bool stream_in(const char *handle, const char *path, GError **error) {
        autofd file = open(path, O_RDONLY | O_CLOEXEC);
        const VolumesStream stream = { .handle = handle,
                                       .path = "/",
                                       .encoding = VOLUME_ENCODING_GZIP,
                                       .source = read_file,
                                       .data = &file };
        return volumes_stream_in(volumes, &stream, error);
}

static void make_empty(const char *handle) {
        const VolumeRequest request = { .handle = (char *) handle,
                                        .strategy.kind = VOLUME_STRATEGY_EMPTY };
        g_auto(VolumeResponse) response = { 0 };
        g_autoptr(GError) error = NULL;
        volumes_create(volumes, &request, NULL, &response, &error);
        g_assert_no_error(error);
}

static void a_stream_that_does_not_fit_goes_with_its_volume(void) {
        g_autofree char *large = archive("large.tgz", 100), *small = archive("small.tgz", 16);
        g_autoptr(GError) error = NULL;

        make_empty("artifact");
        g_assert_false(stream_in("artifact", large, &error));
        g_assert_error(error, ERROR, ERROR_IO);
        g_assert_nonnull(strstr(error->message, "the disk is nearly full"));
        g_clear_error(&error);
        destroy("artifact");
        nothing_is_left();

        make_empty("artifact");
        stream_in("artifact", small, &error);
        g_assert_no_error(error);
        destroy("artifact");
}

/* A disk that others fill as well: the reserve is not there any more. */
static void a_disk_that_is_full_already_says_so(void) {
        g_autofree char *small = archive("small.tgz", 1);
        g_autoptr(GError) error = NULL;

        g_autofree char *filled = outside(work, "head -c 1G /dev/zero > filler 2>/dev/null");
        g_assert_false(import("image", small, &error));
        g_assert_error(error, ERROR, ERROR_IO);
        g_assert_true(strstr(error->message, "No space left on device") ||
                      strstr(error->message, "nearly full"));
        g_clear_error(&error);
        ASSERT_OUTSIDE(work, "rm filler", "");
        nothing_is_left();

        import("image", small, &error);
        g_assert_no_error(error);
        destroy("image");
}

/* Before any thread, and before the helper has its own view of the mounts. */
static bool start(void) {
        g_autoptr(GError) error = NULL;
        if (geteuid() != 0)
                return false;
        outer = g_dir_make_tmp("weir-full-XXXXXX", NULL);
        g_assert_nonnull(outer);
        ASSERT_OUTSIDE(outer, MAKE_DISK, "");
        work = g_build_filename(outer, "disk/work", NULL);
        g_assert_cmpint(mkdir(work, 0755), ==, 0);
        helper = helper_start(work, &error);
        g_assert_no_error(error);
        return true;
}

static void stop(void) {
        g_autoptr(GError) error = NULL;
        helper_stop(helper);
        ASSERT_OUTSIDE(outer, "umount disk", "");
        directory_remove(outer, &error);
        g_assert_no_error(error);
        g_free(work);
        g_free(outer);
}

int main(int argc, char **argv) {
        g_autoptr(GError) error = NULL;
        g_test_init(&argc, &argv, NULL);
        if (!start()) {
                g_print("1..0 # SKIP needs root\n");
                return 0;
        }
        const VolumesSpec spec = { .work_directory = work,
                                   .helper = helper,
                                   .driver = helper_features(helper)->overlay ? VOLUMES_DETECT
                                                                              : VOLUMES_NAIVE,
                                   .disk_reserve = 4 * 1024 * 1024 };
        volumes = volumes_open(&spec, &error);
        g_assert_no_error(error);
        g_test_add_func("/full/image", an_image_that_does_not_fit_leaves_nothing);
        g_test_add_func("/full/copy", a_copy_that_does_not_fit_leaves_nothing);
        g_test_add_func("/full/stream", a_stream_that_does_not_fit_goes_with_its_volume);
        g_test_add_func("/full/before", a_disk_that_is_full_already_says_so);
        int result = g_test_run();
        volumes_free(volumes);
        stop();
        return result;
}
