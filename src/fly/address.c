#include "fly/address.h"

#include "http/url.h"

#include <string.h>

void address_clear(Address *address) {
        char *const texts[] = { address->server, address->team,  address->pipeline,
                                address->job,    address->build, address->resource };

        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
                g_free(texts[i]);
        value_free(address->vars);
        *address = (Address){ 0 };
}

static bool parse_vars(const char *query, Address *address, GError **error) {
        g_auto(GStrv) pairs = g_strsplit(query, "&", -1);
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GPtrArray) values = g_ptr_array_new_with_free_func(g_free);

        for (size_t i = 0; pairs[i]; i++) {
                const char *equals = strchr(pairs[i], '=');
                size_t length = equals ? (size_t) (equals - pairs[i]) : strlen(pairs[i]);
                char *name = url_decode(pairs[i], length, true, error);
                char *value = name ? url_decode(equals ? equals + 1 : "",
                                                equals ? strlen(equals + 1) : 0, true, error)
                                   : NULL;
                g_ptr_array_add(names, name);
                g_ptr_array_add(values, value);
                if (!value)
                        return false;
        }
        GError *cause = NULL;
        address->vars = url_parse_instance_vars((const char *const *) names->pdata,
                                                (const char *const *) values->pdata, names->len,
                                                &cause);
        if (cause)
                g_propagate_error(error, cause);
        return !cause;
}

/* /teams/T/pipelines/P/jobs/J/builds/N */
static bool parse_path(const char *path, Address *address, GError **error) {
        g_auto(GStrv) parts = g_strsplit(*path == '/' ? path + 1 : path, "/", -1);
        const struct {
                const char *name;
                char **field;
        } fields[] = { { "teams", &address->team },
                       { "pipelines", &address->pipeline },
                       { "jobs", &address->job },
                       { "builds", &address->build },
                       { "resources", &address->resource } };

        for (size_t i = 0; parts[i] && parts[i + 1]; i += 2)
                for (size_t j = 0; j < G_N_ELEMENTS(fields); j++)
                        if (g_str_equal(parts[i], fields[j].name)) {
                                g_free(*fields[j].field);
                                *fields[j].field = url_decode(parts[i + 1], strlen(parts[i + 1]),
                                                              false, error);
                                if (!*fields[j].field)
                                        return false;
                        }
        return true;
}

bool address_parse(const char *url, Address *ret, GError **error) {
        g_auto(Address) address = { 0 };
        const char *host = strstr(url, "://");
        if (host && host + 1 != url + strcspn(url, "/"))
                host = NULL; /* of something in the query */
        size_t server = host ? (size_t) (host + 3 - url) + strcspn(host + 3, "/?#") : 0;
        size_t path = strcspn(url + server, "?#");
        const char *query = url + server + path;
        g_autofree char *plain = g_strndup(url + server, path);
        g_autofree char *pairs = *query == '?' ? g_strndup(query + 1, strcspn(query + 1, "#"))
                                               : g_strdup("");

        address.server = g_strndup(url, server);
        if (!parse_path(plain, &address, error) || (*pairs && !parse_vars(pairs, &address, error)))
                return false;
        *ret = address;
        address = (Address){ 0 };
        return true;
}
