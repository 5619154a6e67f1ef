#include "resources/loose_version.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_version(const char *text) {
        g_auto(LooseVersion) version = { 0 }, again = { 0 };
        if (!loose_version_parse(text, &version))
                return;
        g_autofree char *normal = loose_version_text(&version);
        g_assert(loose_version_parse(normal, &again));
        g_assert(loose_version_compare(&version, &again) == 0);
}

/* A constraint that is read can be asked; a version's normal form is the same version. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autofree char *text = g_strndup((const char *) data, size);
        g_autoptr(VersionConstraint) constraint = version_constraint_parse(text, NULL);
        g_auto(LooseVersion) version = { 0 };
        check_version(text);
        if (constraint && loose_version_parse("1.2.3-rc.1", &version))
                version_constraint_meets(constraint, &version);
        return 0;
}
