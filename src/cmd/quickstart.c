/* weir-quickstart: a web node and one worker, with no settings needed. */
#include "base/crypto.h"
#include "base/files.h"
#include "base/json.h"
#include "base/log.h"
#include "cmd/child_settings.h"
#include "cmd/quickstart_options.h"
#include "cmd/supervisor.h"
#include "cmd/way.h"
#include "web/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define WEB_USER "weir"
#define WEB_USER_ELSE 65532 /* where no such user exists: nobody's, by convention */

#define ADMIN "admin"
#define ADMIN_PASSWORD_BYTES 12
#define ADMIN_COST 10
#define ADMIN_FILE_MAX 256

#define LISTENER_IN_CHILD "3"

typedef struct {
        QuickstartOptions options;
        char *work_directory, *web_directory, *admin_file;
        char *closed;   /* the folder above that keeps others out; NULL: none */
        char *reach;    /* the work directory as our children reach it */
        char *programs; /* the directory that this program is in */
        char *runtime, *url;
        int lock, listener;
        uint16_t port;
        uid_t user;
        gid_t group;
        char *admin_hash, *admin_password; /* password only when it is new */
        LogLevel level;
        bool said_found;
        bool entered; /* a mount namespace of our own */
        ChildSettings web, worker;
} Quickstart;

/* ---- before anything is touched ---- */

static bool check_root(GError **error) {
        if (geteuid() == 0)
                return true;
        g_set_error(error, ERROR, ERROR_DENIED,
                    "quickstart must be run as root: its worker makes containers");
        return false;
}

static bool find_runtime(Quickstart *quickstart, GError **error) {
        static const char *const known[] = { "runc", "crun" };
        const char *named = quickstart->options.worker.oci_runtime;

        for (size_t i = 0; !named && !quickstart->runtime && i < G_N_ELEMENTS(known); i++)
                quickstart->runtime = g_find_program_in_path(known[i]);
        if (named)
                quickstart->runtime = g_find_program_in_path(named);
        if (quickstart->runtime)
                return true;
        if (named)
                g_set_error(error, ERROR, ERROR_NOT_FOUND, "no OCI runtime found: no program '%s'",
                            named);
        else
                g_set_error(error, ERROR, ERROR_NOT_FOUND,
                            "no OCI runtime found: install runc or crun, or name one with "
                            "--worker-oci-runtime");
        return false;
}

/* The lock is on the directory itself: a second start leaves nothing behind. */
static bool lock_directory(Quickstart *quickstart, GError **error) {
        const char *path = quickstart->work_directory;
        quickstart->lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (quickstart->lock < 0) {
                error_set_errno(error, errno, "work directory %s", path);
                return false;
        }
        if (flock(quickstart->lock, LOCK_EX | LOCK_NB) == 0)
                return true;
        g_set_error(error, ERROR, ERROR_BUSY, "work directory %s is in use by another quickstart",
                    path);
        return false;
}

/* Whose the database is stays whose it is, whatever users come and go. */
static void choose_user(Quickstart *quickstart) {
        struct stat status;
        const struct passwd *user = getpwnam(WEB_USER);
        quickstart->user = user ? user->pw_uid : WEB_USER_ELSE;
        quickstart->group = user ? user->pw_gid : WEB_USER_ELSE;
        if (stat(quickstart->web_directory, &status) == 0 && status.st_uid != 0) {
                quickstart->user = status.st_uid;
                quickstart->group = status.st_gid;
        }
}

static void set_paths(Quickstart *quickstart) {
        QuickstartOptions *options = &quickstart->options;
        quickstart->work_directory = g_canonicalize_filename(options->web.work_dir, NULL);
        const char *top = quickstart->work_directory;
        quickstart->web_directory = g_build_filename(top, "web", NULL);
        quickstart->admin_file = g_build_filename(top, "admin", NULL);
        quickstart->programs = quickstart_programs();
}

static bool look_around(Quickstart *quickstart, GError **error) {
        WebOptions *web = &quickstart->options.web;
        set_paths(quickstart);
        choose_user(quickstart);
        if (!check_root(error) || !find_runtime(quickstart, error))
                return false;
        if (access(quickstart->work_directory, F_OK) == 0 && !lock_directory(quickstart, error))
                return false;
        quickstart->closed = way_closed_at(quickstart->work_directory, quickstart->user);
        quickstart->reach = quickstart->closed ? way_place(quickstart->work_directory)
                                               : g_strdup(quickstart->work_directory);
        quickstart->listener = listen_open(web->bind_ip, web->bind_port, &quickstart->port, error);
        if (quickstart->listener < 0)
                return false;
        quickstart->url = web->external_url ? g_strdup(web->external_url)
                                            : listen_url(web->bind_ip, quickstart->port);
        return true;
}

/* ---- the work directory ---- */

/* Once: what is bound from then on is ours alone. */
static bool enter_way(Quickstart *quickstart, GError **error) {
        if (!quickstart->entered)
                quickstart->entered = way_enter(error);
        return quickstart->entered;
}

/* Both folders, as the work directory may be closed itself. */
static bool open_way(Quickstart *quickstart, GError **error) {
        static const struct {
                const char *name;
                int mode;
        } folders[] = { { "web", 0700 }, { "worker", 0711 } };

        if (!enter_way(quickstart, error))
                return false;
        for (size_t i = 0; i < G_N_ELEMENTS(folders); i++) {
                g_autofree char *path = g_build_filename(quickstart->work_directory,
                                                         folders[i].name, NULL);
                g_autofree char *place = g_build_filename(quickstart->reach, folders[i].name, NULL);
                if (!directory_make(path, folders[i].mode, error) || !way_bind(path, place, error))
                        return false;
        }
        return true;
}

static bool make_directories(Quickstart *quickstart, GError **error) {
        if (!directory_make(quickstart->work_directory, 0711, error) ||
            (quickstart->lock < 0 && !lock_directory(quickstart, error)) ||
            !directory_make(quickstart->web_directory, 0700, error))
                return false;
        if (chown(quickstart->web_directory, quickstart->user, quickstart->group) < 0) {
                error_set_errno(error, errno, "chown %s", quickstart->web_directory);
                return false;
        }
        return !quickstart->closed || open_way(quickstart, error);
}

/* With no user given there is one, whose password is said once: only its hash is kept. */
static bool choose_users(Quickstart *quickstart, GError **error) {
        WebOptions *web = &quickstart->options.web;
        g_autoptr(GError) missing = NULL;

        if (web->local_users->len == 0) {
                quickstart->admin_hash = file_read(quickstart->admin_file, ADMIN_FILE_MAX, NULL,
                                                   &missing);
                if (!quickstart->admin_hash && !error_is(missing, ERROR_NOT_FOUND)) {
                        g_propagate_error(error, g_steal_pointer(&missing));
                        return false;
                }
                if (quickstart->admin_hash) {
                        g_strstrip(quickstart->admin_hash);
                } else {
                        quickstart->admin_password = crypto_random_hex(ADMIN_PASSWORD_BYTES);
                        quickstart->admin_hash = crypto_bcrypt(quickstart->admin_password,
                                                               ADMIN_COST);
                }
                g_ptr_array_add(web->local_users,
                                g_strconcat(ADMIN ":", quickstart->admin_hash, NULL));
        }
        if (web->main_team_local_users->len == 0)
                for (guint i = 0; i < web->local_users->len; i++) {
                        const char *user = g_ptr_array_index(web->local_users, i);
                        g_ptr_array_add(web->main_team_local_users,
                                        g_strndup(user, strcspn(user, ":")));
                }
        return true;
}

/* ---- what the children are told ---- */

/* What we wait for stands in lines of this level. */
static const char *level_for_us(const char *wanted) {
        return g_str_equal(wanted, "debug") ? "debug" : "info";
}

/* The web node's program where its user reaches it: a build below /root is out of reach. Returns new. */
static char *open_web_program(Quickstart *quickstart, GError **error) {
        g_autofree char *program = quickstart_find_program(quickstart->programs, "weir-web", error);
        if (!program)
                return NULL;
        g_autofree char *folder = g_path_get_dirname(program);
        g_autofree char *closed = way_closed_at(folder, quickstart->user);
        if (!closed)
                return g_steal_pointer(&program);
        g_autofree char *place = way_place(folder);
        if (!enter_way(quickstart, error) || !way_bind(folder, place, error))
                return NULL;
        return g_build_filename(place, "weir-web", NULL);
}

static bool tell_web(Quickstart *quickstart, GError **error) {
        const WebOptions *options = &quickstart->options.web;
        g_autofree char *program = open_web_program(quickstart, error);
        if (!program)
                return false;
        quickstart->web = child_settings_new(program);
        g_autofree char *directory = g_build_filename(quickstart->reach, "web", NULL);
        child_settings_add_all(&quickstart->web, web_options, options);
        child_settings_set(&quickstart->web, "work-dir", directory);
        child_settings_set(&quickstart->web, "external-url", quickstart->url);
        child_settings_set(&quickstart->web, "log-level", level_for_us(options->log_level));
        g_ptr_array_add(quickstart->web.argv, g_strdup("--listener=" LISTENER_IN_CHILD));
        child_settings_end(&quickstart->web);
        return true;
}

static bool tell_worker(Quickstart *quickstart, GError **error) {
        const WorkerOptions *options = &quickstart->options.worker;
        g_autofree char *program = quickstart_find_program(quickstart->programs, "weir-worker",
                                                           error);
        if (!program)
                return false;
        g_autofree char *socket = g_build_filename(quickstart->reach, "web", "worker.sock", NULL);
        g_autofree char *directory = options->work_dir
                                             ? g_canonicalize_filename(options->work_dir, NULL)
                                             : g_build_filename(quickstart->reach, "worker", NULL);
        quickstart->worker = child_settings_new(program);
        child_settings_add_all(&quickstart->worker, worker_options, options);
        child_settings_set(&quickstart->worker, "work-dir", directory);
        child_settings_set(&quickstart->worker, "web-socket", socket);
        child_settings_set(&quickstart->worker, "log-level", level_for_us(options->log_level));
        child_settings_end(&quickstart->worker);
        return true;
}

/* ---- what people are told ---- */

static void say_found(const Quickstart *quickstart, const Value *data) {
        const char *types = quickstart->options.worker.resource_types;
        const char *version = value_get_string(data, "oci-runtime-version", "");
        double free_bytes = g_ascii_strtod(value_get_string(data, "disk-free", "0"), NULL);
        double total = g_ascii_strtod(value_get_string(data, "disk-total", "0"), NULL);
        const char *reason = value_get_string(data, "why-not", NULL);

        printf("Weir %s found and chose:\n", WEIR_VERSION);
        printf("  OCI runtime       %s (%s)\n",
               value_get_string(data, "oci-runtime", quickstart->runtime), version);
        printf("  cgroup mode       %s\n", value_get_string(data, "cgroup", "?"));
        printf("  volume driver     %s\n", value_get_string(data, "volume-driver", "?"));
        printf("  overlay           %s\n", value_get_string(data, "overlay", "?"));
        printf("  ID-mapped mounts  %s%s%s%s\n", value_get_string(data, "id-mapped-mounts", "?"),
               reason ? " (" : "", reason ? reason : "", reason ? ")" : "");
        printf("  user namespaces   %s\n", value_get_string(data, "user-namespaces", "?"));
        printf("  network           %s\n", value_get_string(data, "network", "?"));
        printf("  resource types    %s\n",
               types ? types : "none found: see --worker-resource-types");
        printf("  work directory    %s\n", quickstart->work_directory);
        if (quickstart->closed)
                printf("                    (others may not enter %s: bound to %s for them)\n",
                       quickstart->closed, quickstart->reach);
        printf("  disk              %.1f of %.1f GiB free\n", free_bytes / (1 << 30),
               total / (1 << 30));
        fflush(stdout);
}

/* The worker's log line about what it found. */
static void child_line(const SupervisorChild *child, const char *line, size_t length, void *data) {
        Quickstart *quickstart = data;
        if (quickstart->said_found || !g_str_equal(child->name, "worker") ||
            !memmem(line, length, "\"worker.worker.found\"", strlen("\"worker.worker.found\"")))
                return;
        g_autoptr(Value) value = json_parse(line, length, NULL, NULL);
        const Value *found = value ? value_get(value, "data") : NULL;
        if (!found)
                return;
        quickstart->said_found = true;
        say_found(quickstart, found);
}

static bool all_ready(void *data, GError **error) {
        Quickstart *quickstart = data;
        const char *hash = quickstart->admin_hash, *password = quickstart->admin_password;

        if (password && !file_write(quickstart->admin_file, hash, strlen(hash), 0600, error))
                return false;
        printf("\nWeir is at %s\n", quickstart->url);
        if (password)
                printf("  user " ADMIN ", password %s (said only this once)\n", password);
        else if (hash)
                printf("  user " ADMIN
                       ", with the password of the first start (forgotten: remove %s "
                       "and start again)\n",
                       quickstart->admin_file);
        printf("  fly -t weir login -c %s -u %s -p %s\n\n", quickstart->url, hash ? ADMIN : "USER",
               password ? password : "PASSWORD");
        fflush(stdout);
        log_info("", "ready", "url", quickstart->url);
        return true;
}

/* ---- the program ---- */

static bool supervise(Quickstart *quickstart, GError **error) {
        const QuickstartOptions *options = &quickstart->options;
        const SupervisorChild children[] = {
                { .name = "web",
                  .argv = (const char *const *) quickstart->web.argv->pdata,
                  .env = (const char *const *) quickstart->web.env->pdata,
                  .user = quickstart->user,
                  .group = quickstart->group,
                  .listener = quickstart->listener,
                  .ready = "atc.listening",
                  .quiet = quickstart->level > LOG_INFO },
                { .name = "worker",
                  .argv = (const char *const *) quickstart->worker.argv->pdata,
                  .env = (const char *const *) quickstart->worker.env->pdata,
                  .listener = -1,
                  .ready = "worker.beacon.registered",
                  .quiet = !g_str_equal(level_for_us(options->worker.log_level),
                                        options->worker.log_level) },
        };
        SupervisorSpec spec = { .children = children,
                                .count = G_N_ELEMENTS(children),
                                .line = child_line,
                                .ready = all_ready,
                                .data = quickstart };
        return supervisor_run(&spec, error);
}

static bool run(Quickstart *quickstart, GError **error) {
        if (!look_around(quickstart, error) || !choose_users(quickstart, error))
                return false;
        quickstart_find_resource_types(quickstart->programs, &quickstart->options);
        return tell_web(quickstart, error) && tell_worker(quickstart, error) &&
               make_directories(quickstart, error) && supervise(quickstart, error);
}

static void clear(Quickstart *quickstart) {
        child_settings_clear(&quickstart->web);
        child_settings_clear(&quickstart->worker);
        fd_close(quickstart->lock);
        fd_close(quickstart->listener);
        g_free(quickstart->work_directory);
        g_free(quickstart->web_directory);
        g_free(quickstart->closed);
        g_free(quickstart->reach);
        g_free(quickstart->admin_file);
        g_free(quickstart->programs);
        g_free(quickstart->runtime);
        g_free(quickstart->url);
        g_free(quickstart->admin_hash);
        g_free(quickstart->admin_password);
}

int main(int argc, char **argv) {
        Quickstart quickstart = { .lock = -1, .listener = -1, .level = LOG_INFO };
        g_autoptr(GArray) options = quickstart_options_new();
        g_autoptr(GError) error = NULL;
        OptionTable table = { .program = "weir quickstart",
                              .summary = "Run a web node and a worker, without settings.",
                              .options = (const Option *) (void *) options->data,
                              .natural = true };

        supervisor_block_signals();
        if (!options_parse(&table, argc, argv, &quickstart.options, NULL, &error)) {
                bool help = error_is(error, ERROR_EXISTS);
                g_autofree char *text = help ? options_help(&table) : g_strdup(error->message);
                fprintf(help ? stdout : stderr, "%s%s\n", help ? "" : "error: ", text);
                options_clear(&table, &quickstart.options);
                return help ? EXIT_SUCCESS : EXIT_FAILURE;
        }
        log_level_parse(quickstart.options.web.log_level, &quickstart.level, NULL);
        log_open("quickstart", quickstart.level, STDERR_FILENO);

        bool ran = run(&quickstart, &error);
        if (error)
                fprintf(stderr, "error: %s\n", error->message);
        clear(&quickstart);
        options_clear(&table, &quickstart.options);
        return ran ? EXIT_SUCCESS : EXIT_FAILURE;
}
