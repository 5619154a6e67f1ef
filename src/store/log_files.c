/*
 * Logs in files: <directory>/<2 hex digits>/<build>/<first event, 20 digits>.log while it grows,
 * .zst once it is closed.
 */
#include "store/log_keeper.h"

#include "base/fault.h"
#include "base/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

/* A segment is closed when it has grown to this. */
#define SEGMENT_BYTES (4 * 1024 * 1024)
/* Closed segments smaller than this stay as they are. */
#define COMPRESS_FROM 4096
#define COMPRESS_LEVEL 3
#define READ_BYTES (256 * 1024)

char *log_files_directory(const char *log_directory, int64_t build_id) {
        return g_strdup_printf("%s/%02x/%" G_GINT64_FORMAT, log_directory,
                               (unsigned) (build_id & 255), build_id);
}

static char *build_directory(Store *store, int64_t build_id) {
        return log_files_directory(store->log_directory, build_id);
}

static char *segment_path(Store *store, int64_t build_id, int64_t first, const char *suffix) {
        g_autofree char *directory = build_directory(store, build_id);
        return g_strdup_printf("%s/%020" G_GINT64_FORMAT "%s", directory, first, suffix);
}

/* The greatest first event ≤ `event`; -1: there is none. */
static bool find_segment(Store *store, int64_t build_id, int64_t event, int64_t *ret,
                         GError **error) {
        g_autofree char *path = build_directory(store, build_id);
        *ret = -1;
        DIR *directory = opendir(path);
        if (!directory) {
                if (errno == ENOENT)
                        return true;
                error_set_errno(error, errno, "open %s", path);
                return false;
        }
        for (struct dirent *entry; (entry = readdir(directory));) {
                if (!g_str_has_suffix(entry->d_name, ".log") &&
                    !g_str_has_suffix(entry->d_name, ".zst"))
                        continue;
                int64_t first = g_ascii_strtoll(entry->d_name, NULL, 10);
                if (first <= event && first > *ret)
                        *ret = first;
        }
        closedir(directory);
        return true;
}

/* ---- reading ---- */

static bool read_closed(Store *store, int64_t build_id, int64_t segment, GByteArray *raw,
                        bool *ret_found, GError **error) {
        g_autofree char *path = segment_path(store, build_id, segment, ".zst");
        g_autoptr(GError) local = NULL;
        size_t length;
        g_autofree char *packed = file_read(path, 2 * (size_t) FRAME_MAX, &length, &local);
        *ret_found = packed != NULL;
        if (!packed) {
                if (error_is(local, ERROR_NOT_FOUND))
                        return true;
                g_propagate_error(error, g_steal_pointer(&local));
                return false;
        }
        unsigned long long size = ZSTD_getFrameContentSize(packed, length);
        if (size > 2 * (unsigned long long) FRAME_MAX) {
                g_set_error(error, ERROR, ERROR_IO, "%s is damaged", path);
                return false;
        }
        g_byte_array_set_size(raw, (guint) size);
        if (ZSTD_decompress(raw->data, raw->len, packed, length) != size) {
                g_set_error(error, ERROR, ERROR_IO, "%s is damaged", path);
                return false;
        }
        return true;
}

/* Bytes of an open segment from an offset, enough for one whole frame. */
static bool read_open(int fd, int64_t offset, GByteArray *frames, GError **error) {
        size_t want = READ_BYTES;
        for (;;) {
                g_byte_array_set_size(frames, (guint) want);
                ssize_t got = pread(fd, frames->data, want, offset);
                if (got < 0) {
                        g_byte_array_set_size(frames, 0);
                        error_set_errno(error, errno, "read build log");
                        return false;
                }
                g_byte_array_set_size(frames, (guint) got);
                uint32_t length;
                if (got < FRAME_HEADER || (size_t) got < want)
                        return true;
                memcpy(&length, frames->data, sizeof length);
                length = GUINT32_FROM_LE(length);
                if (length > FRAME_MAX || length + FRAME_HEADER <= want)
                        return true;
                want = length + FRAME_HEADER;
        }
}

/* *ret_found false: there is no such segment. */
static bool read_segment(Store *store, int64_t build_id, const LogCursor *cursor,
                         GByteArray *frames, bool *ret_found, GError **error) {
        g_autofree char *path = segment_path(store, build_id, cursor->segment, ".log");
        autofd fd = open(path, O_RDONLY | O_CLOEXEC);
        *ret_found = true;
        if (fd >= 0)
                return read_open(fd, cursor->offset, frames, error);
        if (errno != ENOENT) {
                error_set_errno(error, errno, "open %s", path);
                return false;
        }
        if (!read_closed(store, build_id, cursor->segment, frames, ret_found, error))
                return false;
        guint skip = (guint) MIN((int64_t) frames->len, cursor->offset);
        if (skip > 0)
                g_byte_array_remove_range(frames, 0, skip);
        return true;
}

static bool files_read(Store *store, int64_t build_id, LogCursor *cursor, GByteArray *frames,
                       GError **error) {
        bool found;
        g_byte_array_set_size(frames, 0);
        if (cursor->segment < 0) {
                int64_t segment;
                if (!find_segment(store, build_id, cursor->event, &segment, error))
                        return false;
                if (segment < 0)
                        return true;
                *cursor = (LogCursor){ segment, 0, segment };
        }
        if (!read_segment(store, build_id, cursor, frames, &found, error))
                return false;
        if (frames->len > 0 || cursor->event == cursor->segment)
                return true;
        /* The next segment, if there is one, bears the next event's id. */
        LogCursor next = { cursor->event, 0, cursor->event };
        if (!read_segment(store, build_id, &next, frames, &found, error))
                return false;
        if (found)
                *cursor = next;
        return true;
}

/* ---- writing ---- */

static int open_segment(Store *store, int64_t build_id, int64_t first, GError **error) {
        g_autofree char *directory = build_directory(store, build_id);
        g_autofree char *path = segment_path(store, build_id, first, ".log");
        if (!directory_make(directory, 0700, error))
                return -1;
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
                error_set_errno(error, errno, "open %s", path);
        return fd;
}

/* Counts the whole frames of a segment, and their bytes. */
static void count_frames(const GByteArray *raw, int64_t *ret_events, int64_t *ret_bytes) {
        size_t position = 0;
        Frame frame;
        *ret_events = 0;
        while (frame_read(raw->data, raw->len, &position, &frame) == FRAME_WHOLE)
                ++*ret_events;
        *ret_bytes = (int64_t) position;
}

static bool files_open(Store *store, LogTail *tail, GError **error) {
        g_autoptr(GByteArray) raw = g_byte_array_new();
        int64_t segment, events, bytes;
        tail->fd = -1;
        tail->next_event = 0;
        if (!find_segment(store, tail->build_id, INT64_MAX, &segment, error))
                return false;
        if (segment < 0)
                return true;

        g_autofree char *path = segment_path(store, tail->build_id, segment, ".log");
        if (access(path, F_OK) != 0) {
                bool found;
                if (!read_closed(store, tail->build_id, segment, raw, &found, error))
                        return false;
                count_frames(raw, &events, &bytes);
                tail->next_event = segment + events;
                return true;
        }
        size_t length;
        g_autofree char *content = file_read(path, 2 * (size_t) FRAME_MAX, &length, error);
        if (!content)
                return false;
        g_byte_array_append(raw, (const uint8_t *) content, (guint) length);
        count_frames(raw, &events, &bytes);
        autofd fd = open_segment(store, tail->build_id, segment, error);
        if (fd < 0)
                return false;
        /* What a crash tore is cut: ids go on where the last whole event ended. */
        if ((size_t) bytes < length && (ftruncate(fd, bytes) != 0 || fdatasync(fd) != 0)) {
                error_set_errno(error, errno, "cut %s", path);
                return false;
        }
        tail->fd = fd_steal(&fd);
        tail->segment = segment;
        tail->bytes = bytes;
        tail->next_event = segment + events;
        return true;
}

/* Best effort: a segment that cannot be compressed is read as it is. */
static void close_segment(Store *store, LogTail *tail) {
        if (tail->fd < 0)
                return;
        g_autofree char *path = segment_path(store, tail->build_id, tail->segment, ".log");
        g_autofree char *packed_path = segment_path(store, tail->build_id, tail->segment, ".zst");
        int64_t bytes = tail->bytes;
        fd_close(tail->fd);
        tail->fd = -1;
        if (bytes < COMPRESS_FROM)
                return;
        size_t length;
        g_autofree char *raw = file_read(path, 2 * (size_t) FRAME_MAX, &length, NULL);
        if (!raw)
                return;
        size_t bound = ZSTD_compressBound(length);
        g_autofree char *packed = g_malloc(bound);
        size_t size = ZSTD_compress(packed, bound, raw, length, COMPRESS_LEVEL);
        if (!ZSTD_isError(size) && file_write(packed_path, packed, size, 0600, NULL))
                unlink(path);
}

static bool sync_directory(Store *store, int64_t build_id, GError **error) {
        g_autofree char *path = build_directory(store, build_id);
        g_autofree char *parent = g_path_get_dirname(path);
        const char *const paths[] = { path, parent, store->log_directory };
        for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
                autofd fd = open(paths[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                if (fd < 0 || fsync(fd) != 0) {
                        error_set_errno(error, errno, "sync %s", paths[i]);
                        return false;
                }
        }
        return true;
}

static bool files_append(Store *store, LogTail *tail, const LogAppend *append, GError **error) {
        if (tail->fd >= 0 && tail->bytes >= SEGMENT_BYTES)
                close_segment(store, tail); /* all of it is synced */
        if (tail->fd < 0) {
                if ((tail->fd = open_segment(store, tail->build_id, tail->next_event, error)) < 0)
                        return false;
                tail->segment = tail->next_event;
                tail->bytes = 0;
                tail->named = false;
        }
        bool broken = fault_here("build-log-append");
        size_t done = 0;
        errno = broken ? ENOSPC : 0;
        while (!broken && done < append->frames->len) {
                ssize_t wrote = pwrite(tail->fd, append->frames->data + done,
                                       append->frames->len - done, tail->bytes + (int64_t) done);
                if (wrote < 0 && errno == EINTR)
                        continue;
                broken = wrote <= 0;
                done += broken ? 0 : (size_t) wrote;
        }
        if (broken) {
                int saved = errno ? errno : EIO;
                if (ftruncate(tail->fd, tail->bytes) != 0)
                        saved = errno;
                error_set_errno(error, saved, "append to the log of build %" G_GINT64_FORMAT,
                                tail->build_id);
                return false;
        }
        tail->bytes += append->frames->len;
        tail->next_event += (int64_t) append->events;
        return true;
}

static bool files_sync(Store *store, LogTail *tail, GError **error) {
        if (tail->fd >= 0 && fdatasync(tail->fd) != 0) {
                error_set_errno(error, errno, "sync the log of build %" G_GINT64_FORMAT,
                                tail->build_id);
                return false;
        }
        if (tail->fd < 0 || tail->named)
                return true;
        tail->named = sync_directory(store, tail->build_id, error);
        return tail->named;
}

static bool files_remove(Store *store, int64_t build_id, GError **error) {
        g_autofree char *path = build_directory(store, build_id);
        return access(path, F_OK) != 0 || directory_remove(path, error);
}

const LogKeeper log_keeper_files = {
        .read = files_read,
        .open = files_open,
        .append = files_append,
        .sync = files_sync,
        .close = close_segment,
        .remove = files_remove,
};
