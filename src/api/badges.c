/* Badges of jobs and pipelines: small pictures for other people's pages (reference 01 §22.1). */
#include "api/handlers.h"

#include "http/url.h"

#include <string.h>

typedef struct {
        BuildStatus status;
        const char *text, *fill;
        double width; /* of the part with the status */
} Look;

/* Worst first: what a pipeline shows is the first that one of its jobs has. */
static const Look looks[] = {
        { BUILD_FAILED, "failing", "#e05d44", 43 },
        { BUILD_ERRORED, "errored", "#fe7d37", 51 },
        { BUILD_ABORTED, "aborted", "#8f4b2d", 53 },
        { BUILD_SUCCEEDED, "passing", "#44cc11", 51 },
};
static const Look unknown = { .text = "unknown", .fill = "#9f9f9f", .width = 61 };

/* Where the title goes. The standard one has its own measures. */
typedef struct {
        const char *text; /* escaped for XML */
        double width, middle;
        double status_middle; /* from the end of the title on */
} Title;

#define STANDARD_TITLE "build"

/* Six for each byte, and some air around short ones. */
static Title title_of(const char *text, const Look *look) {
        const size_t length = strlen(text);
        const double width = 6 * (double) length + (length <= 8 ? 12 : length <= 15 ? 6 : 0);

        return (Title){ text, width, width / 2, look->width / 2 };
}

/* As Go's html.EscapeString. Returns new. */
static char *escape(const char *text) {
        static const struct {
                char character;
                const char *escaped;
        } table[] = {
                { '&', "&amp;" }, { '\'', "&#39;" }, { '<', "&lt;" },
                { '>', "&gt;" },  { '"', "&#34;" },
        };
        GString *out = g_string_new(NULL);

        for (; *text; text++) {
                size_t i = 0;
                while (i < G_N_ELEMENTS(table) && table[i].character != *text)
                        i++;
                if (i < G_N_ELEMENTS(table))
                        g_string_append(out, table[i].escaped);
                else
                        g_string_append_c(out, *text);
        }
        return g_string_free(out, FALSE);
}

/* Go's %.1f and %.0f do not know about locales. Returns new. */
static char *draw(const Look *look, const Title *title) {
        const int total = (int) (title->width + look->width), split = (int) title->width;
        char middle[G_ASCII_DTOSTR_BUF_SIZE], status[G_ASCII_DTOSTR_BUF_SIZE];

        g_ascii_formatd(middle, sizeof middle, "%.1f", title->middle);
        g_ascii_formatd(status, sizeof status, "%.1f", title->width + title->status_middle);
        return g_strdup_printf(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"20\">\n"
                "   <linearGradient id=\"b\" x2=\"0\" y2=\"100%%\">\n"
                "      <stop offset=\"0\" stop-color=\"#bbb\" stop-opacity=\".1\" />\n"
                "      <stop offset=\"1\" stop-opacity=\".1\" />\n"
                "   </linearGradient>\n"
                "   <mask id=\"a\">\n"
                "      <rect width=\"%d\" height=\"20\" rx=\"3\" fill=\"#fff\" />\n"
                "   </mask>\n"
                "   <g mask=\"url(#a)\">\n"
                "      <path fill=\"#555\" d=\"M0 0h%dv20H0z\" />\n"
                "      <path fill=\"%s\" d=\"M%d 0h%dv20H%dz\" />\n"
                "      <path fill=\"url(#b)\" d=\"M0 0h%dv20H0z\" />\n"
                "   </g>\n"
                "   <g fill=\"#fff\" text-anchor=\"middle\" font-family=\"DejaVu "
                "Sans,Verdana,Geneva,sans-serif\" font-size=\"11\">\n"
                "      <text x=\"%s\" y=\"15\" fill=\"#010101\" fill-opacity=\".3\">%s</text>\n"
                "      <text x=\"%s\" y=\"14\">%s</text>\n"
                "      <text x=\"%s\" y=\"15\" fill=\"#010101\" fill-opacity=\".3\">%s</text>\n"
                "      <text x=\"%s\" y=\"14\">%s</text>\n"
                "   </g>\n"
                "</svg>",
                total, total, split, look->fill, split, (int) look->width, split, total, middle,
                title->text, middle, title->text, status, look->text, status, look->text);
}

static void answer_badge(ApiCall *call, const Look *look) {
        const char *given = http_query(call->request, "title");
        g_autofree char *escaped = given && *given ? escape(given) : NULL;
        const Title standard = { STANDARD_TITLE, 37, 18.5, (37 + look->width) / 2 + 17.5 - 37 };
        const Title title = escaped ? title_of(escaped, look) : standard;
        g_autofree char *svg = draw(look, &title);

        http_header_set(call->request, "Cache-Control", "no-cache, no-store, must-revalidate");
        http_header_set(call->request, "Expires", "0");
        http_answer(call->request, 200, "image/svg+xml", svg, strlen(svg));
}

/* The first look that one of the jobs' last finished builds has. */
static const Look *worst_of(const GPtrArray *summaries) {
        for (size_t i = 0; i < G_N_ELEMENTS(looks); i++)
                for (size_t j = 0; j < summaries->len; j++) {
                        const JobSummary *summary = summaries->pdata[j];
                        if (summary->finished && g_str_equal(summary->finished->status,
                                                             build_status_name(looks[i].status)))
                                return &looks[i];
                }
        return &unknown;
}

void job_badge(ApiCall *call) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Job) job = call_job(call);
        g_autoptr(JobSummary) summary = job ? job_summary(call->store, job->id, &error) : NULL;
        g_autoptr(GPtrArray) one = g_ptr_array_new();

        if (!job)
                return;
        if (!summary) {
                call_failed(call, error);
                return;
        }
        g_ptr_array_add(one, summary);
        answer_badge(call, worst_of(one));
}

void pipeline_badge(ApiCall *call) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray)
                summaries = job_summary_list(call->store, call->pipeline->id, NULL, &error);

        if (summaries)
                answer_badge(call, worst_of(summaries));
        else
                call_failed(call, error);
}

/* Of the time before there were teams; the query is lost on the way. */
void main_job_badge(ApiCall *call) {
        g_autofree char *pipeline = url_encode_path(call_param(call, "pipeline_name"));
        g_autofree char *job = url_encode_path(call_param(call, "job_name"));
        g_autofree char *path = g_strdup_printf("/api/v1/teams/main/pipelines/%s/jobs/%s/badge",
                                                pipeline, job);
        g_autofree char *body = g_strdup_printf("<a href=\"%s\">Moved Permanently</a>.\n\n", path);

        http_header_set(call->request, "Location", path);
        http_answer(call->request, 301, "text/html; charset=utf-8", body, strlen(body));
}
