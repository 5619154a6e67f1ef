#include "work.h"
#include "worker/oci/attach.h"

/* A network with room for five containers. */
static Network *open_network(void) {
        g_autoptr(GError) error = NULL;
        Network *network = network_open(
                &(NetworkSpec){ .work_directory = work, .helper = helper, .pool = "10.99.0.0/29" },
                &error);
        g_assert_no_error(error);
        return network;
}

static void what_was_attached_meanwhile_is_handed_over(void) {
        g_autoptr(GError) error = NULL;
        g_auto(NetworkAttachment) attachment = { .fd = -1 };
        Network *network = open_network();
        Attach *attach = attach_start(network, &(NetworkRequest){ .container = "box" });
        g_assert_true(attach_wait(attach, &attachment, &error));
        g_assert_no_error(error);
        attach_free(attach);
        g_assert_cmpint(fcntl(attachment.fd, F_GETFD), >=, 0); /* ours by now */
        g_autofree char *address = network_address(network, "box");
        g_assert_cmpstr(attachment.address, ==, address);
        network_close(network, true);
}

static void what_nobody_waited_for_can_be_given_back(void) {
        Network *network = open_network();
        attach_free(attach_start(network, &(NetworkRequest){ .container = "box" }));
        g_assert_true(network_in_use(network));
        network_detach(network, "box");
        g_assert_false(network_in_use(network));
        network_close(network, true);
}

static void a_failure_comes_with_the_wait(void) {
        Network *network = open_network();
        Attach *attaches[6];
        NetworkAttachment attachments[6];
        size_t refused = 0;
        for (size_t i = 0; i < G_N_ELEMENTS(attaches); i++) {
                g_autofree char *name = g_strdup_printf("c%zu", i); /* is copied */
                attaches[i] = attach_start(network, &(NetworkRequest){ .container = name });
        }
        for (size_t i = 0; i < G_N_ELEMENTS(attaches); i++) {
                g_autoptr(GError) error = NULL;
                attachments[i] = (NetworkAttachment){ .fd = -1 };
                if (!attach_wait(attaches[i], &attachments[i], &error)) {
                        g_assert_error(error, ERROR, ERROR_LIMIT);
                        refused++;
                }
                attach_free(attaches[i]);
                network_attachment_clear(&attachments[i]);
        }
        g_assert_cmpuint(refused, ==, 1);
        network_close(network, true);
}

static void without_a_network_there_is_nothing_to_wait_for(void) {
        NetworkAttachment attachment = { .fd = -1 };
        Attach *attach = attach_start(NULL, &(NetworkRequest){ .container = "box" });
        g_assert_null(attach);
        g_assert_true(attach_wait(attach, &attachment, NULL));
        g_assert_cmpint(attachment.fd, ==, -1);
        attach_free(attach);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/attach/none", without_a_network_there_is_nothing_to_wait_for);
        /* In a network namespace of this test's own. */
        bool real = geteuid() == 0 && unshare(CLONE_NEWNET) == 0 && work_start();
        if (real && helper_user_namespace(helper) >= 0) {
                g_free(outside("/", "ip link set lo up"));
                g_test_add_func("/attach/handed-over", what_was_attached_meanwhile_is_handed_over);
                g_test_add_func("/attach/given-back", what_nobody_waited_for_can_be_given_back);
                g_test_add_func("/attach/failure", a_failure_comes_with_the_wait);
        }
        int status = g_test_run();
        if (real)
                work_stop();
        return status;
}
