#include "worker/helper/server.h"

#include "base/files.h"
#include "worker/helper/job.h"
#include "worker/helper/mounts.h"
#include "worker/helper/namespaces.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct {
        const HelperRequest *request;
        int fds[HELPER_FDS_MAX]; /* that came with it */
        HelperReply reply;
        int reply_fds[HELPER_FDS_MAX]; /* that go with the reply */
        size_t reply_fd_count;
} Call;

/* ---- operations ---- */

static char *mount_point(const ServerSpec *spec, const HelperRequest *request) {
        return g_build_filename(spec->work, "mounts", request->id,
                                request->mapped ? "mapped" : "plain", NULL);
}

static bool is_mounted(const char *path) {
        g_autofree char *parent = g_path_get_dirname(path);
        struct statx own, above;
        /* Not by the device: a bound directory has its parent's. */
        return statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_MNT_ID, &own) == 0 &&
               statx(AT_FDCWD, parent, AT_SYMLINK_NOFOLLOW, STATX_MNT_ID, &above) == 0 &&
               own.stx_mnt_id != above.stx_mnt_id;
}

/* Never as if it had not been asked for: without a mapping a container's root would be the host's. */
static bool need_user_namespace(const ServerSpec *spec, bool wanted, GError **error) {
        if (!wanted || spec->user_namespace >= 0)
                return true;
        g_set_error(error, ERROR, ERROR_UNSUPPORTED, "this host has no user namespaces");
        return false;
}

static bool serve_mount(const ServerSpec *spec, Call *call, GError **error) {
        const HelperRequest *request = call->request;
        g_autofree char *target = mount_point(spec, request);
        const char *layers[HELPER_LAYERS_MAX];

        for (uint32_t i = 0; i < request->layer_count; i++)
                layers[i] = request->layers[i];
        if (!need_user_namespace(spec, request->mapped, error) ||
            !directory_make(target, 0711, error))
                return false;
        if (is_mounted(target)) {
                g_set_error(error, ERROR, ERROR_EXISTS, "%s is mounted already", target);
                return false;
        }
        LayerMount mount = { .layers = layers,
                             .layer_count = request->layer_count,
                             .user_namespace = request->mapped ? spec->user_namespace : -1,
                             .target = target };
        return layers_mount(spec->work, &mount, error);
}

static bool serve_unmount(const ServerSpec *spec, Call *call, GError **error) {
        g_autofree char *target = mount_point(spec, call->request);
        g_autofree char *parent = g_path_get_dirname(target);
        if (!layers_unmount(target, error))
                return false;
        (void) rmdir(target);
        (void) rmdir(parent); /* stays while the other mapping is mounted */
        return true;
}

static bool serve_network(const ServerSpec *spec, Call *call, GError **error) {
        if (!need_user_namespace(spec, call->request->user_namespace, error))
                return false;
        int inside = call->request->user_namespace ? spec->user_namespace : -1;
        int fd = network_namespace_make(call->request, inside, error);
        if (fd >= 0)
                call->reply_fds[call->reply_fd_count++] = fd;
        return fd >= 0;
}

static bool serve_job(const ServerSpec *spec, Call *call, GError **error) {
        const HelperRequest *request = call->request;
        int sockets[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0) {
                error_set_errno(error, errno, "failed to make a socket pair");
                return false;
        }
        pid_t pid = fork();
        if (pid == 0) {
                sigset_t none;
                sigemptyset(&none);
                sigprocmask(SIG_SETMASK, &none, NULL);
                JobSpec job = { .work = spec->work,
                                .request = request,
                                .stream = request->has_fd ? call->fds[0] : -1,
                                .directory = request->has_directory ? call->fds[request->has_fd]
                                                                    : -1,
                                .report = sockets[1] };
                close(spec->socket);
                close(sockets[0]);
                job_child(&job);
        }
        close(sockets[1]);
        if (pid < 0) {
                error_set_errno(error, errno, "failed to fork");
                close(sockets[0]);
                return false;
        }
        call->reply_fds[call->reply_fd_count++] = sockets[0];
        /* Nobody but this process reaps it, so the number is still its own. */
        int pidfd = pidfd_open(pid, 0);
        if (pidfd < 0) {
                error_set_errno(error, errno, "failed to open a child");
                kill(pid, SIGKILL);
                return false;
        }
        call->reply_fds[call->reply_fd_count++] = pidfd;
        return true;
}

typedef bool (*Operation)(const ServerSpec *spec, Call *call, GError **error);

static const Operation operations[] = {
        [HELPER_OP_MOUNT] = serve_mount,
        [HELPER_OP_UNMOUNT] = serve_unmount,
        [HELPER_OP_NETWORK] = serve_network,
        [HELPER_OP_JOB] = serve_job,
};

/* ---- the loop ---- */

/* Returns false when the worker is gone. */
static bool serve_one(const ServerSpec *spec, HelperRequest *request) {
        g_autoptr(GError) error = NULL;
        Call call = { .request = request };
        size_t fd_count = 0;
        ssize_t length = helper_receive(spec->socket, request, sizeof *request, call.fds, &fd_count,
                                        NULL);
        if (length <= 0)
                return false;

        bool done = helper_request_check(request, (size_t) length, fd_count, &error) &&
                    operations[request->op](spec, &call, &error);
        helper_reply_fill(&call.reply, error);
        bool sent = helper_send(spec->socket, &call.reply, sizeof call.reply, call.reply_fds,
                                done ? call.reply_fd_count : 0, NULL);
        for (size_t i = 0; i < call.reply_fd_count; i++)
                close(call.reply_fds[i]);
        for (size_t i = 0; i < fd_count; i++)
                close(call.fds[i]);
        return sent;
}

/* Children of jobs; what else forks waits for its own. */
static void reap(int signals) {
        struct signalfd_siginfo info;
        (void) !read(signals, &info, sizeof info);
        while (waitpid(-1, NULL, WNOHANG) > 0)
                ;
}

void helper_serve(const ServerSpec *spec) {
        g_autofree HelperRequest *request = g_new0(HelperRequest, 1);
        sigset_t mask;

        prctl(PR_SET_NAME, "weir-helper");
        setsid(); /* a terminal's Ctrl-C is the worker's to answer */
        signal(SIGTERM, SIG_IGN);
        signal(SIGINT, SIG_IGN);
        signal(SIGHUP, SIG_IGN);
        signal(SIGPIPE, SIG_IGN);
        umask(022);
        sigemptyset(&mask);
        sigaddset(&mask, SIGCHLD);
        sigprocmask(SIG_BLOCK, &mask, NULL);
        int signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);

        for (;;) {
                struct pollfd polled[] = { { spec->socket, POLLIN, 0 }, { signals, POLLIN, 0 } };
                if (poll(polled, G_N_ELEMENTS(polled), -1) < 0 && errno != EINTR)
                        break;
                if (polled[1].revents)
                        reap(signals);
                if (polled[0].revents && !serve_one(spec, request))
                        break;
        }
        _exit(0);
}
