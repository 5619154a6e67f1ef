#include "fixture.h"

#include "base/fault.h"
#include "base/thread.h"

#include <stdatomic.h>
#include <string.h>

static const DbMigration migrations[] = {
        { "things",
          "CREATE TABLE things (id {{id}}, name {{text}} NOT NULL UNIQUE, size BIGINT,\n"
          "  ratio DOUBLE PRECISION, hidden BOOLEAN NOT NULL DEFAULT FALSE, data {{bytes}});\n"
          "CREATE TABLE parts (id {{id}}, thing_id BIGINT NOT NULL REFERENCES things (id)\n"
          "  ON DELETE CASCADE, name {{text}} CHECK (name <> 'bad')); -- comment; with semicolon\n"
          "{{sqlite}}CREATE TABLE only_sqlite (id BIGINT);{{end}}\n"
          "{{postgres}}CREATE TABLE only_postgres (id BIGINT);{{end}}\n"
          "INSERT INTO things (name, size) VALUES ('counter', 0);" },
};
static const DbSchema schema = { migrations, G_N_ELEMENTS(migrations), NULL, 0 };

static void open_things(Fixture *fixture) {
        fixture->spec.schema = &schema;
        fixture_open(fixture);
}

static void write_ok(Fixture *fixture, DbFn fn, void *data) {
        g_autoptr(GError) error = NULL;
        db_write(fixture->db, fn, data, &error);
        g_assert_no_error(error);
}

static void read_ok(Fixture *fixture, DbFn fn, void *data) {
        g_autoptr(GError) error = NULL;
        db_read(fixture->db, fn, data, &error);
        g_assert_no_error(error);
}

/* ---- values ---- */

static bool values_go_round_in(DbTx *tx, void *data, GError **error) {
        static const int64_t integers[] = { 0, 1, -1, 1LL << 40, INT64_MAX, INT64_MIN };
        static const char *const texts[] = { "", "a", "quote ' and \" and \\",
                                             "gr\u00fc\u00df \u6f22 \U0001F600" };
        static const double numbers[] = { 0, -1.5, 0.1, 1e300 };
        for (size_t i = 0; i < G_N_ELEMENTS(integers); i++) {
                g_autoptr(DbRows) rows = db_query(tx, error, "SELECT $1, $2, $3, $4, $5, $1 + 0",
                                                  DB_INT(integers[i]), DB_TEXT(texts[i % 4]),
                                                  DB_DOUBLE(numbers[i % 4]), DB_BOOL(i % 2),
                                                  DB_BYTES("\0\xff\0", i % 4));
                if (!rows)
                        return false;
                size_t length = 99;
                g_assert_true(db_next(rows));
                g_assert_cmpint(db_int(rows, 0), ==, integers[i]);
                g_assert_cmpint(db_int(rows, 5), ==, integers[i]);
                g_assert_cmpstr(db_text(rows, 1), ==, texts[i % 4]);
                g_assert_true(db_double(rows, 2) == numbers[i % 4]);
                g_assert_cmpint(db_bool(rows, 3), ==, i % 2);
                const void *bytes = db_bytes(rows, 4, &length);
                g_assert_cmpmem(bytes, length, "\0\xff\0", i % 4);
                g_assert_false(db_next(rows));
                if (!db_done(rows, error))
                        return false;
        }
        return true;
}

static bool nulls_go_round_in(DbTx *tx, void *data, GError **error) {
        g_autoptr(DbRows) rows = db_query(
                tx, error, "SELECT $1, $2, $3, CASE WHEN $1 IS NULL AND $2 IS NULL THEN 1 END",
                DB_TEXT(NULL), DB_INT_OR_NULL(0), DB_INT_OR_NULL(7));
        if (!rows)
                return false;
        size_t length = 99;
        g_assert_true(db_next(rows));
        for (int column = 0; column < 2; column++) {
                g_assert_true(db_is_null(rows, column));
                g_assert_null(db_text(rows, column));
                g_assert_null(db_bytes(rows, column, &length));
                g_assert_cmpint(length, ==, 0);
                g_assert_cmpint(db_int(rows, column), ==, 0);
                g_assert_false(db_bool(rows, column));
        }
        g_assert_cmpint(db_int(rows, 2), ==, 7);
        g_assert_cmpint(db_int(rows, 3), ==, 1);
        return db_done(rows, error);
}

static void values_come_back_as_they_went(Fixture *fixture) {
        open_things(fixture);
        write_ok(fixture, values_go_round_in, NULL);
        read_ok(fixture, values_go_round_in, NULL);
        read_ok(fixture, nulls_go_round_in, NULL);
}

static bool conventions_in(DbTx *tx, void *data, GError **error) {
        static const char *const names[] = { "b", "B", "a", "_", "A", "\u00e4" };
        int64_t id = 0, changed = 0, count = 0;
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
                if (!db_query_int(tx, 0, &id, error,
                                  "INSERT INTO things (name, size) VALUES ($1, $2) "
                                  "ON CONFLICT (name) DO UPDATE SET size = things.size + "
                                  "excluded.size RETURNING id",
                                  DB_TEXT(names[i]), DB_INT(i)))
                        return false;
        g_assert_cmpint(id, ==, 7);
        if (!db_exec_count(
                    tx, &changed, error,
                    "UPDATE things SET hidden = TRUE, ratio = $2 WHERE size >= $1 AND size + $1 > 0",
                    DB_INT(4), DB_DOUBLE(0.5)))
                return false;
        g_assert_cmpint(changed, ==, 2);
        if (!db_query_int(tx, -1, &count, error,
                          "SELECT count(*) FROM things WHERE NOT hidden AND ratio IS NOT DISTINCT "
                          "FROM NULL AND (size, name) > ($1, $2)",
                          DB_INT(0), DB_TEXT("b")))
                return false;
        g_assert_cmpint(count, ==, 4);
        if (!db_query_int(tx, -1, &count, error, "SELECT id FROM things WHERE name = 'nobody'"))
                return false;
        g_assert_cmpint(count, ==, -1);

        g_autoptr(GString) order = g_string_new(NULL);
        g_autoptr(DbRows) rows = db_query(tx, error, "SELECT name FROM things ORDER BY name");
        while (rows && db_next(rows))
                g_string_append(order, db_text(rows, 0));
        g_assert_cmpstr(order->str, ==, "AB_abcounter\u00e4");
        return rows && db_done(rows, error);
}

static void one_text_means_the_same_on_both(Fixture *fixture) {
        open_things(fixture);
        write_ok(fixture, conventions_in, NULL);
        g_assert_cmpint(fixture_int(fixture, fixture->kind == DB_SQLITE
                                                     ? "SELECT count(*) FROM only_sqlite"
                                                     : "SELECT count(*) FROM only_postgres"),
                        ==, 0);
}

static bool delete_and_insert(DbTx *tx, void *data, GError **error) {
        return db_exec(tx, error, "DELETE FROM things") &&
               db_query_int(tx, 0, data, error,
                            "INSERT INTO things (name) VALUES ('new') RETURNING id");
}

static void ids_are_never_used_again(Fixture *fixture) {
        int64_t id = 0;
        open_things(fixture);
        write_ok(fixture, delete_and_insert, &id);
        g_assert_cmpint(id, ==, 2);
        write_ok(fixture, delete_and_insert, &id);
        g_assert_cmpint(id, ==, 3);
}

static bool nested_in(DbTx *tx, void *data, GError **error) {
        static const char sql[] = "SELECT id FROM things WHERE id <= $1 ORDER BY id";
        g_autoptr(DbRows) outer = db_query(tx, error, sql, DB_INT(3));
        g_autofree char *short_lived = g_strdup("counter");
        g_autoptr(DbRows) other = db_query(tx, error, "SELECT name FROM things WHERE name = $1",
                                           DB_TEXT(short_lived));
        memset(short_lived, 'x', strlen(short_lived));
        int64_t pairs = 0;
        while (db_next(outer)) {
                g_autoptr(DbRows) inner = db_query(tx, error, sql, DB_INT(db_int(outer, 0)));
                while (db_next(inner))
                        pairs++;
                if (!db_done(inner, error))
                        return false;
        }
        g_assert_cmpint(pairs, ==, 6);
        g_assert_true(db_next(other));
        g_assert_cmpstr(db_text(other, 0), ==, "counter");
        return db_done(outer, error);
}

static void results_may_be_open_inside_each_other(Fixture *fixture) {
        open_things(fixture);
        fixture_do(fixture, "INSERT INTO things (name) VALUES ('two'), ('three')");
        read_ok(fixture, nested_in, NULL);
}

static bool many_statements(DbTx *tx, void *data, GError **error) {
        for (int i = 0; i < 600; i++) {
                g_autofree char *sql = g_strdup_printf("SELECT $1 + %d", i);
                int64_t value = 0;
                if (!db_query_int(tx, 0, &value, error, sql, DB_INT(1)))
                        return false;
                g_assert_cmpint(value, ==, i + 1);
        }
        return true;
}

static void statements_are_not_kept_without_end(Fixture *fixture) {
        open_things(fixture);
        read_ok(fixture, many_statements, NULL);
        write_ok(fixture, many_statements, NULL);
}

static bool json_in(DbTx *tx, void *data, GError **error) {
        g_autoptr(DbRows) rows = db_query(tx, error, "SELECT $1, $2, $3", DB_TEXT("{\"a\":[1.10]}"),
                                          DB_TEXT("{broken"), DB_TEXT(NULL));
        g_assert_true(rows && db_next(rows));
        g_autoptr(Value) good = db_json(rows, 0), broken = db_json(rows, 1),
                         null = db_json(rows, 2);
        g_assert_cmpstr(value_text(value_at(value_get(good, "a"), 0)), ==, "1.10");
        g_assert_true(value_is_null(broken));
        g_assert_true(value_is_null(null));
        return db_done(rows, error);
}

static bool now_in(DbTx *tx, void *data, GError **error) {
        return db_now(tx, data, error);
}

static void json_and_the_clock_can_be_read(Fixture *fixture) {
        open_things(fixture);
        read_ok(fixture, json_in, NULL);
        int64_t now = 0, later = 0;
        read_ok(fixture, now_in, &now);
        g_assert_cmpint(ABS(now - clock_now()), <, 60 * 1000000LL);
        clock_shift(DURATION_HOUR);
        read_ok(fixture, now_in, &later);
        clock_shift(-DURATION_HOUR);
        g_assert_cmpint(later - now, >=, 3600 * 1000000LL);
}

/* ---- errors ---- */

typedef struct {
        const char *sql;
        ErrorCode code;
} Mistake;

static const Mistake mistakes[] = {
        { "INSERT INTO things (name) VALUES ('counter')", ERROR_EXISTS },
        { "INSERT INTO things (id, name) VALUES (1, 'x')", ERROR_EXISTS },
        { "INSERT INTO things (name) VALUES (NULL)", ERROR_INVALID },
        { "INSERT INTO parts (thing_id) VALUES (99)", ERROR_INVALID },
        { "INSERT INTO parts (thing_id, name) VALUES (1, 'bad')", ERROR_INVALID },
        { "INSERT INTO nowhere (name) VALUES ('x')", ERROR_INTERNAL },
        { "this is not SQL", ERROR_INTERNAL },
};

static bool make_mistake(DbTx *tx, void *data, GError **error) {
        return db_exec(tx, error, "INSERT INTO things (name) VALUES ('before')") &&
               db_exec(tx, error, data);
}

static bool query_mistake(DbTx *tx, void *data, GError **error) {
        g_autoptr(DbRows) rows = db_query(tx, error, data);
        return rows && db_done(rows, error);
}

static void mistakes_are_told_apart_and_rolled_back(Fixture *fixture) {
        open_things(fixture);
        for (size_t i = 0; i < G_N_ELEMENTS(mistakes); i++) {
                g_autoptr(GError) exec_error = NULL, query_error = NULL;
                void *sql = (void *) mistakes[i].sql;
                g_assert_false(db_write(fixture->db, make_mistake, sql, &exec_error));
                g_assert_error(exec_error, ERROR, (int) mistakes[i].code);
                g_assert_true(g_str_has_prefix(exec_error->message, "database: "));
                g_assert_false(db_write(fixture->db, query_mistake, sql, &query_error));
                g_assert_error(query_error, ERROR, (int) mistakes[i].code);
        }
        g_assert_cmpint(fixture_int(fixture, "SELECT count(*) FROM things"), ==, 1);
}

static bool go_on_after_mistake(DbTx *tx, void *data, GError **error) {
        db_exec(tx, NULL, "INSERT INTO things (name) VALUES ('counter')");
        return true;
}

static void going_on_after_an_error_is_an_error(Fixture *fixture) {
        open_things(fixture);
        g_autoptr(GError) error = NULL;
        g_assert_false(db_write(fixture->db, go_on_after_mistake, NULL, &error));
        g_assert_error(error, ERROR, ERROR_INTERNAL);
}

/* ---- transactions ---- */

typedef struct {
        Fixture *fixture;
        atomic_int calls;
        int number;
} Worker;

static bool insert_and_maybe_fail(DbTx *tx, void *data, GError **error) {
        const int *number = data;
        g_autofree char *name = g_strdup_printf("n%d", *number);
        if (!db_exec(tx, error, "INSERT INTO things (name) VALUES ($1)", DB_TEXT(name)))
                return false;
        if (*number % 5 == 0) {
                g_set_error_literal(error, ERROR, ERROR_DENIED, "no");
                return false;
        }
        return *number % 7 != 0 ||
               db_exec(tx, error, "INSERT INTO things (name) VALUES ('counter')");
}

static void insert_many(void *data) {
        Worker *worker = data;
        for (int i = 0; i < 50; i++) {
                int number = worker->number * 50 + i;
                g_autoptr(GError) error = NULL;
                bool ok = db_write(worker->fixture->db, insert_and_maybe_fail, &number, &error);
                if (number % 5 == 0)
                        g_assert_error(error, ERROR, ERROR_DENIED);
                else if (number % 7 == 0)
                        g_assert_error(error, ERROR, ERROR_EXISTS);
                else
                        g_assert_no_error(error);
                g_assert_cmpint(ok, ==, !error);
        }
}

static void run_workers(Fixture *fixture, ThreadFn fn) {
        Worker workers[8];
        Thread *threads[8];
        for (int i = 0; i < 8; i++) {
                workers[i] = (Worker){ .fixture = fixture, .number = i };
                threads[i] = thread_start("worker", fn, &workers[i]);
        }
        for (int i = 0; i < 8; i++)
                thread_join(threads[i]);
}

static void a_failing_closure_does_not_spoil_its_neighbours(Fixture *fixture) {
        open_things(fixture);
        run_workers(fixture, insert_many);
        int expect = 1;
        for (int i = 0; i < 400; i++)
                expect += i % 5 != 0 && i % 7 != 0;
        g_assert_cmpint(fixture_int(fixture, "SELECT count(*) FROM things"), ==, expect);
}

static bool increment(DbTx *tx, void *data, GError **error) {
        int64_t value = 0;
        return db_query_int(tx, 0, &value, error,
                            "SELECT size FROM things WHERE name = 'counter'") &&
               db_exec(tx, error, "UPDATE things SET size = $1 WHERE name = 'counter'",
                       DB_INT(value + 1));
}

static void increment_many(void *data) {
        Worker *worker = data;
        for (int done = 0; done < 20;) {
                g_autoptr(GError) error = NULL;
                if (db_write(worker->fixture->db, increment, NULL, &error))
                        done++;
                else
                        g_assert_error(error, ERROR, ERROR_BUSY); /* it may give up; not be wrong */
        }
}

static void no_increment_is_lost_between_threads(Fixture *fixture) {
        open_things(fixture);
        run_workers(fixture, increment_many);
        g_assert_cmpint(fixture_int(fixture, "SELECT size FROM things WHERE name = 'counter'"), ==,
                        160);
}

static bool count_calls(DbTx *tx, void *data, GError **error) {
        ++*(int *) data;
        db_notify(tx, "calls", "x");
        return db_exec(tx, error, "UPDATE things SET size = size + 1 WHERE name = 'counter'");
}

static void a_conflict_runs_the_closure_again_with_one_effect(Fixture *fixture) {
        int calls = 0;
        open_things(fixture);
        fault_set("db-retry=error@1");
        write_ok(fixture, count_calls, &calls);
        g_assert_cmpint(calls, ==, 2);
        g_assert_cmpint(fixture_int(fixture, "SELECT size FROM things WHERE name = 'counter'"), ==,
                        1);
}

static void conflicts_without_end_are_given_up(Fixture *fixture) {
        int calls = 0;
        g_autoptr(GError) error = NULL;
        open_things(fixture);
        fault_set("db-retry=error@1+");
        g_assert_false(db_write(fixture->db, count_calls, &calls, &error));
        g_assert_error(error, ERROR, ERROR_BUSY);
        g_assert_cmpint(calls, ==, 21);
        fault_set(NULL);
        g_assert_cmpint(fixture_int(fixture, "SELECT size FROM things WHERE name = 'counter'"), ==,
                        0);
}

static void insert_another(void *data) {
        fixture_do(data, "INSERT INTO things (name) VALUES ('another')");
}

static bool read_twice(DbTx *tx, void *data, GError **error) {
        int64_t before = 0, after = 0;
        if (!db_query_int(tx, 0, &before, error, "SELECT count(*) FROM things"))
                return false;
        thread_join(thread_start("writer", insert_another, data));
        if (!db_query_int(tx, 0, &after, error, "SELECT count(*) FROM things"))
                return false;
        g_assert_cmpint(before, ==, 1);
        g_assert_cmpint(after, ==, 1);
        return true;
}

static void a_reader_sees_one_state_and_does_not_stop_the_writer(Fixture *fixture) {
        open_things(fixture);
        read_ok(fixture, read_twice, fixture);
        g_assert_cmpint(fixture_int(fixture, "SELECT count(*) FROM things"), ==, 2);
}

static void read_many(void *data) {
        Worker *worker = data;
        for (int i = 0; i < 30; i++) {
                int64_t count = fixture_int(worker->fixture, "SELECT count(*) FROM things");
                g_assert_cmpint(count, >=, 1);
                if (worker->number == 0)
                        fixture_do(worker->fixture, "UPDATE things SET size = size + 1");
        }
}

static void more_readers_than_connections_take_turns(Fixture *fixture) {
        fixture->spec.readers = 2;
        open_things(fixture);
        run_workers(fixture, read_many);
}

/* ---- notifications ---- */

typedef struct {
        Mutex mutex;
        Condition changed;
        GString *heard; /* "channel=payload " */
} Ear;

static void hear(const char *channel, const char *payload, void *data) {
        Ear *ear = data;
        MUTEX_SCOPE(&ear->mutex);
        g_string_append_printf(ear->heard, "%s=%s ", channel, payload ? payload : "LOST");
        condition_broadcast(&ear->changed);
}

static void ear_init(Ear *ear, Fixture *fixture) {
        mutex_init(&ear->mutex);
        condition_init(&ear->changed);
        ear->heard = g_string_new(NULL);
        db_listen(fixture->db, hear, ear);
}

static void ear_await(Ear *ear, const char *text) {
        MUTEX_SCOPE(&ear->mutex);
        Duration deadline = clock_monotonic() + DURATION_MINUTE;
        while (!strstr(ear->heard->str, text))
                g_assert_true(condition_wait_until(&ear->changed, &ear->mutex, deadline));
}

static void ear_clear(Ear *ear) {
        g_string_free(ear->heard, true);
        mutex_destroy(&ear->mutex);
        condition_destroy(&ear->changed);
}

static bool notify_some(DbTx *tx, void *data, GError **error) {
        for (int i = 0; i < 3; i++) {
                db_notify(tx, "builds", "1");
                db_notify(tx, "builds", "2");
        }
        db_notify(tx, "jobs", NULL);
        return db_exec(tx, error, data);
}

static bool notify_end(DbTx *tx, void *data, GError **error) {
        db_notify(tx, "end", data);
        return true;
}

static void notifications_come_once_and_only_after_a_commit(Fixture *fixture) {
        Ear ear;
        open_things(fixture);
        ear_init(&ear, fixture);
        fault_set("db-retry=error@1");
        g_assert_false(db_write(fixture->db, notify_some,
                                "INSERT INTO things (name) VALUES ('counter')", NULL));
        write_ok(fixture, notify_end, "failed with\nlines ");
        write_ok(fixture, notify_some, "INSERT INTO things (name) VALUES ('x')");
        write_ok(fixture, notify_end, "");
        ear_await(&ear, "end= ");
        fixture_close(fixture);
        g_assert_cmpstr(ear.heard->str, ==,
                        "end=failed with\nlines  builds=1 builds=2 jobs= end= ");
        ear_clear(&ear);
}

static bool kill_others(DbTx *tx, void *data, GError **error) {
        int64_t count = 0;
        return db_query_int(tx, 0, &count, error,
                            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE "
                            "datname = current_database() AND pid <> pg_backend_pid()");
}

static void a_lost_connection_is_told_and_replaced(Fixture *fixture) {
        Ear ear;
        open_things(fixture);
        ear_init(&ear, fixture);
        fixture_do(fixture, "UPDATE things SET size = 5"); /* leaves an idle writer behind */
        read_ok(fixture, kill_others, NULL);
        fixture_do(fixture, "UPDATE things SET size = 6");
        ear_await(&ear, "=LOST ");
        write_ok(fixture, notify_end, "again");
        ear_await(&ear, "end=again ");
        fixture_close(fixture);
        ear_clear(&ear);
}

typedef struct {
        Fixture *fixture;
        bool goes_on; /* with a statement; else straight to the commit */
        int calls;
} Still;

static void add_ten(void *data) {
        fixture_do(data, "UPDATE things SET size = size + 10 WHERE name = 'counter'");
}

/* The other gets at the row only once this transaction has lost it. */
static bool stand_still(DbTx *tx, void *data, GError **error) {
        Still *still = data;
        bool first = ++still->calls == 1;
        if (!db_exec(tx, error, "UPDATE things SET size = size + 1 WHERE name = 'counter'"))
                return false;
        if (first)
                thread_join(thread_start("other", add_ten, still->fixture));
        return !first || !still->goes_on ||
               db_exec(tx, error, "INSERT INTO things (name) VALUES ('another')");
}

static void what_stands_still_lets_go_and_is_run_again(Fixture *fixture) {
        fixture->spec.standstill = 200 * DURATION_MILLISECOND;
        open_things(fixture);
        for (int goes_on = 0; goes_on < 2; goes_on++) {
                fixture_do(fixture, "UPDATE things SET size = 0");
                Still still = { .fixture = fixture, .goes_on = goes_on };
                write_ok(fixture, stand_still, &still);
                g_assert_cmpint(still.calls, ==, 2);
                g_assert_cmpint(
                        fixture_int(fixture, "SELECT size FROM things WHERE name = 'counter'"), ==,
                        11);
        }
}

static void kill_reader(void *data) {
        read_ok(data, kill_others, NULL);
}

static bool read_then_die(DbTx *tx, void *data, GError **error) {
        Still *still = data;
        int64_t count = 0;
        if (!db_query_int(tx, 0, &count, error, "SELECT count(*) FROM things"))
                return false;
        still->calls++;
        thread_join(thread_start("killer", kill_reader, still->fixture));
        return true;
}

static void what_was_read_is_not_read_again(Fixture *fixture) {
        open_things(fixture);
        Still still = { .fixture = fixture };
        read_ok(fixture, read_then_die, &still);
        g_assert_cmpint(still.calls, ==, 1);
}

static bool leave_type_open(DbTx *tx, void *data, GError **error) {
        g_autoptr(DbRows) rows = db_query(tx, error, "SELECT sum(size) FROM things");
        return rows != NULL;
}

static void a_type_that_only_one_has_is_refused(Fixture *fixture) {
        g_autoptr(GError) error = NULL;
        open_things(fixture);
        g_assert_false(db_read(fixture->db, leave_type_open, NULL, &error));
        g_assert_nonnull(strstr(error->message, "CAST"));
}

static void a_server_that_is_not_there_is_unavailable(Fixture *fixture) {
        fixture->spec.conninfo = "host=/nowhere";
        fixture_open_fails(fixture, ERROR_UNAVAILABLE, "database: *");
        fixture->spec.conninfo = "no such keyword = 1";
        fixture_open_fails(fixture, ERROR_UNAVAILABLE, "database: *");
}

static void add(void) {
        fixture_add("/db/values", values_come_back_as_they_went);
        fixture_add("/db/conventions", one_text_means_the_same_on_both);
        fixture_add("/db/ids", ids_are_never_used_again);
        fixture_add("/db/nested", results_may_be_open_inside_each_other);
        fixture_add("/db/statements", statements_are_not_kept_without_end);
        fixture_add("/db/json-and-clock", json_and_the_clock_can_be_read);
        fixture_add("/db/mistakes", mistakes_are_told_apart_and_rolled_back);
        fixture_add("/db/going-on", going_on_after_an_error_is_an_error);
        fixture_add("/db/neighbours", a_failing_closure_does_not_spoil_its_neighbours);
        fixture_add("/db/increments", no_increment_is_lost_between_threads);
        fixture_add("/db/conflict", a_conflict_runs_the_closure_again_with_one_effect);
        fixture_add("/db/conflicts", conflicts_without_end_are_given_up);
        fixture_add("/db/snapshot", a_reader_sees_one_state_and_does_not_stop_the_writer);
        fixture_add("/db/readers", more_readers_than_connections_take_turns);
        fixture_add("/db/notify", notifications_come_once_and_only_after_a_commit);
        fixture_add_one("/db/lost", DB_POSTGRES, a_lost_connection_is_told_and_replaced);
        fixture_add_one("/db/standstill", DB_POSTGRES, what_stands_still_lets_go_and_is_run_again);
        fixture_add_one("/db/read-once", DB_POSTGRES, what_was_read_is_not_read_again);
        fixture_add_one("/db/type", DB_POSTGRES, a_type_that_only_one_has_is_refused);
        fixture_add_one("/db/absent", DB_POSTGRES, a_server_that_is_not_there_is_unavailable);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, add, &schema, NULL);
}
