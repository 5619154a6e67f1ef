/* The settings of a program that we start, from those that were read from our own command line. */
#pragma once

#include "base/options.h"

/* What a child is started with; both are NULL-terminated once settings_end() was called. */
typedef struct {
        GPtrArray *argv, *env;
} ChildSettings;

/* Begins with the program and our environment without any setting of ours in it. */
ChildSettings child_settings_new(const char *program);
/* Every option of the table as it stands in values. They go by the environment, which only the
 * child's user can read; a list whose items have commas goes by the command line. */
void child_settings_add_all(ChildSettings *settings, const Option *options, const void *values);
/* One setting, instead of what add_all passed on. */
void child_settings_set(ChildSettings *settings, const char *option, const char *value);
void child_settings_end(ChildSettings *settings);
void child_settings_clear(ChildSettings *settings);
