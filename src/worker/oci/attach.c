#include "worker/oci/attach.h"

#include "base/thread.h"

struct Attach {
        Network *network;
        NetworkRequest request;
        char *container;
        Thread *thread; /* NULL: it has ended; then what follows is ours */
        bool attached;
        NetworkAttachment attachment;
        GError *error;
};

static void attach(void *data) {
        Attach *self = data;
        self->attached = network_attach(self->network, &self->request, &self->attachment,
                                        &self->error);
}

Attach *attach_start(Network *network, const NetworkRequest *request) {
        if (!network)
                return NULL;
        Attach *self = g_new0(Attach, 1);
        *self = (Attach){ .network = network,
                          .request = *request,
                          .container = g_strdup(request->container),
                          .attachment = { .fd = -1 } };
        self->request.container = self->container;
        self->thread = thread_start("attach", attach, self);
        return self;
}

bool attach_wait(Attach *self, NetworkAttachment *ret, GError **error) {
        if (!self)
                return true;
        thread_join(g_steal_pointer(&self->thread));
        if (!self->attached) {
                g_propagate_error(error, g_steal_pointer(&self->error));
                return false;
        }
        *ret = self->attachment;
        self->attachment = (NetworkAttachment){ .fd = -1 };
        return true;
}

void attach_free(Attach *self) {
        if (!self)
                return;
        thread_join(g_steal_pointer(&self->thread));
        network_attachment_clear(&self->attachment);
        g_clear_error(&self->error);
        g_free(self->container);
        g_free(self);
}
