#include "worker/helper/helper.h"

#include "base/files.h"
#include "base/thread.h"
#include "worker/helper/mounts.h"
#include "worker/helper/namespaces.h"
#include "worker/helper/protocol.h"
#include "worker/helper/server.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct Helper {
        char *work;
        pid_t pid;
        int socket;
        int user_namespace; /* -1: this host has none */
        char *user_namespace_path;
        HelperFeatures features;
        Mutex lock; /* one request and its reply; the helper answers in the order it is asked */
};

/* ---- finding out ---- */

static void note(HelperFeatures *features, const char *what, const GError *error) {
        size_t length = strlen(features->reason);
        g_snprintf(features->reason + length, sizeof features->reason - length, "%s%s: %s",
                   length > 0 ? "; " : "", what, error->message);
}

/* Mounts two empty layers the way volumes are, and looks. */
static bool try_overlay(const char *work, int user_namespace, GError **error) {
        static const char *const layers[] = { "probe-upper", "probe-lower" };
        static const char *const parts[] = { "data", "work" };
        g_autofree char *target = g_build_filename(work, "stage", "job", NULL);
        LayerMount mount = { .layers = layers,
                             .layer_count = G_N_ELEMENTS(layers),
                             .user_namespace = user_namespace,
                             .target = target };
        bool done = true;

        for (size_t i = 0; done && i < G_N_ELEMENTS(layers) * G_N_ELEMENTS(parts); i++) {
                g_autofree char *path = g_build_filename(work, "layers", layers[i / 2],
                                                         parts[i % 2], NULL);
                done = directory_make(path, 0755, error);
        }
        done = done && layers_mount(work, &mount, error);
        if (done)
                (void) layers_unmount(target, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(layers); i++) {
                g_autofree char *path = g_build_filename(work, "layers", layers[i], NULL);
                (void) directory_remove(path, NULL);
        }
        return done;
}

static void find_features(const char *work, int user_namespace, HelperFeatures *ret) {
        g_autoptr(GError) plain = NULL, mapped = NULL;
        ret->user_namespaces = user_namespace >= 0;
        ret->overlay = try_overlay(work, -1, &plain);
        if (!ret->overlay)
                note(ret, "overlay", plain);
        if (ret->user_namespaces && ret->overlay) {
                ret->mapped = try_overlay(work, user_namespace, &mapped);
                if (!ret->mapped)
                        note(ret, "ID-mapped mounts", mapped);
        }
}

/* ---- the work directory ---- */

/* Whether a container's root, as the host sees it, gets as far as path. */
static bool reachable(const char *path) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct saved[_LINUX_CAPABILITY_U32S_3];
        (void) syscall(SYS_capget, &header, saved);
        setfsgid(HELPER_ID_BASE);
        setfsuid(HELPER_ID_BASE); /* takes the capabilities that override permissions */
        autofd fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        autofd inside = fd < 0 ? -1 : openat(fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
        setfsuid(0);
        setfsgid(0);
        (void) syscall(SYS_capset, &header, saved);
        return inside >= 0;
}

static bool make_directories(const char *work, GError **error) {
        static const struct {
                const char *name;
                int mode;
        } directories[] = {
                { "", 0711 },       { "layers", 0700 }, /* holds set-id files of anyone: closed to the host's users */
                { "mounts", 0711 }, { "stage", 0711 },  { "stage/job", 0755 },
        };
        struct stat status;

        for (size_t i = 0; i < G_N_ELEMENTS(directories); i++) {
                g_autofree char *path = g_build_filename(work, directories[i].name, NULL);
                if (!directory_make(path, directories[i].mode, error))
                        return false;
        }
        if (stat(work, &status) == 0 && (status.st_mode & 0111) != 0111)
                (void) chmod(work, (status.st_mode & 07777) | 0111);
        g_autofree char *mounts = g_build_filename(work, "mounts", NULL);
        if (!reachable(mounts)) {
                g_set_error(error, ERROR, ERROR_DENIED,
                            "containers cannot enter %s: a directory above it is closed to others "
                            "(it needs the permission x)",
                            work);
                return false;
        }
        return layers_prepare(work, error);
}

/* What an earlier run left: mounts are gone with their namespace, their directories are not. */
static void remove_mount_points(const char *work) {
        g_autofree char *mounts = g_build_filename(work, "mounts", NULL);
        g_autoptr(GDir) directory = g_dir_open(mounts, 0, NULL);
        const char *name;
        while (directory && (name = g_dir_read_name(directory))) {
                g_autofree char *path = g_build_filename(mounts, name, NULL);
                g_autofree char *mapped = g_build_filename(path, "mapped", NULL);
                g_autofree char *plain = g_build_filename(path, "plain", NULL);
                (void) rmdir(mapped);
                (void) rmdir(plain);
                (void) rmdir(path);
        }
}

/* ---- start and stop ---- */

static bool helper_fork(Helper *helper, GError **error) {
        int sockets[2];
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0) {
                error_set_errno(error, errno, "failed to make a socket pair");
                return false;
        }
        pid_t worker = getpid(), pid = fork();
        if (pid == 0) {
                ServerSpec spec = { .work = helper->work,
                                    .socket = sockets[1],
                                    .user_namespace = helper->user_namespace };
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                close(sockets[0]);
                if (getppid() != worker)
                        _exit(1);
                helper_serve(&spec);
        }
        close(sockets[1]);
        helper->socket = sockets[0];
        if (pid < 0) {
                error_set_errno(error, errno, "failed to fork");
                return false;
        }
        helper->pid = pid;
        return true;
}

Helper *helper_start(const char *work_directory, GError **error) {
        g_autoptr(Helper) helper = g_new0(Helper, 1);
        g_autoptr(GError) failure = NULL;

        mutex_init(&helper->lock);
        helper->socket = helper->user_namespace = -1;
        helper->work = g_strdup(work_directory);
        g_assert(g_path_is_absolute(work_directory));
        if (geteuid() != 0) {
                g_set_error(error, ERROR, ERROR_DENIED, "worker must be run as root");
                return NULL;
        }
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0) {
                error_set_errno(error, errno, "failed to make a mount namespace");
                return NULL;
        }
        int with_parent = 0; /* what follows changes users, which forgets our parent's wish */
        prctl(PR_GET_PDEATHSIG, &with_parent);
        if (!make_directories(work_directory, error))
                return NULL;
        remove_mount_points(work_directory);
        helper->user_namespace = user_namespace_make(&failure);
        if (helper->user_namespace < 0)
                note(&helper->features, "user namespaces", failure);
        helper->user_namespace_path = g_strdup_printf("/proc/%d/fd/%d", (int) getpid(),
                                                      helper->user_namespace);
        find_features(work_directory, helper->user_namespace, &helper->features);
        prctl(PR_SET_PDEATHSIG, with_parent);
        return helper_fork(helper, error) ? g_steal_pointer(&helper) : NULL;
}

void helper_stop(Helper *helper) {
        if (!helper)
                return;
        fd_close(helper->socket); /* which ends it, and PDEATHSIG its children */
        if (helper->pid > 0)
                while (waitpid(helper->pid, NULL, 0) < 0 && errno == EINTR)
                        ;
        fd_close(helper->user_namespace);
        mutex_destroy(&helper->lock);
        g_free(helper->user_namespace_path);
        g_free(helper->work);
        g_free(helper);
}

int helper_user_namespace(const Helper *helper) {
        return helper->user_namespace;
}

const char *helper_user_namespace_path(const Helper *helper) {
        return helper->user_namespace_path;
}

const HelperFeatures *helper_features(const Helper *helper) {
        return &helper->features;
}

/* ---- calls ---- */

typedef struct {
        const HelperRequest *request;
        const int *fds;
        size_t fd_count;
} Question;

/* ret_fds: takes the `expected` descriptors that come with the reply. */
static bool ask(Helper *helper, const Question *question, int *ret_fds, size_t expected,
                GError **error) {
        HelperReply reply;
        int fds[HELPER_FDS_MAX];
        size_t fd_count = 0;
        ssize_t length;
        {
                /* Held while the helper works: it does one thing at a time, for milliseconds. */
                MUTEX_SCOPE(&helper->lock);
                if (!helper_send(helper->socket, question->request, sizeof *question->request,
                                 question->fds, question->fd_count, error))
                        return false;
                length = helper_receive(helper->socket, &reply, sizeof reply, fds, &fd_count,
                                        error);
        }
        if (length < 0)
                return false;
        if (length != sizeof reply) {
                g_set_error(error, ERROR, ERROR_INTERNAL, "the worker's helper is gone");
        } else if (helper_reply_read(&reply, error)) {
                if (fd_count == expected) {
                        for (size_t i = 0; i < expected; i++)
                                ret_fds[i] = fds[i];
                        return true;
                }
                g_set_error(error, ERROR, ERROR_INTERNAL, "an odd reply from the helper");
        }
        for (size_t i = 0; i < fd_count; i++)
                close(fds[i]);
        return false;
}

static bool set_text(char *field, size_t size, const char *text, GError **error) {
        if (!text)
                return true;
        if (g_strlcpy(field, text, size) < size)
                return true;
        g_set_error(error, ERROR, ERROR_LIMIT, "too long: %.100s", text);
        return false;
}
#define SET_TEXT(field, text, error) set_text((field), sizeof(field), (text), (error))

static bool set_layers(HelperRequest *request, const char *const *layers, size_t count,
                       GError **error) {
        if (count > HELPER_LAYERS_MAX) {
                g_set_error(error, ERROR, ERROR_LIMIT, "more than %d layers", HELPER_LAYERS_MAX);
                return false;
        }
        request->layer_count = (uint32_t) count;
        for (size_t i = 0; i < count; i++)
                if (!SET_TEXT(request->layers[i], layers[i], error))
                        return false;
        return true;
}

bool helper_mount(Helper *helper, const HelperMount *mount, GError **error) {
        g_autofree HelperRequest *request = g_new0(HelperRequest, 1);
        Question question = { .request = request };

        request->op = HELPER_OP_MOUNT;
        request->mapped = mount->mapped;
        return SET_TEXT(request->id, mount->id, error) &&
               set_layers(request, mount->layers, mount->layer_count, error) &&
               ask(helper, &question, NULL, 0, error);
}

bool helper_unmount(Helper *helper, const char *id, bool mapped, GError **error) {
        g_autofree HelperRequest *request = g_new0(HelperRequest, 1);
        Question question = { .request = request };

        request->op = HELPER_OP_UNMOUNT;
        request->mapped = mapped;
        return SET_TEXT(request->id, id, error) && ask(helper, &question, NULL, 0, error);
}

char *helper_mount_path(const Helper *helper, const char *id, bool mapped) {
        return g_build_filename(helper->work, "mounts", id, mapped ? "mapped" : "plain", NULL);
}

bool helper_network(Helper *helper, const HelperNetwork *network, int *ret_fd, GError **error) {
        g_autofree HelperRequest *request = g_new0(HelperRequest, 1);
        Question question = { .request = request };

        request->op = HELPER_OP_NETWORK;
        request->prefix = network->prefix;
        request->prefix6 = network->prefix6;
        request->mtu = network->mtu;
        request->user_namespace = network->user_namespace;
        return SET_TEXT(request->host_name, network->host_name, error) &&
               SET_TEXT(request->bridge, network->bridge, error) &&
               SET_TEXT(request->address, network->address, error) &&
               SET_TEXT(request->gateway, network->gateway, error) &&
               SET_TEXT(request->address6, network->address6, error) &&
               SET_TEXT(request->gateway6, network->gateway6, error) &&
               ask(helper, &question, ret_fd, 1, error);
}

/* ---- jobs ---- */

struct HelperChild {
        int report;
        int pidfd;
        bool begun;
        bool ended;
        HelperReply reply; /* its last word */
};

HelperChild *helper_job_start(Helper *helper, const HelperJob *job, GError **error) {
        g_autofree HelperRequest *request = g_new0(HelperRequest, 1);
        bool stream = job->kind != HELPER_CHOWN;
        int fds[HELPER_FDS_MAX] = { job->fd, job->directory };
        Question question = { .request = request,
                              .fds = stream ? fds : fds + 1,
                              .fd_count = (size_t) stream + (job->layer_count == 0) };
        int answer[2];

        request->op = HELPER_OP_JOB;
        request->kind = job->kind;
        request->encoding = job->encoding;
        request->has_fd = stream;
        request->has_directory = job->layer_count == 0;
        request->devices = job->devices;
        request->any_owner = job->any_owner;
        request->follow_symlinks = job->follow_symlinks;
        request->uid = job->uid;
        request->gid = job->gid;
        request->disk_reserve = job->disk_reserve;
        if (!SET_TEXT(request->path, job->path, error) ||
            !set_layers(request, job->layers, job->layer_count, error) ||
            !ask(helper, &question, answer, 2, error))
                return NULL;

        HelperChild *child = g_new0(HelperChild, 1);
        child->report = answer[0];
        child->pidfd = answer[1];
        return child;
}

/* Waits for the next word; the end of the socket without a last word is a crash. */
static bool child_listen(HelperChild *child, Cancel *cancel, GError **error) {
        if (child->ended)
                return true;
        if (!cancel_poll(cancel, child->report, POLLIN, DURATION_NEVER, error))
                return false;
        HelperReply reply;
        ssize_t length = helper_receive(child->report, &reply, sizeof reply, NULL, NULL, error);
        if (length < 0)
                return false;
        if (length == sizeof reply && reply.code == HELPER_BEGUN) {
                child->begun = true;
                return true;
        }
        child->ended = true;
        if (length == sizeof reply) {
                child->reply = reply;
        } else {
                child->reply.code = ERROR_INTERNAL;
                g_strlcpy(child->reply.message, "a child of the helper died",
                          sizeof child->reply.message);
        }
        return true;
}

bool helper_job_begun(HelperChild *child, Cancel *cancel, GError **error) {
        while (!child->begun && !child->ended)
                if (!child_listen(child, cancel, error))
                        return false;
        return child->begun || helper_reply_read(&child->reply, error);
}

bool helper_job_wait(HelperChild *child, Cancel *cancel, GError **error) {
        while (!child->ended)
                if (!child_listen(child, cancel, error))
                        return false;
        return helper_reply_read(&child->reply, error);
}

void helper_job_free(HelperChild *child) {
        if (!child)
                return;
        if (!child->ended)
                (void) pidfd_send_signal(child->pidfd, SIGKILL, NULL, 0);
        close(child->report);
        close(child->pidfd);
        g_free(child);
}
