#include "work.h"
#include "worker/network/files.h"
#include "worker/network/network.h"
#include "worker/network/rules.h"

#include <arpa/inet.h>
#include <sys/socket.h>

/* ---- pure parts ---- */

static void loopback_servers_are_left_out(void) {
        static const struct {
                const char *host, *resolved, *local, *expect;
        } cases[] = {
                { "", NULL, "1.2.3.4", "" },
                { "nameserver 9.9.9.9\n", NULL, NULL, "nameserver 9.9.9.9\n" },
                { "  search a b \nnameserver\t9.9.9.9 \nnameserver 127.0.0.53\n", NULL, NULL,
                  "search a b\nnameserver 9.9.9.9\n" },
                { "nameserver 127.0.0.53\noptions x", "nameserver 8.8.4.4\n", "1.2.3.4",
                  "nameserver 8.8.4.4\n" },
                { "options x\nnameserver ::1\n", "nameserver 127.0.0.1\n", "1.2.3.4",
                  "options x\nnameserver 1.2.3.4\n" },
                { "nameserver 127.0.0.53\n", NULL, NULL, "" },
                { "# none\n", "nameserver 8.8.4.4\n", "1.2.3.4", "# none\n" },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *got = files_resolv_conf(cases[i].host, cases[i].resolved,
                                                         cases[i].local);
                g_assert_cmpstr(got, ==, cases[i].expect);
        }
}

static void host_entries_are_checked(void) {
        static const struct {
                const char *entry, *message;
        } cases[] = {
                { "1.2.3.4 name", NULL },
                { "::1 name other", NULL },
                { "name",
                  "invalid host entry \"name\": must have IP and hostname separated by a space" },
                { "x name", "invalid IP in host entry: \"x\"" },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GError) error = NULL;
                bool valid = files_host_entry_check(cases[i].entry, &error);
                g_assert_cmpint(valid, ==, cases[i].message == NULL);
                if (!valid)
                        g_assert_cmpstr(error->message, ==, cases[i].message);
        }
}

static void only_networks_get_into_the_rules(void) {
        static const char *const valid[] = { "10.0.0.0/8", "1.2.3.4", "fd00::/8", "0.0.0.0/0" };
        static const char *const invalid[] = { "",         "10.0.0.0/33", "10.0.0.0/",
                                               "10.0.0/8", "x",           "1.2.3.4; x",
                                               "::/129",   "1.2.3.4/8/8", "1.2.3.4}" };
        for (size_t i = 0; i < G_N_ELEMENTS(valid); i++)
                g_assert_true(rules_network_valid(valid[i]));
        for (size_t i = 0; i < G_N_ELEMENTS(invalid); i++)
                g_assert_false(rules_network_valid(invalid[i]));
}

/* ---- a real one ---- */

static Network *open_network(const NetworkSpec *wanted) {
        g_autoptr(GError) error = NULL;
        NetworkSpec spec = *wanted;
        spec.work_directory = spec.work_directory ? spec.work_directory : work;
        spec.helper = helper;
        Network *network = network_open(&spec, &error);
        g_assert_no_error(error);
        return network;
}

static void attach(Network *network, const NetworkRequest *request, NetworkAttachment *ret) {
        g_autoptr(GError) error = NULL;
        network_attach(network, request, ret, &error);
        g_assert_no_error(error);
}

/* Runs in the container's network namespace. Returns new. */
static char *within(const NetworkAttachment *attachment, const char *script) {
        g_autofree char *command = g_strdup_printf("nsenter --net=%s sh -c '%s' 2>&1",
                                                   attachment->path, script);
        return outside("/", command);
}

#define ASSERT_WITHIN(attachment_, script_, expect_)                                               \
        do {                                                                                       \
                g_autofree char *got_ = within((attachment_), (script_));                          \
                g_assert_cmpstr(got_, ==, (expect_));                                              \
        } while (0)

/* A listener on the gateway's address, whose one connection is answered with "hi". */
static int listen_on(const char *address, uint16_t port) {
        struct sockaddr_in name = { .sin_family = AF_INET, .sin_port = htons(port) };
        int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        inet_pton(AF_INET, address, &name.sin_addr);
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        g_assert_cmpint(bind(fd, (struct sockaddr *) &name, sizeof name), ==, 0);
        g_assert_cmpint(listen(fd, 8), ==, 0);
        return fd;
}

/* Connects from the container's namespace; returns 0 or errno. */
static int connect_from(const NetworkAttachment *attachment, const char *address, uint16_t port) {
        pid_t pid = fork();
        if (pid == 0) {
                struct sockaddr_in name = { .sin_family = AF_INET, .sin_port = htons(port) };
                struct timeval limit = { .tv_sec = 1, .tv_usec = 500000 };
                if (setns(attachment->fd, CLONE_NEWNET) < 0)
                        _exit(255);
                int fd = socket(AF_INET, SOCK_STREAM, 0);
                setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
                inet_pton(AF_INET, address, &name.sin_addr);
                _exit(connect(fd, (struct sockaddr *) &name, sizeof name) == 0 ? 0 : errno);
        }
        int status;
        waitpid(pid, &status, 0);
        return WEXITSTATUS(status);
}

static void containers_have_an_interface_and_reach_each_other(void) {
        Network *network = open_network(&(NetworkSpec){ .mtu = 1400 });
        g_auto(NetworkAttachment) first = { .fd = -1 }, second = { .fd = -1 };
        attach(network, &(NetworkRequest){ .container = "c1" }, &first);
        attach(network, &(NetworkRequest){ .container = "c2", .privileged = true }, &second);

        g_assert_cmpstr(network_bridge(network), ==, "weir0");
        g_assert_cmpstr(network_pool(network), ==, "10.80.0.0/16");
        g_assert_cmpstr(network_gateway(network), ==, "10.80.0.1");
        g_assert_cmpstr(first.address, ==, "10.80.0.2");
        g_assert_cmpstr(second.address, ==, "10.80.0.3");
        ASSERT_WITHIN(&first,
                      "ip -4 -o addr show eth0 | tr -s \" \" | cut -d\" \" -f4; cat "
                      "/sys/class/net/eth0/mtu 2>/dev/null; ip route",
                      "10.80.0.2/16\ndefault via 10.80.0.1 dev eth0 proto static \n10.80.0.0/16 "
                      "dev eth0 proto kernel scope link src 10.80.0.2 \n");
        ASSERT_WITHIN(
                &first,
                "ip -o link show eth0 | grep -o mtu.1400; ip -o link show lo | grep -o LOOPBACK,UP",
                "mtu 1400\nLOOPBACK,UP\n");

        autofd listener = -1;
        {
                pid_t pid = fork();
                if (pid == 0) {
                        if (setns(second.fd, CLONE_NEWNET) < 0)
                                _exit(1);
                        int fd = listen_on("10.80.0.3", 5000);
                        (void) !write(first.fd, "", 0);
                        raise(SIGSTOP);
                        close(fd);
                        _exit(0);
                }
                int status;
                waitpid(pid, &status, WUNTRACED);
                g_assert_true(WIFSTOPPED(status));
                g_assert_cmpint(connect_from(&first, "10.80.0.3", 5000), ==, 0);
                g_assert_cmpint(connect_from(&first, "10.80.0.3", 5001), ==, ECONNREFUSED);
                kill(pid, SIGCONT);
                waitpid(pid, &status, 0);
        }
        network_detach(network, "c1");
        network_detach(network, "c2");
        network_close(network, true);
        ASSERT_OUTSIDE("/", "ip -o link | grep -c weir; nft list tables", "0\n");
}

static void the_host_is_reached_only_when_allowed(void) {
        for (int allowed = 0; allowed < 2; allowed++) {
                Network *network = open_network(&(NetworkSpec){ .allow_host_access = allowed });
                g_auto(NetworkAttachment) plain = { .fd = -1 }, hermetic = { .fd = -1 };
                autofd listener = listen_on(network_gateway(network), 9418);
                attach(network, &(NetworkRequest){ .container = "plain" }, &plain);
                attach(network, &(NetworkRequest){ .container = "hermetic", .hermetic = true },
                       &hermetic);
                g_assert_cmpint(connect_from(&plain, "10.80.0.1", 9418), ==,
                                allowed ? 0 : EHOSTUNREACH);
                g_assert_cmpint(connect_from(&hermetic, "10.80.0.1", 9418), !=, 0);
                ASSERT_WITHIN(&hermetic, "ip -4 -o addr show eth0 | grep -c inet", "1\n");
                g_autofree char *quiet = network_resolv_conf(network, true);
                g_assert_cmpstr(quiet, ==, "");
                network_close(network, true);
        }
}

static void with_a_proxy_only_dns_of_the_host_is_reached(void) {
        Network *network = open_network(&(NetworkSpec){ .dns_proxy = true });
        g_auto(NetworkAttachment) plain = { .fd = -1 };
        autofd listener = listen_on(network_gateway(network), 9418);
        attach(network, &(NetworkRequest){ .container = "plain" }, &plain);
        g_assert_cmpint(connect_from(&plain, "10.80.0.1", 53), ==, 0);
        g_assert_cmpint(connect_from(&plain, "10.80.0.1", 9418), ==, EHOSTUNREACH);
        g_autofree char *resolv = network_resolv_conf(network, false);
        g_assert_cmpstr(resolv, ==, "nameserver 10.80.0.1\n");
        network_close(network, true);
}

static void a_container_has_the_same_place_in_both_pools(void) {
        static const struct {
                const char *pool, *pool6, *expect;
        } cases[] = {
                { NULL, NULL, "fd9c:31a6:c759::2/64" },
                { "10.99.8.0/21", "fd00:1:2:3:ffff::/72", "fd00:1:2:3:ff00::2/72" },
                { "10.99.8.0/29", "fd00::78/125", "fd00::7a/125" },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                Network *network = open_network(&(NetworkSpec){
                        .v6 = true, .pool = cases[i].pool, .pool6 = cases[i].pool6 });
                g_auto(NetworkAttachment) plain = { .fd = -1 }, hermetic = { .fd = -1 };
                attach(network, &(NetworkRequest){ .container = "plain" }, &plain);
                attach(network, &(NetworkRequest){ .container = "hermetic", .hermetic = true },
                       &hermetic);
                g_autofree char *expect = g_strdup_printf("%s\n", cases[i].expect);
                ASSERT_WITHIN(
                        &plain,
                        "ip -6 -o addr show eth0 scope global | tr -s \" \" | cut -d\" \" -f4",
                        expect);
                ASSERT_WITHIN(&hermetic, "ip -6 -o addr show eth0 scope global", "");
                network_close(network, true);
        }
}

/* Another host, behind this one: a namespace of its own, joined by a pair of its own. */
static void restricted_networks_are_refused_and_the_rest_is_masqueraded(void) {
        static const char *const restricted[] = { "192.0.2.9/32", "198.51.100.0/24", NULL };
        Network *network = open_network(&(NetworkSpec){ .restricted = restricted });
        g_auto(NetworkAttachment) inside_ = { .fd = -1 };
        attach(network, &(NetworkRequest){ .container = "c" }, &inside_);
        ASSERT_OUTSIDE("/",
                       "ip netns add weirfar && ip link add up0 type veth peer name far0 netns "
                       "weirfar && ip addr add 192.0.2.1/24 dev up0 && ip link set up0 up && "
                       "ip -n weirfar link set far0 up && ip -n weirfar link set lo up && "
                       "ip -n weirfar addr add 192.0.2.2/24 dev far0 && "
                       "ip -n weirfar addr add 192.0.2.9/24 dev far0",
                       "");
        NetworkAttachment far = { .path = (char *) "/run/netns/weirfar" };
        far.fd = open(far.path, O_RDONLY | O_CLOEXEC);
        pid_t pid = fork();
        if (pid == 0) {
                if (setns(far.fd, CLONE_NEWNET) < 0)
                        _exit(1);
                int fd = listen_on("0.0.0.0", 80);
                raise(SIGSTOP);
                struct sockaddr_in peer;
                socklen_t length = sizeof peer;
                int connection = accept(fd, (struct sockaddr *) &peer, &length);
                _exit(connection >= 0 && peer.sin_addr.s_addr == inet_addr("192.0.2.1") ? 0 : 1);
        }
        int status;
        waitpid(pid, &status, WUNTRACED);
        g_assert_cmpint(connect_from(&inside_, "192.0.2.9", 80), ==, ECONNREFUSED);
        g_assert_cmpint(connect_from(&inside_, "192.0.2.2", 80), ==, 0);
        kill(pid, SIGCONT);
        waitpid(pid, &status, 0);
        g_assert_cmpint(WEXITSTATUS(status), ==, 0); /* it saw this host's address */
        close(far.fd);
        ASSERT_OUTSIDE("/", "ip netns del weirfar", "");
        network_close(network, true);
}

static void a_hundred_come_and_go_without_a_trace(void) {
        enum { COUNT = 100 };
        Network *network = open_network(&(NetworkSpec){ 0 });
        NetworkAttachment attachments[COUNT];
        g_autofree char *rules = outside("/", "nft -a list ruleset");
        for (int i = 0; i < COUNT; i++) {
                g_autofree char *name = g_strdup_printf("c%d", i);
                attach(network, &(NetworkRequest){ .container = name, .hermetic = i % 10 == 0 },
                       &attachments[i]);
        }
        ASSERT_OUTSIDE("/", "ip -o link | grep -c ' master weir0 '; ip -o link | grep -c veth",
                       "90\n0\n(status 1)");
        for (int i = 0; i < COUNT; i++) {
                g_autofree char *name = g_strdup_printf("c%d", i);
                network_attachment_clear(&attachments[i]);
                network_detach(network, name);
        }
        ASSERT_OUTSIDE("/", "ip -o link | grep -v ' lo:' | grep -c @", "0\n(status 1)");
        ASSERT_OUTSIDE(work, "ls network/addresses | wc -l", "0\n");
        /* Handles too: not one rule was loaded again. */
        ASSERT_OUTSIDE("/", "nft -a list ruleset", rules);
        network_close(network, true);
}

static void a_restart_finds_everything(void) {
        Network *network = open_network(&(NetworkSpec){ 0 });
        g_auto(NetworkAttachment) kept = { .fd = -1 }, lost = { .fd = -1 }, next = { .fd = -1 };
        attach(network, &(NetworkRequest){ .container = "kept" }, &kept);
        attach(network, &(NetworkRequest){ .container = "lost" }, &lost);
        network_close(network, false);

        network = open_network(&(NetworkSpec){ .allow_host_access = true });
        static const char *const alive[] = { "kept", "without" };
        network_keep(network, alive, G_N_ELEMENTS(alive));
        g_autofree char *address = network_address(network, "kept");
        g_assert_cmpstr(address, ==, kept.address);
        g_assert_null(network_address(network, "lost"));
        autofd listener = listen_on(network_gateway(network), 9418);
        g_assert_cmpint(connect_from(&kept, "10.80.0.1", 9418), ==, 0);
        attach(network, &(NetworkRequest){ .container = "next" }, &next);
        g_assert_cmpstr(next.address, !=, kept.address);
        network_close(network, true);
}

static void a_second_worker_does_not_collide(void) {
        g_autofree char *other = g_dir_make_tmp("weir-other-XXXXXX", NULL);
        Network *first = open_network(&(NetworkSpec){ 0 });
        Network *second = open_network(&(NetworkSpec){ .work_directory = other });
        g_assert_cmpstr(network_bridge(second), !=, network_bridge(first));
        g_assert_cmpstr(network_pool(second), ==, "10.81.0.0/16");
        NetworkSpec taken = { .work_directory = other, .helper = helper, .pool = "10.80.7.0/24" };
        g_autoptr(GError) error = NULL;
        g_assert_null(network_open(&taken, &error));
        g_assert_error(error, ERROR, ERROR_EXISTS);
        network_close(second, true);
        network_close(first, true);
        directory_remove(other, NULL);
}

static void a_small_pool_runs_out(void) {
        Network *network = open_network(&(NetworkSpec){ .pool = "10.99.0.0/29" });
        NetworkAttachment attachments[6];
        g_autoptr(GError) error = NULL;
        size_t count = 0;
        for (; count < 6; count++) {
                g_autofree char *name = g_strdup_printf("c%zu", count);
                if (!network_attach(network, &(NetworkRequest){ .container = name },
                                    &attachments[count], &error))
                        break;
        }
        g_assert_cmpint((int) count, ==, 5);
        g_assert_error(error, ERROR, ERROR_LIMIT);
        while (count-- > 0)
                network_attachment_clear(&attachments[count]);
        network_close(network, true);
}

static void files_for_containers_are_upstreams(void) {
        static const char *const servers[] = { "9.9.9.9", "8.8.4.4", NULL };
        static const char *const hosts[] = { "1.2.3.4 name", NULL };
        Network *network = open_network(
                &(NetworkSpec){ .dns_servers = servers, .additional_hosts = hosts });
        g_autofree char *resolv = network_resolv_conf(network, false);
        g_autofree char *text = network_hosts(network, "handle", "10.80.0.2");
        g_assert_cmpstr(resolv, ==, "nameserver 9.9.9.9\nnameserver 8.8.4.4\n");
        g_assert_cmpstr(text, ==, "127.0.0.1 localhost\n1.2.3.4 name\n10.80.0.2 handle\n");
        network_close(network, true);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/network/resolv-conf", loopback_servers_are_left_out);
        g_test_add_func("/network/host-entries", host_entries_are_checked);
        g_test_add_func("/network/networks", only_networks_get_into_the_rules);
        /* Everything else happens in a network namespace of this test's own. */
        bool real = geteuid() == 0 && unshare(CLONE_NEWNET) == 0 && work_start();
        if (real && helper_user_namespace(helper) >= 0) {
                g_free(outside("/", "ip link set lo up; mount -t sysfs none /sys"));
                g_test_add_func("/network/containers",
                                containers_have_an_interface_and_reach_each_other);
                g_test_add_func("/network/host", the_host_is_reached_only_when_allowed);
                g_test_add_func("/network/dns", with_a_proxy_only_dns_of_the_host_is_reached);
                g_test_add_func("/network/v6", a_container_has_the_same_place_in_both_pools);
                g_test_add_func("/network/restricted",
                                restricted_networks_are_refused_and_the_rest_is_masqueraded);
                g_test_add_func("/network/hundred", a_hundred_come_and_go_without_a_trace);
                g_test_add_func("/network/restart", a_restart_finds_everything);
                g_test_add_func("/network/second", a_second_worker_does_not_collide);
                g_test_add_func("/network/full", a_small_pool_runs_out);
                g_test_add_func("/network/files", files_for_containers_are_upstreams);
        }
        int result = g_test_run();
        if (real)
                work_stop();
        return result;
}
