/*
 * What worker and helper say to each other over their SOCK_SEQPACKET pair: one request, one reply.
 * Both ends are one program, forked, so a message is a struct; it is checked all the same, because
 * the worker talks to strangers and the helper is what can do harm.
 */
#pragma once

#include "worker/helper/helper.h"

#include <linux/limits.h>
#include <net/if.h>

#define HELPER_LAYER_LENGTH 32 /* with the NUL */
#define HELPER_ADDRESS_LENGTH 46
#define HELPER_FDS_MAX 2

typedef enum {
        HELPER_OP_MOUNT = 1,
        HELPER_OP_UNMOUNT,
        HELPER_OP_NETWORK,
        HELPER_OP_JOB,
} HelperOp;

/* 0 or 1: a bool of any other value is undefined behaviour, so it cannot be checked. */
typedef uint8_t Flag;

typedef struct {
        uint32_t op;

        /* mount, unmount, job */
        char id[HELPER_ID_LENGTH_MAX + 1];
        uint32_t layer_count;
        char layers[HELPER_LAYERS_MAX][HELPER_LAYER_LENGTH];
        Flag mapped;

        /* network */
        char host_name[IFNAMSIZ];
        char bridge[IFNAMSIZ];
        char address[HELPER_ADDRESS_LENGTH];
        char gateway[HELPER_ADDRESS_LENGTH];
        char address6[HELPER_ADDRESS_LENGTH];
        char gateway6[HELPER_ADDRESS_LENGTH];
        uint32_t prefix;
        uint32_t prefix6;
        uint32_t mtu;
        Flag user_namespace;

        /* job; descriptors: the stream if has_fd, then the directory if has_directory */
        uint32_t kind;
        uint32_t encoding;
        Flag has_fd;
        Flag has_directory;
        Flag devices;
        Flag any_owner;
        Flag follow_symlinks;
        uint32_t uid;
        uint32_t gid;
        uint64_t disk_reserve;
        char path[PATH_MAX];
} HelperRequest;

/* The answer to a request, and what a job's child reports over its own socket. */
typedef struct {
        int32_t code; /* an ErrorCode, or one of these */
        char message[512];
} HelperReply;
#define HELPER_OK (-1)
#define HELPER_BEGUN (-2) /* a PACK has found its path */

/* Whether a message is one that the helper may act on: known operation, terminated texts, valid
 * ids, counts within bounds. fd_count: descriptors that came with it. */
bool helper_request_check(const void *message, size_t length, size_t fd_count, GError **error);

void helper_reply_fill(HelperReply *reply, const GError *error);  /* NULL: HELPER_OK */
bool helper_reply_read(const HelperReply *reply, GError **error); /* an error becomes one again */

/* One message with descriptors. receive: returns its length, 0 at the end. */
bool helper_send(int socket, const void *message, size_t length, const int *fds, size_t fd_count,
                 GError **error);
ssize_t helper_receive(int socket, void *ret, size_t size, int *ret_fds, size_t *ret_fd_count,
                       GError **error);
