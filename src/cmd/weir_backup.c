/* weir-backup: copies what a web node keeps while it runs. */
#include "base/files.h"
#include "base/json.h"
#include "base/log.h"
#include "base/options.h"
#include "cmd/stop_signals.h"
#include "store/backup.h"
#include "store/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MANIFEST "backup.json"
/* What quickstart keeps beside the web node's folder. */
#define QUICKSTART_WEB "web"
#define QUICKSTART_ADMIN "admin"

typedef struct {
        char *work_dir, *to;
        char *postgres_host, *postgres_socket, *postgres_user, *postgres_database;
        int64_t postgres_port;
} Options;

#define FIELD(field) offsetof(Options, field)

static const Option options_table[] = {
        { .name = "work-dir",
          .kind = OPTION_STRING,
          .offset = FIELD(work_dir),
          .standard = "/var/lib/weir",
          .help = "Work directory of the quickstart or web node that is to be copied." },
        { .name = "to",
          .kind = OPTION_STRING,
          .offset = FIELD(to),
          .required = true,
          .value_name = "DIRECTORY",
          .environment = "",
          .help = "Directory to make: a work directory to start from. Must not exist." },
        { .name = "postgres-host",
          .kind = OPTION_STRING,
          .offset = FIELD(postgres_host),
          .hidden = true },
        { .name = "postgres-socket",
          .kind = OPTION_STRING,
          .offset = FIELD(postgres_socket),
          .hidden = true },
        { .name = "postgres-user",
          .kind = OPTION_STRING,
          .offset = FIELD(postgres_user),
          .hidden = true },
        { .name = "postgres-database",
          .kind = OPTION_STRING,
          .offset = FIELD(postgres_database),
          .hidden = true },
        { .name = "postgres-port",
          .kind = OPTION_INT,
          .offset = FIELD(postgres_port),
          .standard = "5432",
          .hidden = true },
        { 0 },
};

static const OptionTable table = {
        .program = "weir backup",
        .summary = "Copy what a web node keeps, while it runs.",
        .options = options_table,
};

/* ---- PostgreSQL's is PostgreSQL's business ---- */

static bool refuse_postgres(const Options *options, GError **error) {
        const char *host = options->postgres_socket ? options->postgres_socket
                                                    : options->postgres_host;
        if (!host && !options->postgres_user && !options->postgres_database)
                return true;
        g_set_error(
                error, ERROR, ERROR_UNSUPPORTED,
                "this web node keeps everything in PostgreSQL, build logs too: copy that instead, "
                "for example with\n  pg_dump --format=custom --file=weir.dump --host=%s --port=%d "
                "--username=%s %s",
                host ? host : "127.0.0.1", (int) options->postgres_port,
                options->postgres_user ? options->postgres_user : "weir",
                options->postgres_database ? options->postgres_database : "atc");
        return false;
}

/* ---- copying ---- */

typedef struct {
        char *work_dir, *to, *partial;
        bool quickstart; /* the web node's folder is one below */
        Time begun;
        StoreBackupReport report;
} Backup;

static bool has_database(const char *directory, const char *below) {
        g_autofree char *path = g_build_filename(directory, below, STORE_DATABASE, NULL);
        return access(path, F_OK) == 0;
}

static bool look_around(Backup *backup, GError **error) {
        if (access(backup->work_dir, R_OK | X_OK) < 0) {
                error_set_errno(error, errno, "work directory %s", backup->work_dir);
                return false;
        }
        backup->quickstart = !has_database(backup->work_dir, ".") &&
                             has_database(backup->work_dir, QUICKSTART_WEB);
        if (!backup->quickstart && !has_database(backup->work_dir, ".")) {
                g_set_error(error, ERROR, ERROR_NOT_FOUND,
                            "work directory %s: there is no " STORE_DATABASE
                            " to copy, here or in " QUICKSTART_WEB "/",
                            backup->work_dir);
                return false;
        }
        if (access(backup->to, F_OK) == 0) {
                g_set_error(error, ERROR, ERROR_EXISTS, "%s exists already", backup->to);
                return false;
        }
        return true;
}

/* What an interrupted copy left is in the way of the next. */
static bool make_partial(const Backup *backup, GError **error) {
        struct stat status;
        if (!directory_remove(backup->partial, error))
                return false;
        if (!backup->quickstart)
                return true;
        if (mkdir(backup->partial, 0711) == 0 && stat(backup->work_dir, &status) == 0 &&
            chmod(backup->partial, status.st_mode & 07777) == 0)
                return true;
        error_set_errno(error, errno, "make directory %s", backup->partial);
        return false;
}

static bool copy_admin(const Backup *backup, GError **error) {
        g_autofree char *from = g_build_filename(backup->work_dir, QUICKSTART_ADMIN, NULL);
        g_autofree char *to = g_build_filename(backup->partial, QUICKSTART_ADMIN, NULL);
        int64_t bytes;
        return access(from, F_OK) < 0 || file_copy(from, to, &bytes, error);
}

static bool write_manifest(const Backup *backup, GError **error) {
        const StoreBackupReport *report = &backup->report;
        g_autofree char *path = g_build_filename(backup->partial, MANIFEST, NULL);
        g_autoptr(Value) manifest = value_map();
        value_map_set_string(manifest, "weir", WEIR_VERSION);
        value_map_set_string(manifest, "work_dir", backup->work_dir);
        value_map_set_int(manifest, "database_version", report->version);
        value_map_set_int(manifest, "begun", time_seconds(backup->begun));
        value_map_set_int(manifest, "ended", time_seconds(clock_now()));
        value_map_set_int(manifest, "builds", report->builds);
        value_map_set_int(manifest, "logs", report->logs);
        value_map_set_int(manifest, "bytes", report->bytes);
        size_t length;
        g_autofree char *text = json_write(manifest, JSON_COMPACT, &length);
        text[length] = '\n'; /* instead of the NUL */
        return file_write(path, text, length + 1, 0600, error);
}

/* Under its own name only when it is whole and on the disk. */
static bool put_in_place(const Backup *backup, GError **error) {
        g_autofree char *parent = g_path_get_dirname(backup->to);
        if (!disk_sync(backup->partial, error))
                return false;
        if (rename(backup->partial, backup->to) < 0) {
                error_set_errno(error, errno, "rename %s", backup->partial);
                return false;
        }
        return disk_sync(parent, error);
}

static bool copy(Backup *backup, Cancel *cancel, GError **error) {
        g_autofree char *web = backup->quickstart
                                       ? g_build_filename(backup->work_dir, QUICKSTART_WEB, NULL)
                                       : g_strdup(backup->work_dir);
        g_autofree char *to_web = backup->quickstart
                                          ? g_build_filename(backup->partial, QUICKSTART_WEB, NULL)
                                          : g_strdup(backup->partial);
        const StoreBackup spec = { .from = web, .to = to_web };
        if (!make_partial(backup, error))
                return false;
        if (store_backup(&spec, cancel, &backup->report, error) &&
            (!backup->quickstart || copy_admin(backup, error)) && write_manifest(backup, error) &&
            put_in_place(backup, error))
                return true;
        directory_remove(backup->partial, NULL);
        return false;
}

static void say_done(const Backup *backup) {
        const StoreBackupReport *report = &backup->report;
        g_autofree char *size = g_format_size((guint64) report->bytes);
        printf("%s: %" G_GINT64_FORMAT " builds, %" G_GINT64_FORMAT
               " of them with a log, %s, database version %d\n",
               backup->to, report->builds, report->logs, size, report->version);
        printf("to restore: stop the server, move %s aside, cp -a %s %s, start the server\n",
               backup->work_dir, backup->to, backup->work_dir);
}

static bool run(const Options *options, Cancel *cancel, GError **error) {
        g_autofree char *work_dir = g_canonicalize_filename(options->work_dir, NULL);
        g_autofree char *to = g_canonicalize_filename(options->to, NULL);
        g_autofree char *partial = g_strconcat(to, ".partial", NULL);
        Backup backup = {
                .work_dir = work_dir, .to = to, .partial = partial, .begun = clock_now()
        };
        if (!refuse_postgres(options, error) || !look_around(&backup, error) ||
            !copy(&backup, cancel, error))
                return false;
        say_done(&backup);
        return true;
}

int main(int argc, char **argv) {
        Options options = { 0 };
        g_autoptr(GError) error = NULL;

        stop_signals_block();
        if (!options_parse(&table, argc, argv, &options, NULL, &error)) {
                bool help = error_is(error, ERROR_EXISTS);
                g_autofree char *text = help ? options_help(&table) : g_strdup(error->message);
                fprintf(help ? stdout : stderr, "%s%s\n", help ? "" : "error: ", text);
                options_clear(&table, &options);
                return help ? EXIT_SUCCESS : EXIT_FAILURE;
        }
        log_open("backup", LOG_ERROR, STDERR_FILENO);
        StopSignals *signals = stop_signals_new();
        bool done = run(&options, stop_signals_cancel(signals), &error);
        if (!done)
                fprintf(stderr, "error: %s\n", error->message);
        stop_signals_free(signals);
        options_clear(&table, &options);
        return done ? EXIT_SUCCESS : EXIT_FAILURE;
}
