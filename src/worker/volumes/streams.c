#include "base/files.h"
#include "worker/volumes/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#define CHUNK (256 * 1024)
/* Of the pipe to the child: fewer switches between it and us. The system may refuse; then less. */
#define PIPE_SIZE (1024 * 1024)

static bool make_pipe(int ret[2], GError **error) {
        if (pipe2(ret, O_CLOEXEC) < 0) {
                error_set_errno(error, errno, "failed to make a pipe");
                return false;
        }
        (void) fcntl(ret[0], F_SETPIPE_SZ, PIPE_SIZE);
        return true;
}

/* ---- out ---- */

bool volumes_packing_begin(Volumes *volumes, const VolumesStream *stream, Packing *ret,
                           GError **error) {
        Packing packing = { .fd = -1 };
        int ends[2];

        packing.stack = volumes_hold_stack(volumes, stream->handle, error);
        if (!packing.stack)
                return false;
        if (!make_pipe(ends, error)) {
                volumes_packing_drop(volumes, &packing);
                return false;
        }
        packing.fd = ends[0];
        HelperJob job = { .kind = HELPER_PACK,
                          .layers = (const char *const *) packing.stack->pdata,
                          .layer_count = packing.stack->len,
                          .path = stream->path,
                          .encoding = stream->encoding,
                          .fd = ends[1] };
        packing.child = helper_job_start(volumes->helper, &job, error);
        close(ends[1]);
        if (!packing.child || !helper_job_begun(packing.child, stream->cancel, error)) {
                volumes_packing_drop(volumes, &packing);
                return false;
        }
        *ret = packing;
        return true;
}

void volumes_packing_drop(Volumes *volumes, Packing *packing) {
        helper_job_free(packing->child);
        fd_close(packing->fd);
        volumes_drop_stack(volumes, packing->stack);
        *packing = (Packing){ .fd = -1 };
}

bool volumes_packing_end(Volumes *volumes, Packing *packing, Cancel *cancel, GError **error) {
        bool done = helper_job_wait(packing->child, cancel, error);
        volumes_packing_drop(volumes, packing);
        return done;
}

/* Reads once the pipe has something; 0 at its end. */
static ssize_t read_pipe(int fd, void *ret, size_t length, Cancel *cancel, GError **error) {
        for (;;) {
                if (!cancel_poll(cancel, fd, POLLIN, DURATION_NEVER, error))
                        return -1;
                ssize_t got = read(fd, ret, length);
                if (got >= 0)
                        return got;
                if (errno != EINTR && errno != EAGAIN) {
                        error_set_errno(error, errno, "failed to read a stream");
                        return -1;
                }
        }
}

bool volumes_stream_out(Volumes *volumes, const VolumesStream *stream, GError **error) {
        g_autofree char *chunk = g_malloc(CHUNK);
        Packing packing;

        if (!volumes_packing_begin(volumes, stream, &packing, error))
                return false;
        for (;;) {
                ssize_t length = read_pipe(packing.fd, chunk, CHUNK, stream->cancel, error);
                if (length == 0)
                        return volumes_packing_end(volumes, &packing, stream->cancel, error);
                if (length < 0 || !stream->sink(chunk, (size_t) length, stream->data, error)) {
                        volumes_packing_drop(volumes, &packing);
                        return false;
                }
        }
}

/* ---- in ---- */

/* Writes all of it. *ret_closed: the child reads no more, for it failed and will say why. */
static bool write_pipe(int fd, const char *bytes, size_t length, Cancel *cancel, bool *ret_closed,
                       GError **error) {
        while (length > 0) {
                if (!cancel_poll(cancel, fd, POLLOUT, DURATION_NEVER, error))
                        return false;
                ssize_t written = write(fd, bytes, length);
                if (written < 0 && errno == EPIPE) {
                        *ret_closed = true;
                        return true;
                }
                if (written < 0 && errno != EINTR && errno != EAGAIN) {
                        error_set_errno(error, errno, "failed to write a stream");
                        return false;
                }
                if (written > 0) {
                        bytes += written;
                        length -= (size_t) written;
                }
        }
        return true;
}

/* "9B" below one MiB, else whole MiB (reference 06 §4.6). */
static void set_limit_error(uint64_t limit, GError **error) {
        if (limit < 1024 * 1024)
                g_set_error(error, ERROR, ERROR_LIMIT, "exceeded volume streaming limit of %luB",
                            (unsigned long) limit);
        else
                g_set_error(error, ERROR, ERROR_LIMIT, "exceeded volume streaming limit of %luMB",
                            (unsigned long) (limit / (1024 * 1024)));
}

static bool feed(const VolumesStream *stream, int fd, GError **error) {
        g_autofree char *chunk = g_malloc(CHUNK);
        uint64_t total = 0;
        bool closed = false;

        while (!closed) {
                ssize_t length = stream->source(chunk, CHUNK, stream->data, error);
                if (length <= 0)
                        return length == 0;
                total += (uint64_t) length;
                if (stream->limit > 0 && total > stream->limit) {
                        set_limit_error(stream->limit, error);
                        return false;
                }
                if (!write_pipe(fd, chunk, (size_t) length, stream->cancel, &closed, error))
                        return false;
        }
        return true;
}

/* An overlay may be written through one mount only: a second one would clear its work directory. */
static bool writable_now(const Volume *volume, GError **error) {
        bool used = false;
        for (View view = 0; view < VIEW_COUNT; view++)
                used = used || volume->mounted[view] || volume->claimed[view];
        if (!used || volume->stack->len == 1)
                return true;
        g_set_error(error, ERROR, ERROR_BUSY, "volume %s is in use by a container", volume->handle);
        return false;
}

bool volumes_stream_in(Volumes *volumes, const VolumesStream *stream, GError **error) {
        TAKEN_VOLUME taken = { volumes, volumes_take(volumes, stream->handle, error) };
        int ends[2];

        if (!taken.volume || !writable_now(taken.volume, error) || !make_pipe(ends, error))
                return false;
        (void) fcntl(ends[1], F_SETFL, O_NONBLOCK);
        HelperJob job = { .kind = HELPER_UNPACK,
                          .layers = (const char *const *) taken.volume->stack->pdata,
                          .layer_count = taken.volume->stack->len,
                          .path = stream->path,
                          .encoding = stream->encoding,
                          .devices = taken.volume->privileged,
                          .any_owner = taken.volume->privileged,
                          .disk_reserve = volumes->disk_reserve,
                          .fd = ends[0] };
        g_autoptr(HelperChild) child = helper_job_start(volumes->helper, &job, error);
        close(ends[0]);
        bool fed = child && feed(stream, ends[1], error);
        if (!fed) /* killed before the pipe ends: half a stream must not look like a whole one */
                g_clear_pointer(&child, helper_job_free);
        close(ends[1]);
        return fed && helper_job_wait(child, stream->cancel, error);
}

/* ---- from tree to tree ---- */

bool volumes_copy(Volumes *volumes, const CopySpec *spec, Cancel *cancel, GError **error) {
        const char *layers[] = { spec->layer };
        HelperJob from = spec->from;
        int ends[2];

        if (!make_pipe(ends, error))
                return false;
        HelperJob to = { .kind = HELPER_UNPACK,
                         .layers = layers,
                         .layer_count = 1,
                         .path = "",
                         .encoding = VOLUME_ENCODING_RAW,
                         .devices = true,
                         .any_owner = spec->any_owner,
                         .disk_reserve = volumes->disk_reserve,
                         .fd = ends[0] };
        from.kind = HELPER_PACK;
        from.encoding = VOLUME_ENCODING_RAW;
        from.fd = ends[1];
        g_autoptr(HelperChild) reader = helper_job_start(volumes->helper, &from, error);
        g_autoptr(HelperChild) writer = reader ? helper_job_start(volumes->helper, &to, error)
                                               : NULL;
        close(ends[0]);
        close(ends[1]);
        if (!writer)
                return false;
        /* The writer's reason goes first: the reader of a full disk only sees a closed pipe. */
        g_autoptr(GError) failure = NULL;
        bool read_all = helper_job_wait(reader, cancel, &failure);
        bool missing = error_is(failure, ERROR_NOT_FOUND);
        if (!missing && !helper_job_wait(writer, cancel, error))
                return false;
        if (!read_all)
                g_propagate_error(error, g_steal_pointer(&failure));
        return read_all;
}
