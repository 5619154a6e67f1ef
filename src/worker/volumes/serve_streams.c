#include "base/log.h"
#include "worker/volumes/p2p.h"
#include "worker/volumes/serve.h"

#include <math.h>
#include <string.h>

#define MEGABYTE (1024.0 * 1024.0)
/* While volumes go from worker to worker, so that nobody takes the connection for dead. */
#define ALIVE_INTERVAL (30 * DURATION_SECOND)

/* ---- streams ---- */

static bool volume_exists(const VolumesCall *call, const char *text) {
        g_auto(VolumeResponse) response = { 0 };
        if (volumes_get(call->volumes, call->handle, &response, NULL))
                return true;
        volumes_answer_error(call, 404, text);
        return false;
}

/* false, and has answered 400. S2 is upstream's own format; a web node that asks for it must be
 * told another. */
static bool read_encoding(const VolumesCall *call, const char *name, VolumeEncoding *ret,
                          const char *text) {
        if (!volume_encoding_parse(name, ret, NULL)) {
                volumes_answer_error(call, 400, text);
                return false;
        }
        if (*ret == VOLUME_ENCODING_S2) {
                volumes_answer_error(call, 400,
                                     "this worker does not speak s2: set "
                                     "--streaming-artifacts-compression to zstd, gzip or raw");
                return false;
        }
        return true;
}

/* Megabytes to bytes; "" and 0 are no limit. */
static bool read_limit(const VolumesCall *call, uint64_t *ret) {
        const char *text = http_query(call->request, "limit");
        char *end;
        *ret = 0;
        if (!text || !*text)
                return true;
        double limit = g_ascii_strtod(text, &end);
        if (*end || !isfinite(limit) || limit < 0 || limit > (double) (1LL << 40)) {
                g_autofree char *message = g_strdup_printf("invalid limit %s", text);
                volumes_answer_error(call, 400, message);
                return false;
        }
        *ret = (uint64_t) (limit * MEGABYTE);
        if (limit > 0 && *ret == 0)
                *ret = 1;
        return true;
}

/* Every ".." goes, as upstream does it; the confined child would not follow one anyway. */
static char *clean_path(const char *path) {
        g_auto(GStrv) parts = g_strsplit(path ? path : "", "..", -1);
        return g_strjoinv("", parts);
}

static ssize_t read_request_body(void *ret, size_t length, void *data, GError **error) {
        const VolumesCall *call = data;
        return http_body_read(call->request, ret, length, error);
}

void volumes_serve_stream_in(const VolumesCall *call) {
        static const char text[] = "failed to stream in to volume";
        g_autoptr(GError) error = NULL;
        g_autofree char *path = clean_path(http_query(call->request, "path"));
        VolumesStream stream = { .handle = call->handle,
                                 .path = path,
                                 .cancel = http_request_cancel(call->request),
                                 .source = read_request_body,
                                 .data = (void *) call };

        if (!read_limit(call, &stream.limit) || !volume_exists(call, text) ||
            !read_encoding(call, http_header(call->request, "Content-Encoding"), &stream.encoding,
                           text))
                return;
        if (volumes_stream_in(call->volumes, &stream, &error)) {
                volumes_answer_empty(call, 204);
                return;
        }
        log_error("volumes", "stream-in-failed", error, "volume", call->handle);
        if (error_is(error, ERROR_LIMIT))
                volumes_answer_error(call, 403, error->message);
        else
                volumes_answer_error(call, error_is(error, ERROR_INVALID) ? 400 : 500, text);
}

/* The head goes out with the first bytes: until then the answer may still be an error. */
static bool write_response_body(const void *bytes, size_t length, void *data, GError **error) {
        const VolumesCall *call = data;
        if (http_answered(call->request) == 0)
                http_answer_begin(call->request, 200, "application/octet-stream");
        return http_answer_write(call->request, bytes, length, error);
}

void volumes_serve_stream_out(const VolumesCall *call) {
        static const char text[] = "failed to stream out from volume";
        g_autoptr(GError) error = NULL;
        const char *path = http_query(call->request, "path");
        VolumesStream stream = { .handle = call->handle,
                                 .path = path ? path : "",
                                 .cancel = http_request_cancel(call->request),
                                 .sink = write_response_body,
                                 .data = (void *) call };

        if (!volume_exists(call, text) ||
            !read_encoding(call, http_header(call->request, "Accept-Encoding"), &stream.encoding,
                           text))
                return;
        if (volumes_stream_out(call->volumes, &stream, &error)) {
                http_answer_end(call->request);
                return;
        }
        if (http_answered(call->request) != 0) {
                /* Upstream appends an error to the stream; a cut connection cannot be taken for a
                 * whole one by anybody. */
                log_error("volumes", "stream-out-failed", error, "volume", call->handle);
                http_answer_abort(call->request);
        } else if (error_is(error, ERROR_NOT_FOUND)) {
                volumes_answer_error(call, 404, error->message);
        } else {
                volumes_answer_failure(call, error, text);
        }
}

/* ---- from worker to worker ---- */

void volumes_serve_p2p_url(const VolumesCall *call) {
        g_autoptr(GError) error = NULL;
        g_autofree char *url = p2p_url(call->server->interface_pattern, call->server->family,
                                       http_server_port(call->server->http), &error);
        if (url)
                http_answer_text(call->request, 200, url);
        else
                volumes_answer_error(call, 500, error->message);
}

typedef struct {
        Volumes *volumes;
        P2pSpec spec;
        Mutex lock;
        Condition changed;
        bool done;
        GError *failure;
} Sending;

static void send_volume(void *data) {
        Sending *sending = data;
        g_autoptr(GError) failure = NULL;
        (void) p2p_send(sending->volumes, &sending->spec, &failure);
        MUTEX_SCOPE(&sending->lock);
        sending->done = true;
        sending->failure = g_steal_pointer(&failure);
        condition_signal(&sending->changed);
}

/* Returns true when it is over, false when it is time for a sign of life. */
static bool await_sent(Sending *sending) {
        Duration deadline = clock_monotonic() + ALIVE_INTERVAL;
        MUTEX_SCOPE(&sending->lock);
        while (!sending->done)
                if (!condition_wait_until(&sending->changed, &sending->lock, deadline))
                        return sending->done;
        return true;
}

void volumes_serve_p2p_out(const VolumesCall *call) {
        static const char missing[] = "failed to stream p2p out from volume";
        const char *encoding = http_query(call->request, "encoding");
        Sending sending = { .volumes = call->volumes,
                            .spec = { .handle = call->handle,
                                      .path = http_query(call->request, "path"),
                                      .url = http_query(call->request, "streamInURL"),
                                      .cancel = http_request_cancel(call->request) } };

        if (!sending.spec.path || !*sending.spec.path || !sending.spec.url || !*sending.spec.url ||
            !encoding || !*encoding) {
                volumes_answer_error(call, 400, missing);
                return;
        }
        if (!read_encoding(call, encoding, &sending.spec.encoding, missing))
                return;
        http_answer_begin(call->request, 200, "plain/text");
        mutex_init(&sending.lock);
        condition_init(&sending.changed);
        Thread *thread = thread_start("volume-p2p", send_volume, &sending);
        while (!await_sent(&sending))
                (void) http_answer_write(call->request, "\n", 1, NULL);
        thread_join(thread);

        g_autofree char *text = sending.failure ? g_strdup_printf("%s: %s", missing,
                                                                  sending.failure->message)
                                                : g_strdup("ok");
        (void) http_answer_write(call->request, text, strlen(text), NULL);
        http_answer_end(call->request);
        g_clear_error(&sending.failure);
        condition_destroy(&sending.changed);
        mutex_destroy(&sending.lock);
}
