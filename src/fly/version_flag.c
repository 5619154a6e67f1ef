#include "fly/version_flag.h"

#include "base/json.h"
#include "http/url.h"

#include <string.h>

Value *version_of_pairs(const GPtrArray *pairs) {
        Value *version = value_map();

        for (size_t i = 0; i < pairs->len; i++) {
                const char *pair = pairs->pdata[i], *colon = strchr(pair, ':');
                g_autofree char *key = colon ? g_strndup(pair, (size_t) (colon - pair))
                                             : g_strdup(pair);
                value_map_set_string(version, key, colon ? colon + 1 : "");
        }
        return version;
}

char *version_format(const Value *version) {
        g_autoptr(Value) sorted = value_sorted(version);
        g_autoptr(GString) text = g_string_new(NULL);

        for (size_t i = 0; i < value_length(sorted); i++) {
                const char *value = value_text(value_at(sorted, i));
                g_string_append_printf(text, "%s%s:%s", i ? "," : "", value_key_at(sorted, i),
                                       value ? value : "");
        }
        return g_string_free(g_steal_pointer(&text), FALSE);
}

char *version_json(const Value *version) {
        return json_write(version, JSON_SORTED, NULL);
}

char *version_filter(const Value *version) {
        g_autoptr(GString) query = g_string_new(NULL);

        for (size_t i = 0; i < value_length(version); i++) {
                g_autofree char *pair = g_strdup_printf("%s:%s", value_key_at(version, i),
                                                        value_text(value_at(version, i)));
                g_autofree char *text = url_encode_query(pair);
                g_string_append_printf(query, "%sfilter=%s", i ? "&" : "", text);
        }
        return g_string_free(g_steal_pointer(&query), FALSE);
}
