#include "config/validate.h"

#include <string.h>

#include "config/findings.h"

/* ---- names ---- */

/* A part's place: "jobs[1]". */
static char *location(const char *section, size_t index) {
        return g_strdup_printf("%s[%zu]", section, index);
}

/* How messages name a part: "jobs.unit", or its place when it has no name. */
static char *identify(const char *section, size_t index, const char *name) {
        return *name ? g_strdup_printf("%s.%s", section, name) : location(section, index);
}

/* The first place of each name seen so far. */
static GHashTable *names_new(void) {
        return g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
}

/* Says when name was seen before, and remembers it otherwise. */
static void check_duplicate(Section *lines, GHashTable *names, const char *section, size_t index,
                            const char *name) {
        if (!*name)
                return;
        g_autofree char *here = location(section, index);
        const char *first = g_hash_table_lookup(names, name);
        if (first)
                section_add(lines, "%s and %s have the same name ('%s')", first, here, name);
        else
                g_hash_table_insert(names, (void *) name, g_steal_pointer(&here));
}

/* ---- groups ---- */

static void check_group_jobs(const PipelineConfig *config, const GroupConfig *group,
                             GHashTable *grouped, Section *lines) {
        for (char **glob = group->jobs; glob && *glob; glob++) {
                bool matched = false;
                if (!glob_check(*glob, NULL)) {
                        section_add(lines, "invalid glob expression '%s' for group '%s'", *glob,
                                    group->name);
                        continue;
                }
                for (size_t i = 0; i < config->jobs->len; i++) {
                        const JobConfig *job = g_ptr_array_index(config->jobs, i);
                        if (!glob_match(*glob, job->name))
                                continue;
                        g_hash_table_add(grouped, job->name);
                        matched = true;
                }
                if (!matched)
                        section_add(lines, "no jobs match '%s' for group '%s'", *glob, group->name);
        }
}

static void check_group_repeats(const PipelineConfig *config, Section *lines) {
        g_autoptr(GHashTable) reported = g_hash_table_new(g_str_hash, g_str_equal);
        for (size_t i = 0; i < config->groups->len; i++) {
                const GroupConfig *group = g_ptr_array_index(config->groups, i);
                size_t times = 0;
                for (size_t j = i; j < config->groups->len; j++) {
                        const GroupConfig *other = g_ptr_array_index(config->groups, j);
                        times += g_str_equal(other->name, group->name);
                }
                if (times > 1 && g_hash_table_add(reported, group->name))
                        section_add(
                                lines,
                                "group '%s' appears %zu times. Duplicate names are not allowed.",
                                group->name, times);
        }
}

static void validate_groups(const PipelineConfig *config, ConfigFindings *findings) {
        g_autoptr(GHashTable) grouped = g_hash_table_new(g_str_hash, g_str_equal);
        Section lines;

        section_init(&lines);
        for (size_t i = 0; i < config->groups->len; i++) {
                const GroupConfig *group = g_ptr_array_index(config->groups, i);
                g_autofree char *context = identify("groups", i, group->name);
                section_check_identifier(&lines, group->name, context, findings);
                check_group_jobs(config, group, grouped, &lines);
                for (char **name = group->resources; name && *name; name++)
                        if (!pipeline_config_resource(config, *name))
                                section_add(&lines, "group '%s' has unknown resource '%s'",
                                            group->name, *name);
        }
        check_group_repeats(config, &lines);
        g_autoptr(GHashTable) reported = g_hash_table_new(g_str_hash, g_str_equal);
        for (size_t i = 0; config->groups->len > 0 && i < config->jobs->len; i++) {
                const JobConfig *job = g_ptr_array_index(config->jobs, i);
                if (!g_hash_table_contains(grouped, job->name) &&
                    g_hash_table_add(reported, job->name))
                        section_add(&lines, "job '%s' belongs to no group", job->name);
        }
        section_finish(&lines, "groups", findings);
}

/* ---- resources and types ---- */

static void check_part(Section *lines, GHashTable *names, const char *section, size_t index,
                       const char *name, const char *type, ConfigFindings *findings) {
        g_autofree char *context = identify(section, index, name);
        section_check_identifier(lines, name, context, findings);
        check_duplicate(lines, names, section, index, name);
        if (!*name)
                section_add(lines, "%s has no name", context);
        if (!*type)
                section_add(lines, "%s has no type", context);
}

static GHashTable *used_resources(const PipelineConfig *config) {
        GHashTable *used = g_hash_table_new(g_str_hash, g_str_equal);
        for (size_t i = 0; i < config->jobs->len; i++) {
                const JobConfig *job = g_ptr_array_index(config->jobs, i);
                g_autoptr(GArray) inputs = job_config_inputs(job);
                g_autoptr(GArray) outputs = job_config_outputs(job);
                for (size_t j = 0; j < inputs->len; j++)
                        g_hash_table_add(used,
                                         (void *) g_array_index(inputs, JobInput, j).resource);
                for (size_t j = 0; j < outputs->len; j++)
                        g_hash_table_add(used,
                                         (void *) g_array_index(outputs, JobOutput, j).resource);
        }
        return used;
}

static void validate_resources(const PipelineConfig *config, ConfigFindings *findings) {
        g_autoptr(GHashTable) names = names_new();
        g_autoptr(GHashTable) used = used_resources(config);
        Section lines;

        section_init(&lines);
        for (size_t i = 0; i < config->resources->len; i++) {
                const ResourceConfig *resource = g_ptr_array_index(config->resources, i);
                check_part(&lines, names, "resources", i, resource->name, resource->type, findings);
        }
        for (size_t i = 0; i < config->resources->len; i++) {
                const ResourceConfig *resource = g_ptr_array_index(config->resources, i);
                if (!g_hash_table_contains(used, resource->name))
                        section_add(&lines, "resource '%s' is not used", resource->name);
        }
        section_finish(&lines, "resources", findings);
}

/* Types and prototypes share their names: both sections use the same table. */
static void validate_types(const GPtrArray *types, const char *section, const char *label,
                           GHashTable *names, ConfigFindings *findings) {
        Section lines;
        section_init(&lines);
        for (size_t i = 0; i < types->len; i++) {
                const ResourceTypeConfig *type = g_ptr_array_index(types, i);
                check_part(&lines, names, section, i, type->name, type->type, findings);
        }
        section_finish(&lines, label, findings);
}

/* ---- jobs ---- */

#define LL "%" G_GINT64_FORMAT

static void check_log_retention(const JobConfig *job, const char *context, Section *lines,
                                ConfigFindings *findings) {
        const BuildLogRetention *keep = job->build_log_retention;
        if (job->build_logs_to_retain != 0)
                findings_warn(
                        findings, "deprecated_field",
                        "%s.build_logs_to_retain is deprecated. Use build_log_retention instead.",
                        context);
        if (job->build_logs_to_retain != 0 && keep)
                section_add(lines, "%s can't use both build_log_retention and build_logs_to_retain",
                            context);
        else if (job->build_logs_to_retain < 0)
                section_add(lines, "%s has negative build_logs_to_retain: " LL, context,
                            job->build_logs_to_retain);
        if (!keep)
                return;
        const struct {
                const char *name;
                int64_t number;
        } numbers[] = {
                { "builds", keep->builds },
                { "days", keep->days },
                { "min_success_builds", keep->minimum_succeeded_builds },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
                if (numbers[i].number < 0)
                        section_add(lines, "%s has negative build_log_retention.%s: " LL, context,
                                    numbers[i].name, numbers[i].number);
        if (keep->builds > 0 && keep->minimum_succeeded_builds > keep->builds)
                section_add(lines,
                            "%s has build_log_retention.min_success_builds: " LL
                            " greater than build_log_retention.min_success_builds: " LL,
                            context, keep->minimum_succeeded_builds, keep->builds);
}

static void validate_jobs(const PipelineConfig *config, ConfigFindings *findings) {
        g_autoptr(GHashTable) names = names_new();
        g_auto(StepIndex) index;
        Section lines;

        step_index_init(&index, config);
        section_init(&lines);
        if (config->jobs->len == 0)
                section_add(&lines, "jobs: pipeline must contain at least one job");
        for (size_t i = 0; i < config->jobs->len; i++) {
                const JobConfig *job = g_ptr_array_index(config->jobs, i);
                g_autofree char *context = identify("jobs", i, job->name);
                section_check_identifier(&lines, job->name, context, findings);
                check_duplicate(&lines, names, "jobs", i, job->name);
                if (!*job->name)
                        section_add(&lines, "%s has no name", context);
                check_log_retention(job, context, &lines, findings);
                validate_job_steps(config, &index, job, context, &lines, findings);
        }
        section_finish(&lines, "jobs", findings);
}

/* ---- display ---- */

/* Whether Go's url.Parse refuses it. */
static bool url_broken(const char *url) {
        const char *colon = strpbrk(url, ":/?#");
        if (*url == ':')
                return true;
        for (const char *cursor = url; *cursor; cursor++) {
                if ((unsigned char) *cursor < ' ' || *cursor == 0x7f)
                        return true;
                if (*cursor == '%' &&
                    (!g_ascii_isxdigit(cursor[1]) || !g_ascii_isxdigit(cursor[2])))
                        return true;
        }
        /* A colon in the first segment of what has no scheme. */
        return colon && *colon == ':' && !g_ascii_isalpha(*url);
}

static void validate_display(const PipelineConfig *config, ConfigFindings *findings) {
        const char *image = config->display ? config->display->background_image : "";
        Section lines;

        section_init(&lines);
        g_autofree char *scheme = g_uri_parse_scheme(image);
        if (url_broken(image))
                section_add(&lines, "background_image is not a valid URL: %s", image);
        else if (scheme && g_ascii_strcasecmp(scheme, "http") != 0 &&
                 g_ascii_strcasecmp(scheme, "https") != 0)
                section_add(&lines,
                            "background_image scheme must be either http, https or relative");
        section_finish(&lines, "display config", findings);
}

/* ---- cycles ---- */

typedef enum {
        JOB_NEW,
        JOB_OPEN, /* on the path that is being walked */
        JOB_DONE,
} JobState;

/* The jobs that a job's gets have passed, as places in the config, in the order in which they are named. */
static GArray *passed_places(const PipelineConfig *config, GHashTable *places,
                             const JobConfig *job) {
        GArray *passed = g_array_new(FALSE, FALSE, sizeof(size_t));
        g_autoptr(GArray) inputs = job_config_inputs(job);
        for (size_t i = 0; i < inputs->len; i++) {
                const char *const *pattern = g_array_index(inputs, JobInput, i).passed;
                for (; pattern && *pattern; pattern++) {
                        bool plain = !strpbrk(*pattern, "*?[\\");
                        size_t place = plain ? GPOINTER_TO_SIZE(
                                                       g_hash_table_lookup(places, *pattern))
                                             : 0;
                        if (place > 0)
                                g_array_append_vals(passed, &(size_t){ place - 1 }, 1);
                        for (size_t j = 0; !plain && j < config->jobs->len; j++) {
                                const JobConfig *other = g_ptr_array_index(config->jobs, j);
                                if (path_match(*pattern, other->name))
                                        g_array_append_val(passed, j);
                        }
                }
        }
        return passed;
}

/* A job on the path that is being walked, and which of those it depends on comes next. */
typedef struct {
        size_t job;
        size_t next;
        GArray *passed;
} PathEntry;

static void path_entry_clear(void *data) {
        g_array_unref(((PathEntry *) data)->passed);
}

typedef struct {
        const PipelineConfig *config;
        GHashTable *places; /* name → place + 1 */
        JobState *states;
        GArray *path; /* of PathEntry */
} CycleSearch;

static void path_push(CycleSearch *search, size_t job) {
        PathEntry entry = { .job = job,
                            .passed = passed_places(search->config, search->places,
                                                    g_ptr_array_index(search->config->jobs, job)) };
        search->states[job] = JOB_OPEN;
        g_array_append_val(search->path, entry);
}

/* The job where the first cycle starts that can be reached from a job; NULL: none. */
static const JobConfig *find_cycle(CycleSearch *search, size_t from) {
        if (search->states[from] == JOB_NEW)
                path_push(search, from);
        while (search->path->len > 0) {
                PathEntry *entry = &g_array_index(search->path, PathEntry, search->path->len - 1);
                if (entry->next == entry->passed->len) {
                        search->states[entry->job] = JOB_DONE;
                        g_array_set_size(search->path, search->path->len - 1);
                        continue;
                }
                size_t job = g_array_index(entry->passed, size_t, entry->next++);
                if (search->states[job] == JOB_OPEN)
                        return g_ptr_array_index(search->config->jobs, job);
                if (search->states[job] == JOB_NEW)
                        path_push(search, job);
        }
        return NULL;
}

static void validate_cycles(const PipelineConfig *config, ConfigFindings *findings) {
        g_autofree JobState *states = g_new0(JobState, config->jobs->len + 1);
        g_autoptr(GHashTable) places = g_hash_table_new(g_str_hash, g_str_equal);
        g_autoptr(GArray) path = g_array_new(FALSE, FALSE, sizeof(PathEntry));
        CycleSearch search = { config, places, states, path };
        Section lines;

        g_array_set_clear_func(path, path_entry_clear);
        for (size_t i = config->jobs->len; i > 0; i--)
                g_hash_table_insert(places,
                                    ((JobConfig *) g_ptr_array_index(config->jobs, i - 1))->name,
                                    GSIZE_TO_POINTER(i));
        section_init(&lines);
        for (size_t i = 0; i < config->jobs->len; i++) {
                const JobConfig *start = find_cycle(&search, i);
                if (start) {
                        section_add(&lines, "pipeline contains a cycle that starts at Job '%s'",
                                    start->name);
                        break;
                }
        }
        section_finish(&lines, "jobs", findings);
}

ConfigFindings *pipeline_config_validate(const PipelineConfig *config) {
        g_autoptr(GHashTable) type_names = names_new();
        ConfigFindings *findings = config_findings_new();

        validate_groups(config, findings);
        validate_resources(config, findings);
        validate_types(config->resource_types, "resource_types", "resource types", type_names,
                       findings);
        validate_types(config->prototypes, "prototypes", "prototypes", type_names, findings);
        validate_var_sources(config, findings);
        validate_jobs(config, findings);
        validate_display(config, findings);
        validate_cycles(config, findings);
        return findings;
}
