#include "worker/oci/shim.h"

#include "base/files.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEND_TIMEOUT_MILLISECONDS 10000
#define BATCH 64

/* Two descriptors a shim: the key's lowest bit says which became ready. */
enum { KEY_SOCKET = 0, KEY_PIDFD = 1 };
#define KEY_STOP UINT64_MAX

struct ShimWatch {
        Mutex lock;
        Condition idle;
        int epoll, stop;
        uint64_t next;     /* even */
        GHashTable *shims; /* of key (uint64_t *) to Shim, borrowed */
        Shim *busy;        /* fn runs for it */
        Thread *thread;
};

struct Shim {
        int references; /* atomic */
        ShimWatch *watch;
        uint64_t key;
        int socket, pidfd;
        ShimFn fn;
        void *data;
        bool dead;     /* watch->lock, as all below */
        siginfo_t end; /* si_pid 0: not known */
};

/* ---- listening ---- */

/* Borrows the shim for a call of its fn; NULL when it was closed meanwhile. */
static Shim *watch_begin(ShimWatch *watch, uint64_t key) {
        uint64_t base = key & ~UINT64_C(1);
        MUTEX_SCOPE(&watch->lock);
        watch->busy = g_hash_table_lookup(watch->shims, &base);
        return watch->busy;
}

static void watch_end(ShimWatch *watch) {
        MUTEX_SCOPE(&watch->lock);
        watch->busy = NULL;
        condition_broadcast(&watch->idle);
}

static void handle_messages(ShimWatch *watch, Shim *shim) {
        for (int i = 0; i < BATCH; i++) {
                ShimMessage message;
                ssize_t n = recv(shim->socket, &message, sizeof(message), MSG_DONTWAIT | MSG_TRUNC);
                if (n < 0 && (errno == EAGAIN || errno == EINTR))
                        return;
                if (n <= 0) { /* its death is told by the pidfd */
                        epoll_ctl(watch->epoll, EPOLL_CTL_DEL, shim->socket, NULL);
                        return;
                }
                if (n == (ssize_t) sizeof(message))
                        shim->fn(&message, shim->data);
        }
}

static void handle_death(ShimWatch *watch, Shim *shim) {
        siginfo_t end = { 0 };
        handle_messages(watch, shim); /* what it said before it died */
        epoll_ctl(watch->epoll, EPOLL_CTL_DEL, shim->pidfd, NULL);
        if (waitid(P_PIDFD, (id_t) shim->pidfd, &end, WEXITED | WNOHANG) < 0)
                end.si_pid = 0;
        {
                MUTEX_SCOPE(&watch->lock);
                shim->dead = true;
                shim->end = end;
                condition_broadcast(&watch->idle);
        }
        shim->fn(NULL, shim->data);
}

static void watch_run(void *data) {
        ShimWatch *watch = data;
        struct epoll_event events[BATCH];
        for (;;) {
                int count = epoll_wait(watch->epoll, events, BATCH, -1);
                for (int i = 0; i < count; i++) {
                        uint64_t key = events[i].data.u64;
                        if (key == KEY_STOP)
                                return;
                        Shim *shim = watch_begin(watch, key);
                        if (!shim)
                                continue;
                        if ((key & 1) == KEY_PIDFD)
                                handle_death(watch, shim);
                        else
                                handle_messages(watch, shim);
                        watch_end(watch);
                }
        }
}

ShimWatch *shim_watch_start(void) {
        ShimWatch *watch = g_new0(ShimWatch, 1);
        mutex_init(&watch->lock);
        condition_init(&watch->idle);
        watch->epoll = epoll_create1(EPOLL_CLOEXEC);
        watch->stop = eventfd(0, EFD_CLOEXEC);
        g_assert(watch->epoll >= 0 && watch->stop >= 0);
        watch->next = 2;
        watch->shims = g_hash_table_new(g_int64_hash, g_int64_equal);
        struct epoll_event event = { .events = EPOLLIN, .data.u64 = KEY_STOP };
        epoll_ctl(watch->epoll, EPOLL_CTL_ADD, watch->stop, &event);
        watch->thread = thread_start("shims", watch_run, watch);
        return watch;
}

void shim_watch_stop(ShimWatch *watch) {
        if (!watch)
                return;
        uint64_t one = 1;
        (void) !write(watch->stop, &one, sizeof(one));
        thread_join(watch->thread);
        g_assert(g_hash_table_size(watch->shims) == 0);
        g_hash_table_destroy(watch->shims);
        fd_close(watch->epoll);
        fd_close(watch->stop);
        condition_destroy(&watch->idle);
        mutex_destroy(&watch->lock);
        g_free(watch);
}

/* ---- one shim ---- */

static int connect_below(int directory, const char *name, GError **error) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        autofd fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int length = snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s",
                              directory, name);
        if (fd < 0 || length >= (int) sizeof(address.sun_path) ||
            connect(fd, (struct sockaddr *) &address, sizeof(address)) < 0) {
                g_set_error(error, ERROR, ERROR_UNAVAILABLE, "connect to weir-init: %s",
                            g_strerror(errno));
                return -1;
        }
        return fd_steal(&fd);
}

Shim *shim_connect(ShimWatch *watch, int directory, const char *name, int pidfd, ShimFn fn,
                   void *data, GError **error) {
        autofd death = pidfd;
        autofd fd = connect_below(directory, name, error);
        if (fd < 0)
                return NULL;

        Shim *shim = g_new0(Shim, 1);
        *shim = (Shim){ .references = 1,
                        .watch = watch,
                        .socket = fd_steal(&fd),
                        .pidfd = fd_steal(&death),
                        .fn = fn,
                        .data = data };
        MUTEX_SCOPE(&watch->lock);
        shim->key = watch->next;
        watch->next += 2;
        g_hash_table_insert(watch->shims, &shim->key, shim);
        struct epoll_event event = { .events = EPOLLIN, .data.u64 = shim->key | KEY_SOCKET };
        epoll_ctl(watch->epoll, EPOLL_CTL_ADD, shim->socket, &event);
        event.data.u64 = shim->key | KEY_PIDFD;
        epoll_ctl(watch->epoll, EPOLL_CTL_ADD, shim->pidfd, &event);
        return shim;
}

Shim *shim_ref(Shim *shim) {
        __atomic_add_fetch(&shim->references, 1, __ATOMIC_RELAXED);
        return shim;
}

void shim_free(Shim *shim) {
        if (!shim || __atomic_sub_fetch(&shim->references, 1, __ATOMIC_ACQ_REL) > 0)
                return;
        fd_close(shim->socket);
        fd_close(shim->pidfd);
        g_free(shim);
}

void shim_close(Shim *shim) {
        ShimWatch *watch = shim->watch;
        MUTEX_SCOPE(&watch->lock);
        g_hash_table_remove(watch->shims, &shim->key);
        epoll_ctl(watch->epoll, EPOLL_CTL_DEL, shim->socket, NULL);
        epoll_ctl(watch->epoll, EPOLL_CTL_DEL, shim->pidfd, NULL);
        while (watch->busy == shim)
                condition_wait(&watch->idle, &watch->lock);
}

bool shim_send(Shim *shim, const ShimMessage *message, const int *fds, size_t fd_count,
               GError **error) {
        union {
                char space[CMSG_SPACE(sizeof(int) * SHIM_FDS)];
                struct cmsghdr align;
        } control = { 0 };
        struct iovec part = { (void *) message, sizeof(*message) };
        struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1 };
        g_assert(fd_count <= SHIM_FDS);
        if (fd_count > 0) {
                header.msg_control = control.space;
                header.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
                struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
                rights->cmsg_level = SOL_SOCKET;
                rights->cmsg_type = SCM_RIGHTS;
                rights->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
                memcpy(CMSG_DATA(rights), fds, sizeof(int) * fd_count);
        }

        for (;;) {
                if (sendmsg(shim->socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
                        return true;
                struct pollfd poll_fd = { .fd = shim->socket, .events = POLLOUT };
                if (errno == EINTR)
                        continue;
                if (errno != EAGAIN || poll(&poll_fd, 1, SEND_TIMEOUT_MILLISECONDS) <= 0)
                        break;
        }
        g_set_error(error, ERROR, ERROR_UNAVAILABLE, "send to weir-init: %s", g_strerror(errno));
        return false;
}

bool shim_try_send(Shim *shim, const ShimMessage *message) {
        return send(shim->socket, message, sizeof(*message), MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
}

void shim_kill(Shim *shim) {
        syscall(SYS_pidfd_send_signal, shim->pidfd, SIGKILL, NULL, 0);
}

bool shim_wait_dead(Shim *shim, Duration most, GError **error) {
        Duration deadline = clock_monotonic() + most;
        MUTEX_SCOPE(&shim->watch->lock);
        while (!shim->dead)
                if (!condition_wait_until(&shim->watch->idle, &shim->watch->lock, deadline)) {
                        g_set_error(error, ERROR, ERROR_TIMEOUT, "process 1 does not die");
                        return false;
                }
        return true;
}

bool shim_alive(Shim *shim) {
        MUTEX_SCOPE(&shim->watch->lock);
        return !shim->dead;
}

char *shim_death(Shim *shim) {
        MUTEX_SCOPE(&shim->watch->lock);
        if (shim->end.si_pid == 0)
                return g_strdup("is gone");
        if (shim->end.si_code == CLD_EXITED)
                return g_strdup_printf("exited with status %d", shim->end.si_status);
        return g_strdup_printf("was killed by signal %d (%s)", shim->end.si_status,
                               strsignal(shim->end.si_status));
}
