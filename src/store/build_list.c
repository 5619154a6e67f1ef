/* Lists of builds by pages (01 §6.1). */
#include "store/internal.h"

/* Rows read at once while looking for those that may be seen. */
#define BATCH 500

typedef struct {
        const BuildQuery *query;
        int64_t limit;
        bool upward; /* K ascending */
} Listing;

/* Where one query of a page goes on: behind this key. */
typedef struct {
        int64_t sort_id, id;
} Cursor;

#define NARROW                                                                                     \
        "SELECT " BUILD_COLUMNS " FROM " BUILD_TABLES                                              \
        " WHERE ($1 = 0 OR b.team_id = $1) AND ($2 = 0 OR b.pipeline_id = $2) AND ($3 = 0 OR "     \
        "b.job_id = $3) AND (NOT $4 OR b.id >= $5) AND (NOT $6 OR b.id <= $7) "
#define NARROW_TIMES                                                                               \
        "SELECT " BUILD_COLUMNS " FROM " BUILD_TABLES                                              \
        " WHERE ($1 = 0 OR b.team_id = $1) AND ($2 = 0 OR b.pipeline_id = $2) AND ($3 = 0 OR "     \
        "b.job_id = $3) AND (NOT $4 OR b.started >= $5) AND (NOT $6 OR b.started <= $7) "
#define DOWNWARD "AND (b.sort_id, b.id) < ($8, $9) ORDER BY b.sort_id DESC, b.id DESC LIMIT $10"
#define UPWARD "AND (b.sort_id, b.id) > ($8, $9) ORDER BY b.sort_id, b.id LIMIT $10"

static GPtrArray *batch(Store *store, const Listing *listing, const Cursor *cursor,
                        GError **error) {
        const BuildQuery *query = listing->query;
        const Page *page = &query->page;
        const char *sql = page->timestamps  ? NARROW_TIMES DOWNWARD
                          : listing->upward ? NARROW UPWARD
                                            : NARROW DOWNWARD;
        int64_t unit = page->timestamps ? 1000000 : 1;
        int64_t to = page->timestamps ? page->to * unit + unit - 1 : page->to;
        return store_list(store, row_build, (GDestroyNotify) build_free,
                          SQL(sql, DB_INT(query->team_id), DB_INT(query->pipeline_id),
                              DB_INT(query->job_id), DB_BOOL(page->has_from),
                              DB_INT(page->from * unit), DB_BOOL(page->has_to), DB_INT(to),
                              DB_INT(cursor->sort_id), DB_INT(cursor->id), DB_INT(BATCH)),
                          error);
}

static bool may_see(const Build *build, const Visibility *visibility) {
        if (!visibility || visibility->everything || build->pipeline_public)
                return true;
        for (size_t i = 0; i < visibility->team_count; i++)
                if (visibility->team_ids[i] == build->team_id)
                        return true;
        return false;
}

static int64_t sort_id(const Build *build) {
        return build->rerun_of ? build->rerun_of : build->id;
}

/* Adds up to the limit of what may be seen. */
static bool collect(Store *store, const Listing *listing, GPtrArray *builds, GError **error) {
        Cursor cursor = listing->upward ? (Cursor){ INT64_MIN, INT64_MIN }
                                        : (Cursor){ INT64_MAX, INT64_MAX };
        for (;;) {
                g_autoptr(GPtrArray) found = batch(store, listing, &cursor, error);
                if (!found)
                        return false;
                for (guint i = 0; i < found->len; i++) {
                        Build *build = found->pdata[i];
                        cursor = (Cursor){ sort_id(build), build->id };
                        if (!may_see(build, listing->query->visibility))
                                continue;
                        g_ptr_array_add(builds, g_steal_pointer(&found->pdata[i]));
                        if ((int64_t) builds->len >= listing->limit)
                                return true;
                }
                if (found->len < BATCH)
                        return true;
        }
}

static void turn_round(GPtrArray *items) {
        for (guint i = 0; i < items->len / 2; i++) {
                void *swap = items->pdata[i];
                items->pdata[i] = items->pdata[items->len - 1 - i];
                items->pdata[items->len - 1 - i] = swap;
        }
}

/* The first build older than the page's last, or newer than its first; 0: none. */
static bool neighbour(Store *store, const BuildQuery *query, const Build *edge, bool newer,
                      int64_t *ret, GError **error) {
        BuildQuery next = *query;
        next.page = newer ? (Page){ .has_from = true, .from = edge->id + 1 }
                          : (Page){ .has_to = true, .to = edge->id - 1 };
        Listing listing = { .query = &next, .limit = 1, .upward = newer };
        g_autoptr(GPtrArray) builds = g_ptr_array_new_with_free_func((GDestroyNotify) build_free);
        if (!collect(store, &listing, builds, error))
                return false;
        *ret = builds->len ? ((Build *) builds->pdata[0])->id : 0;
        return true;
}

GPtrArray *build_list(Store *store, const BuildQuery *query, PageLinks *ret_links, GError **error) {
        const Page *page = &query->page;
        if (page->has_from && page->has_to && page->from > page->to) {
                g_set_error(error, ERROR, ERROR_INVALID, "invalid range boundaries");
                return NULL;
        }
        Listing listing = {
                .query = query,
                .limit = page->limit ? (int64_t) MIN(page->limit, (size_t) INT32_MAX) : 100,
                .upward = page->has_from && !page->timestamps,
        };
        g_autoptr(GPtrArray) builds = g_ptr_array_new_with_free_func((GDestroyNotify) build_free);
        if (!collect(store, &listing, builds, error))
                return NULL;
        if (listing.upward && !page->has_to)
                turn_round(builds);

        if (ret_links) {
                PageLinks links = { 0 };
                if (builds->len > 0 && !page->timestamps &&
                    (!neighbour(store, query, builds->pdata[builds->len - 1], false, &links.older,
                                error) ||
                     !neighbour(store, query, builds->pdata[0], true, &links.newer, error)))
                        return NULL;
                *ret_links = links;
        }
        return g_steal_pointer(&builds);
}
