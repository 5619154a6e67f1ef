/*
 * Steps that need no worker, in place of those that do. A task does what its name says:
 *
 *   ok, fail, error   ends so ("error:text" with this text)
 *   stale             ends with ERROR_STALE
 *   abort             fires the token of leaves_begin(), then is interrupted
 *   wait              until it is interrupted or its deadline passes, as a real step: a deadline fails it
 *   block             the same, without turning a deadline into a failure
 *   gate              until so many gates run at once as leaves_gate() said, or until it is interrupted
 *
 * A task named "x@y" does x and is traced as y. Files of artifacts are what leaves_file() says.
 */
#pragma once

#include "steps/step.h"

void leaves_begin(Cancel *abort);
/* What ran, in order: "name[attempt]/build_status ". Returns new. */
char *leaves_trace(void);
/* The file "artifact/path" has this text (borrowed) from now on; how often one was read: leaves_reads(). */
void leaves_file(const char *path, const char *text);
size_t leaves_reads(void);
/* Gates open when so many of them run at once. How many did at most since: leaves_most(). */
void leaves_gate(size_t together);
size_t leaves_most(void);
/* Waits until so many leaves have begun. */
void leaves_wait(size_t begun);

/* A plan in short: ' stands for ", and a bare NAME as a step for a task of this name. Returns new. */
Plan *plan_of(const char *text);
