/* From what the command line says to what the parts want. Internal to web. */
#pragma once

#include "pool/pool.h"
#include "steps/run.h"
#include "web/options.h"

/* What the table of options cannot say, before anything is touched: keys that are none, users that are none. */
bool settings_check(const WebOptions *options, GError **error);

/* libpq's connection string. Returns new. */
char *settings_conninfo(const WebOptions *options);

/* How workers are chosen: the strategies and limits of *ret. Its lists are new, for settings_placement_clear(). */
bool settings_placement(const WebOptions *options, PoolSpec *ret, GError **error);
void settings_placement_clear(PoolSpec *pool);

/* The file of --base-resource-type-defaults. *ret is new; NULL without the option. */
bool settings_type_defaults(const WebOptions *options, Value **ret, GError **error);

/* Users who own the main team. Fails with upstream's text when there are none. Returns new. */
Value *settings_main_team(const WebOptions *options, GError **error);
