/* `weir worker`: containers and volumes for web nodes. */
#pragma once

#include "base/cancel.h"
#include "worker/options.h"

/* The version of the protocol between web nodes and workers, as upstream counts it. */
#define WORKER_PROTOCOL_VERSION "3.0"

/*
 * Runs the worker until it is told to stop; containers go on, and the next start finds them. Call it
 * before the process has threads: it forks the privileged helper first. Signals (reference 06 §2.11):
 * SIGTERM and SIGINT stop, SIGUSR1 lands, SIGUSR2 retires; they must be blocked, and are read here.
 * cancel: stops as SIGTERM; may be NULL, and must have been made without a deadline.
 * ERROR_DENIED "worker must be run as root"; ERROR_BUSY when another worker has the work directory.
 */
bool worker_run(const WorkerOptions *options, Cancel *cancel, GError **error);

/* Blocks the signals that worker_run() reads; first thing in main(). */
void worker_block_signals(void);
