/* SIGTERM and SIGINT as a Cancel token. */
#pragma once

#include "base/cancel.h"

/* First thing in main(): threads inherit it. SIGPIPE is ignored from then on. */
void stop_signals_block(void);

typedef struct StopSignals StopSignals;

/* Starts a thread that fires the token when one of them comes. */
StopSignals *stop_signals_new(void);
Cancel *stop_signals_cancel(StopSignals *signals); /* borrowed */
void stop_signals_free(StopSignals *signals);
