/* Each test of db runs on both databases: a fresh SQLite file, a fresh schema in one throw-away
 * PostgreSQL. */
#pragma once

#include "base/child.h"
#include "db/db.h"
#include "db/schema.h"

typedef struct {
        DbKind kind;
        char *folder; /* for files; removed at the end */
        char *path;   /* of the SQLite file */
        char *conninfo;
        DbSpec spec; /* what open() uses; tests set keys and schema in it */
        Db *db;
} Fixture;

typedef void (*FixtureFn)(Fixture *fixture);

/* Registers <path>/sqlite and <path>/postgres. The database is not yet open. */
void fixture_add(const char *path, FixtureFn fn);
void fixture_add_one(const char *path, DbKind kind, FixtureFn fn);
void fixture_open(Fixture *fixture); /* closes what is open */
/* Opens and expects this error; the message matches pattern. */
void fixture_open_fails(Fixture *fixture, ErrorCode code, const char *pattern);
void fixture_close(Fixture *fixture);

/* As main: runs the tests, or what fixture_die() asks of a second process. */
int fixture_main(int argc, char **argv, void (*add)(void), const DbSchema *schema, DbFn write);

/* In a process of its own: opens the database with the schema of fixture_main, runs its write once,
 * and closes, all with WEIR_FAULT set. Returns its status as ChildResult. */
int fixture_die(Fixture *fixture, const char *fault);

/* Statements outside of any test's interest. */
void fixture_do(Fixture *fixture, const char *sql);
int64_t fixture_int(Fixture *fixture, const char *sql);
