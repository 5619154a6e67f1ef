/* What the web node needs. */
#include "base/files.h"
#include "cmd/doctor.h"
#include "db/db.h"
#include "http/client.h"
#include "store/store.h"
#include "web/listen.h"
#include "web/settings.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <unistd.h>

#define YEAR_MIN 2025 /* when this was written: before is a clock that was never set */
#define CONNECT_MAX (10 * DURATION_SECOND)
#define ASK_MAX (5 * DURATION_SECOND)

/* ---- settings and keys ---- */

static void look_at_settings(const Doctor *doctor, Finding *ret) {
        g_autoptr(GError) error = NULL;

        if (settings_check(&doctor->options.web, &error))
                finding_ok(ret, "they can be");
        else
                finding_wrong(ret, "correct the setting", "%s", error->message);
}

static void look_at_keys(const Doctor *doctor, Finding *ret) {
        const WebOptions *web = &doctor->options.web;
        struct stat status;

        if (web->session_signing_key && stat(web->session_signing_key, &status) == 0 &&
            (status.st_mode & 077))
                finding_wrong(ret, "chmod 600 that file: whoever has the key can be anybody",
                              "%s can be read by others", web->session_signing_key);
        else if (!web->encryption_key)
                finding_note(ret,
                             "set --encryption-key, of 16 or 32 characters, to have them encrypted",
                             "secrets of pipelines are plain in the database");
        else
                finding_ok(ret, "what is secret in the database is encrypted");
}

/* ---- the database ---- */

static void look_at_open(const Doctor *doctor, const DbSpec *spec, Finding *ret) {
        g_autoptr(GError) error = NULL;
        Db *db = db_open(spec, &error);

        if (!db && error_is(error, ERROR_BUSY)) {
                finding_ok(ret, "in use by the web node that runs");
                return;
        }
        if (!db || !db_check_keys(db, spec, &error))
                finding_wrong(ret,
                              error_is(error, ERROR_UNSUPPORTED)
                                      ? "use the newer Weir, or restore a backup"
                              : error_is(error, ERROR_DENIED)
                                      ? "give the key that it was encrypted with, --encryption-key"
                              : spec->kind == DB_POSTGRES
                                      ? "see that PostgreSQL runs, and check --postgres-*"
                                      : "restore a backup: see docs/operations.md",
                              "%s", error->message);
        else
                finding_ok(ret, "%s, version %d",
                           spec->kind == DB_POSTGRES ? "PostgreSQL" : spec->path,
                           db_schema_version(db));
        db_close(db);
}

static void look_at_database(const Doctor *doctor, Finding *ret) {
        WebOptions web = doctor->options.web;
        bool postgres = web_options_postgres(&web);

        web.postgres_connect_timeout = MIN(MAX(web.postgres_connect_timeout, DURATION_SECOND),
                                           CONNECT_MAX);
        g_autofree char *path = g_build_filename(doctor->web_directory, STORE_DATABASE, NULL);
        g_autofree char *conninfo = postgres ? settings_conninfo(&web) : NULL;
        const DbSpec spec = { .kind = postgres ? DB_POSTGRES : DB_SQLITE,
                              .path = path,
                              .conninfo = conninfo,
                              .readers = 1,
                              .encryption_key = web.encryption_key,
                              .old_encryption_key = web.old_encryption_key,
                              .no_migrate = true };
        if (!postgres && access(path, F_OK) < 0)
                finding_ok(ret, "none yet: the first start makes it");
        else
                look_at_open(doctor, &spec, ret);
}

/* A start as another user, or a copy that lost its owners, leaves files that the web node may not use. */
static void look_at_owner(const Doctor *doctor, Finding *ret) {
        g_autofree char *path = g_build_filename(doctor->web_directory, STORE_DATABASE, NULL);
        struct stat status, above;

        if (stat(path, &status) < 0 || stat(doctor->web_directory, &above) < 0)
                finding_ok(ret, "nothing there yet");
        else if (status.st_uid != doctor->web_user || above.st_uid != doctor->web_user) {
                g_autofree char *remedy = g_strdup_printf(
                        "chown -R %u %s", (unsigned) doctor->web_user, doctor->web_directory);
                finding_wrong(ret, remedy, "%s belongs to user %u, the web node runs as user %u",
                              status.st_uid != doctor->web_user ? path : doctor->web_directory,
                              (unsigned) (status.st_uid != doctor->web_user ? status.st_uid
                                                                            : above.st_uid),
                              (unsigned) doctor->web_user);
        } else
                finding_ok(ret, "user %u", (unsigned) doctor->web_user);
}

/* ---- the rest ---- */

static bool is_weir(const char *url) {
        const HttpClientSpec spec = { .total_timeout = ASK_MAX, .no_proxy = true };
        g_autofree char *info = g_strconcat(url, "/api/v1/info", NULL);
        const HttpCall call = { .method = "GET", .url = info };
        g_autoptr(HttpClient) client = http_client_new(&spec);
        g_auto(HttpReply) reply = { 0 };

        return http_call(client, &call, NULL, &reply, NULL) && reply.status == 200 && reply.body &&
               strstr(reply.body, "\"worker_version\"");
}

static void look_at_port(const Doctor *doctor, Finding *ret) {
        const WebOptions *web = &doctor->options.web;
        g_autoptr(GError) error = NULL;
        uint16_t port;
        int fd = listen_open(web->bind_ip, web->bind_port, &port, &error);
        g_autofree char *name = listen_name(web->bind_ip, web->bind_port);
        g_autofree char *url = listen_url(web->bind_ip, (uint16_t) web->bind_port);

        fd_close(fd);
        if (fd >= 0)
                finding_ok(ret, "%s is free", name);
        else if (error_is(error, ERROR_EXISTS) && is_weir(url))
                finding_ok(ret, "%s: a Weir answers there", name);
        else
                finding_wrong(ret, "end what has it (ss -ltnp), or choose another --bind-port",
                              "%s", error->message);
}

static void look_at_clock(const Doctor *doctor, Finding *ret) {
        g_autoptr(GDateTime) now = g_date_time_new_now_utc();
        struct timex clock = { 0 };
        bool synchronised = adjtimex(&clock) != TIME_ERROR && !(clock.status & STA_UNSYNC);
        g_autofree char *text = g_date_time_format(now, "%Y-%m-%d %H:%M:%S UTC");

        if (g_date_time_get_year(now) < YEAR_MIN)
                finding_wrong(ret, "set it: tokens and certificates would be from the future", "%s",
                              text);
        else if (!synchronised)
                finding_note(ret, "run chrony or systemd-timesyncd",
                             "%s, and nothing keeps it right", text);
        else
                finding_ok(ret, "%s, synchronised", text);
}

const Examination doctor_node[] = {
        { "settings", look_at_settings },
        { "keys", look_at_keys },
        { "database", look_at_database },
        { "files' owner", look_at_owner },
        { "port", look_at_port },
        { "clock", look_at_clock },
        { 0 },
};
