#include "fly/detach.h"

#include "fly/interrupt.h"
#include "fly/stream.h"
#include "fly/table.h"

#include <unistd.h>

#define EXIT_DETACHED 2

typedef struct {
        const Fly *fly;
        const char *job, *build;
} Detach;

static void on_interrupt(void *data, int count) {
        const Detach *detach = data;
        const Fly *fly = detach->fly;
        g_autofree char *line = g_strdup_printf("%s -t %s watch -j %s -b %s", fly->program,
                                                fly->target_name, detach->job, detach->build);

        fputs("\ndetached, build is still running...\nre-attach to it with:\n\n    ", stderr);
        color_print(fly, stderr, COLOR_BOLD, line);
        fputs("\n\n", stderr);
        _exit(EXIT_DETACHED);
}

bool started_build(Fly *fly, const ItemRef *job, const Value *build, bool watch, GError **error) {
        g_autofree char *name = item_ref_format(job);
        const char *number = value_get_string(build, "name", "");
        Detach detach = { fly, name, number };

        printf("started %s #%s\n", name, number);
        if (!watch)
                return true;
        putchar('\n');
        fflush(stdout);
        interrupt_watch(on_interrupt, &detach);
        return stream_build(fly, &(StreamSpec){ .build = value_get_int(build, "id", 0) }, error);
}
