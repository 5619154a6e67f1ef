/* Texts that upstream takes from Go's libraries. Internal to config. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

/* Why time.ParseDuration refuses a text: "time: unknown unit \"d\" in duration \"5d\"". Returns new. */
char *duration_error_text(const char *text);
/* A quoted string as %q; as %+q when ascii: all beyond ASCII escaped. Returns new. */
char *go_quote(const char *text, bool ascii);
/* A list as %+q: ["a" "b"]. Returns new. */
char *go_quote_list(const char *const *texts, size_t count);
