#include "base/files.h"
#include "resources/loose_version.h"
#include "resources/registry.h"
#include "resources/registry_push.h"
#include "resources/registry_tags.h"

#include <glob.h>
#include <string.h>

#define TAGS_FILE_MAX ((size_t) 1 << 20)

/* ---- tags ---- */

static void add_tag(GPtrArray *tags, const char *tag) {
        for (guint i = 0; i < tags->len; i++)
                if (g_str_equal(tags->pdata[i], tag))
                        return;
        g_ptr_array_add(tags, g_strdup(tag));
}

/* A repository that is not there yet is empty. Returns new. */
static GPtrArray *existing_tags(Registry *registry, GError **error) {
        g_autoptr(GError) failure = NULL;
        GPtrArray *tags = NULL;
        if (registry_tags(registry, &tags, &failure))
                return tags;
        if (error_is(failure, ERROR_NOT_FOUND))
                return g_ptr_array_new();
        g_propagate_prefixed_error(error, g_steal_pointer(&failure), "list repository tags: ");
        return NULL;
}

static bool add_version(const RegistryRun *run, Registry *registry, GPtrArray *tags,
                        GError **error) {
        const char *text = registry_param(run, "version"),
                   *variant = registry_source(run, "variant");
        g_auto(LooseVersion) version = { 0 };
        if (!*text)
                return true;
        if (!loose_version_parse(text, &version)) {
                g_set_error(error, ERROR, ERROR_INVALID, "invalid semantic version: \"%s\"", text);
                return false;
        }
        g_autofree char *normal = loose_version_text(&version);
        g_autofree char *tag = *variant ? g_strconcat(normal, "-", variant, NULL)
                                        : g_strdup(normal);
        add_tag(tags, tag);
        if (!value_get_bool(run->params, "bump_aliases", false) || *version.pre_release)
                return true;
        g_autoptr(GPtrArray) existing = existing_tags(registry, error);
        if (!existing)
                return false;
        g_autoptr(GPtrArray) aliases = registry_aliases(normal, variant, existing);
        for (guint i = 0; i < aliases->len; i++)
                add_tag(tags, aliases->pdata[i]);
        return true;
}

static bool add_additional(const RegistryRun *run, GPtrArray *tags, GError **error) {
        const char *name = registry_param(run, "additional_tags"),
                   *prefix = registry_param(run, "tag_prefix");
        size_t length;
        if (!*name && !*prefix)
                return true;
        if (!*name) {
                g_set_error(error, ERROR, ERROR_INVALID,
                            "tag_prefix can only be used when additional_tags are specified");
                return false;
        }
        g_autofree char *path = g_build_filename(run->directory, name, NULL);
        g_autofree char *text = file_read(path, TAGS_FILE_MAX, &length, error);
        if (!text) {
                g_prefix_error(
                        error,
                        "could not parse additional tags: failed to read file at \"%s\": ", name);
                return false;
        }
        g_auto(GStrv) words = g_strsplit_set(text, " \t\r\n\v\f", -1);
        for (char **word = words; *word; word++)
                if (**word) {
                        g_autofree char *tag = g_strconcat(prefix, *word, NULL);
                        add_tag(tags, tag);
                }
        return true;
}

/* Returns new, never empty: the first is the version's. */
static GPtrArray *tags_of(const RegistryRun *run, Registry *registry, GError **error) {
        g_autoptr(GPtrArray) tags = g_ptr_array_new_with_free_func(g_free);
        if (*registry_source(run, "tag"))
                add_tag(tags, registry_source(run, "tag"));
        if (!add_version(run, registry, tags, error) || !add_additional(run, tags, error))
                return NULL;
        if (tags->len == 0) {
                g_set_error(
                        error, ERROR, ERROR_INVALID,
                        "no tag specified - need either 'version:' in params or 'tag:' in source");
                return NULL;
        }
        for (guint i = 0; i < tags->len; i++)
                if (!registry_tag_is_valid(tags->pdata[i])) {
                        g_set_error(error, ERROR, ERROR_INVALID, "invalid tag '%s'",
                                    (const char *) tags->pdata[i]);
                        return NULL;
                }
        return g_steal_pointer(&tags);
}

static char *join(const GPtrArray *words, const char *separator) {
        g_autoptr(GString) text = g_string_new(NULL);
        for (guint i = 0; i < words->len; i++)
                g_string_append_printf(text, "%s%s", i > 0 ? separator : "",
                                       (const char *) words->pdata[i]);
        return g_string_free(g_steal_pointer(&text), false);
}

/* ---- the image ---- */

static bool is_itself_or_above(const char *path) {
        return g_str_has_suffix(path, "/.") || g_str_has_suffix(path, "/..");
}

/* Returns new: the one path that matches. */
static char *find_image(const RegistryRun *run, GError **error) {
        const char *pattern = registry_param(run, "image");
        g_autofree char *whole = g_build_filename(run->directory, pattern, NULL);
        g_autoptr(GPtrArray) matches = g_ptr_array_new_with_free_func(g_free);
        glob_t found = { 0 };
        if (glob(whole, GLOB_PERIOD, NULL, &found) == 0)
                for (size_t i = 0; i < found.gl_pathc; i++)
                        if (!is_itself_or_above(found.gl_pathv[i]))
                                g_ptr_array_add(matches, g_strdup(found.gl_pathv[i]));
        globfree(&found);
        if (matches->len == 1)
                return g_strdup(matches->pdata[0]);
        if (matches->len == 0) {
                g_set_error(error, ERROR, ERROR_NOT_FOUND, "no files match glob '%s'", pattern);
                return NULL;
        }
        g_autofree char *list = join(matches, " ");
        g_set_error(error, ERROR, ERROR_INVALID, "too many files/directories match glob '%s': [%s]",
                    pattern, list);
        return NULL;
}

/* ---- out ---- */

static Value *answer(const RegistryRun *run, const GPtrArray *tags, const char *digest) {
        Value *map = value_map(), *version = value_map(), *metadata = value_list();
        g_autofree char *words = join(tags, " ");
        value_map_set_string(version, "tag", tags->pdata[0]);
        value_map_set_string(version, "digest", digest);
        registry_metadata_add(metadata, "repository", registry_source(run, "repository"));
        registry_metadata_add(metadata, "tags", words);
        value_map_set(map, "version", version);
        value_map_set(map, "metadata", metadata);
        return map;
}

bool registry_out(RegistryRun *run, Value **ret, GError **error) {
        g_auto(PushImage) image = { 0 };
        if (!run->directory) {
                g_set_error(error, ERROR, ERROR_INVALID, "source path not specified");
                return false;
        }
        g_autoptr(Registry) registry = registry_of(run, STRICT_OUT, false);
        g_autoptr(GPtrArray) tags = tags_of(run, registry, error);
        g_autofree char *path = tags ? find_image(run, error) : NULL;
        if (!path)
                return false;
        if (!push_image_load(path, &image, error)) {
                g_prefix_error(error, "could not load image from path '%s': ", path);
                return false;
        }
        g_autofree char *list = join(tags, ", ");
        registry_say("pushing tag(s) %s", list);
        if (!push_image_send(&image, registry, tags, error)) {
                g_prefix_error(error, "pushing image failed: ");
                return false;
        }
        registry_say("pushed");
        *ret = answer(run, tags, push_image_root(&image)->digest);
        return true;
}
