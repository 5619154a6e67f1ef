#include "worker/helper/job.h"

#include "base/files.h"
#include "worker/helper/confine.h"
#include "worker/helper/mounts.h"
#include "worker/helper/packing.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define CAPABILITY(name) (UINT64_C(1) << CAP_##name)

static const uint64_t capabilities[] = {
        [HELPER_PACK] = CAPABILITY(DAC_READ_SEARCH),
        [HELPER_UNPACK] = CAPABILITY(CHOWN) | CAPABILITY(DAC_OVERRIDE) | CAPABILITY(FOWNER) |
                          CAPABILITY(FSETID) | CAPABILITY(SETFCAP),
        [HELPER_CHOWN] = CAPABILITY(CHOWN) | CAPABILITY(DAC_OVERRIDE) | CAPABILITY(FOWNER) |
                         CAPABILITY(FSETID),
};

/* ---- getting in ---- */

static bool enter_here(GError **error) {
        if (chroot(".") == 0 && chdir("/") == 0)
                return true;
        error_set_errno(error, errno, "failed to change the root");
        return false;
}

/* The tree of several layers, mounted where only this process sees it. */
static bool enter_overlay(const JobSpec *spec, const char *const *layers, GError **error) {
        g_autofree char *target = g_build_filename(spec->work, "stage", "job", NULL);
        LayerMount tree = { .layers = layers,
                            .layer_count = spec->request->layer_count,
                            .user_namespace = -1,
                            .read_only = spec->request->kind == HELPER_PACK,
                            .target = target };
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
                error_set_errno(error, errno, "failed to make a mount namespace");
                return false;
        }
        if (!layers_mount(spec->work, &tree, error))
                return false;
        if (chdir(target) < 0) {
                error_set_errno(error, errno, "failed to enter %s", target);
                return false;
        }
        return enter_here(error);
}

static bool enter_root(const JobSpec *spec, GError **error) {
        const HelperRequest *request = spec->request;
        const char *layers[HELPER_LAYERS_MAX];

        if (spec->directory >= 0) {
                if (fchdir(spec->directory) < 0) {
                        error_set_errno(error, errno, "failed to enter the directory");
                        return false;
                }
                return request->follow_symlinks || enter_here(error);
        }
        for (uint32_t i = 0; i < request->layer_count; i++)
                layers[i] = request->layers[i];
        if (request->layer_count > 1)
                return enter_overlay(spec, layers, error);

        g_autofree char *data = g_build_filename(spec->work, "layers", layers[0], "data", NULL);
        if (chdir(data) < 0) {
                error_set_errno(error, errno, "failed to enter %s", data);
                return false;
        }
        return enter_here(error);
}

/* ---- the path below the root ---- */

static const char *below(const char *path) {
        path += strspn(path, "/");
        return *path ? path : ".";
}

/* UNPACK: makes the path, enters it and makes it the root, so that no link leads out of it. */
static bool enter_destination(const char *path, GError **error) {
        g_auto(GStrv) parts = g_strsplit(below(path), "/", -1);
        for (size_t i = 0; parts[i]; i++) {
                if (!*parts[i])
                        continue;
                if (mkdir(parts[i], 0755) < 0 && errno != EEXIST) {
                        error_set_errno(error, errno, "failed to make %s", path);
                        return false;
                }
                if (chdir(parts[i]) < 0) {
                        int error_number = errno;
                        g_set_error(error, ERROR, ERROR_IO, "failed to enter %s: %s", path,
                                    g_strerror(error_number));
                        return false;
                }
        }
        return enter_here(error);
}

/* PACK: enters the directory, or a file's parent; *ret_name is what to pack there. */
static bool find_source(const char *path, const char **ret_name, GError **error) {
        g_autofree char *file = g_strdup(below(path));
        struct stat status;

        for (size_t i = strlen(file); i > 1 && file[i - 1] == '/'; i--)
                file[i - 1] = '\0';
        if (stat(file, &status) == 0 && S_ISDIR(status.st_mode)) {
                *ret_name = ".";
                if (chdir(file) == 0)
                        return true;
        } else if (lstat(file, &status) == 0) {
                char *slash = strrchr(file, '/');
                *ret_name = below(path);
                if (!slash)
                        return true;
                *slash = '\0';
                if (chdir(file) == 0) {
                        *ret_name = below(path) + (slash + 1 - file);
                        return true;
                }
        }
        int error_number = errno;
        bool missing = error_number == ENOENT || error_number == ENOTDIR || error_number == ELOOP;
        g_set_error(error, ERROR, missing ? ERROR_NOT_FOUND : ERROR_IO, "%s",
                    missing ? "no such file or directory" : g_strerror(error_number));
        return false;
}

/* ---- CHOWN ---- */

static bool chown_entry(const FTSENT *entry, uid_t uid, gid_t gid, GError **error) {
        const struct stat *status = entry->fts_statp;
        if (status->st_uid == uid && status->st_gid == gid)
                return true;
        /* A change of owner takes set-id bits away. */
        if (lchown(entry->fts_accpath, uid, gid) < 0 ||
            (!S_ISLNK(status->st_mode) && (status->st_mode & 06000) &&
             chmod(entry->fts_accpath, status->st_mode & 07777) < 0)) {
                error_set_errno(error, errno, "failed to change the owner of %s", entry->fts_path);
                return false;
        }
        return true;
}

static bool chown_tree(uid_t uid, gid_t gid, GError **error) {
        char *roots[] = { (char *) ".", NULL };
        FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_XDEV, NULL);
        bool done = tree != NULL;
        FTSENT *entry;

        while (done && (entry = fts_read(tree)))
                switch (entry->fts_info) {
                case FTS_D: /* owned on the way back */
                        break;
                case FTS_DNR:
                case FTS_ERR:
                case FTS_NS:
                        g_set_error(error, ERROR, ERROR_IO, "failed to read %s: %s",
                                    entry->fts_path, g_strerror(entry->fts_errno));
                        done = false;
                        break;
                default:
                        done = chown_entry(entry, uid, gid, error);
                }
        if (tree)
                fts_close(tree);
        return done;
}

/* ---- all of it ---- */

static bool report(const JobSpec *spec, int code, const GError *failure) {
        HelperReply reply;
        helper_reply_fill(&reply, failure);
        if (!failure)
                reply.code = code;
        return helper_send(spec->report, &reply, sizeof reply, NULL, 0, NULL);
}

static bool run_confined(const JobSpec *spec, const char *name, GError **error) {
        const HelperRequest *request = spec->request;
        int keep[] = { spec->stream, spec->report };
        ConfineSpec limits = { .capabilities = capabilities[request->kind],
                               .read_only = spec->directory >= 0,
                               .keep = keep,
                               .keep_count = G_N_ELEMENTS(keep) };
        if (request->kind == HELPER_UNPACK && request->devices)
                limits.capabilities |= CAPABILITY(MKNOD);
        if (!confine(&limits, error))
                return false;

        switch ((HelperJobKind) request->kind) {
        case HELPER_UNPACK: {
                UnpackSpec spec_in = { .fd = spec->stream,
                                       .encoding = (VolumeEncoding) request->encoding,
                                       .devices = request->devices,
                                       .any_owner = request->any_owner,
                                       .disk_reserve = request->disk_reserve };
                return unpack(&spec_in, error);
        }
        case HELPER_PACK: {
                PackSpec spec_out = { .fd = spec->stream,
                                      .encoding = (VolumeEncoding) request->encoding,
                                      .name = name,
                                      .follow_symlinks = request->follow_symlinks };
                return report(spec, HELPER_BEGUN, NULL) && pack(&spec_out, error);
        }
        case HELPER_CHOWN:
                return chown_tree(request->uid, request->gid, error);
        }
        g_assert_not_reached();
}

void job_child(const JobSpec *spec) {
        g_autoptr(GError) error = NULL;
        const char *name = ".";

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        prctl(PR_SET_NAME, "weir-volume");
        signal(SIGPIPE, SIG_IGN);
        umask(0);
        bool done = enter_root(spec, &error);
        if (done && spec->request->kind == HELPER_PACK)
                done = find_source(spec->request->path, &name, &error);
        if (done && spec->request->kind == HELPER_UNPACK)
                done = enter_destination(spec->request->path, &error);
        done = done && run_confined(spec, name, &error);
        report(spec, HELPER_OK, error);
        _exit(done ? 0 : 1);
}
