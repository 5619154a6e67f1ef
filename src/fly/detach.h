/* A build that a command has just started. */
#pragma once

#include "fly/api.h"

/* Says that it has started; with watch follows it, and an interrupt leaves it running. */
bool started_build(Fly *fly, const ItemRef *job, const Value *build, bool watch, GError **error);
