#include "worker/helper/namespaces.h"

#include "base/files.h"
#include "worker/network/link.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* A child in lock step with us over a socket pair: each side sends a HelperReply when its part is
 * done. */
typedef struct {
        pid_t pid;
        int socket;
} Twin;

static void twin_clear(Twin *twin) {
        if (twin->pid > 0) {
                kill(twin->pid, SIGKILL);
                while (waitpid(twin->pid, NULL, 0) < 0 && errno == EINTR)
                        ;
        }
        fd_close(twin->socket);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Twin, twin_clear)

/* Returns twice, as fork() does: in the child ret->pid is 0. */
static bool twin_fork(Twin *ret, GError **error) {
        int sockets[2];
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0) {
                error_set_errno(error, errno, "failed to make a socket pair");
                return false;
        }
        pid_t pid = fork();
        if (pid < 0) {
                error_set_errno(error, errno, "failed to fork");
                close(sockets[0]);
                close(sockets[1]);
                return false;
        }
        if (pid == 0)
                prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(sockets[pid == 0 ? 0 : 1]);
        *ret = (Twin){ pid, sockets[pid == 0 ? 1 : 0] };
        return true;
}

static bool twin_tell(const Twin *twin, const GError *failure, GError **error) {
        HelperReply reply;
        helper_reply_fill(&reply, failure);
        return helper_send(twin->socket, &reply, sizeof reply, NULL, 0, error);
}

static bool twin_hear(const Twin *twin, GError **error) {
        HelperReply reply;
        ssize_t length = helper_receive(twin->socket, &reply, sizeof reply, NULL, NULL, error);
        if (length < 0)
                return false;
        if (length != sizeof reply) {
                g_set_error(error, ERROR, ERROR_INTERNAL, "a child of the helper died");
                return false;
        }
        return helper_reply_read(&reply, error);
}

static int open_namespace(pid_t pid, const char *kind, GError **error) {
        g_autofree char *path = g_strdup_printf("/proc/%d/ns/%s", (int) pid, kind);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                error_set_errno(error, errno, "failed to open %s", path);
        return fd;
}

/* ---- the user namespace ---- */

static bool write_map(pid_t pid, const char *name, GError **error) {
        g_autofree char *path = g_strdup_printf("/proc/%d/%s", (int) pid, name);
        g_autofree char *text = g_strdup_printf("0 %d %d\n", HELPER_ID_BASE, HELPER_ID_COUNT);
        autofd file = open(path, O_WRONLY | O_CLOEXEC);
        if (file < 0 || write(file, text, strlen(text)) < 0) {
                error_set_errno(error, errno, "failed to write %s", path);
                return false;
        }
        return true;
}

G_NORETURN static void user_namespace_child(const Twin *twin) {
        g_autoptr(GError) error = NULL;
        if (unshare(CLONE_NEWUSER) < 0)
                error_set_errno(&error, errno, "failed to make a user namespace");
        twin_tell(twin, error, NULL);
        pause(); /* until it is killed: the namespace needs a process while its maps are written */
        _exit(0);
}

int user_namespace_make(GError **error) {
        g_auto(Twin) twin = { 0, -1 };
        if (!twin_fork(&twin, error))
                return -1;
        if (twin.pid == 0)
                user_namespace_child(&twin);
        if (!twin_hear(&twin, error) || !write_map(twin.pid, "uid_map", error) ||
            !write_map(twin.pid, "gid_map", error))
                return -1;
        return open_namespace(twin.pid, "user", error);
}

/* ---- network namespaces ---- */

/* Runs inside: lo and eth0 up, with address and route. */
static bool configure_inside(const HelperRequest *request, GError **error) {
        g_autoptr(LinkSocket) link = link_open(error);
        if (!link || !link_up(link, "lo", error))
                return false;
        if (!*request->address)
                return true;

        bool v6 = *request->address6;
        return link_address_add(link, "eth0", request->address, request->prefix, error) &&
               (!v6 ||
                link_address_add(link, "eth0", request->address6, request->prefix6, error)) &&
               link_up(link, "eth0", error) &&
               /* A hermetic container's link has no carrier, and a route wants none either. */
               link_route_default(link, "eth0", request->gateway, error) &&
               (!v6 || link_route_default(link, "eth0", request->gateway6, error));
}

G_NORETURN static void network_namespace_child(const Twin *twin, const HelperRequest *request,
                                               int user_namespace) {
        g_autoptr(GError) error = NULL;

        /* Owned by the container's user namespace, or the container may not mount /sys. */
        if (user_namespace >= 0 && setns(user_namespace, CLONE_NEWUSER) < 0)
                error_set_errno(&error, errno, "failed to enter the user namespace");
        else if (unshare(CLONE_NEWNET) < 0)
                error_set_errno(&error, errno, "failed to make a network namespace");
        bool go_on = twin_tell(twin, error, NULL) && !error && twin_hear(twin, NULL);
        if (go_on) {
                (void) configure_inside(request, &error);
                (void) twin_tell(twin, error, NULL);
        }
        _exit(0);
}

int network_namespace_make(const HelperRequest *request, int user_namespace, GError **error) {
        g_auto(Twin) twin = { 0, -1 };
        if (!twin_fork(&twin, error))
                return -1;
        if (twin.pid == 0)
                network_namespace_child(&twin, request, user_namespace);

        autofd inside = -1;
        if (!twin_hear(&twin, error) || (inside = open_namespace(twin.pid, "net", error)) < 0)
                return -1;
        if (*request->address) {
                g_autoptr(LinkSocket) link = link_open(error);
                LinkPair pair = { .name = request->host_name,
                                  .peer = "eth0",
                                  .peer_namespace = inside,
                                  .bridge = *request->bridge ? request->bridge : NULL,
                                  .mtu = request->mtu };
                if (!link || !link_pair_make(link, &pair, error))
                        return -1;
        }
        if (!twin_tell(&twin, NULL, error) || !twin_hear(&twin, error))
                return -1; /* the pair goes with the namespace, which nobody holds */
        return fd_steal(&inside);
}
