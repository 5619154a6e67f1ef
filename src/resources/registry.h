/* The registry-image resource type (reference 09 §7): container images in registries, checked for, fetched, pushed. */
#pragma once

#include "resources/registry_content.h"
#include "resources/strict.h"

/* One run of a program. */
typedef struct {
        Value *request;                         /* decoded: known fields only */
        const Value *source, *version, *params; /* borrowed from it; NULL: absent */
        const char *directory;                  /* get's destination, put's sources; borrowed */
        RegistryName name, mirror;              /* mirror.path NULL: none */
        char *ca_file;                          /* a temporary file; NULL: the system's alone */
        char *architecture, *os;                /* of the wanted platform */
} RegistryRun;

/* Takes the whole request apart. ERROR_INVALID "invalid payload: …"; ERROR_UNSUPPORTED names a field that is known
 * and not built. */
bool registry_run_init(StrictRole role, const Value *request, RegistryRun *ret, GError **error);
void registry_run_clear(RegistryRun *run);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(RegistryRun, registry_run_clear)

const char *registry_source(const RegistryRun *run, const char *key); /* "" when absent */
const char *registry_param(const RegistryRun *run, const char *key);
/* The origin, or its mirror. Borrows run. */
Registry *registry_of(const RegistryRun *run, StrictRole role, bool mirror);

/* Each: *ret is new, the program's answer. */
bool registry_check(RegistryRun *run, Value **ret, GError **error);
bool registry_in(RegistryRun *run, Value **ret, GError **error);
bool registry_out(RegistryRun *run, Value **ret, GError **error);

/* Lines for the user, on stderr. */
void registry_say(const char *format, ...) G_GNUC_PRINTF(1, 2);
void registry_warn(const char *format, ...) G_GNUC_PRINTF(1, 2); /* as logrus shows a warning */
/* {"name": …, "value": …} at the end of an answer's metadata. */
void registry_metadata_add(Value *metadata, const char *name, const char *value);
