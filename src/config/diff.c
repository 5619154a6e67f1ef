#include "config/diff.h"

#include <string.h>

#include "base/yaml.h"

/* The line table of a diff of this size is 64 MB; larger items are shown as removed and added. */
#define CELLS_MAX ((size_t) 16 * 1024 * 1024)

typedef enum {
        COLOR_NONE,
        COLOR_HEADER,
        COLOR_ADDED,
        COLOR_REMOVED,
} Color;

typedef struct {
        GString *text;
        bool color;
} Output;

static const char *const escapes[] = { "", "\033[0;33m", "\033[0;32m", "\033[0;31m" };

static void put_colored(Output *output, Color color, const char *text) {
        bool wrap = output->color && color != COLOR_NONE;
        g_string_append_printf(output->text, "%s%s%s", wrap ? escapes[color] : "", text,
                               wrap ? "\033[0m" : "");
}

static void put_header(Output *output, const char *label, const char *name, const char *what) {
        g_autofree char *text = *name ? g_strdup_printf("%s %s has %s:", label, name, what)
                                      : g_strdup_printf("%s has %s:", label, what);
        g_string_append(output->text, "  ");
        put_colored(output, COLOR_HEADER, text);
        g_string_append_c(output->text, '\n');
}

/* Every line is indented by two; two backspaces before a sign take that back on a terminal. */
static void put_line(Output *output, char sign, const char *line) {
        if (sign == ' ') {
                g_string_append_printf(output->text, "  %s\n", line);
                return;
        }
        Color color = sign == '+' ? COLOR_ADDED : COLOR_REMOVED;
        char mark[2] = { sign, '\0' };
        g_string_append(output->text, "  \b\b");
        put_colored(output, color, mark);
        g_string_append_c(output->text, ' ');
        put_colored(output, color, line);
        g_string_append_c(output->text, '\n');
}

/* ---- lines ---- */

/* lengths[i][j]: of the longest common subsequence of the lines before i and before j. */
static void fill_lengths(int32_t *lengths, char **before, size_t before_count, char **after,
                         size_t after_count) {
        size_t width = after_count + 1;
        for (size_t i = 0; i < before_count; i++)
                for (size_t j = 0; j < after_count; j++) {
                        int32_t up = lengths[i * width + j + 1],
                                left = lengths[(i + 1) * width + j];
                        lengths[(i + 1) * width + j + 1] = g_str_equal(before[i], after[j])
                                                                   ? lengths[i * width + j] + 1
                                                                   : MAX(up, left);
                }
}

typedef struct {
        char sign;
        const char *line;
} DiffLine;

static void add_line(GArray *lines, char sign, const char *line) {
        DiffLine entry = { sign, line };
        g_array_append_val(lines, entry);
}

/* The lines of a diff, in reverse: walks the table from its end. */
static GArray *walk_back(const int32_t *lengths, char **before, size_t i, char **after, size_t j) {
        GArray *lines = g_array_new(FALSE, FALSE, sizeof(DiffLine));
        size_t width = j + 1;
        while (i > 0 || j > 0) {
                if (i > 0 && j > 0 && g_str_equal(before[i - 1], after[j - 1])) {
                        add_line(lines, ' ', before[--i]);
                        j--;
                } else if (j > 0 &&
                           (i == 0 || lengths[i * width + j - 1] >= lengths[(i - 1) * width + j])) {
                        add_line(lines, '+', after[--j]);
                } else {
                        add_line(lines, '-', before[--i]);
                }
        }
        return lines;
}

/* Of no text there is one line, an empty one. */
static char **split_lines(const char *text) {
        if (*text)
                return g_strsplit(text, "\n", -1);
        char **lines = g_new0(char *, 2);
        lines[0] = g_strdup("");
        return lines;
}

static void put_diff(Output *output, const char *before, const char *after) {
        g_auto(GStrv) old_lines = split_lines(before);
        g_auto(GStrv) new_lines = split_lines(after);
        char **old = old_lines, **new = new_lines;
        for (; *old && *new &&g_str_equal(*old, *new); old++, new ++)
                put_line(output, ' ', *old);

        size_t old_count = g_strv_length(old), new_count = g_strv_length(new);
        if (old_count + 1 > CELLS_MAX / (new_count + 1)) {
                for (; *old; old++)
                        put_line(output, '-', *old);
                for (; *new; new ++)
                        put_line(output, '+', *new);
                return;
        }
        g_autofree int32_t *lengths = g_new0(int32_t, (old_count + 1) * (new_count + 1));
        fill_lengths(lengths, old, old_count, new, new_count);
        g_autoptr(GArray) lines = walk_back(lengths, old, old_count, new, new_count);
        for (size_t i = lines->len; i > 0; i--) {
                const DiffLine *line = &g_array_index(lines, DiffLine, i - 1);
                put_line(output, line->sign, line->line);
        }
}

/* ---- sections ---- */

/* One part of a config: its name and its YAML. */
typedef struct {
        char *name;
        char *yaml;
} Item;

static void item_clear(void *data) {
        Item *item = data;
        g_free(item->name);
        g_free(item->yaml);
}

/* The items of a section of a config. Returns new, or NULL. */
static GArray *items_of(const Value *config, const char *section, GError **error) {
        g_autoptr(GArray) items = g_array_new(FALSE, TRUE, sizeof(Item));
        g_array_set_clear_func(items, item_clear);
        const Value *list = value_get(config, section);
        for (size_t i = 0; i < value_length(list); i++) {
                const Value *value = value_at(list, i);
                g_autofree char *yaml = yaml_write(value, error);
                if (!yaml)
                        return NULL;
                Item item = { g_strdup(value_get_string(value, "name", "")),
                              g_steal_pointer(&yaml) };
                g_array_append_val(items, item);
        }
        return g_steal_pointer(&items);
}

static const Item *find_item(const GArray *items, const char *name, size_t *ret_index) {
        for (size_t i = 0; i < items->len; i++) {
                const Item *item = &g_array_index(items, Item, i);
                if (g_str_equal(item->name, name)) {
                        *ret_index = i;
                        return item;
                }
        }
        return NULL;
}

static void put_item(Output *output, const char *label, const char *name, const char *before,
                     const char *after) {
        put_header(output, label, name, before ? after ? "changed" : "been removed" : "been added");
        put_diff(output, before ? before : "", after ? after : "");
}

typedef struct {
        const char *key;
        const char *heading;
        const char *label;
        bool ordered; /* a new position is a change too */
} SectionKind;

/* Prototypes are not among them: upstream does not compare those (reference 03 §8.6). */
static const SectionKind sections[] = {
        { "groups", "groups", "group", true },
        { "var_sources", "variable source", "variable source", false },
        { "resources", "resources", "resource", false },
        { "resource_types", "resource types", "resource type", false },
        { "jobs", "jobs", "job", false },
};

static bool put_section(Output *output, const SectionKind *section, const Value *before,
                        const Value *after, GError **error) {
        g_autoptr(GArray) old = items_of(before, section->key, error);
        g_autoptr(GArray) new = old ? items_of(after, section->key, error) : NULL;
        if (!new)
                return false;
        size_t start = output->text->len, index;
        g_string_append_printf(output->text, "%s:\n", section->heading);
        size_t empty = output->text->len;
        for (size_t i = 0; i < old->len; i++) {
                const Item *item = &g_array_index(old, Item, i);
                const Item *now = find_item(new, item->name, &index);
                if (!now) {
                        put_item(output, section->label, item->name, item->yaml, NULL);
                        continue;
                }
                if (section->ordered && index != i)
                        put_item(output, section->label, item->name, item->yaml, now->yaml);
                if (!g_str_equal(item->yaml, now->yaml))
                        put_item(output, section->label, item->name, item->yaml, now->yaml);
        }
        for (size_t i = 0; i < new->len; i++) {
                const Item *item = &g_array_index(new, Item, i);
                if (!find_item(old, item->name, &index))
                        put_item(output, section->label, item->name, NULL, item->yaml);
        }
        if (output->text->len == empty)
                g_string_truncate(output->text, start);
        return true;
}

static bool put_single(Output *output, const char *key, const char *label, const Value *before,
                       const Value *after, GError **error) {
        const Value *old = value_get(before, key), *new = value_get(after, key);
        if (!old && !new)
                return true;
        g_autofree char *old_yaml = old ? yaml_write(old, error) : NULL;
        if (old && !old_yaml)
                return false;
        g_autofree char *new_yaml = new ? yaml_write(new, error) : NULL;
        if (new && !new_yaml)
                return false;
        if (g_strcmp0(old_yaml, new_yaml) != 0)
                put_item(output, label, "", old_yaml, new_yaml);
        return true;
}

char *pipeline_config_diff(const PipelineConfig *before, const PipelineConfig *after, bool color,
                           GError **error) {
        g_autoptr(Value) old = before ? pipeline_config_to_value(before) : value_map();
        g_autoptr(Value) new = pipeline_config_to_value(after);
        g_autoptr(GString) text = g_string_new(NULL);
        Output output = { text, color };

        for (size_t i = 0; i < G_N_ELEMENTS(sections); i++)
                if (!put_section(&output, &sections[i], old, new, error))
                        return NULL;
        if (!put_single(&output, "display", "display configuration", old, new, error) ||
            !put_single(&output, "user_data", "user_data", old, new, error))
                return NULL;
        return text->len > 0 ? g_string_free(g_steal_pointer(&text), FALSE) : NULL;
}
