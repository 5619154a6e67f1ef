#include "base/log.h"

#include "base/json.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Written once before any thread; the level may change at any time. */
static const char *log_source = "weir";
static int log_fd = STDERR_FILENO;
static atomic_int log_least = LOG_INFO;
/* Lines longer than a pipe's atomic size must not mix. */
static pthread_mutex_t log_mutex = PTHREAD_MUTEX_INITIALIZER;

static const char *const names[] = {
        [LOG_DEBUG] = "debug",
        [LOG_INFO] = "info",
        [LOG_ERROR] = "error",
        [LOG_FATAL] = "fatal",
};

void log_open(const char *source, LogLevel least, int fd) {
        log_source = source;
        log_fd = fd;
        log_set_level(least);
}

void log_set_level(LogLevel least) {
        atomic_store(&log_least, (int) least);
}

LogLevel log_level(void) {
        return (LogLevel) atomic_load(&log_least);
}

bool log_level_parse(const char *text, LogLevel *ret, GError **error) {
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
                if (g_str_equal(names[i], text)) {
                        *ret = (LogLevel) i;
                        return true;
                }
        g_set_error(error, ERROR, ERROR_INVALID, "invalid log level '%s'", text);
        return false;
}

static void append_member(GString *line, const char *name, const char *text) {
        json_append_string(line, name, strlen(name), JSON_NO_HTML);
        g_string_append_c(line, ':');
        json_append_string(line, text, strlen(text), JSON_NO_HTML);
}

static void append_time(GString *line) {
        struct timespec now;
        struct tm parts;

        clock_gettime(CLOCK_REALTIME, &now);
        gmtime_r(&now.tv_sec, &parts);
        g_string_append_printf(line, "{\"timestamp\":\"%04d-%02d-%02dT%02d:%02d:%02d.%09ldZ\",",
                               parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour,
                               parts.tm_min, parts.tm_sec, now.tv_nsec);
}

static void append_data(GString *line, const GError *error, va_list pairs) {
        const char *separator = "", *name;

        g_string_append(line, ",\"data\":{");
        if (error) {
                append_member(line, "error", error->message);
                separator = ",";
        }
        while ((name = va_arg(pairs, const char *))) {
                const char *text = va_arg(pairs, const char *);
                if (!text)
                        continue;
                g_string_append(line, separator);
                append_member(line, name, text);
                separator = ",";
        }
        g_string_append(line, "}}\n");
}

static void write_line(const GString *line) {
        size_t written = 0;

        pthread_mutex_lock(&log_mutex);
        while (written < line->len) {
                ssize_t count = write(log_fd, line->str + written, line->len - written);
                if (count < 0 && errno != EINTR)
                        break; /* nobody to tell */
                written += count > 0 ? (size_t) count : 0;
        }
        pthread_mutex_unlock(&log_mutex);
}

void log_write(LogLevel level, const char *session, const char *event, const GError *error, ...) {
        va_list pairs;

        if ((int) level < atomic_load(&log_least))
                return;
        g_autoptr(GString) line = g_string_sized_new(256);
        g_autofree char *message = *session
                                           ? g_strdup_printf("%s.%s.%s", log_source, session, event)
                                           : g_strdup_printf("%s.%s", log_source, event);
        append_time(line);
        append_member(line, "level", names[level]);
        g_string_append_c(line, ',');
        append_member(line, "source", log_source);
        g_string_append_c(line, ',');
        append_member(line, "message", message);
        va_start(pairs, error);
        append_data(line, error, pairs);
        va_end(pairs);
        write_line(line);
}

LogInt log_int(int64_t number) {
        LogInt text;

        g_snprintf(text.text, sizeof text.text, "%" G_GINT64_FORMAT, number);
        return text;
}
