/* What is not the API: signing in and out, the front page, fly's browser login. Internal to api. */
#pragma once

#include "api/call.h"

void pages_handle(Api *api, HttpRequest *request);
