#include "base/files.h"
#include "base/json.h"
#include "worker/oci/capability.h"
#include "worker/oci/seccomp.h"
#include "worker/oci/spec.h"

#include <string.h>
#include <sys/stat.h>

static const CgroupHost hybrid = { CGROUP_HYBRID, (char *) "/sys/fs/cgroup", true, true };
static const CgroupHost pure = { CGROUP_V2, (char *) "/sys/fs/cgroup", false, true };

static const SpecHost host = { .capabilities = UINT64_MAX,
                               .cgroup = &hybrid,
                               .init = "/opt/init",
                               .user_namespace = "/proc/9/fd/8",
                               .id_base = 100000,
                               .id_count = 65536 };

/* A value by a path of keys and positions, "linux.namespaces.5.path", as JSON text. Returns new. */
static char *at(const Value *value, const char *path) {
        g_auto(GStrv) keys = g_strsplit(path, ".", -1);
        for (char **key = keys; *key; key++)
                value = value_is(value, VALUE_LIST)
                                ? value_at(value, (size_t) g_ascii_strtoull(*key, NULL, 10))
                                : value_get(value, *key);
        return value ? json_write(value, JSON_COMPACT | JSON_NO_HTML, NULL) : g_strdup("absent");
}

typedef struct {
        bool privileged;
        PrivilegedMode mode;
        const CgroupHost *cgroup;
        uint64_t capabilities;
        uint64_t memory, cpu, pids;
        const char *path, *expect;
} Case;

#define ALL UINT64_MAX
static const Case cases[] = {
        { false, 0, &hybrid, ALL, 0, 0, 0, "process.args", "[\"/dev/.weir-init\"]" },
        { false, 0, &hybrid, ALL, 0, 0, 0, "root", "{\"path\":\"/root\",\"readonly\":false}" },
        { false, 0, &hybrid, ALL, 0, 0, 0, "hostname", "\"h\"" },
        { false, 0, &hybrid, ALL, 0, 0, 0, "linux.namespaces.4",
          "{\"type\":\"network\",\"path\":\"/proc/1/fd/5\"}" },
        { false, 0, &hybrid, ALL, 0, 0, 0, "linux.namespaces.5",
          "{\"type\":\"user\",\"path\":\"/proc/9/fd/8\"}" },
        { true, 0, &hybrid, ALL, 0, 0, 0, "linux.namespaces.5", "absent" },
        { true, PRIVILEGED_IGNORE, &hybrid, ALL, 0, 0, 0, "linux.namespaces.5.type", "\"user\"" },
        { false, 0, &hybrid, ALL, 0, 0, 0, "linux.uidMappings",
          "[{\"containerID\":0,\"hostID\":100000,\"size\":65536}]" },
        { true, 0, &hybrid, ALL, 0, 0, 0, "linux.uidMappings", "absent" },
        { false, 0, &hybrid, 1 << 5 | 1 << 21, 0, 0, 0, "process.capabilities.bounding",
          "[\"CAP_KILL\"]" },
        { true, 0, &hybrid, 1 << 5 | 1 << 21, 0, 0, 0, "process.capabilities.effective",
          "[\"CAP_KILL\",\"CAP_SYS_ADMIN\"]" },
        { true, PRIVILEGED_FUSE_ONLY, &hybrid, 1 << 21, 0, 0, 0, "process.capabilities.permitted",
          "[\"CAP_SYS_ADMIN\"]" },
        { false, PRIVILEGED_FUSE_ONLY, &hybrid, 1 << 21, 0, 0, 0, "process.capabilities.permitted",
          "[]" },
        { true, 0, &hybrid, ALL, 0, 0, 0, "process.capabilities.ambient", "absent" },
        { true, 0, &hybrid, ALL, 0, 0, 0, "linux.devices.0.path", "\"/dev/fuse\"" },
        { false, 0, &hybrid, ALL, 0, 0, 0, "linux.devices", "absent" },
        { false, 0, &hybrid, ALL, 0, 0, 0, "linux.resources.memory", "absent" },
        { false, 0, &hybrid, ALL, 4096, 0, 0, "linux.resources.memory",
          "{\"limit\":4096,\"swap\":4096}" },
        { false, 0, &pure, ALL, 4096, 0, 0, "linux.resources.memory", "{\"limit\":4096}" },
        { false, 0, &hybrid, ALL, 0, 512, 0, "linux.resources.cpu", "{\"shares\":512}" },
        { false, 0, &hybrid, ALL, 0, 0, 9, "linux.resources.pids", "{\"limit\":9}" },
        { false, 0, &hybrid, ALL, 0, 0, 0, "linux.resources.devices.0",
          "{\"allow\":false,\"access\":\"rwm\"}" },
        { false, 0, &hybrid, ALL, 0, 0, 0, "linux.cgroupsPath", "\"/weir/h\"" },
        { false, 0, &hybrid, ALL, 0, 0, 0, "mounts.5.options",
          "[\"nosuid\",\"noexec\",\"nodev\",\"ro\"]" },
        { true, 0, &hybrid, ALL, 0, 0, 0, "mounts.5.options", "[\"nosuid\",\"noexec\",\"nodev\"]" },
        { false, 0, &hybrid, ALL, 0, 0, 0, "mounts.6.type", "\"cgroup\"" },
        { false, 0, &pure, ALL, 0, 0, 0, "mounts.6.type", "\"cgroup2\"" },
        { false, 0, &hybrid, ALL, 0, 0, 0, "mounts.7.source", "\"/opt/init\"" },
        { false, 0, &hybrid, ALL, 0, 0, 0, "mounts.8",
          "{\"destination\":\"/in\",\"type\":\"bind\",\"source\":\"/src\",\"options\":[\"bind\","
          "\"ro\"]}" },
        { false, 0, &hybrid, ALL, 0, 0, 0, "mounts.9.options", "[\"bind\",\"rw\"]" },
        { false, 0, &hybrid, ALL, 0, 0, 0, "mounts.12.destination", "\"/etc/resolv.conf\"" },
        { false, 0, &hybrid, ALL, 0, 0, 0, "mounts.13", "absent" },
        { false, 0, &hybrid, ALL, 0, 0, 0, "linux.maskedPaths", "absent" },
        { false, 0, &hybrid, ALL, 0, 0, 0, "process.noNewPrivileges", "absent" },
        { false, 0, &hybrid, ALL, 0, 0, 0, "process.rlimits", "absent" },
};

static void says_what_the_reference_says(void) {
        static const SpecMount mounts[] = { { "/src", "/in", false }, { "/src", "/out", true } };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                SpecHost where = host;
                SpecContainer asked = { .handle = "h",
                                        .root = "/root",
                                        .mounts = mounts,
                                        .mount_count = 2,
                                        .privileged = cases[i].privileged,
                                        .cpu_shares = cases[i].cpu,
                                        .memory_bytes = cases[i].memory,
                                        .pids = cases[i].pids,
                                        .network_namespace = "/proc/1/fd/5",
                                        .directory = "/dir",
                                        .cgroup_path = "/weir/h" };
                where.mode = cases[i].mode;
                where.cgroup = cases[i].cgroup;
                where.capabilities = cases[i].capabilities;
                g_autoptr(Value) spec = spec_make(&where, &asked);
                g_autofree char *got = at(spec, cases[i].path);
                g_test_message("%s", cases[i].path);
                g_assert_cmpstr(got, ==, cases[i].expect);
        }
}

static void the_standard_filter_is_the_unprivileged_one(void) {
        g_autoptr(Value) filter = seccomp_standard(), fuse = seccomp_fuse();
        SpecHost where = host;
        SpecContainer asked = { .handle = "h", .root = "/root" };
        where.seccomp = filter;
        g_autoptr(Value) plain = spec_make(&where, &asked);
        g_assert_true(value_equal(value_get(value_get(plain, "linux"), "seccomp"), filter));
        asked.privileged = true;
        g_autoptr(Value) full = spec_make(&where, &asked);
        g_assert_null(value_get(value_get(full, "linux"), "seccomp"));

        g_autofree char *standard = json_write(filter, JSON_COMPACT, NULL);
        g_autofree char *relaxed = json_write(fuse, JSON_COMPACT, NULL);
        static const char *const both[] = { "\"bpf\"", "\"io_uring_setup\"", "\"userfaultfd\"" };
        static const char *const only[] = { "\"mount\"", "\"unshare\"", "\"setns\"", "\"clone3\"" };
        for (size_t i = 0; i < G_N_ELEMENTS(both); i++)
                g_assert_true(strstr(standard, both[i]) && strstr(relaxed, both[i]));
        for (size_t i = 0; i < G_N_ELEMENTS(only); i++)
                g_assert_true(strstr(standard, only[i]) && !strstr(relaxed, only[i]));
}

/* ---- device rules ---- */

static void reads_device_rules(void) {
        static const struct {
                const char *text, *expect; /* NULL: refused */
        } rules[] = {
                { "c 10:200 rwm",
                  "{\"allow\":true,\"type\":\"c\",\"major\":10,\"minor\":200,\"access\":\"rwm\"}" },
                { "b 7:* rw", "{\"allow\":true,\"type\":\"b\",\"major\":7,\"access\":\"rw\"}" },
                { "a *:* m", "{\"allow\":true,\"type\":\"a\",\"access\":\"m\"}" },
                { "", NULL },
                { "x 1:2 r", NULL },
                { "c 1:2", NULL },
                { "c 1:2 ", NULL },
                { "c 1:2 x", NULL },
                { "c 1 r", NULL },
                { "c :2 r", NULL },
                { "c 1:-2 r", NULL },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(rules); i++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(Value) rule = spec_device_rule(rules[i].text, &error);
                g_autofree char *got = rule ? json_write(rule, JSON_COMPACT, NULL) : NULL;
                g_assert_cmpstr(got, ==, rules[i].expect);
                g_assert_true((error == NULL) == (rules[i].expect != NULL));
        }
}

/* ---- control groups, on directories made to look like them ---- */

static void touch(const char *root, const char *name) {
        g_autofree char *path = g_build_filename(root, name, NULL);
        g_autofree char *directory = g_path_get_dirname(path);
        g_mkdir_with_parents(directory, 0755);
        g_file_set_contents(path, "", 0, NULL);
}

static void tells_the_kinds_of_control_groups_apart(void) {
        static const struct {
                const char *files[3];
                CgroupMode mode;
                bool swap;
        } hosts[] = {
                { { "cgroup.controllers" }, CGROUP_V2, false },
                { { "memory/memory.memsw.limit_in_bytes", "pids/x" }, CGROUP_V1, true },
                { { "memory/x", "unified/cgroup.procs" }, CGROUP_HYBRID, false },
                { { "other" }, CGROUP_NONE, false },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(hosts); i++) {
                g_autofree char *root = g_dir_make_tmp("weir-cgroup-XXXXXX", NULL);
                g_auto(CgroupHost) found = { 0 };
                for (size_t j = 0; j < 3 && hosts[i].files[j]; j++)
                        touch(root, hosts[i].files[j]);
                cgroup_detect(root, &found);
                g_assert_cmpint(found.mode, ==, hosts[i].mode);
                g_assert_true(found.swap_limit == hosts[i].swap);
                directory_remove(root, NULL);
        }
}

static void kills_by_the_group_where_it_can(void) {
        g_autofree char *root = g_dir_make_tmp("weir-cgroup-XXXXXX", NULL);
        g_autofree char *kill = g_build_filename(root, "weir/h/cgroup.kill", NULL);
        g_autofree char *text = NULL;
        g_auto(CgroupHost) found = { 0 };
        touch(root, "cgroup.controllers");
        touch(root, "weir/h/cgroup.kill");
        cgroup_detect(root, &found);
        g_assert_cmpuint(cgroup_kill(&found, "/weir/h"), ==, 1);
        g_file_get_contents(kill, &text, NULL, NULL);
        g_assert_cmpstr(text, ==, "1");
        g_assert_true(cgroup_remove(&found, "/weir/none", NULL));
        directory_remove(root, NULL);
}

static void names_capabilities(void) {
        g_autoptr(Value) names = capability_names(capability_unprivileged);
        g_autofree char *text = json_write(names, JSON_COMPACT, NULL);
        g_assert_cmpstr(text, ==,
                        "[\"CAP_CHOWN\",\"CAP_DAC_OVERRIDE\",\"CAP_FOWNER\",\"CAP_FSETID\","
                        "\"CAP_KILL\",\"CAP_SETGID\",\"CAP_SETUID\",\"CAP_SETPCAP\","
                        "\"CAP_NET_BIND_SERVICE\",\"CAP_NET_RAW\",\"CAP_SYS_CHROOT\",\"CAP_MKNOD\","
                        "\"CAP_AUDIT_WRITE\",\"CAP_SETFCAP\"]");
        g_assert_cmphex(capability_unprivileged, ==, 0xa80425fb); /* as recorded: CapEff */
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/spec/table", says_what_the_reference_says);
        g_test_add_func("/spec/seccomp", the_standard_filter_is_the_unprivileged_one);
        g_test_add_func("/spec/devices", reads_device_rules);
        g_test_add_func("/cgroup/detect", tells_the_kinds_of_control_groups_apart);
        g_test_add_func("/cgroup/kill", kills_by_the_group_where_it_can);
        g_test_add_func("/capability/names", names_capabilities);
        return g_test_run();
}
