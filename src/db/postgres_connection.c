#include "db/postgres.h"

#include <endian.h>
#include <poll.h>
#include <string.h>

#define CONNECT_TIMEOUT (10 * DURATION_SECOND)
#define SERVER_VERSION_MIN 130000

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PGresult, PQclear)

typedef struct {
        DbRows rows;
        PGresult *result;
        int row; /* the current one; -1 before the first */
} PostgresRows;

/* ---- errors ---- */

/* idle_in_transaction_session_timeout: what it did is rolled back, for sure */
#define STATE_STOOD_STILL "25P03"

typedef struct {
        const char *prefix; /* of the SQLSTATE */
        ErrorCode code;
} State;

static const State states[] = {
        { "23505", ERROR_EXISTS },
        { "23", ERROR_INVALID },
        { "22", ERROR_INVALID },
        { "28", ERROR_DENIED },
        { "42501", ERROR_DENIED },
        { "3D", ERROR_NOT_FOUND },
        { "40", ERROR_BUSY },
        { "53300", ERROR_UNAVAILABLE },
        { "53", ERROR_IO },
        { "57P", ERROR_UNAVAILABLE },
        { "08", ERROR_UNAVAILABLE },
        { "58", ERROR_IO },
        { STATE_STOOD_STILL, ERROR_UNAVAILABLE },
};

/* serialization_failure, deadlock_detected */
static bool state_passes(const char *state) {
        return g_str_equal(state, "40001") || g_str_equal(state, "40P01") ||
               g_str_equal(state, STATE_STOOD_STILL);
}

static ErrorCode code_for(const char *state) {
        for (size_t i = 0; i < G_N_ELEMENTS(states); i++)
                if (g_str_has_prefix(state, states[i].prefix))
                        return states[i].code;
        return ERROR_INTERNAL;
}

/* libpq ends its texts with newlines. */
static void connection_error(const Session *session, GError **error) {
        g_autofree char *text = g_strdup(PQerrorMessage(session->handle));
        g_strdelimit(g_strchomp(text), "\n", ' ');
        g_set_error(error, ERROR, ERROR_UNAVAILABLE, "database: %s", text);
}

static bool check(const Session *session, const PGresult *result, bool *ret_passes,
                  GError **error) {
        ExecStatusType status = PQresultStatus(result);
        if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
                return true;
        const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
        const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
        bool passes = state && state_passes(state);
        if (ret_passes)
                *ret_passes = passes;
        if (!state || (!passes && PQstatus(session->handle) != CONNECTION_OK)) {
                connection_error(session, error);
                return false;
        }
        g_set_error(error, ERROR, (int) code_for(state), "database: %s", text ? text : state);
        return false;
}

/* ---- waiting ---- */

static bool flush(Session *session, GError **error) {
        for (int left; (left = PQflush(session->handle)) != 0;) {
                if (left < 0) {
                        connection_error(session, error);
                        return false;
                }
                if (!cancel_poll(session->cancel, PQsocket(session->handle), POLLIN | POLLOUT,
                                 DURATION_NEVER, error))
                        return false;
                if (!PQconsumeInput(session->handle)) {
                        connection_error(session, error);
                        return false;
                }
        }
        return true;
}

static bool await_input(Session *session, GError **error) {
        while (PQisBusy(session->handle)) {
                if (!cancel_poll(session->cancel, PQsocket(session->handle), POLLIN, DURATION_NEVER,
                                 error))
                        return false;
                if (!PQconsumeInput(session->handle)) {
                        connection_error(session, error);
                        return false;
                }
        }
        return true;
}

/* Collects what was sent for: the first result that failed, else the last one. Returns new. */
static PGresult *collect(Session *session, GError **error) {
        g_autoptr(PGresult) kept = NULL;
        g_autoptr(GError) local = NULL;
        bool failed = false;
        if (!flush(session, error))
                return NULL;
        while (await_input(session, &local)) {
                PGresult *result = PQgetResult(session->handle);
                if (!result) {
                        if (!kept)
                                connection_error(session, error);
                        return g_steal_pointer(&kept);
                }
                if (failed) {
                        PQclear(result);
                        continue;
                }
                g_clear_pointer(&kept, PQclear);
                kept = result;
                failed = PQresultStatus(result) == PGRES_FATAL_ERROR;
        }
        if (failed) /* the connection ends with its failure, which says more */
                return g_steal_pointer(&kept);
        g_propagate_error(error, g_steal_pointer(&local));
        return NULL;
}

/* sent: what PQsend… returned. */
static PGresult *finish(Session *session, int sent, bool *ret_passes, GError **error) {
        if (!sent) {
                connection_error(session, error);
                return NULL;
        }
        g_autoptr(PGresult) result = collect(session, error);
        if (!result || !check(session, result, ret_passes, error))
                return NULL;
        return g_steal_pointer(&result);
}

bool session_do(Session *session, const char *sql, bool *ret_passes, GError **error) {
        g_autoptr(PGresult)
                result = finish(session, PQsendQuery(session->handle, sql), ret_passes, error);
        return result != NULL;
}

/* ---- statements ---- */

typedef struct {
        Oid type;
        int length; /* of the binary form; 0: the argument's own */
} Kind;

enum { OID_BOOL = 16, OID_BYTES = 17, OID_INT8 = 20, OID_INT2 = 21, OID_INT4 = 23, OID_TEXT = 25 };
enum { OID_NAME = 19, OID_UNKNOWN = 705, OID_FLOAT4 = 700, OID_FLOAT8 = 701, OID_VARCHAR = 1043 };
enum { OID_VOID = 2278 };

static const Kind kinds[] = {
        /* by DbArgKind */
        [DB_ARG_NULL] = { 0, 0 },        [DB_ARG_INT] = { OID_INT8, 8 },
        [DB_ARG_TEXT] = { OID_TEXT, 0 }, [DB_ARG_BYTES] = { OID_BYTES, 0 },
        [DB_ARG_BOOL] = { OID_BOOL, 1 }, [DB_ARG_DOUBLE] = { OID_FLOAT8, 8 },
};

/* Arguments as libpq wants them, all in binary. */
typedef struct {
        Oid types[ARGUMENTS_MAX];
        const char *values[ARGUMENTS_MAX];
        int lengths[ARGUMENTS_MAX], formats[ARGUMENTS_MAX];
        uint64_t words[ARGUMENTS_MAX]; /* what fits into one, in network order */
        int count;
} Arguments;

static void arguments_fill(Arguments *ret, const DbArg *args, size_t count) {
        ret->count = (int) count;
        for (size_t i = 0; i < count; i++) {
                const DbArg *arg = &args[i];
                uint64_t word = (uint64_t) arg->integer;
                if (arg->kind == DB_ARG_DOUBLE)
                        memcpy(&word, &arg->number, sizeof(word));
                ret->words[i] = arg->kind == DB_ARG_BOOL ? (uint64_t) (word != 0) : htobe64(word);
                const Kind *kind = &kinds[arg->kind];
                ret->types[i] = kind->type;
                ret->formats[i] = 1;
                ret->lengths[i] = kind->length > 0 ? kind->length : (int) arg->length;
                if (arg->null || arg->kind == DB_ARG_NULL)
                        ret->values[i] = NULL;
                else if (kind->length > 0)
                        ret->values[i] = (const char *) &ret->words[i];
                else
                        ret->values[i] = arg->data ? arg->data : "";
        }
}

static char *statement_key(const char *sql, const DbArg *args, size_t count) {
        GString *key = g_string_new(sql);
        g_string_append_c(key, '\n');
        for (size_t i = 0; i < count; i++)
                g_string_append_c(key, (char) ('0' + args[i].kind));
        return g_string_free(key, false);
}

/* Returns the name under which sql is prepared, owned by the session; or NULL. */
static const char *prepare(Session *session, const char *sql, const DbArg *args, size_t count,
                           const Arguments *arguments, bool *ret_passes, GError **error) {
        g_autofree char *key = statement_key(sql, args, count);
        const char *known = g_hash_table_lookup(session->statements, key);
        if (known)
                return known;
        if (g_hash_table_size(session->statements) >= STATEMENTS_KEPT) {
                if (!session_do(session, "DEALLOCATE ALL", ret_passes, error))
                        return NULL;
                g_hash_table_remove_all(session->statements);
        }
        g_autofree char *name = g_strdup_printf("s%u", ++session->last_name);
        g_autofree char *expanded = sql_expand(DB_POSTGRES, sql);
        int sent = PQsendPrepare(session->handle, name, expanded ? expanded : sql, (int) count,
                                 arguments->types);
        g_autoptr(PGresult) result = finish(session, sent, ret_passes, error);
        if (!result)
                return NULL;
        const char *kept = name;
        g_hash_table_insert(session->statements, g_steal_pointer(&key), g_steal_pointer(&name));
        return kept;
}

static PGresult *run(DbTx *tx, const char *sql, const DbArg *args, size_t count, GError **error) {
        Session *session = tx->connection;
        Arguments arguments;
        arguments_fill(&arguments, args, count);
        const char *name = prepare(session, sql, args, count, &arguments, &tx->retry, error);
        if (!name)
                return NULL;
        int sent = PQsendQueryPrepared(session->handle, name, arguments.count, arguments.values,
                                       arguments.lengths, arguments.formats, 1);
        return finish(session, sent, &tx->retry, error);
}

bool postgres_exec(DbTx *tx, int64_t *ret_changed, GError **error, const char *sql,
                   const DbArg *args, size_t count) {
        g_autoptr(PGresult) result = run(tx, sql, args, count, error);
        if (!result)
                return false;
        *ret_changed = g_ascii_strtoll(PQcmdTuples(result), NULL, 10);
        return true;
}

bool postgres_script(DbTx *tx, const char *sql, GError **error) {
        return session_do(tx->connection, sql, &tx->retry, error);
}

/* ---- rows ---- */

static bool is_text(Oid type) {
        return type == OID_TEXT || type == OID_VARCHAR || type == OID_NAME || type == OID_UNKNOWN;
}

static bool is_known(Oid type) {
        static const Oid others[] = { OID_BOOL, OID_BYTES,  OID_INT8,   OID_INT2,
                                      OID_INT4, OID_FLOAT4, OID_FLOAT8, OID_VOID };
        for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
                if (others[i] == type)
                        return true;
        return is_text(type);
}

DbRows *postgres_query(DbTx *tx, GError **error, const char *sql, const DbArg *args, size_t count) {
        g_autoptr(PGresult) result = run(tx, sql, args, count, error);
        if (!result)
                return NULL;
        for (int column = 0; column < PQnfields(result); column++)
                if (!is_known(PQftype(result, column))) {
                        g_set_error(error, ERROR, ERROR_INTERNAL,
                                    "database: column %d (%s) is of a type that needs a CAST: %s",
                                    column, PQfname(result, column), sql);
                        return NULL;
                }
        PostgresRows *rows = g_new0(PostgresRows, 1);
        rows->rows.tx = tx;
        rows->result = g_steal_pointer(&result);
        rows->row = -1;
        return &rows->rows;
}

bool postgres_next(DbRows *base) {
        PostgresRows *rows = (PostgresRows *) base;
        if (rows->row + 1 >= PQntuples(rows->result))
                return false;
        rows->row++;
        return true;
}

void postgres_rows_free(DbRows *base) {
        PostgresRows *rows = (PostgresRows *) base;
        PQclear(rows->result);
        g_free(rows);
}

/* The value's bytes; *ret_type and *ret_length say what they are. */
static const void *cell(DbRows *base, int column, Oid *ret_type, size_t *ret_length) {
        PostgresRows *rows = (PostgresRows *) base;
        g_assert(rows->row >= 0 && column >= 0 && column < PQnfields(rows->result));
        *ret_type = PQftype(rows->result, column);
        *ret_length = (size_t) PQgetlength(rows->result, rows->row, column);
        return PQgetvalue(rows->result, rows->row, column);
}

bool postgres_is_null(DbRows *base, int column) {
        PostgresRows *rows = (PostgresRows *) base;
        g_assert(rows->row >= 0 && column >= 0 && column < PQnfields(rows->result));
        return PQgetisnull(rows->result, rows->row, column);
}

/* Big-endian bytes with a sign. */
static int64_t decode_integer(const uint8_t *bytes, size_t length) {
        uint64_t value = length > 0 && length < 8 && bytes[0] & 0x80 ? UINT64_MAX : 0;
        for (size_t i = 0; i < length; i++)
                value = value << 8 | bytes[i];
        return (int64_t) value;
}

int64_t postgres_integer(DbRows *rows, int column) {
        Oid type;
        size_t length;
        const void *data = cell(rows, column, &type, &length);
        if (is_text(type))
                return g_ascii_strtoll(data, NULL, 10);
        if (type == OID_FLOAT4 || type == OID_FLOAT8)
                return (int64_t) postgres_number(rows, column);
        return decode_integer(data, length);
}

double postgres_number(DbRows *rows, int column) {
        Oid type;
        size_t length;
        const void *data = cell(rows, column, &type, &length);
        if (type == OID_FLOAT8) {
                uint64_t word;
                double number;
                memcpy(&word, data, sizeof(word));
                word = be64toh(word);
                memcpy(&number, &word, sizeof(number));
                return number;
        }
        if (type == OID_FLOAT4) {
                uint32_t word;
                float number;
                memcpy(&word, data, sizeof(word));
                word = be32toh(word);
                memcpy(&number, &word, sizeof(number));
                return (double) number;
        }
        return is_text(type) ? g_ascii_strtod(data, NULL) : (double) decode_integer(data, length);
}

const char *postgres_text(DbRows *rows, int column) {
        Oid type;
        size_t length;
        const char *data = cell(rows, column, &type, &length);
        g_assert(is_text(type)); /* a number is not converted on the way */
        return data;
}

const void *postgres_bytes(DbRows *rows, int column, size_t *ret_length) {
        Oid type;
        const void *data = cell(rows, column, &type, ret_length);
        g_assert(is_text(type) || type == OID_BYTES);
        return data;
}

/* ---- connections ---- */

static void ignore_notice(void *data, const PGresult *result) {
}

static bool await_connection(Session *session, GError **error) {
        Duration deadline = clock_monotonic() + CONNECT_TIMEOUT;
        for (PostgresPollingStatusType next = PGRES_POLLING_WRITING; next != PGRES_POLLING_OK;) {
                if (next == PGRES_POLLING_FAILED) {
                        connection_error(session, error);
                        return false;
                }
                short events = next == PGRES_POLLING_READING ? POLLIN : POLLOUT;
                if (!cancel_poll(session->cancel, PQsocket(session->handle), events, deadline,
                                 error))
                        return false;
                next = PQconnectPoll(session->handle);
        }
        return true;
}

static bool configure(Session *session, Duration standstill, GError **error) {
        int version = PQserverVersion(session->handle);
        if (version < SERVER_VERSION_MIN) {
                g_set_error(error, ERROR, ERROR_UNSUPPORTED,
                            "PostgreSQL %d is too old: %d or newer is needed", version / 10000,
                            SERVER_VERSION_MIN / 10000);
                return false;
        }
        PQsetNoticeReceiver(session->handle, ignore_notice, NULL);
        if (PQsetnonblocking(session->handle, 1) != 0) {
                connection_error(session, error);
                return false;
        }
        g_autofree char *settings = g_strdup_printf(
                "SET client_min_messages = warning;"
                "SET idle_in_transaction_session_timeout = %" G_GINT64_FORMAT ";"
                "SET extra_float_digits = 3",
                (int64_t) (standstill / DURATION_MILLISECOND));
        return session_do(session, settings, NULL, error);
}

Session *session_open(const SessionSpec *spec, GError **error) {
        /* What conninfo says comes later and wins. */
        static const char *const keys[] = {
                "fallback_application_name", "client_encoding", "keepalives_idle",
                "tcp_user_timeout",          "dbname",          NULL
        };
        const char *const values[] = { "weir", "UTF8", "10", "20000", spec->conninfo, NULL };
        g_autoptr(Session) session = g_new0(Session, 1);
        session->cancel = spec->cancel;
        session->statements = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        session->handle = PQconnectStartParams(keys, values, 1);
        g_assert(session->handle);
        if (PQstatus(session->handle) == CONNECTION_BAD) {
                connection_error(session, error);
                return NULL;
        }
        if (!await_connection(session, error) || !configure(session, spec->standstill, error))
                return NULL;
        return g_steal_pointer(&session);
}

void session_close(Session *session) {
        if (!session)
                return;
        PQfinish(session->handle);
        g_hash_table_unref(session->statements);
        g_free(session);
}

bool session_alive(const Session *session) {
        return PQstatus(session->handle) == CONNECTION_OK;
}
