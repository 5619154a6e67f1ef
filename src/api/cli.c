#include "api/handlers.h"

#include "base/files.h"
#include "http/date.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PIECE ((size_t) 64 * 1024)

/* Downloads of fly (reference 01 §20). The folder and what is in it are the operator's. */
typedef struct {
        ApiCall *call;
        bool windows;
} Wanted;

/* This machine's, as Go calls it. */
#if defined(__x86_64__)
#define OWN_ARCHITECTURE "amd64"
#elif defined(__aarch64__)
#define OWN_ARCHITECTURE "arm64"
#else
#define OWN_ARCHITECTURE ""
#endif

static bool is_word(const char *text) {
        return text && *text &&
               strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789") == strlen(text);
}

static void begin(const Wanted *wanted, int64_t length, time_t changed) {
        HttpRequest *request = wanted->call->request;
        g_autofree char *size = g_strdup_printf("%" G_GINT64_FORMAT, length);
        g_autofree char *date = http_date(changed);

        http_header_set(request, "Content-Length", size);
        http_header_set(request, "Content-Disposition",
                        wanted->windows ? "attachment; filename=fly.exe"
                                        : "attachment; filename=fly");
        if (date)
                http_header_set(request, "Last-Modified", date);
        http_answer_begin(request, 200, "application/octet-stream");
}

/* The program as it is. Returns whether there was one; then it is answered. */
static bool answer_program(const Wanted *wanted, const char *path) {
        HttpRequest *request = wanted->call->request;
        autofd fd = open(path, O_RDONLY | O_CLOEXEC);
        g_autofree char *piece = g_malloc(PIECE);
        struct stat status;
        ssize_t got;

        if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
                return false;
        begin(wanted, status.st_size, status.st_mtime);
        while ((got = read(fd, piece, PIECE)) > 0)
                if (!http_answer_write(request, piece, (size_t) got, NULL))
                        break;
        http_answer_end(request);
        return true;
}

/* Moves to the program. */
static bool find_member(struct archive *archive, const char *name, struct archive_entry **ret) {
        while (archive_read_next_header(archive, ret) == ARCHIVE_OK) {
                const char *path = archive_entry_pathname(*ret);
                if (path && g_str_equal(path + (g_str_has_prefix(path, "./") ? 2 : 0), name) &&
                    archive_entry_filetype(*ret) == AE_IFREG && archive_entry_size_is_set(*ret))
                        return true;
        }
        return false;
}

static void answer_member(const Wanted *wanted, struct archive *archive) {
        HttpRequest *request = wanted->call->request;
        g_autofree char *piece = g_malloc(PIECE);
        struct archive_entry *entry;
        ssize_t got;

        if (!find_member(archive, wanted->windows ? "fly.exe" : "fly", &entry)) {
                call_text(wanted->call, 500, "fly executable not found in archive\n");
                return;
        }
        begin(wanted, archive_entry_size(entry), archive_entry_mtime(entry));
        while ((got = archive_read_data(archive, piece, PIECE)) > 0)
                if (!http_answer_write(request, piece, (size_t) got, NULL))
                        break;
        http_answer_end(request); /* cut short, the connection is closed instead */
}

static void answer_archive(const Wanted *wanted, const char *path) {
        struct archive *archive = archive_read_new();

        archive_read_support_filter_gzip(archive);
        if (wanted->windows)
                archive_read_support_format_zip(archive);
        else
                archive_read_support_format_tar(archive);
        if (archive_read_open_filename(archive, path, PIECE) == ARCHIVE_OK)
                answer_member(wanted, archive);
        else {
                int number = archive_errno(archive);
                g_autofree char *reason = g_ascii_strdown(
                        number > 0 ? g_strerror(number) : "bad archive", -1);
                g_autofree char *text = g_strdup_printf("failed to open %s archive: open %s: %s\n",
                                                        wanted->windows ? "zip" : "tgz", path,
                                                        reason);
                call_text(wanted->call, 500, text);
        }
        archive_read_free(archive);
}

void download_cli(ApiCall *call) {
        const char *given = http_query(call->request, "platform"),
                   *arch = http_query(call->request, "arch"),
                   *folder = call->api->spec.cli_directory;
        g_autofree char *platform = given ? g_ascii_strdown(given, -1) : NULL;

        if (!is_word(platform) || !is_word(arch)) {
                call_empty(call, 400);
                return;
        }
        const Wanted wanted = { .call = call, .windows = g_str_equal(platform, "windows") };
        if (!folder) {
                bool own = call->api->spec.cli_program && g_str_equal(platform, "linux") &&
                           g_str_equal(arch, OWN_ARCHITECTURE);
                if (!own || !answer_program(&wanted, call->api->spec.cli_program))
                        call_text(call, 404, "cli downloads directory not configured\n");
                return;
        }
        g_autofree char *name = g_strdup_printf("fly-%s-%s", platform, arch);
        g_autofree char *file = g_strconcat(name, wanted.windows ? ".zip" : ".tgz", NULL);
        g_autofree char *archive = g_build_filename(folder, file, NULL);
        g_autofree char *program = g_build_filename(folder, name, NULL);
        if (!answer_program(&wanted, program))
                answer_archive(&wanted, archive);
}
