/* `weir web`: builds the parts of the server and ties them together. */
#pragma once

#include "base/cancel.h"
#include "web/options.h"

/*
 * Runs the web node until shutdown fires; builds that run stay started, the next start takes them
 * up. Nothing on the disk is touched before the settings are known to be good and the port is ours.
 *
 * ERROR_INVALID for settings that cannot be; ERROR_EXISTS "listen tcp …: address already in use";
 * ERROR_BUSY when another process has the database; ERROR_UNSUPPORTED for a database of a newer
 * program.
 */
bool web_run(const WebOptions *options, Cancel *shutdown, GError **error);
