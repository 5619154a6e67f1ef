/* Shared by the parser and the help of base/options.h. */
#pragma once

#include "base/options.h"

/* With the table's prefix. Return new. */
char *option_long_name(const OptionTable *table, const Option *option);
/* program: "CONCOURSE_" or "WEIR_". NULL when it has no variable. */
char *option_variable(const OptionTable *table, const Option *option, const char *program);
