#include "base/fault.h"

#include <glib.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define FAULTS_MAX 16
#define EXIT_STATUS 70

typedef enum { ACTION_KILL, ACTION_STOP, ACTION_EXIT, ACTION_ERROR } Action;

static const char *const action_names[] = { "kill", "stop", "exit", "error" };

typedef struct {
        char *point;
        Action action;
        unsigned nth;
        bool onwards;
        atomic_uint passed;
} Fault;

static Fault faults[FAULTS_MAX];
static size_t fault_count;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static Action action_parse(const char *name) {
        for (size_t i = 0; i < G_N_ELEMENTS(action_names); i++)
                if (g_str_equal(action_names[i], name))
                        return (Action) i;
        g_error("WEIR_FAULT: unknown action '%s'", name);
}

/* "<point>=<action>[@N[+]]" */
static void fault_add(const char *text) {
        g_auto(GStrv) sides = g_strsplit(text, "=", 2);
        if (!sides[0] || !sides[1] || fault_count == FAULTS_MAX)
                g_error("WEIR_FAULT: cannot read '%s'", text);
        g_auto(GStrv) when = g_strsplit(sides[1], "@", 2);
        char *rest = "";
        unsigned long nth = when[1] ? strtoul(when[1], &rest, 10) : 1;
        bool onwards = g_str_equal(rest, "+");
        if (nth == 0 || nth > UINT32_MAX || (*rest && !onwards))
                g_error("WEIR_FAULT: cannot read '%s'", text);

        Fault *fault = &faults[fault_count++];
        fault->point = g_strdup(sides[0]);
        fault->action = action_parse(when[0]);
        fault->nth = (unsigned) nth;
        fault->onwards = onwards;
        atomic_store(&fault->passed, 0);
}

static void faults_load(const char *text) {
        while (fault_count > 0)
                g_free(faults[--fault_count].point);
        if (!text || !*text)
                return;
        g_auto(GStrv) parts = g_strsplit(text, ",", -1);
        for (size_t i = 0; parts[i]; i++)
                fault_add(parts[i]);
}

static void load_environment(void) {
        faults_load(getenv("WEIR_FAULT"));
}

void fault_set(const char *text) {
        pthread_once(&once, load_environment);
        faults_load(text);
}

static bool fault_act(Action action) {
        switch (action) {
        case ACTION_KILL:
                kill(getpid(), SIGKILL);
                break;
        case ACTION_STOP:
                kill(getpid(), SIGSTOP); /* the process, not only this thread */
                break;
        case ACTION_EXIT:
                _exit(EXIT_STATUS);
        case ACTION_ERROR:
                return true;
        }
        return false;
}

bool fault_here(const char *point) {
        pthread_once(&once, load_environment);
        for (size_t i = 0; i < fault_count; i++) {
                Fault *fault = &faults[i];
                if (!g_str_equal(fault->point, point))
                        continue;
                unsigned passage = atomic_fetch_add(&fault->passed, 1) + 1;
                if (passage == fault->nth || (fault->onwards && passage > fault->nth))
                        return fault_act(fault->action);
        }
        return false;
}
