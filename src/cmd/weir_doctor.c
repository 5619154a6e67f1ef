/* weir-doctor: what is wrong with this installation, and what to do about it. */
#include "base/log.h"
#include "cmd/doctor.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* As of quickstart. */
#define WEB_USER "weir"
#define WEB_USER_ELSE 65532

static const char *const verdicts[] = {
        [VERDICT_OK] = "ok", [VERDICT_NOTE] = "note", [VERDICT_WRONG] = "WRONG"
};

void finding_clear(Finding *finding) {
        g_free(finding->text);
        g_free(finding->remedy);
        *finding = (Finding){ 0 };
}

G_GNUC_PRINTF(4, 0)
static void set(Finding *ret, Verdict verdict, const char *remedy, const char *format,
                va_list args) {
        *ret = (Finding){ verdict, g_strdup_vprintf(format, args), g_strdup(remedy) };
}

void finding_ok(Finding *ret, const char *format, ...) {
        va_list args;
        va_start(args, format);
        set(ret, VERDICT_OK, NULL, format, args);
        va_end(args);
}

void finding_note(Finding *ret, const char *remedy, const char *format, ...) {
        va_list args;
        va_start(args, format);
        set(ret, VERDICT_NOTE, remedy, format, args);
        va_end(args);
}

void finding_wrong(Finding *ret, const char *remedy, const char *format, ...) {
        va_list args;
        va_start(args, format);
        set(ret, VERDICT_WRONG, remedy, format, args);
        va_end(args);
}

/* ---- what is looked at ---- */

/* The first on the way up that exists. Returns new. */
static char *nearest(const char *path) {
        g_autofree char *at = g_strdup(path);
        while (access(at, F_OK) < 0 && !g_str_equal(at, "/")) {
                g_autofree char *child = g_steal_pointer(&at);
                at = g_path_get_dirname(child);
        }
        return g_steal_pointer(&at);
}

static uid_t web_user(const Doctor *doctor) {
        const struct passwd *user = getpwnam(WEB_USER);
        struct stat status;
        if (stat(doctor->web_directory, &status) == 0 && status.st_uid != 0)
                return status.st_uid;
        return user ? user->pw_uid : WEB_USER_ELSE;
}

static void prepare(Doctor *doctor) {
        QuickstartOptions *options = &doctor->options;
        doctor->programs = quickstart_programs();
        quickstart_find_resource_types(doctor->programs, options);
        doctor->work_directory = g_canonicalize_filename(options->web.work_dir, NULL);
        doctor->web_directory = g_build_filename(doctor->work_directory, "web", NULL);
        doctor->worker_directory = options->worker.work_dir
                                           ? g_canonicalize_filename(options->worker.work_dir, NULL)
                                           : g_build_filename(doctor->work_directory, "worker",
                                                              NULL);
        doctor->nearest = nearest(doctor->worker_directory);
        doctor->web_user = web_user(doctor);
        doctor_try(doctor);
}

static void doctor_clear(Doctor *doctor) {
        g_free(doctor->programs);
        g_free(doctor->work_directory);
        g_free(doctor->web_directory);
        g_free(doctor->worker_directory);
        g_free(doctor->nearest);
        g_free(doctor->why_not_tried);
}

/* Returns how many are wrong. */
static unsigned examine(const Doctor *doctor, const Examination *examinations) {
        unsigned wrong = 0;
        for (; examinations->name; examinations++) {
                g_auto(Finding) finding = { 0 };
                examinations->look(doctor, &finding);
                printf("%-6s %-17s %s\n", verdicts[finding.verdict], examinations->name,
                       finding.text);
                if (finding.remedy)
                        printf("%-6s %-17s -> %s\n", "", "", finding.remedy);
                wrong += finding.verdict == VERDICT_WRONG;
        }
        return wrong;
}

static bool run(Doctor *doctor) {
        prepare(doctor);
        unsigned wrong = examine(doctor, doctor_host);
        wrong += examine(doctor, doctor_node);
        if (wrong > 0)
                printf("\n%u wrong\n", wrong);
        else
                printf("\nWeir can run here.\n");
        doctor_clear(doctor);
        return wrong == 0;
}

int main(int argc, char **argv) {
        Doctor doctor = { 0 };
        g_autoptr(GArray) options = quickstart_options_new();
        g_autoptr(GError) error = NULL;
        const OptionTable table = {
                .program = "weir doctor",
                .summary =
                        "Say what stands in the way of running here. Takes quickstart's settings.",
                .options = (const Option *) (void *) options->data,
                .natural = true
        };

        if (!options_parse(&table, argc, argv, &doctor.options, NULL, &error)) {
                bool help = error_is(error, ERROR_EXISTS);
                g_autofree char *text = help ? options_help(&table) : g_strdup(error->message);
                fprintf(help ? stdout : stderr, "%s%s\n", help ? "" : "error: ", text);
                options_clear(&table, &doctor.options);
                return help ? EXIT_SUCCESS : EXIT_FAILURE;
        }
        log_open("doctor", LOG_FATAL, STDERR_FILENO);
        bool well = run(&doctor);
        options_clear(&table, &doctor.options);
        return well ? EXIT_SUCCESS : EXIT_FAILURE;
}
