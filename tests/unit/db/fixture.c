#include "fixture.h"

#include "base/fault.h"
#include "base/files.h"

#include <fcntl.h>
#include <libpq-fe.h>
#include <string.h>
#include <unistd.h>

#define SKIP_STATUS 77
#define LINE_MAX_BYTES 512

/* ---- the server: started by the first test that needs it, stopped when our end of its input is
 * closed by our end ---- */

static struct {
        char *conninfo; /* NULL: not there */
        bool tried;
        bool absent; /* not installed */
        int schemas; /* a database each would cost half a second */
} server;

static void read_line(int fd, char *ret, size_t size) {
        size_t length = 0;
        while (length < size - 1 && read(fd, ret + length, 1) == 1 && ret[length] != '\n')
                length++;
        ret[length] = '\0';
}

static void server_start(void) {
        int input[2], output[2], pidfd, status;
        pid_t pid;
        char line[LINE_MAX_BYTES];
        g_assert_cmpint(pipe2(input, O_CLOEXEC), ==, 0);
        g_assert_cmpint(pipe2(output, O_CLOEXEC), ==, 0);
        ChildSpec spec = { .argv = (const char *const[]){ POSTGRES_SCRIPT, NULL },
                           .input = input[0],
                           .output = output[1],
                           .error = STDERR_FILENO };
        g_autoptr(GError) error = NULL;
        child_start(&spec, &pid, &pidfd, &error);
        g_assert_no_error(error);
        close(input[0]); /* input[1] stays open as long as we live */
        close(output[1]);
        read_line(output[0], line, sizeof(line));
        close(output[0]);
        if (*line)
                server.conninfo = g_strdup(line);
        else if (child_wait(pid, pidfd, NULL, &status, NULL))
                server.absent = status == SKIP_STATUS;
        close(pidfd);
}

static void server_do(const char *conninfo, const char *sql) {
        PGconn *connection = PQconnectdb(conninfo);
        PGresult *result = PQexec(connection, sql);
        ExecStatusType status = PQresultStatus(result);
        if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
                g_error("%s: %s", sql, PQerrorMessage(connection));
        PQclear(result);
        PQfinish(connection);
}

/* ---- fixtures ---- */

static bool fixture_init(Fixture *fixture, DbKind kind) {
        *fixture = (Fixture){ .kind = kind };
        if (kind == DB_POSTGRES && !server.tried) {
                server.tried = true;
                server_start();
        }
        if (kind == DB_POSTGRES && server.absent) {
                g_test_skip("PostgreSQL is not installed");
                return false;
        }
        fixture->folder = g_dir_make_tmp("weir-db-XXXXXX", NULL);
        fixture->path = g_build_filename(fixture->folder, "weir.db", NULL);
        if (kind == DB_POSTGRES) {
                g_assert_nonnull(server.conninfo);
                int number = ++server.schemas;
                g_autofree char *sql = g_strdup_printf("CREATE SCHEMA test%d", number);
                server_do(server.conninfo, sql);
                fixture->conninfo = g_strdup_printf("%s options='-c search_path=test%d'",
                                                    server.conninfo, number);
        }
        fixture->spec = (DbSpec){ .kind = kind,
                                  .path = fixture->path,
                                  .conninfo = fixture->conninfo };
        return true;
}

static void fixture_clear(Fixture *fixture) {
        fixture_close(fixture);
        g_autoptr(GError) error = NULL;
        directory_remove(fixture->folder, &error);
        g_assert_no_error(error);
        g_free(fixture->folder);
        g_free(fixture->path);
        g_free(fixture->conninfo);
}

typedef struct {
        DbKind kind;
        FixtureFn fn;
} Registered;

static void run(const void *data) {
        const Registered *registered = data;
        Fixture fixture;
        if (!fixture_init(&fixture, registered->kind))
                return;
        registered->fn(&fixture);
        fixture_clear(&fixture);
        fault_set(NULL);
}

void fixture_add_one(const char *path, DbKind kind, FixtureFn fn) {
        Registered *registered = g_new0(Registered, 1);
        *registered = (Registered){ kind, fn };
        g_autofree char *full = g_strdup_printf("%s/%s", path,
                                                kind == DB_SQLITE ? "sqlite" : "postgres");
        g_test_add_data_func_full(full, registered, run, g_free);
}

void fixture_add(const char *path, FixtureFn fn) {
        fixture_add_one(path, DB_SQLITE, fn);
        fixture_add_one(path, DB_POSTGRES, fn);
}

void fixture_close(Fixture *fixture) {
        g_clear_pointer(&fixture->db, db_close);
}

void fixture_open(Fixture *fixture) {
        g_autoptr(GError) error = NULL;
        fixture_close(fixture);
        fixture->db = db_open(&fixture->spec, &error);
        g_assert_no_error(error);
        g_assert_nonnull(fixture->db);
}

void fixture_open_fails(Fixture *fixture, ErrorCode code, const char *pattern) {
        g_autoptr(GError) error = NULL;
        fixture_close(fixture);
        g_assert_null(db_open(&fixture->spec, &error));
        g_assert_error(error, ERROR, (int) code);
        if (!g_pattern_match_simple(pattern, error->message))
                g_error("'%s' does not match '%s'", error->message, pattern);
}

static bool do_statement(DbTx *tx, void *data, GError **error) {
        return db_exec(tx, error, data);
}

void fixture_do(Fixture *fixture, const char *sql) {
        g_autoptr(GError) error = NULL;
        db_write(fixture->db, do_statement, (void *) sql, &error);
        g_assert_no_error(error);
}

typedef struct {
        const char *sql;
        int64_t value;
} Question;

static bool ask(DbTx *tx, void *data, GError **error) {
        Question *question = data;
        return db_query_int(tx, -1, &question->value, error, question->sql);
}

int64_t fixture_int(Fixture *fixture, const char *sql) {
        g_autoptr(GError) error = NULL;
        Question question = { sql, 0 };
        db_read(fixture->db, ask, &question, &error);
        g_assert_no_error(error);
        return question.value;
}

/* ---- a second process ---- */

#define SECOND "--second-process"

int fixture_die(Fixture *fixture, const char *fault) {
        g_autofree char *setting = g_strconcat("WEIR_FAULT=", fault, NULL);
        bool sqlite = fixture->kind == DB_SQLITE;
        ChildSpec spec = {
                .argv = (const char *const[]){ "/proc/self/exe", SECOND, sqlite ? "0" : "1",
                                               sqlite ? fixture->path : fixture->conninfo,
                                               fixture->spec.encryption_key
                                                       ? fixture->spec.encryption_key
                                                       : "",
                                               fixture->spec.old_encryption_key
                                                       ? fixture->spec.old_encryption_key
                                                       : "",
                                               NULL },
                .env = (const char *const[]){ setting, "PATH=/usr/bin:/bin", NULL },
                .input = -1,
        };
        g_auto(ChildResult) result = { 0 };
        g_autoptr(GError) error = NULL;
        child_run(&spec, NULL, 0, 1 << 16, NULL, &result, &error);
        g_assert_no_error(error);
        if (*result.error)
                g_test_message("%s", result.error);
        return result.status;
}

static int second_main(char **argv, const DbSchema *schema, DbFn write) {
        g_autoptr(GError) error = NULL;
        DbSpec spec = { .kind = (DbKind) atoi(argv[2]),
                        .path = argv[3],
                        .conninfo = argv[3],
                        .encryption_key = argv[4],
                        .old_encryption_key = argv[5],
                        .schema = schema };
        g_autoptr(Db) db = db_open(&spec, &error);
        if (db && db_write(db, write, NULL, &error))
                return 0;
        g_printerr("%s\n", error->message);
        return 1;
}

int fixture_main(int argc, char **argv, void (*add)(void), const DbSchema *schema, DbFn write) {
        if (argc == 6 && g_str_equal(argv[1], SECOND))
                return second_main(argv, schema, write);
        g_test_init(&argc, &argv, NULL);
        add();
        int status = g_test_run();
        g_clear_pointer(&server.conninfo, g_free);
        return status;
}
