#include "house.h"

#include "base/files.h"
#include "base/thread.h"
#include "store/backup.h"
#include "store/log_keeper.h"

#include <sys/stat.h>
#include <unistd.h>

static void say(BuildLogWriter *writer, const char *text) {
        g_autoptr(Event) event = event_log("1", "stdout", text, strlen(text), 0);
        OK(build_log_append(writer, event, NULL, &error));
}

/* A finished build of unit with this line in its log. */
static int64_t finished_build(House *house, const char *text) {
        BuildLease lease;
        int64_t id = started_build(house, "unit", &lease);
        BuildLogWriter *writer = OK(build_log_writer_new(house->store, &lease, &error));
        say(writer, text);
        build_log_writer_free(writer);
        finish(house, &lease, BUILD_SUCCEEDED);
        return id;
}

static char *target(House *house, const char *name) {
        return g_build_filename(house->fixture->folder, name, NULL);
}

static StoreBackupReport back_up(House *house, const char *to) {
        const StoreBackup spec = { .from = house->fixture->folder, .to = to };
        StoreBackupReport report;
        OK(store_backup(&spec, NULL, &report, &error));
        return report;
}

static Store *open_copy(const char *path) {
        g_autofree char *database = g_build_filename(path, STORE_DATABASE, NULL);
        g_autofree char *logs = g_build_filename(path, STORE_LOGS, NULL);
        const StoreSpec spec = { .db = { .kind = DB_SQLITE, .path = database },
                                 .log_directory = logs };
        return OK(store_open(&spec, &error));
}

/* The tests are about files. */
static bool skip(House *house) {
        return house->fixture->kind == DB_POSTGRES;
}

static void a_copy_opens_with_all_builds_and_their_logs(House *house) {
        if (skip(house))
                return;
        house_save(house, two_jobs);
        int64_t id = finished_build(house, "hello");
        g_autofree char *path = target(house, "copy"), *before = read_log(house, id, 0);
        StoreBackupReport report = back_up(house, path);
        g_assert_cmpint(report.builds, ==, 1);
        g_assert_cmpint(report.logs, ==, 1);
        g_assert_cmpint(report.version, ==, db_schema_version(store_db(house->store)));

        g_autofree char *lock = g_build_filename(path, STORE_DATABASE ".lock", NULL);
        g_assert_false(g_file_test(lock, G_FILE_TEST_EXISTS));
        Store *original = g_steal_pointer(&house->store);
        house->store = open_copy(path);
        g_autoptr(Build) build = OK(build_get(house->store, id, &error));
        g_assert_cmpint(build->status, ==, BUILD_SUCCEEDED);
        g_autofree char *after = read_log(house, id, 0);
        g_assert_cmpstr(after, ==, before);
        store_close(house->store);
        house->store = original;
}

static void what_has_ended_after_the_copy_is_not_told_by_a_log_of_a_later_build(House *house) {
        if (skip(house))
                return;
        house_save(house, two_jobs);
        finished_build(house, "old");
        g_autofree char *path = target(house, "copy");
        back_up(house, path);
        int64_t later = finished_build(house, "later");
        g_autofree char *logs = g_build_filename(path, STORE_LOGS, NULL);
        g_autofree char *log = log_files_directory(logs, later);
        g_assert_false(g_file_test(log, G_FILE_TEST_EXISTS));
}

typedef struct {
        House *house;
        int64_t last;
} Work;

static void keep_building(void *data) {
        Work *work = data;
        for (int i = 0; i < 40; i++)
                work->last = finished_build(work->house, "while it is copied");
}

static void a_copy_while_builds_end_has_the_log_of_every_build_that_ended(House *house) {
        if (skip(house))
                return;
        house_save(house, two_jobs);
        Work work = { .house = house };
        g_autofree char *path = target(house, "copy");
        Thread *worker = thread_start("builds", keep_building, &work);
        back_up(house, path);
        thread_join(worker);

        Store *original = g_steal_pointer(&house->store);
        house->store = open_copy(path);
        for (int64_t id = 1; id <= work.last; id++) {
                g_autoptr(Build) build = build_get(house->store, id, NULL);
                if (!build || !build->completed)
                        continue;
                g_autofree char *log = read_log(house, id, 0);
                g_assert_nonnull(strstr(log, "while it is copied"));
                g_assert_nonnull(strstr(log, "status succeeded"));
        }
        store_close(house->store);
        house->store = original;
}

static void only_what_is_not_there_is_made(House *house) {
        if (skip(house))
                return;
        const StoreBackup onto = { .from = house->fixture->folder, .to = house->fixture->folder };
        const StoreBackup nothing = { .from = "/nonexistent", .to = "/nonexistent/copy" };
        StoreBackupReport report;
        FAILS(store_backup(&onto, NULL, &report, &error), ERROR_EXISTS);
        FAILS(store_backup(&nothing, NULL, &report, &error), ERROR_NOT_FOUND);
}

static void a_cancelled_copy_leaves_nothing(House *house) {
        if (skip(house))
                return;
        g_autoptr(Cancel) cancel = cancel_new(NULL);
        g_autofree char *path = target(house, "copy");
        const StoreBackup spec = { .from = house->fixture->folder, .to = path };
        StoreBackupReport report;
        cancel_fire(cancel, CANCEL_ABORT);
        FAILS(store_backup(&spec, cancel, &report, &error), ERROR_CANCELLED);
        g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
}

static void add(void) {
        house_add("/store/backup/whole", a_copy_opens_with_all_builds_and_their_logs);
        house_add("/store/backup/later",
                  what_has_ended_after_the_copy_is_not_told_by_a_log_of_a_later_build);
        house_add("/store/backup/meanwhile",
                  a_copy_while_builds_end_has_the_log_of_every_build_that_ended);
        house_add("/store/backup/exists", only_what_is_not_there_is_made);
        house_add("/store/backup/cancelled", a_cancelled_copy_leaves_nothing);
}

int main(int argc, char **argv) {
        return house_main(argc, argv, add);
}
