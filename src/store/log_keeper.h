/* Where the frames of build logs are kept: files with SQLite, rows with PostgreSQL. */
#pragma once

#include "store/internal.h"
#include "store/log_frame.h"

/* A place in a log. segment < 0: not found yet. */
typedef struct {
        int64_t segment; /* id of its first event */
        int64_t offset;  /* of bytes in it */
        int64_t event;   /* that begins there */
} LogCursor;

/* The end that is written to. Only its log's flush touches it. */
typedef struct {
        int64_t build_id;
        int64_t next_event;
        int fd; /* files: of the open segment; -1: none */
        int64_t segment, bytes;
        bool named; /* files: the segment's name is on the disk too */
} LogTail;

typedef struct {
        const GByteArray *frames;
        size_t events;
        int64_t epoch;
} LogAppend;

typedef struct {
        /* Adds to `frames` some whole frames from the cursor on, or nothing at the end. With a new
         * cursor it may begin before cursor->event, which it then sets. */
        bool (*read)(Store *store, int64_t build_id, LogCursor *cursor, GByteArray *frames,
                     GError **error);
        /* Readies the end for writing: cuts what is torn. *tail->next_event is found. */
        bool (*open)(Store *store, LogTail *tail, GError **error);
        /* All of it or nothing. */
        bool (*append)(Store *store, LogTail *tail, const LogAppend *append, GError **error);
        /* Returns when all that was appended is on the disk. */
        bool (*sync)(Store *store, LogTail *tail, GError **error);
        void (*close)(Store *store, LogTail *tail); /* nothing more will come */
        bool (*remove)(Store *store, int64_t build_id, GError **error);
} LogKeeper;

extern const LogKeeper log_keeper_files, log_keeper_chunks;

/* Where the segments of a build's log are, below the folder of all logs. Returns new. */
char *log_files_directory(const char *log_directory, int64_t build_id);

static inline const LogKeeper *log_keeper(Store *store) {
        return store->postgres ? &log_keeper_chunks : &log_keeper_files;
}

/* How many events of a log may be shown: those of one that is being written here are on the disk up to this. */
int64_t log_stored(Store *store, int64_t build_id);

/* ---- log_scan.c ---- */

typedef struct {
        GHashTable *offsets; /* stream → int64_t; NULL: not asked for */
        bool final;          /* it has its final event, then */
        BuildStatus status;
        Time time;
} LogContent;

/* Reads a whole log. */
bool log_scan(Store *store, int64_t build_id, LogContent *content, GError **error);
void log_note_offset(GHashTable *offsets, const char *stream, size_t length, int64_t offset);
