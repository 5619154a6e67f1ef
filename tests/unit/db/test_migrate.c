#include "fixture.h"

#include "base/fault.h"
#include "base/files.h"
#include "base/thread.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

static const DbMigration migrations[] = {
        { "people", "CREATE TABLE people (id {{id}}, name {{text}} NOT NULL, secret {{text}},\n"
                    "  secret_nonce {{text}});\n"
                    "INSERT INTO people (name, secret) VALUES ('ann', 'one'), ('bob', NULL);" },
        { "more", "CREATE TABLE more (id {{id}});\n"
                  "INSERT INTO people (name, secret) VALUES ('carl', 'three');" },
        { "last",
          "ALTER TABLE more ADD COLUMN name {{text}}; INSERT INTO more (name) VALUES ('x');" },
};
static const DbSealed sealed[] = { { "people", "secret", "secret_nonce" } };

static const DbSchema first = { migrations, 1, sealed, 1 }, all = { migrations, 3, sealed, 1 };

static bool add_person(DbTx *tx, void *data, GError **error) {
        return db_exec(tx, error, "INSERT INTO people (name) VALUES ('second process')");
}

static void open_with(Fixture *fixture, const DbSchema *schema) {
        fixture->spec.schema = schema;
        fixture_open(fixture);
}

/* What all three migrations make, each exactly once. */
static void assert_newest(Fixture *fixture) {
        g_assert_cmpint(db_schema_version(fixture->db), ==, 3);
        g_assert_cmpint(fixture_int(fixture, "SELECT count(*) FROM weir_schema"), ==, 3);
        g_assert_cmpint(fixture_int(fixture, "SELECT count(*) FROM more WHERE name = 'x'"), ==, 1);
        g_assert_cmpint(fixture_int(fixture, "SELECT count(*) FROM people WHERE name = 'carl'"), ==,
                        1);
}

static void the_programs_own_schema_applies(Fixture *fixture) {
        open_with(fixture, NULL);
        g_assert_cmpint(db_schema_version(fixture->db), ==, (int) db_migration_count);
        for (size_t i = 0; i < db_sealed_count; i++) {
                const DbSealed *columns = &db_sealed_columns[i];
                g_autofree char *sql = g_strdup_printf(
                        "SELECT count(*) FROM %s WHERE %s = '' AND %s = ''", columns->table,
                        columns->column, columns->nonce);
                g_assert_cmpint(fixture_int(fixture, sql), ==, 0);
        }
        open_with(fixture, NULL);
}

static void an_older_database_is_brought_up(Fixture *fixture) {
        open_with(fixture, &first);
        g_assert_cmpint(db_schema_version(fixture->db), ==, 1);
        open_with(fixture, &all);
        assert_newest(fixture);
        open_with(fixture, &all);
        assert_newest(fixture);
}

static void a_newer_database_is_refused_with_both_versions(Fixture *fixture) {
        open_with(fixture, &all);
        fixture->spec.schema = &first;
        fixture_open_fails(fixture, ERROR_UNSUPPORTED,
                           "database has version 3, and this program knows versions up to 1*");
        fixture->spec.no_migrate = true;
        fixture_open_fails(fixture, ERROR_UNSUPPORTED, "*");
        fixture->spec.no_migrate = false;
        open_with(fixture, &all);
        assert_newest(fixture);
}

static void no_migrate_only_looks(Fixture *fixture) {
        fixture->spec.no_migrate = true;
        open_with(fixture, &all);
        g_assert_cmpint(db_schema_version(fixture->db), ==, 0);
        fixture->spec.no_migrate = false;
        open_with(fixture, &first);
        fixture->spec.no_migrate = true;
        open_with(fixture, &all);
        g_assert_cmpint(db_schema_version(fixture->db), ==, 1);
}

static void a_broken_migration_is_named_and_undone(Fixture *fixture) {
        static const DbMigration broken[] = {
                { "people", "CREATE TABLE people (id {{id}});" },
                { "broken", "CREATE TABLE half (id {{id}}); INSERT INTO nowhere VALUES (1);" },
        };
        static const DbSchema bad = { broken, 2, NULL, 0 }, good = { broken, 1, NULL, 0 };
        fixture->spec.schema = &bad;
        fixture_open_fails(fixture, ERROR_INTERNAL, "migration 0002_broken: database: *nowhere*");
        open_with(fixture, &good);
        g_assert_cmpint(db_schema_version(fixture->db), ==, 1);
}

static void start_afresh(Fixture *fixture) {
        static const char *const tables[] = { "people", "more", "weir_schema", "weir_settings" };
        if (fixture->kind == DB_SQLITE) {
                fixture_close(fixture);
                g_assert_cmpint(unlink(fixture->path), ==, 0);
                return;
        }
        for (size_t i = 0; i < G_N_ELEMENTS(tables); i++) {
                g_autofree char *sql = g_strdup_printf("DROP TABLE %s", tables[i]);
                fixture_do(fixture, sql);
        }
        fixture_close(fixture);
}

/* Dies at the first passage of a point, at the next start at the second, and so on, until a start
 * has fewer passages than that. */
static void killed_at_any_point_it_is_resumed(Fixture *fixture) {
        static const char *const points[] = { "migrate-before", "migrate-after", "db-before-commit",
                                              "db-after-commit" };
        fixture->spec.schema = &all;
        for (size_t i = 0; i < G_N_ELEMENTS(points); i++) {
                int status, deaths = 0;
                do {
                        g_autofree char *fault = g_strdup_printf("%s=kill@%d", points[i],
                                                                 1 + deaths);
                        status = fixture_die(fixture, fault);
                        g_assert_true(status == 0 || status == 128 + SIGKILL);
                        deaths += status != 0;
                } while (status != 0);
                g_assert_cmpint(deaths, >, 1);
                fixture_open(fixture);
                assert_newest(fixture);
                start_afresh(fixture);
        }
}

static void what_was_acknowledged_survives_a_kill(Fixture *fixture) {
        static const char count[] = "SELECT count(*) FROM people WHERE name = 'second process'";
        open_with(fixture, &all);
        fixture_close(fixture);
        g_assert_cmpint(fixture_die(fixture, "db-before-commit=kill"), ==, 128 + SIGKILL);
        fixture_open(fixture);
        g_assert_cmpint(fixture_int(fixture, count), ==, 0);
        fixture_close(fixture);
        g_assert_cmpint(fixture_die(fixture, "db-after-commit=kill"), ==, 128 + SIGKILL);
        g_assert_cmpint(fixture_die(fixture, ""), ==, 0);
        fixture_open(fixture);
        g_assert_cmpint(fixture_int(fixture, count), ==, 2);
}

static void open_all(void *data) {
        const Fixture *fixture = data;
        g_autoptr(GError) error = NULL;
        g_autoptr(Db) db = db_open(&fixture->spec, &error);
        g_assert_no_error(error);
        g_assert_cmpint(db_schema_version(db), ==, 3);
}

static void nodes_that_start_together_migrate_once(Fixture *fixture) {
        Thread *threads[4];
        fixture->spec.schema = &all;
        for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
                threads[i] = thread_start("node", open_all, fixture);
        for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
                thread_join(threads[i]);
        fixture_open(fixture);
        assert_newest(fixture);
}

/* ---- SQLite's files ---- */

static void a_second_start_is_refused(Fixture *fixture) {
        open_with(fixture, &all);
        g_assert_cmpint(fixture_die(fixture, ""), ==, 1);
        g_autoptr(GError) error = NULL;
        g_assert_null(db_open(&fixture->spec, &error));
        g_assert_error(error, ERROR, ERROR_BUSY);
        fixture_close(fixture);
        g_assert_cmpint(fixture_die(fixture, ""), ==, 0);
}

static void a_copy_is_kept_before_migrating(Fixture *fixture) {
        open_with(fixture, &first);
        g_autofree char *copy = g_strconcat(fixture->path, ".before-3", NULL);
        g_assert_false(g_file_test(copy, G_FILE_TEST_EXISTS));
        open_with(fixture, &all);
        g_assert_true(g_file_test(copy, G_FILE_TEST_EXISTS));

        fixture->spec.path = copy;
        open_with(fixture, &first);
        g_assert_cmpint(fixture_int(fixture, "SELECT count(*) FROM people"), ==, 2);
}

static void what_is_no_database_is_left_alone(Fixture *fixture) {
        static const char text[] = "this is a letter to somebody, and no database at all";
        g_assert_true(file_write(fixture->path, text, sizeof(text), 0600, NULL));
        fixture->spec.schema = &all;
        fixture_open_fails(fixture, ERROR_INVALID, "open *: database: file is not a database");
        size_t length = 0;
        g_autofree char *got = file_read(fixture->path, 1000, &length, NULL);
        g_assert_cmpmem(got, length, text, sizeof(text));

        fixture->spec.path = "/no/such/folder/weir.db";
        fixture_open_fails(fixture, ERROR_NOT_FOUND, "*/no/such/folder/*");
}

static void keep_writing(void *data) {
        for (int i = 0; i < 200; i++)
                fixture_do(data, "UPDATE people SET name = name || 'x' WHERE name <> 'bob'");
}

static void a_backup_is_one_consistent_state(Fixture *fixture) {
        g_autofree char *path = g_build_filename(fixture->folder, "backup.db", NULL);
        g_autoptr(GError) error = NULL, exists = NULL, cancelled = NULL;
        open_with(fixture, &all);
        Thread *writer = thread_start("writer", keep_writing, fixture);
        db_backup(fixture->db, path, NULL, &error);
        g_assert_no_error(error);
        thread_join(writer);
        g_assert_false(db_backup(fixture->db, path, NULL, &exists));
        g_assert_error(exists, ERROR, ERROR_EXISTS);

        g_autoptr(Cancel) cancel = cancel_new(NULL);
        g_autofree char *other = g_strconcat(path, ".other", NULL);
        g_autofree char *partial = g_strconcat(other, ".partial", NULL);
        cancel_fire(cancel, CANCEL_ABORT);
        g_assert_false(db_backup(fixture->db, other, cancel, &cancelled));
        g_assert_error(cancelled, ERROR, ERROR_CANCELLED);
        g_assert_false(g_file_test(partial, G_FILE_TEST_EXISTS));

        fixture->spec.path = path;
        open_with(fixture, &all);
        g_assert_cmpint(fixture_int(fixture,
                                    "SELECT count(DISTINCT length(name) - "
                                    "CASE WHEN substr(name, 1, 4) = 'carl' THEN 1 ELSE 0 END) "
                                    "FROM people WHERE name <> 'bob'"),
                        ==, 1);
}

static void postgresql_is_not_ours_to_back_up(Fixture *fixture) {
        g_autoptr(GError) error = NULL;
        open_with(fixture, &all);
        g_assert_false(db_backup(fixture->db, "/tmp/never", NULL, &error));
        g_assert_error(error, ERROR, ERROR_UNSUPPORTED);
}

/* ---- encrypted columns ---- */

static const char one[] = "0123456789abcdef", two[] = "fedcba98765432100123456789abcdef";

static bool read_secrets(DbTx *tx, void *data, GError **error) {
        GString *text = data;
        g_string_truncate(text, 0);
        g_autoptr(DbRows)
                rows = db_query(tx, error, "SELECT secret, secret_nonce FROM people ORDER BY id");
        while (rows && db_next(rows))
                g_string_append_printf(text, "%s,%s;", db_text(rows, 0) ? db_text(rows, 0) : "-",
                                       db_text(rows, 1) ? db_text(rows, 1) : "-");
        return rows && db_done(rows, error);
}

/* The secrets as they are stored, or read with the database's key. */
static char *secrets(Fixture *fixture, bool read) {
        g_autoptr(GString) stored = g_string_new(NULL);
        g_autoptr(GError) error = NULL;
        db_read(fixture->db, read_secrets, stored, &error);
        g_assert_no_error(error);
        g_auto(GStrv) lines = g_strsplit(stored->str, ";", -1);
        GString *text = g_string_new(NULL);
        for (size_t i = 0; *lines[i]; i++) {
                g_auto(GStrv) pair = g_strsplit(lines[i], ",", 2);
                g_autofree char *plain = NULL;
                const char *nonce = g_str_equal(pair[1], "-") ? NULL : pair[1];
                if (read) {
                        db_unseal(fixture->db, pair[0], nonce, &plain, &error);
                        g_assert_no_error(error);
                }
                g_string_append_printf(text, "%s%s;", read ? plain : pair[0], nonce ? "!" : "");
        }
        return g_string_free(text, false);
}

static void assert_secrets(Fixture *fixture, const char *expect) {
        g_autofree char *got = secrets(fixture, true);
        g_assert_cmpstr(got, ==, expect);
}

static void open_with_keys(Fixture *fixture, const char *key, const char *old_key) {
        fixture->spec.encryption_key = key;
        fixture->spec.old_encryption_key = old_key;
        open_with(fixture, &all);
}

static void sealing_goes_round(Fixture *fixture) {
        static const char *const keys[] = { NULL, one, two };
        open_with(fixture, &all);
        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
                g_autofree char *text = NULL, *nonce = NULL, *plain = NULL;
                open_with_keys(fixture, keys[i], i > 0 ? keys[i - 1] : NULL);
                g_assert_true(db_seal(fixture->db, "secret", &text, &nonce, NULL));
                g_assert_cmpint(nonce == NULL, ==, i == 0);
                g_assert_true(db_unseal(fixture->db, text, nonce, &plain, NULL));
                g_assert_cmpstr(plain, ==, "secret");
        }
}

static void a_key_is_taken_on_changed_and_given_up(Fixture *fixture) {
        open_with_keys(fixture, NULL, NULL);
        assert_secrets(fixture, "one;-;three;");
        open_with_keys(fixture, one, NULL);
        assert_secrets(fixture, "one!;-;three!;");
        g_autofree char *before = secrets(fixture, false);
        open_with_keys(fixture, one, two); /* done already: nothing is written */
        g_autofree char *after = secrets(fixture, false);
        g_assert_cmpstr(before, ==, after);
        open_with_keys(fixture, two, one);
        assert_secrets(fixture, "one!;-;three!;");
        open_with_keys(fixture, NULL, two);
        assert_secrets(fixture, "one;-;three;");
}

static void a_wrong_key_is_refused_and_changes_nothing(Fixture *fixture) {
        open_with_keys(fixture, one, NULL);
        g_autofree char *before = secrets(fixture, false);
        static const struct {
                const char *key, *old_key, *message;
        } cases[] = {
                { two, NULL, "row encrypted with neither old nor new key" },
                { NULL, two, "row encrypted with neither old nor new key" },
                { two, "0123456789abcdeX", "row encrypted with neither old nor new key" },
                { NULL, NULL, "database is encrypted: an encryption key is needed" },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                fixture->spec.encryption_key = cases[i].key;
                fixture->spec.old_encryption_key = cases[i].old_key;
                fixture_open_fails(fixture, ERROR_DENIED, cases[i].message);
        }
        fixture->spec.encryption_key = "too short";
        fixture->spec.old_encryption_key = one;
        fixture_open_fails(fixture, ERROR_INVALID, "failed to construct AES cipher*");
        open_with_keys(fixture, one, NULL);
        g_autofree char *after = secrets(fixture, false);
        g_assert_cmpstr(before, ==, after);
}

static void an_interrupted_change_of_keys_is_taken_up(Fixture *fixture) {
        open_with_keys(fixture, one, NULL);
        fixture_close(fixture);
        fixture->spec.encryption_key = two;
        fixture->spec.old_encryption_key = one;
        /* The rows have changed, the canary has not. */
        g_assert_cmpint(fixture_die(fixture, "db-after-commit=kill@2"), ==, 128 + SIGKILL);
        fixture->spec.old_encryption_key = NULL;
        fixture_open_fails(fixture, ERROR_DENIED, "row encrypted with neither old nor new key");
        fixture->spec.encryption_key = one;
        fixture_open_fails(fixture, ERROR_DENIED, "row encrypted with neither old nor new key");
        open_with_keys(fixture, two, one);
        assert_secrets(fixture, "one!;-;three!;");
        open_with_keys(fixture, two, NULL);
}

static void add(void) {
        fixture_add("/migrate/own", the_programs_own_schema_applies);
        fixture_add("/migrate/older", an_older_database_is_brought_up);
        fixture_add("/migrate/newer", a_newer_database_is_refused_with_both_versions);
        fixture_add("/migrate/look", no_migrate_only_looks);
        fixture_add("/migrate/broken", a_broken_migration_is_named_and_undone);
        fixture_add("/migrate/killed", killed_at_any_point_it_is_resumed);
        fixture_add("/migrate/acknowledged", what_was_acknowledged_survives_a_kill);
        fixture_add_one("/migrate/together", DB_POSTGRES, nodes_that_start_together_migrate_once);
        fixture_add_one("/file/second", DB_SQLITE, a_second_start_is_refused);
        fixture_add_one("/file/copy", DB_SQLITE, a_copy_is_kept_before_migrating);
        fixture_add_one("/file/alien", DB_SQLITE, what_is_no_database_is_left_alone);
        fixture_add_one("/backup", DB_SQLITE, a_backup_is_one_consistent_state);
        fixture_add_one("/backup", DB_POSTGRES, postgresql_is_not_ours_to_back_up);
        fixture_add("/sealed/round", sealing_goes_round);
        fixture_add("/sealed/change", a_key_is_taken_on_changed_and_given_up);
        fixture_add("/sealed/wrong", a_wrong_key_is_refused_and_changes_nothing);
        fixture_add("/sealed/interrupted", an_interrupted_change_of_keys_is_taken_up);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, add, &all, add_person);
}
