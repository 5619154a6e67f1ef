/* Shared by the parts of base/options.h. */
#pragma once

#include "base/options.h"

/* With the table's prefix. Return new. */
char *option_long_name(const OptionTable *table, const Option *option);
/* "-p, --pipeline", as messages name it. */
char *option_flag_text(const OptionTable *table, const Option *option);
/* program: "CONCOURSE_" or "WEIR_". NULL when it has no variable. */
char *option_variable(const OptionTable *table, const Option *option, const char *program);

bool option_is_list(const Option *option);
/* Takes all items of a list away; nothing else. */
void option_empty(const Option *option, void *target);
/* text is NULL for flags. Lists get one more item. */
bool option_set(const OptionTable *table, const Option *option, const char *text, void *target,
                GError **error);
/* From the command line, where a text in double quotes is one of Go's. */
bool option_set_word(const OptionTable *table, const Option *option, const char *text, void *target,
                     GError **error);

/* Defaults, then the environment, if it counts. was_set has one bool for each option. */
bool options_set_start(const OptionTable *table, void *target, bool environment, bool *was_set,
                       GError **error);
void options_forget_environment(const OptionTable *table);
