/* sync: this program becomes the one that the server has (reference 02 §5.7) */
#include "fly/api.h"
#include "fly/commands.h"

#include "base/files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#define CERTIFICATE_MAX ((size_t) 4 * 1024 * 1024)

typedef struct {
        Globals globals;
        bool force;
        char *url;
        bool insecure;
        char *ca_cert, *client_cert, *client_key;
} SyncOptions;

static const Option sync_options[] = {
        OPT(SyncOptions, force, OPTION_FLAG, 'f', "force", "Sync even if versions already match."),
        OPT(SyncOptions, url, OPTION_STRING, 'c', "concourse-url", "Concourse URL to sync with"),
        OPT(SyncOptions, insecure, OPTION_FLAG, 'k', "insecure",
            "Skip verification of the endpoint's SSL certificate"),
        OPT(SyncOptions, ca_cert, OPTION_STRING, 0, "ca-cert",
            "Path to Concourse PEM-encoded CA certificate file."),
        OPT(SyncOptions, client_cert, OPTION_STRING, 0, "client-cert",
            "Path to a PEM-encoded client certificate file."),
        OPT(SyncOptions, client_key, OPTION_STRING, 0, "client-key",
            "Path to a PEM-encoded client key file."),
        OPT_END,
};

/* ---- whom to ask ---- */

/* A target of the flags alone, that nobody saves. Returns new. */
static Target *unnamed_target(const SyncOptions *options, GError **error) {
        g_autoptr(Target) target = target_new("");
        g_autofree char *pem = options->ca_cert && *options->ca_cert
                                       ? file_read(options->ca_cert, CERTIFICATE_MAX, NULL, error)
                                       : g_strdup("");

        if (!pem)
                return NULL;
        target_set(&target->api, options->url);
        for (size_t end = strlen(target->api); end > 0 && target->api[end - 1] == '/'; end--)
                target->api[end - 1] = '\0';
        target->insecure = options->insecure;
        target_set(&target->ca_cert, pem);
        if (options->client_cert)
                target_set(&target->client_cert_path, options->client_cert);
        if (options->client_key)
                target_set(&target->client_key_path, options->client_key);
        return g_steal_pointer(&target);
}

/* ---- the new program ---- */

typedef struct {
        char *path;     /* of this program */
        char *new_path; /* beside it, until it is whole */
        int fd;
        bool shows; /* progress, to a person */
        uint64_t length, expected;
} Download;

static void download_clear(Download *download) {
        fd_close(download->fd);
        if (download->new_path)
                unlink(download->new_path);
        g_free(download->path);
        g_free(download->new_path);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Download, download_clear)

static bool failed(const char *what, GError **error) {
        return fly_fail_plain(error, "%s: %s", what, g_strerror(errno));
}

static bool open_beside(Download *download, GError **error) {
        char path[PATH_MAX];
        ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);

        if (length < 0)
                return failed("update failed", error);
        path[length] = '\0';
        download->path = g_strdup(path);
        g_autofree char *folder = g_path_get_dirname(path);
        if (access(folder, W_OK) < 0)
                return fly_fail_plain(error, "update failed: open %s: %s", folder,
                                      errno == EACCES ? "permission denied" : g_strerror(errno));
        download->new_path = g_strconcat(path, ".new", NULL);
        download->fd = open(download->new_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
        return download->fd >= 0 || failed("update failed", error);
}

static bool on_head(const HttpReply *reply, void *data, GError **error) {
        Download *download = data;
        const char *length = http_reply_header(reply, "Content-Length");

        if (reply->status != 200)
                return true;
        char *end = NULL;
        download->expected = length ? g_ascii_strtoull(length, &end, 10) : 0;
        if (!length || !*length || *end)
                printf("warning: failed to parse Content-Length: strconv.ParseInt: parsing \"%s\": "
                       "invalid syntax\n",
                       length ? length : "");
        return true;
}

static bool on_bytes(const void *bytes, size_t length, void *data, GError **error) {
        Download *download = data;

        download->length += length;
        if (download->shows && download->expected > 0) {
                printf("\r%3u %%",
                       (unsigned) MIN(download->length * 100 / download->expected, (uint64_t) 100));
                fflush(stdout);
        }
        return write_all(download->fd, bytes, length, error);
}

/* As Go names them. */
static const char *architecture(const char *machine) {
        static const char *const names[][2] = {
                { "x86_64", "amd64" },    { "aarch64", "arm64" }, { "armv7l", "arm" },
                { "ppc64le", "ppc64le" }, { "s390x", "s390x" },   { "riscv64", "riscv64" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
                if (g_str_equal(names[i][0], machine))
                        return names[i][1];
        return machine;
}

static bool fetch(Fly *fly, Download *download, GError **error) {
        struct utsname system;

        uname(&system);
        g_autofree char *platform = g_ascii_strdown(system.sysname, -1);
        g_autofree char *path = g_strdup_printf("/api/v1/cli?arch=%s&platform=%s",
                                                architecture(system.machine), platform);
        const ApiCall call = { .path = path, .head = on_head, .sink = on_bytes, .data = download };
        bool good = api_call(fly, &call, NULL, error);

        if (download->shows && download->length > 0)
                putchar('\n');
        return good;
}

/* The mode stays; who runs the old one keeps it until it ends. */
static bool replace(Download *download, GError **error) {
        struct stat status;

        if (stat(download->path, &status) < 0 || fchmod(download->fd, status.st_mode & 07777) < 0 ||
            fsync(download->fd) < 0 || rename(download->new_path, download->path) < 0)
                return failed("failed to apply update", error);
        g_clear_pointer(&download->new_path, g_free);
        return true;
}

static bool update(Fly *fly, GError **error) {
        g_auto(Download) download = { .fd = -1, .shows = fly->terminal };

        if (!open_beside(&download, error))
                return false;
        printf("downloading fly from %s...\n\n", fly->target->api);
        if (!fetch(fly, &download, error))
                return false;
        if (download.length == 0)
                return fly_fail_plain(error, "failed to apply update: the server sent nothing");
        if (!replace(&download, error))
                return false;
        puts("done");
        return true;
}

static bool sync_run(Fly *fly, const void *data, const GPtrArray *arguments, GError **error) {
        const SyncOptions *options = data;
        g_autoptr(Target) unnamed = NULL;

        if (fly->target_name || !options->url) {
                if (!fly_load(fly, error))
                        return false;
        } else {
                if (!(unnamed = unnamed_target(options, error)))
                        return false;
                fly->target = unnamed;
                if (!fly_connect(fly, error))
                        return false;
        }
        g_autoptr(Value) info = api_get(fly, "/api/v1/info", error);
        if (!info)
                return false;
        const char *version = value_get_string(info, "version", "");
        if (!options->force && g_str_equal(version, fly_version())) {
                printf("version %s already matches; skipping\n", version);
                return true;
        }
        return update(fly, error);
}

const Command command_sync = {
        .name = "sync",
        .aliases = { "s" },
        .summary = "Download and replace the current fly from the target",
        .options = sync_options,
        .size = sizeof(SyncOptions),
        .run = sync_run,
};
