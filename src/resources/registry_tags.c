#include "resources/registry_tags.h"

#include "resources/loose_version.h"

#include <string.h>

/* What is above the version in the registry. */
typedef struct {
        bool any, same_major, same_minor;
} Greater;

static bool parse_final(const char *tag, const char *variant, LooseVersion *ret) {
        g_autofree char *suffix = g_strconcat(*variant ? "-" : "", variant, NULL);
        if (!g_str_has_suffix(tag, suffix))
                return false;
        g_autofree char *text = g_strndup(tag, strlen(tag) - strlen(suffix));
        g_auto(LooseVersion) version = { 0 };
        if (!loose_version_parse(text, &version) || *version.pre_release)
                return false;
        *ret = version;
        version = (LooseVersion){ 0 };
        return true;
}

static void compare(const LooseVersion *version, const LooseVersion *other, Greater *greater) {
        if (loose_version_compare(other, version) <= 0)
                return;
        greater->any = true;
        if (other->part[0] != version->part[0])
                return;
        greater->same_major = true;
        greater->same_minor = greater->same_minor || other->part[1] == version->part[1];
}

static void add(GPtrArray *tags, const char *alias, const char *variant) {
        g_ptr_array_add(tags, *variant ? g_strconcat(alias, "-", variant, NULL) : g_strdup(alias));
}

GPtrArray *registry_aliases(const char *version_text, const char *variant,
                            const GPtrArray *existing) {
        GPtrArray *tags = g_ptr_array_new_with_free_func(g_free);
        g_auto(LooseVersion) version = { 0 };
        Greater greater = { 0 };
        if (!loose_version_parse(version_text, &version) || *version.pre_release)
                return tags;
        for (guint i = 0; i < existing->len; i++) {
                g_auto(LooseVersion) other = { 0 };
                if (parse_final(existing->pdata[i], variant, &other))
                        compare(&version, &other, &greater);
        }
        g_autofree char *major = g_strdup_printf("%" G_GUINT64_FORMAT, version.part[0]);
        g_autofree char *minor = g_strdup_printf("%" G_GUINT64_FORMAT ".%" G_GUINT64_FORMAT,
                                                 version.part[0], version.part[1]);
        if (!greater.any)
                g_ptr_array_add(tags, g_strdup(*variant ? variant : "latest"));
        if (!greater.same_major)
                add(tags, major, variant);
        if (!greater.same_minor)
                add(tags, minor, variant);
        return tags;
}
