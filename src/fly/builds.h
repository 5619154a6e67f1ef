/* Which build is meant (reference 02 §12.1). */
#pragma once

#include "fly/api.h"

/* Each returns new, the build's id as text. */
char *build_of_job(Fly *fly, const ItemRef *job, const char *number, GError **error);
char *build_latest(Fly *fly, GError **error); /* the newest without a job */
char *build_of_url(Fly *fly, const char *url, const char *team, GError **error);
