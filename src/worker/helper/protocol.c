#include "worker/helper/protocol.h"

#include "base/files.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

bool helper_id_valid(const char *id) {
        size_t length = strlen(id);
        if (length == 0 || length > HELPER_ID_LENGTH_MAX || id[0] == '.' || id[0] == '-')
                return false;
        for (size_t i = 0; i < length; i++)
                if (!g_ascii_isalnum(id[i]) && !strchr("._-", id[i]))
                        return false;
        return true;
}

/* ---- checking ---- */

#define TERMINATED(array) (memchr((array), 0, sizeof(array)) != NULL)

static bool address_valid(int family, const char *text) {
        unsigned char address[sizeof(struct in6_addr)];
        return inet_pton(family, text, address) == 1;
}

static bool layers_valid(const HelperRequest *request, uint32_t least) {
        if (request->layer_count < least || request->layer_count > HELPER_LAYERS_MAX)
                return false;
        for (uint32_t i = 0; i < request->layer_count; i++)
                if (!TERMINATED(request->layers[i]) || !helper_id_valid(request->layers[i]))
                        return false;
        return true;
}

static bool network_valid(const HelperRequest *request) {
        if (!TERMINATED(request->host_name) || !TERMINATED(request->bridge) ||
            !TERMINATED(request->address) || !TERMINATED(request->gateway) ||
            !TERMINATED(request->address6) || !TERMINATED(request->gateway6))
                return false;
        if (!*request->address)
                return true;
        if (*request->address6 &&
            (!address_valid(AF_INET6, request->address6) ||
             !address_valid(AF_INET6, request->gateway6) || request->prefix6 > 126))
                return false;
        return address_valid(AF_INET, request->address) &&
               address_valid(AF_INET, request->gateway) && request->prefix >= 1 &&
               request->prefix <= 30 && request->mtu <= 65535 &&
               helper_id_valid(request->host_name) &&
               (!*request->bridge || helper_id_valid(request->bridge));
}

static bool job_valid(const HelperRequest *request, size_t fd_count) {
        bool stream = request->kind == HELPER_PACK || request->kind == HELPER_UNPACK;
        return (stream || request->kind == HELPER_CHOWN) && request->has_fd == stream &&
               fd_count == (size_t) request->has_fd + request->has_directory &&
               request->encoding < VOLUME_ENCODING_S2 && TERMINATED(request->path) &&
               (request->has_directory ? request->layer_count == 0 && request->kind == HELPER_PACK
                                       : !request->follow_symlinks && layers_valid(request, 1));
}

static bool flags_valid(const HelperRequest *request) {
        const Flag flags[] = { request->mapped,         request->user_namespace, request->has_fd,
                               request->has_directory,  request->devices,        request->any_owner,
                               request->follow_symlinks };
        for (size_t i = 0; i < G_N_ELEMENTS(flags); i++)
                if (flags[i] > 1)
                        return false;
        return true;
}

bool helper_request_check(const void *message, size_t length, size_t fd_count, GError **error) {
        const HelperRequest *request = message;
        bool valid = length == sizeof *request && flags_valid(request) &&
                     (request->op == HELPER_OP_JOB || fd_count == 0);

        if (valid)
                switch (request->op) {
                case HELPER_OP_MOUNT:
                        valid = TERMINATED(request->id) && helper_id_valid(request->id) &&
                                layers_valid(request, 1);
                        break;
                case HELPER_OP_UNMOUNT:
                        valid = TERMINATED(request->id) && helper_id_valid(request->id);
                        break;
                case HELPER_OP_NETWORK:
                        valid = network_valid(request);
                        break;
                case HELPER_OP_JOB:
                        valid = job_valid(request, fd_count);
                        break;
                default:
                        valid = false;
                }
        if (!valid)
                g_set_error(error, ERROR, ERROR_INVALID, "the helper refuses a malformed request");
        return valid;
}

/* ---- replies ---- */

void helper_reply_fill(HelperReply *reply, const GError *error) {
        *reply = (HelperReply){ .code = HELPER_OK };
        if (!error)
                return;
        reply->code = error->domain == ERROR ? error->code : ERROR_INTERNAL;
        g_strlcpy(reply->message, error->message, sizeof reply->message);
}

bool helper_reply_read(const HelperReply *reply, GError **error) {
        if (reply->code == HELPER_OK || reply->code == HELPER_BEGUN)
                return true;
        bool known = reply->code >= 0 && reply->code <= ERROR_INTERNAL;
        g_set_error(error, ERROR, known ? reply->code : ERROR_INTERNAL, "%.*s",
                    (int) sizeof reply->message - 1, reply->message);
        return false;
}

/* ---- messages with descriptors ---- */

typedef union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int) * HELPER_FDS_MAX)];
} Control;

bool helper_send(int socket, const void *message, size_t length, const int *fds, size_t fd_count,
                 GError **error) {
        Control control = { 0 };
        struct iovec part = { (void *) message, length };
        struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1 };

        g_assert(fd_count <= HELPER_FDS_MAX);
        if (fd_count > 0) {
                header.msg_control = &control;
                header.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
                struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
                rights->cmsg_level = SOL_SOCKET;
                rights->cmsg_type = SCM_RIGHTS;
                rights->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
                memcpy(CMSG_DATA(rights), fds, sizeof(int) * fd_count);
        }
        for (;;) {
                if (sendmsg(socket, &header, MSG_NOSIGNAL) == (ssize_t) length)
                        return true;
                if (errno != EINTR)
                        break;
        }
        error_set_errno(error, errno, "failed to talk to the worker's helper");
        return false;
}

static size_t take_fds(struct msghdr *header, int *ret_fds) {
        size_t count = 0;
        for (struct cmsghdr *part = CMSG_FIRSTHDR(header); part; part = CMSG_NXTHDR(header, part))
                if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS) {
                        size_t here = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                        for (size_t i = 0; i < here; i++) {
                                int fd;
                                memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
                                if (count < HELPER_FDS_MAX)
                                        ret_fds[count++] = fd;
                                else
                                        close(fd);
                        }
                }
        return count;
}

ssize_t helper_receive(int socket, void *ret, size_t size, int *ret_fds, size_t *ret_fd_count,
                       GError **error) {
        Control control = { 0 };
        struct iovec part = { ret, size };
        struct msghdr header = { .msg_iov = &part,
                                 .msg_iovlen = 1,
                                 .msg_control = &control,
                                 .msg_controllen = sizeof control };
        ssize_t length;

        do
                length = recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
        while (length < 0 && errno == EINTR);
        if (length < 0) {
                error_set_errno(error, errno, "failed to hear from the worker's helper");
                return -1;
        }
        int fds[HELPER_FDS_MAX];
        size_t count = take_fds(&header, fds);
        for (size_t i = 0; i < count; i++)
                if (ret_fds)
                        ret_fds[i] = fds[i];
                else
                        close(fds[i]);
        if (ret_fd_count)
                *ret_fd_count = ret_fds ? count : 0;
        return length;
}
