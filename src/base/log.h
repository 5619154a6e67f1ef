/* JSON lines on stderr, with the field names Concourse's log readers know (reference 08 D.7). */
#pragma once

#include "base/error.h"

typedef enum { LOG_DEBUG, LOG_INFO, LOG_ERROR, LOG_FATAL } LogLevel;

/* Before any thread starts. source: "atc", "worker", … */
void log_open(const char *source, LogLevel least, int fd);
void log_set_level(LogLevel least); /* any thread */
LogLevel log_level(void);
bool log_level_parse(const char *text, LogLevel *ret, GError **error);

/*
 * log_info("scheduler", "build-created", "build", "42", "job", name, NULL-terminated pairs of text.
 * The line's "message" is "<source>.<session>.<event>", its "data" the pairs. A NULL value is left
 * out.
 */
void log_write(LogLevel level, const char *session, const char *event, const GError *error,
               ...) G_GNUC_NULL_TERMINATED;
#define log_debug(session, ...) log_write_(LOG_DEBUG, session, __VA_ARGS__)
#define log_info(session, ...) log_write_(LOG_INFO, session, __VA_ARGS__)
#define log_write_(level, session, event, ...)                                                     \
        log_write(level, session, event, NULL, ##__VA_ARGS__, NULL)
/* log_error("engine", "finish-failed", error, "build", id) */
#define log_error(session, event, error, ...)                                                      \
        log_write(LOG_ERROR, session, event, error, ##__VA_ARGS__, NULL)

/* Text of an integer for a log pair; valid until the end of the enclosing statement's block. */
#define LOG_INT(number) (log_int((int64_t) (number)).text)
typedef struct {
        char text[24];
} LogInt;
LogInt log_int(int64_t number);
