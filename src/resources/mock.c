#include "resources/mock.h"

#include "base/child.h"
#include "base/duration.h"
#include "base/files.h"
#include "base/json.h"
#include "resources/program.h"
#include "resources/strict.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* The most that out reads from params.file. */
#define VERSION_FILE_LIMIT ((size_t) 1 << 20)

static const StrictField metadata_fields[] = { { "name", FIELD_STRING },
                                               { "value", FIELD_STRING },
                                               {} };

static const StrictField source_fields[] = {
        { "mirror_self", FIELD_BOOL },
        { "initial_version", FIELD_STRING },
        { "no_initial_version", FIELD_BOOL },
        { "force_version", FIELD_STRING },
        { "create_files", FIELD_ANYTHING },
        { "check_delay", FIELD_STRING },
        { "check_failure", FIELD_STRING },
        { "metadata", FIELD_OBJECTS, "MetadataField", metadata_fields },
        { "log", FIELD_STRING },
        {},
};

static const StrictField version_fields[] = { { "version", FIELD_STRING },
                                              { "privileged", FIELD_STRING },
                                              {} };

static const StrictField get_fields[] = {
        { "mirror_self_via_params", FIELD_BOOL },
        { "create_files_via_params", FIELD_ANYTHING },
        {},
};

static const StrictField put_fields[] = {
        { "version", FIELD_STRING },
        { "file", FIELD_STRING },
        { "print_env", FIELD_BOOL },
        {},
};

static const StrictRequest parts = { source_fields, version_fields, get_fields, put_fields };

/* ---- what all three do ---- */

void mock_log(const MockHost *host, const char *level, const char *message, const char *field,
              const char *value) {
        const ProgramLog log = {
                .level = level,
                .message = message,
                .field = field,
                .value = value,
                .seconds = (int) ((g_get_monotonic_time() - host->started) / G_USEC_PER_SEC),
        };
        /* In one write: a line that comes in pieces becomes several events of a build. */
        g_autoptr(GString) line = program_log_line(&log);
        fwrite(line->str, 1, line->len, host->log);
        fflush(host->log);
}

static void log_info(const MockHost *host, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void log_info(const MockHost *host, const char *format, ...) {
        va_list arguments;
        va_start(arguments, format);
        g_autofree char *message = g_strdup_vprintf(format, arguments);
        va_end(arguments);
        mock_log(host, "INFO", message, NULL, NULL);
}

static void log_source(const Value *source, const MockHost *host) {
        const char *text = value_get_string(source, "log", "");
        if (*text)
                log_info(host, "%s", text);
}

static Value *version_new(const char *version, const char *privileged) {
        Value *map = value_map();
        value_map_set_string(map, "version", version);
        value_map_set_string_opt(map, "privileged", privileged);
        return map;
}

static Value *answer_new(Value *version, const Value *source) {
        Value *answer = value_map();
        const Value *metadata = value_get(source, "metadata");
        value_map_set(answer, "version", version);
        value_map_set(answer, "metadata", metadata ? value_ref(metadata) : value_null());
        return answer;
}

/* ---- check ---- */

static bool check_wait(const char *text, GError **error) {
        Duration delay;
        if (!*text)
                return true;
        if (!duration_parse(text, &delay, error)) {
                g_prefix_error(error, "malformed check_delay duration (%s): time: ", text);
                return false;
        }
        struct timespec left = { .tv_sec = delay / 1000000000, .tv_nsec = delay % 1000000000 };
        /* Sleeping is what the option is for: the program has nothing else to wait for. */
        while (delay > 0 && nanosleep(&left, &left) < 0 && errno == EINTR)
                ;
        return true;
}

static Value *check_versions(const Value *request, const MockHost *host) {
        const Value *source = value_get(request, "source"), *given = value_get(request, "version");
        const char *initial = value_get_string(source, "initial_version", "");
        const char *forced = value_get_string(source, "force_version", "");
        const char *version = NULL, *privileged = NULL;

        if (!*initial)
                initial = host->mirrored_version && *host->mirrored_version ? host->mirrored_version
                                                                            : "mock";
        if (*forced) {
                version = forced;
        } else if (given) {
                version = value_get_string(given, "version", "");
                privileged = value_get_string(given, "privileged", NULL);
        } else if (!value_get_bool(source, "no_initial_version", false)) {
                version = initial;
        }

        Value *versions = value_list();
        if (version)
                value_list_add(versions,
                               version_new(version, host->privileged ? "true" : privileged));
        return versions;
}

bool mock_check(const Value *given, const MockHost *host, Value **ret, GError **error) {
        g_autoptr(Value) request = strict_request(given, STRICT_CHECK, &parts, error);
        if (!request)
                return false;
        const Value *source = value_get(request, "source");
        log_source(source, host);
        if (!check_wait(value_get_string(source, "check_delay", ""), error))
                return false;
        const char *failure = value_get_string(source, "check_failure", "");
        if (*failure) {
                g_set_error(error, ERROR, ERROR_INVALID, "intentionally failing to check: %s",
                            failure);
                return false;
        }
        *ret = check_versions(request, host);
        return true;
}

/* ---- in ---- */

/* Plain writes with a mode that the umask narrows, as os.WriteFile: file_write would sync each. */
static bool write_file(const char *path, const char *text, size_t length, mode_t mode,
                       GError **error) {
        autofd fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
        if (fd < 0) {
                error_set_errno(error, errno, "open %s", path);
                return false;
        }
        return write_all(fd, text, length, error);
}

static bool write_text(const char *directory, const char *name, const char *text, mode_t mode,
                       GError **error) {
        g_autofree char *path = g_build_filename(directory, name, NULL);
        g_autofree char *line = g_strconcat(text, "\n", NULL);
        return write_file(path, line, strlen(line), mode, error);
}

/* What encoding/json makes of a tree it read into an interface: numbers went through float64. */
static Value *as_interface(const Value *value) {
        Value *copy;
        switch (value_kind(value)) {
        case VALUE_NUMBER:
                return value_float(value_as_double(value));
        case VALUE_LIST:
                copy = value_list();
                for (size_t i = 0; i < value_length(value); i++)
                        value_list_add(copy, as_interface(value_at(value, i)));
                return copy;
        case VALUE_MAP:
                copy = value_map();
                for (size_t i = 0; i < value_length(value); i++)
                        value_map_set_sized(copy, value_key_at(value, i),
                                            value_key_length_at(value, i),
                                            as_interface(value_at(value, i)));
                return copy;
        default:
                return value_ref(value);
        }
}

static bool create_file(const char *destination, const char *name, const Value *content,
                        GError **error) {
        g_autoptr(GString) text = g_string_new(NULL);
        if (value_is(content, VALUE_STRING)) {
                g_string_append_len(text, value_text(content), (gssize) value_text_length(content));
        } else {
                g_autoptr(Value) plain = as_interface(content);
                json_append(text, plain, JSON_SORTED);
        }
        g_string_replace(text, "START_VAR", "((", 0);
        g_string_replace(text, "END_VAR", "))", 0);

        g_autofree char *path = g_build_filename(destination, name, NULL);
        g_autofree char *parent = g_path_get_dirname(path);
        if (!directory_make(parent, 0755, error))
                return false;
        /* In an image all three scripts are links to one program: each name gets its own file, as executable. */
        mode_t mode = 0644;
        if (g_file_test(path, G_FILE_TEST_IS_SYMLINK)) {
                if (g_file_test(path, G_FILE_TEST_IS_EXECUTABLE))
                        mode = 0755;
                if (unlink(path) < 0) {
                        error_set_errno(error, errno, "unlink %s", path);
                        return false;
                }
        }
        return write_file(path, text->str, text->len, mode, error);
}

/* Params win over the source, path by path. */
static bool create_files(const Value *source, const Value *params, const char *destination,
                         GError **error) {
        const Value *base = value_get(source, "create_files");
        const Value *over = value_get(params, "create_files_via_params");
        for (size_t i = 0; i < value_length(base); i++)
                if (!value_has(over, value_key_at(base, i)) &&
                    !create_file(destination, value_key_at(base, i), value_at(base, i), error))
                        return false;
        for (size_t i = 0; i < value_length(over); i++)
                if (!create_file(destination, value_key_at(over, i), value_at(over, i), error))
                        return false;
        return true;
}

/* Copies one top-level entry; what the container's runtime mounts is only made, empty. */
static bool mirror_entry(const char *root, const char *name, const char *copy, GError **error) {
        static const char *const empty[] = { "tmp", "dev", "proc", "sys", NULL };
        g_autofree char *from = g_build_filename(root, name, NULL);
        if (g_strv_contains(empty, name)) {
                g_autofree char *to = g_build_filename(copy, name, NULL);
                struct stat status;
                if (stat(from, &status) < 0 || mkdir(to, 0700) < 0 ||
                    chmod(to, status.st_mode & 07777) < 0) {
                        error_set_errno(error, errno, "cannot mirror %s", from);
                        return false;
                }
                return true;
        }
        const char *const argv[] = { "cp", "-a", from, copy, NULL };
        g_auto(ChildResult) result = {};
        if (!child_run(&(ChildSpec){ .argv = argv, .input = -1, .output = -1, .error = -1 }, NULL,
                       0, VERSION_FILE_LIMIT, NULL, &result, error))
                return false;
        if (result.status != 0) {
                g_set_error(error, ERROR, ERROR_IO, "cannot mirror %s: %s", from,
                            g_strchomp(result.error));
                return false;
        }
        return true;
}

static void directory_close(DIR **directory) {
        if (*directory)
                closedir(*directory);
}

static bool mirror_root(const char *root, const char *destination, GError **error) {
        g_autofree char *copy = g_build_filename(destination, "rootfs", NULL);
        if (!directory_make(copy, 0755, error))
                return false;
        __attribute__((cleanup(directory_close))) DIR *directory = opendir(root);
        if (!directory) {
                error_set_errno(error, errno, "cannot mirror %s", root);
                return false;
        }
        for (struct dirent *entry; (entry = readdir(directory));)
                if (!g_str_equal(entry->d_name, ".") && !g_str_equal(entry->d_name, "..") &&
                    !mirror_entry(root, entry->d_name, copy, error))
                        return false;
        return true;
}

static bool mirror_self(const Value *request, const char *version, const char *destination,
                        const MockHost *host, GError **error) {
        bool via_params = value_get_bool(value_get(request, "params"), "mirror_self_via_params",
                                         false);
        if (!via_params && !value_get_bool(value_get(request, "source"), "mirror_self", false))
                return true;
        mock_log(host, "INFO", "mirroring self image", "via_params", via_params ? "true" : "false");
        if (!mirror_root(host->root, destination, error))
                return false;

        g_autoptr(Value) metadata = value_map();
        g_autofree char *variable = g_strconcat("MIRRORED_VERSION=", version, NULL);
        Value *environment = value_list();
        value_list_add(environment, value_string(variable));
        value_map_set(metadata, "env", environment);
        value_map_set_string(metadata, "user", "root");
        g_autofree char *text = json_write(metadata, JSON_COMPACT, NULL);
        return write_text(destination, "metadata.json", text, 0666, error);
}

bool mock_in(const Value *given, const char *destination, const MockHost *host, Value **ret,
             GError **error) {
        g_autoptr(Value) request = strict_request(given, STRICT_IN, &parts, error);
        if (!request)
                return false;
        if (!destination) {
                g_set_error(error, ERROR, ERROR_INVALID, "destination path not specified");
                return false;
        }
        const Value *source = value_get(request, "source"), *picked = value_get(request, "version");
        const char *version = value_get_string(picked, "version", "");

        log_source(source, host);
        if (host->privileged)
                log_info(host, "fetching in a privileged container");
        log_info(host, "fetching version: %s", version);
        if (!directory_make(destination, 0755, error) ||
            !write_text(destination, "privileged", host->privileged ? "true" : "false", 0666,
                        error) ||
            !write_text(destination, "version", version, 0777, error) ||
            !mirror_self(request, version, destination, host, error) ||
            !create_files(source, value_get(request, "params"), destination, error))
                return false;
        *ret = answer_new(version_new(version, value_get_string(picked, "privileged", NULL)),
                          source);
        return true;
}

/* ---- out ---- */

static char *out_version(const Value *params, const char *sources, GError **error) {
        const char *version = value_get_string(params, "version", "");
        const char *file = value_get_string(params, "file", "");
        if (*version)
                return g_strdup(version);
        if (!*file) {
                g_set_error(error, ERROR, ERROR_INVALID, "no version specified");
                return NULL;
        }
        g_autofree char *path = g_build_filename(sources, file, NULL);
        char *text = file_read(path, VERSION_FILE_LIMIT, NULL, error);
        if (!text)
                g_prefix_error(error, "error reading version from file %s: ", file);
        return text;
}

bool mock_out(const Value *given, const char *sources, const MockHost *host, Value **ret,
              GError **error) {
        g_autoptr(Value) request = strict_request(given, STRICT_OUT, &parts, error);
        if (!request)
                return false;
        if (!sources || !*sources) {
                g_set_error(error, ERROR, ERROR_INVALID,
                            sources ? "source path is empty" : "source path not specified");
                return false;
        }
        const Value *source = value_get(request, "source"), *params = value_get(request, "params");
        log_source(source, host);
        g_autofree char *version = out_version(params, sources, error);
        if (!version)
                return false;
        if (host->privileged)
                log_info(host, "pushing in a privileged container");
        log_info(host, "pushing version: %s", version);
        if (value_get_bool(params, "print_env", false))
                for (const char *const *variable = host->environment; *variable; variable++)
                        log_info(host, "env: %s", *variable);
        *ret = answer_new(version_new(version, host->privileged ? "true" : NULL), source);
        return true;
}
