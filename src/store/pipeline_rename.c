/* Jobs and resources that say their old_name keep what is theirs (05 §5.5). */
#include "store/internal.h"

typedef struct {
        const char *from, *to;
} Rename;

/* Those whose `from` has a row. */
static GArray *read_renames(const Value *items) {
        GArray *renames = g_array_new(false, false, sizeof(Rename));
        for (size_t i = 0; i < value_length(items); i++) {
                Rename rename = { value_get_string(value_at(items, i), "old_name", ""),
                                  value_get_string(value_at(items, i), "name", "") };
                if (*rename.from && !g_str_equal(rename.from, rename.to))
                        g_array_append_val(renames, rename);
        }
        return renames;
}

/* Moves a rename whose target no later one still holds to the end; false: they form a circle. */
static bool take_free(GArray *renames, Rename *ret) {
        for (guint i = 0; i < renames->len; i++) {
                Rename *candidate = &g_array_index(renames, Rename, i);
                bool held = false;
                for (guint k = 0; k < renames->len; k++)
                        held |= g_str_equal(g_array_index(renames, Rename, k).from, candidate->to);
                if (!held) {
                        *ret = *candidate;
                        g_array_remove_index(renames, i);
                        return true;
                }
        }
        return false;
}

/* kind < 0: jobs. */
static bool rename_row(DbTx *tx, int64_t pipeline_id, int kind, const Rename *rename,
                       GError **error) {
        int64_t known = 0;
        DbArg pipeline = DB_INT(pipeline_id), from = DB_TEXT(rename->from),
              to = DB_TEXT(rename->to), of = DB_INT(kind);
        if (kind < 0)
                return tx_int(tx, 0, &known,
                              SQL("SELECT id FROM jobs WHERE pipeline_id = $1 AND name = $2",
                                  pipeline, from),
                              error) &&
                       (known == 0 ||
                        (tx_exec(tx,
                                 SQL("DELETE FROM jobs WHERE pipeline_id = $1 AND name = $2 AND "
                                     "NOT active",
                                     pipeline, to),
                                 NULL, error) &&
                         tx_exec(tx,
                                 SQL("UPDATE jobs SET name = $2 WHERE id = $1", DB_INT(known), to),
                                 NULL, error)));
        return tx_int(tx, 0, &known,
                      SQL("SELECT id FROM resources WHERE pipeline_id = $1 AND name = $2 AND kind "
                          "= $3",
                          pipeline, from, of),
                      error) &&
               (known == 0 ||
                (tx_exec(tx,
                         SQL("DELETE FROM resources WHERE pipeline_id = $1 AND name "
                             "= $2 AND kind = $3",
                             pipeline, to, of),
                         NULL, error) &&
                 tx_exec(tx, SQL("UPDATE resources SET name = $2 WHERE id = $1", DB_INT(known), to),
                         NULL, error)));
}

bool tx_rename_all(DbTx *tx, int64_t pipeline_id, int kind, const Value *items, GError **error) {
        g_autoptr(GArray) renames = read_renames(items);
        while (renames->len > 0) {
                Rename rename;
                if (!take_free(renames, &rename)) {
                        g_set_error(error, ERROR, ERROR_INVALID,
                                    "%s name swapping is not supported at this time",
                                    kind < 0 ? "job" : "resource");
                        return false;
                }
                if (!rename_row(tx, pipeline_id, kind, &rename, error))
                        return false;
        }
        return true;
}
