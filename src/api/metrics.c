/* GET /metrics: the API's own counters, and what the program adds. */
#include "api/call.h"

void api_handle_metrics(HttpRequest *request, void *data) {
        static const char *const classes[] = { "none", "1xx", "2xx", "3xx", "4xx", "5xx" };
        Api *api = data;
        g_autoptr(GString) text = g_string_new(NULL);

        if (!g_str_equal(http_path(request), "/metrics")) {
                http_answer_text(request, 404, "404 page not found\n");
                return;
        }
        g_string_append(text,
                        "# HELP weir_http_requests_total Requests answered, by status class.\n"
                        "# TYPE weir_http_requests_total counter\n");
        mutex_lock(&api->counts.mutex);
        for (size_t i = 0; i < G_N_ELEMENTS(classes); i++)
                g_string_append_printf(
                        text, "weir_http_requests_total{class=\"%s\"} %" G_GUINT64_FORMAT "\n",
                        classes[i], api->counts.requests[i]);
        mutex_unlock(&api->counts.mutex);
        if (api->spec.metrics)
                api->spec.metrics(text, api->spec.data);
        http_answer(request, 200, "text/plain; version=0.0.4; charset=utf-8", text->str, text->len);
}
