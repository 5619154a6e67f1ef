/* The token from the browser, or typed in by hand (reference 02 §5.3). */
#pragma once

#include "fly/fly.h"

/* Prints where to go and waits for the browser's call or a typed token. Returns new, "TYPE VALUE". */
char *browser_token(const char *api, bool open_browser, GError **error);
