/* Templates: any text in a tree, against a few vars. What has no var in it must come out as it went in. */
#include "base/json.h"
#include "config/vars.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const char known[] =
                "{\"a\":\"text\",\"b\":{\"c\":1.5,\"d\":[1]},\"e\":\"\",\"f\":\"((a))\"}";
        g_autoptr(Value) map = json_parse(known, strlen(known), NULL, NULL);
        g_autoptr(Value) list = value_list();
        g_autoptr(Value) keyed = value_map();
        g_autofree char *text = g_utf8_make_valid((const char *) data, (gssize) size);
        StaticVars vars = { map, false };

        value_list_add(list, value_string(text));
        value_map_set(keyed, text, value_ref(list));
        g_autoptr(GPtrArray) names = vars_names(keyed);
        g_autoptr(Value) result = vars_interpolate(keyed, &(Vars){ static_vars_lookup, &vars },
                                                   VARS_LENIENT, NULL);
        g_assert(names->len > 0 || value_equal(result, keyed));

        g_autoptr(VarReference) reference = var_reference_parse(text, NULL);
        g_autofree char *shown = reference ? var_reference_format(reference) : NULL;
        return 0;
}
