#include "fly/archive.h"

#include "base/child.h"
#include "base/files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LIST_MAX ((size_t) 256 * 1024 * 1024) /* of paths */

/* ---- which files ---- */

/* The NUL-separated output of git in the folder. False: no git, or no work tree of git. */
static bool git_list(const char *folder, const char *const *options, GString *ret) {
        const char *argv[8] = { "git", "ls-files", "-z" };
        g_auto(ChildResult) result = { 0 };

        for (size_t i = 0; options[i]; i++)
                argv[3 + i] = options[i];
        const ChildSpec spec = {
                .argv = argv, .directory = folder, .input = -1, .output = -1, .error = -1
        };
        if (!child_run(&spec, NULL, 0, LIST_MAX, NULL, &result, NULL) || result.status != 0)
                return false;
        g_string_append_len(ret, result.output, (gssize) result.output_length);
        return true;
}

static void each_path(const GString *list, void (*fn)(const char *path, void *data), void *data) {
        for (const char *at = list->str; at < list->str + list->len; at += strlen(at) + 1)
                fn(at, data);
}

static void add_to_set(const char *path, void *data) {
        g_hash_table_add(data, g_strdup(path));
}

typedef struct {
        GHashTable *deleted;
        GString *kept;
} Keeping;

static void keep(const char *path, void *data) {
        const Keeping *keeping = data;

        if (!g_hash_table_contains(keeping->deleted, path))
                g_string_append_len(keeping->kept, path, (gssize) strlen(path) + 1);
}

/* Tracked files that are there, and new ones that are not ignored; outside of git everything: ".". Returns new. */
static GString *paths_of(const char *folder, bool include_ignored) {
        static const char *const none[] = { NULL }, *const deleted[] = { "--deleted", NULL },
                                 *const others[] = { "--others", "--exclude-standard", NULL };
        g_autoptr(GString) all = g_string_new(NULL), gone = g_string_new(NULL);
        g_autoptr(GHashTable) set = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        GString *kept = g_string_new(NULL);

        if (include_ignored || !git_list(folder, none, all) || !git_list(folder, deleted, gone) ||
            !git_list(folder, others, all)) {
                g_string_append_len(kept, ".", 2);
                return kept;
        }
        each_path(gone, add_to_set, set);
        each_path(all, keep, &(Keeping){ set, kept });
        return kept;
}

/* ---- tar ---- */

typedef struct {
        pid_t pid;
        int pidfd, fd;
} Tar;

static bool tar_end(Tar *tar, GError **error) {
        int status;

        fd_close(tar->fd);
        bool waited = child_wait(tar->pid, tar->pidfd, NULL, &status, error);
        fd_close(tar->pidfd);
        return waited && (status == 0 || fly_fail(error, "tar: exit status %d", status));
}

static bool tar_create(const char *folder, const GString *paths, Tar *ret, GError **error) {
        static const char *const argv[] = { "tar",    "-czf", "-", "--numeric-owner",
                                            "--null", "-T",   "-", NULL };
        autofd list = memfd_create("fly-paths", MFD_CLOEXEC);
        int ends[2];

        if (list < 0 || pipe2(ends, O_CLOEXEC) < 0) {
                error_set_errno(error, errno, "could not start tar");
                return false;
        }
        autofd output = ends[1], input = ends[0];
        if (!write_all(list, paths->str, paths->len, error))
                return false;
        lseek(list, 0, SEEK_SET);
        const ChildSpec spec = { .argv = argv,
                                 .directory = folder,
                                 .input = list,
                                 .output = output,
                                 .error = STDERR_FILENO,
                                 .new_session = true };
        if (!child_start(&spec, &ret->pid, &ret->pidfd, error))
                return false;
        ret->fd = fd_steal(&input);
        return true;
}

static bool tar_extract(const char *folder, Tar *ret, GError **error) {
        static const char *const argv[] = { "tar", "--numeric-owner", "-pzxf", "-", NULL };
        int ends[2];

        if (pipe2(ends, O_CLOEXEC) < 0) {
                error_set_errno(error, errno, "could not start tar");
                return false;
        }
        autofd input = ends[0], output = ends[1];
        const ChildSpec spec = { .argv = argv,
                                 .directory = folder,
                                 .input = input,
                                 .output = STDERR_FILENO,
                                 .error = STDERR_FILENO,
                                 .new_session = true };
        if (!child_start(&spec, &ret->pid, &ret->pidfd, error))
                return false;
        ret->fd = fd_steal(&output);
        return true;
}

/* ---- up and down ---- */

static ssize_t read_tar(void *ret, size_t length, void *data, GError **error) {
        const Tar *tar = data;
        ssize_t got;

        while ((got = read(tar->fd, ret, length)) < 0 && errno == EINTR)
                ;
        if (got < 0)
                error_set_errno(error, errno, "could not read from tar");
        return got;
}

static bool write_tar(const void *bytes, size_t length, void *data, GError **error) {
        const Tar *tar = data;

        return write_all(tar->fd, bytes, length, error);
}

bool archive_upload(Fly *fly, const char *folder, bool include_ignored, const char *path,
                    int64_t *ret, GError **error) {
        g_autoptr(GString) paths = paths_of(folder, include_ignored);
        g_autoptr(Value) artifact = NULL;
        g_auto(HttpReply) reply = { 0 };
        g_autoptr(GError) ignored = NULL;
        Tar tar;

        if (!tar_create(folder, paths, &tar, error))
                return false;
        const ApiCall call = { .method = "POST",
                               .path = path,
                               .content_type = "application/octet-stream",
                               .source = read_tar,
                               .data = &tar };
        bool sent = api_call(fly, &call, &reply, error);
        bool whole = tar_end(&tar, sent ? error : &ignored);
        if (!sent || !whole || !(artifact = api_decode(&reply, error)))
                return false;
        *ret = value_get_int(artifact, "id", 0);
        return true;
}

bool archive_download(Fly *fly, const char *path, const char *folder, GError **error) {
        Tar tar;
        g_autoptr(GError) ignored = NULL;

        if (!directory_make(folder, 0755, error) || !tar_extract(folder, &tar, error))
                return false;
        bool fetched = api_call(fly, &(ApiCall){ .path = path, .sink = write_tar, .data = &tar },
                                NULL, error);
        return tar_end(&tar, fetched ? error : &ignored) && fetched;
}
