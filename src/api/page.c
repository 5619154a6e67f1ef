/* Pages of lists and their links (reference 01 §6), and warnings about names. */
#include "api/call.h"

#include "config/validate.h"
#include "http/url.h"

static bool read_number(ApiCall *call, const char *name, int64_t *ret) {
        const char *text = http_query(call->request, name);
        char *end;

        *ret = 0;
        if (!text || !*text)
                return false;
        gint64 number = g_ascii_strtoll(text, &end, 10);
        *ret = *end ? 0 : number;
        return true;
}

Page call_page(ApiCall *call) {
        Page page = { 0 };
        const char *timestamps = http_query(call->request, "timestamps");
        int64_t limit;

        page.has_from = read_number(call, "from", &page.from);
        page.has_to = read_number(call, "to", &page.to);
        read_number(call, "limit", &limit);
        page.limit = limit > 0 ? (size_t) limit : 0;
        page.timestamps = timestamps && *timestamps;
        return page;
}

static void add_link(ApiCall *call, const char *key, int64_t id, const Page *page,
                     const char *relation) {
        g_autofree char *vars = url_instance_vars(call->instance_vars);

        if (!id)
                return;
        g_autofree char *link = g_strdup_printf(
                "<%s%s?%s=%" G_GINT64_FORMAT "&limit=%zu%s%s>; rel=\"%s\"",
                call->api->spec.external_url, http_path(call->request), key, id,
                page->limit ? page->limit : 100, *vars ? "&" : "", vars, relation);
        http_header_add(call->request, "Link", link);
}

void call_links(ApiCall *call, const PageLinks *links, const Page *page) {
        add_link(call, "to", links->older, page, "next");
        add_link(call, "from", links->newer, page, "previous");
}

Value *call_identifier_answer(const char *context, const char *name) {
        g_autoptr(ConfigFindings) findings = config_findings_new();
        Value *answer = value_map();

        if (identifier_check(name, context, findings, NULL) && findings->warnings->len > 0)
                value_map_set(answer, "warnings", config_warnings_to_value(findings));
        return answer;
}
