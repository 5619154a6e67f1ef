/* The terminal that fly is used from. */
#pragma once

#include "wire/garden.h"

/* The size of the terminal behind a descriptor; false where there is none. */
bool terminal_size(int fd, GardenWindow *ret);
/* Hands every key on as it is typed, Ctrl-C included, where standard input is a terminal. Undone by terminal_restore(),
 * and when a signal ends the program. */
void terminal_raw(void);
void terminal_restore(void);
