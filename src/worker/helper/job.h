/* The life of a child that touches a volume's files: from fork to exit, in the helper's image. */
#pragma once

#include "worker/helper/protocol.h"

typedef struct {
        const char *work;
        const HelperRequest *request;
        int stream;    /* -1: none */
        int directory; /* -1: none */
        int report;    /* socket for HelperReply: HELPER_BEGUN, then the end */
} JobSpec;

G_NORETURN void job_child(const JobSpec *spec);
