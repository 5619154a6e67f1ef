/* What a shell may complete the last word with (reference 02 §18). */
#pragma once

#include "fly/fly.h"

/* Prints one candidate a line; none where nothing is known. Names that only the server knows are asked for, and any
 * failure is silence. */
void complete(Fly *fly, int argc, char **argv);
