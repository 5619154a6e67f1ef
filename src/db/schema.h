/* What a database is made of: its migrations and its encrypted columns. Constant tables. */
#pragma once

#include <stddef.h>

typedef struct {
        const char *name; /* "initial" */
        const char *sql;  /* with the tokens of README.md */
} DbMigration;

/* A pair of columns of a table with an `id`: text, and nonce (NULL: the text is plain). */
typedef struct {
        const char *table, *column, *nonce;
} DbSealed;

typedef struct DbSchema {
        const DbMigration *migrations; /* version 1 is the first */
        size_t migration_count;
        const DbSealed *sealed;
        size_t sealed_count;
} DbSchema;

/* Generated from migrations/ at build time. */
extern const DbMigration db_migrations[];
extern const size_t db_migration_count;

/* The table in sealed.c. */
extern const DbSealed db_sealed_columns[];
extern const size_t db_sealed_count;
