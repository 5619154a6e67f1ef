#include "pool/baggageclaim.h"

#include "http/url.h"

#include <archive.h>
#include <archive_entry.h>
#include <string.h>

/* A tar around one file: header and padding. */
#define TAR_OVERHEAD ((size_t) 16 * 1024)

static char *volume_url(const char *handle, const char *rest) {
        g_autofree char *escaped = url_encode_path(handle);

        return g_strconcat("/volumes/", escaped, rest, NULL);
}

bool baggageclaim_path(const WorkerCall *call, const char *handle, char **ret_path,
                       GError **error) {
        g_autofree char *path = volume_url(handle, "");
        g_autoptr(Value) answer = NULL;
        g_auto(VolumeResponse) volume = { 0 };

        if (!worker_request_json(&(WorkerRequest){ .pool = call->pool,
                                                   .worker = call->worker,
                                                   .api = WORKER_BAGGAGECLAIM,
                                                   .method = "GET",
                                                   .path = path },
                                 call->cancel, &answer, error) ||
            !volume_response_from_value(answer, &volume, error))
                return false;
        *ret_path = g_steal_pointer(&volume.path);
        return true;
}

bool baggageclaim_ensure(const WorkerCall *call, const VolumeRequest *request, char **ret_path,
                         GError **error) {
        g_autoptr(Value) body = volume_request_to_value(request), answer = NULL;
        g_auto(VolumeResponse) volume = { 0 };
        g_autoptr(GError) local = NULL;

        if (worker_request_json(&(WorkerRequest){ .pool = call->pool,
                                                  .worker = call->worker,
                                                  .api = WORKER_BAGGAGECLAIM,
                                                  .method = "POST",
                                                  .path = "/volumes",
                                                  .body = body,
                                                  .repeatable = true },
                                call->cancel, &answer, &local)) {
                if (!volume_response_from_value(answer, &volume, error))
                        return false;
                *ret_path = g_steal_pointer(&volume.path);
                return true;
        }
        /* An earlier life of ours may have made it: the answer to that was lost. */
        if (error_is(local, ERROR_PROTOCOL) &&
            baggageclaim_path(call, request->handle, ret_path, NULL))
                return true;
        g_propagate_error(error, g_steal_pointer(&local));
        return false;
}

bool baggageclaim_set_privileged(const WorkerCall *call, const char *handle, bool privileged,
                                 GError **error) {
        g_autofree char *path = volume_url(handle, "/privileged");
        g_autoptr(Value) body = volume_privileged_to_value(privileged);
        g_auto(HttpReply) reply = { 0 };

        return worker_request(&(WorkerRequest){ .pool = call->pool,
                                                .worker = call->worker,
                                                .api = WORKER_BAGGAGECLAIM,
                                                .method = "PUT",
                                                .path = path,
                                                .body = body },
                              call->cancel, &reply, error);
}

/* ---- streams ---- */

static char *stream_url(const VolumeStream *stream, const char *verb, const char *query) {
        g_autofree char *escaped = url_encode_query(stream->path);
        g_autofree char *rest = g_strdup_printf("/%s?%spath=%s", verb, query, escaped);

        return volume_url(stream->handle, rest);
}

bool baggageclaim_stream_in(const WorkerCall *call, const VolumeStream *stream, HttpSource source,
                            void *data, GError **error) {
        g_autofree char *path = stream_url(stream, "stream-in", "limit=0.000000&");
        g_autofree char *encoding = g_strconcat(
                "Content-Encoding: ", volume_encoding_name(stream->encoding), NULL);
        const char *const headers[] = { encoding, NULL };
        g_auto(HttpReply) reply = { 0 };

        return worker_request(&(WorkerRequest){ .pool = call->pool,
                                                .worker = call->worker,
                                                .api = WORKER_BAGGAGECLAIM,
                                                .method = "PUT",
                                                .path = path,
                                                .headers = headers,
                                                .source = source,
                                                .data = data },
                              call->cancel, &reply, error);
}

/* An answer that is no stream is kept apart from the sink. */
typedef struct {
        HttpSink sink;
        void *data;
        int status;
        GString *message;
} Out;

static bool note_status(const HttpReply *reply, void *data, GError **error) {
        ((Out *) data)->status = reply->status;
        return true;
}

static bool pass_on(const void *bytes, size_t length, void *data, GError **error) {
        Out *out = data;

        if (out->status == 200)
                return out->sink(bytes, length, out->data, error);
        if (out->message->len < 4096)
                g_string_append_len(out->message, bytes, (gssize) length);
        return true;
}

bool baggageclaim_stream_out(const WorkerCall *call, const VolumeStream *stream, HttpSink sink,
                             void *data, GError **error) {
        g_autofree char *path = stream_url(stream, "stream-out", "");
        g_autofree char *encoding = g_strconcat(
                "Accept-Encoding: ", volume_encoding_name(stream->encoding), NULL);
        const char *const headers[] = { encoding, NULL };
        g_autoptr(GString) message = g_string_new(NULL);
        g_autoptr(GError) local = NULL;
        g_auto(HttpReply) reply = { 0 };
        Out out = { .sink = sink, .data = data, .message = message };

        if (worker_request(&(WorkerRequest){ .pool = call->pool,
                                             .worker = call->worker,
                                             .api = WORKER_BAGGAGECLAIM,
                                             .method = "PUT",
                                             .path = path,
                                             .headers = headers,
                                             .sink = pass_on,
                                             .head = note_status,
                                             .data = &out },
                           call->cancel, &reply, &local))
                return true;
        if (message->len > 0)
                g_set_error(error, ERROR, local->code, "%s", message->str);
        else
                g_propagate_error(error, g_steal_pointer(&local));
        return false;
}

/* ---- one file: the first entry of the stream ---- */

typedef struct {
        GString *text;
        size_t limit;
} Tar;

static bool collect(const void *bytes, size_t length, void *data, GError **error) {
        Tar *tar = data;

        if (tar->text->len + length > tar->limit) {
                g_set_error(error, ERROR, ERROR_LIMIT, "file is larger than %zu bytes",
                            tar->limit - TAR_OVERHEAD);
                return false;
        }
        g_string_append_len(tar->text, bytes, (gssize) length);
        return true;
}

static char *first_entry(const GString *tar, size_t *ret_length, GError **error) {
        struct archive *archive = archive_read_new();
        struct archive_entry *entry;
        char *text = NULL;

        archive_read_support_format_tar(archive);
        if (archive_read_open_memory(archive, tar->str, tar->len) == ARCHIVE_OK &&
            archive_read_next_header(archive, &entry) == ARCHIVE_OK &&
            archive_entry_filetype(entry) == AE_IFREG) {
                size_t size = (size_t) MIN(archive_entry_size(entry), (int64_t) tar->len);
                text = g_malloc0(size + 1);
                la_ssize_t got = archive_read_data(archive, text, size);
                if (got < 0 || (size_t) got != size)
                        g_clear_pointer(&text, g_free);
                else if (ret_length)
                        *ret_length = size;
        }
        if (!text)
                g_set_error(error, ERROR, ERROR_NOT_FOUND, "no such file or directory");
        archive_read_free(archive);
        return text;
}

char *baggageclaim_file(const WorkerCall *call, const char *handle, const char *path, size_t limit,
                        size_t *ret_length, GError **error) {
        g_autoptr(GString) text = g_string_new(NULL);
        Tar tar = { text, limit + TAR_OVERHEAD };
        const VolumeStream stream = { .handle = handle,
                                      .path = path,
                                      .encoding = VOLUME_ENCODING_RAW };

        if (!baggageclaim_stream_out(call, &stream, collect, &tar, error))
                return NULL;
        return first_entry(text, ret_length, error);
}
