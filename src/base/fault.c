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

/* One line each: tests/integration reads them here. */
const FaultPoint fault_points[] = {
        { "migrate-before", "web", "a migration is about to run" },
        { "migrate-after", "web", "a migration ran, and is not committed" },
        { "db-before-commit", "web", "transactions that write are done, and not committed" },
        { "db-after-commit", "web", "they are committed, nobody was told" },
        { "db-retry", "web", "error: a transaction is run again" },
        { "build-started", "web", "a pending build got its plan, nobody runs it" },
        { "build-leased", "web", "a build has an owner, its log is not readied" },
        { "build-log-append", "web", "events are about to be written; error: they cannot be" },
        { "build-log-appended", "web",
          "events are written, not on the disk; error: they cannot be synced" },
        { "build-log-synced", "web", "events are on the disk, no watcher has seen them" },
        { "step-initialized", "web", "a step said that it begins, nothing else" },
        { "container-row", "web", "a container has its row, the worker does not know it" },
        { "volume-row", "web",
          "a volume, or all of a container's, have their rows, the worker does not know them" },
        { "volume-answered", "web",
          "a worker made a volume apart from a container, its row says creating" },
        { "container-answered", "web",
          "a worker made a container and its volumes, their rows say creating" },
        { "container-ready", "web",
          "a container's row says created; beside it, perhaps, its process is being started" },
        { "step-started", "web",
          "the start event is stored, the journal does not say that the step runs" },
        { "journal-running", "web", "the journal says that a step runs, no process was started" },
        { "process-started", "web", "a process was started, nothing of it was read" },
        { "process-ended", "web", "a script of a resource ended, its end is nowhere stored" },
        { "result-kept", "web", "a script's answer is kept with its container, not used" },
        { "cache-kept", "web", "a fetched volume became a cache, the step has not ended" },
        { "output-saved", "web",
          "what a put or set_pipeline made is saved, the step has not ended" },
        { "step-finished", "web",
          "the finish event is stored, the journal says that the step runs" },
        { "step-failed", "web", "the error event is stored, the journal says that the step runs" },
        { "journal-over", "web", "the journal says that a step is over, nothing after it began" },
        { "versions-saved", "web", "a check's versions are saved, its end is not noted" },
        { "before-build-finish", "web", "all steps are over, the log has no end" },
        { "build-log-ended", "web", "the log has its end, the build runs; error: it stays so" },
        { "build-finished", "web", "the build has ended, its log is not closed" },
        { "before-lease-renewal", "web", "leases are about to be renewed" },
        { "volume-made", "worker", "a volume is on the disk, without its mark of being whole" },
        { "volume-dead", "worker", "a volume is given up, its files are there" },
        { "container-directory", "worker",
          "a container has its folder, the runtime does not know it" },
        { "container-started", "worker",
          "process 1 runs, the container is not known; error: it cannot be met" },
        { "container-answering", "worker", "a container is made, nobody was told" },
        { "process-directory", "worker", "a process has its folder, process 1 does not know it" },
        { "process-running", "worker", "process 1 started a process, nobody was told" },
        { "container-killed", "worker", "a container's processes are dead, its files are there" },
};
const size_t fault_points_count = G_N_ELEMENTS(fault_points);

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

static void point_check(const char *name) {
        for (size_t i = 0; i < fault_points_count; i++)
                if (g_str_equal(fault_points[i].name, name))
                        return;
        g_error("WEIR_FAULT: there is no point '%s'", name);
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

        point_check(sides[0]);
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
        if (fault_count > 0)
                point_check(point);
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
