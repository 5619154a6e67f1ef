#include "fly/interrupt.h"

#include <signal.h>

typedef struct {
        void (*fn)(void *data, int count);
        void *data;
} Interrupt;

static void interrupt_set(sigset_t *set) {
        sigemptyset(set);
        sigaddset(set, SIGINT);
        sigaddset(set, SIGTERM);
}

static void wait_for_signals(void *data) {
        Interrupt *interrupt = data;
        sigset_t set;
        int number;

        interrupt_set(&set);
        for (int count = 1;; count++) {
                while (sigwait(&set, &number) != 0)
                        ;
                interrupt->fn(interrupt->data, count);
        }
}

void interrupt_watch(void (*fn)(void *data, int count), void *data) {
        static Interrupt interrupt; /* one for the whole program, as signals are */
        sigset_t set;

        interrupt = (Interrupt){ fn, data };
        interrupt_set(&set);
        pthread_sigmask(SIG_BLOCK, &set, NULL);
        thread_detached("interrupt", wait_for_signals, &interrupt);
}
