#include "cmd/stop_signals.h"

#include "base/files.h"
#include "base/thread.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct StopSignals {
        Cancel *cancel;
        Thread *thread;
        int signals, ended;
};

static void set_of_signals(sigset_t *ret) {
        sigemptyset(ret);
        sigaddset(ret, SIGTERM);
        sigaddset(ret, SIGINT);
}

void stop_signals_block(void) {
        sigset_t set;
        set_of_signals(&set);
        sigprocmask(SIG_BLOCK, &set, NULL);
        signal(SIGPIPE, SIG_IGN);
}

static void run(void *data) {
        StopSignals *signals = data;
        struct pollfd polls[] = { { .fd = signals->signals, .events = POLLIN },
                                  { .fd = signals->ended, .events = POLLIN } };
        while (poll(polls, G_N_ELEMENTS(polls), -1) < 0 && errno == EINTR)
                ;
        if (polls[0].revents)
                cancel_fire(signals->cancel, CANCEL_SHUTDOWN);
}

StopSignals *stop_signals_new(void) {
        StopSignals *signals = g_new0(StopSignals, 1);
        sigset_t set;
        set_of_signals(&set);
        signals->cancel = cancel_new(NULL);
        signals->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        signals->ended = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        g_assert(signals->signals >= 0 && signals->ended >= 0);
        signals->thread = thread_start("signals", run, signals);
        return signals;
}

Cancel *stop_signals_cancel(StopSignals *signals) {
        return signals->cancel;
}

void stop_signals_free(StopSignals *signals) {
        uint64_t one = 1;
        (void) !write(signals->ended, &one, sizeof(one));
        thread_join(signals->thread);
        cancel_free(signals->cancel);
        fd_close(signals->signals);
        fd_close(signals->ended);
        g_free(signals);
}
