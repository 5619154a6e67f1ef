#include "worker/oci/seccomp.h"

#include <errno.h>
#include <string.h>

/* EPERM for all of these; the second column is true for what FUSE needs. */
typedef struct {
        const char *name;
        bool fuse;
} Refused;

static const Refused refused[] = {
        { "acct", false },
        { "add_key", false },
        { "bpf", false },
        { "clock_settime", false },
        { "clock_settime64", false },
        { "create_module", false },
        { "delete_module", false },
        { "fanotify_init", false },
        { "finit_module", false },
        { "fsconfig", false },
        { "fsmount", false },
        { "fsopen", false },
        { "fspick", false },
        { "get_kernel_syms", false },
        { "get_mempolicy", false },
        { "init_module", false },
        { "io_uring_enter", false },
        { "io_uring_register", false },
        { "io_uring_setup", false },
        { "ioperm", false },
        { "iopl", false },
        { "kcmp", false },
        { "kexec_file_load", false },
        { "kexec_load", false },
        { "keyctl", true },
        { "lookup_dcookie", false },
        { "mbind", false },
        { "migrate_pages", false },
        { "mount", true },
        { "mount_setattr", true },
        { "move_mount", true },
        { "move_pages", false },
        { "nfsservctl", false },
        { "open_by_handle_at", false },
        { "perf_event_open", false },
        { "pidfd_getfd", true },
        { "pivot_root", true },
        { "process_madvise", false },
        { "process_vm_readv", false },
        { "process_vm_writev", false },
        { "query_module", false },
        { "quotactl", false },
        { "quotactl_fd", false },
        { "reboot", false },
        { "request_key", false },
        { "set_mempolicy", false },
        { "set_mempolicy_home_node", false },
        { "setdomainname", false },
        { "sethostname", true },
        { "setns", true },
        { "settimeofday", false },
        { "stime", false },
        { "swapoff", false },
        { "swapon", false },
        { "sysfs", false },
        { "umount", true },
        { "umount2", true },
        { "unshare", true },
        { "uselib", false },
        { "userfaultfd", false },
        { "ustat", false },
        { "vhangup", false },
        { "vm86", false },
        { "vm86old", false },
};

/* NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET: one rule each, because a filter can
 * only ask whether given bits have a given value. */
static const int64_t namespaces[] = { 0x00020000, 0x02000000, 0x04000000, 0x08000000,
                                      0x10000000, 0x20000000, 0x40000000 };

static const char *const architectures[] = {
#if defined(__x86_64__)
        "SCMP_ARCH_X86_64",
        "SCMP_ARCH_X86",
        "SCMP_ARCH_X32",
#elif defined(__aarch64__)
        "SCMP_ARCH_AARCH64",
        "SCMP_ARCH_ARM",
#endif
};

static Value *rule(const char *name, int error_number) {
        Value *map = value_map(), *list = value_list();
        value_list_add(list, value_string(name));
        value_map_set(map, "names", list);
        value_map_set_string(map, "action", "SCMP_ACT_ERRNO");
        value_map_set_int(map, "errnoRet", error_number);
        return map;
}

static Value *argument(int64_t index, int64_t value, int64_t second, const char *operation) {
        Value *map = value_map(), *list = value_list();
        value_map_set_int(map, "index", index);
        value_map_set_int(map, "value", value);
        value_map_set_int(map, "valueTwo", second);
        value_map_set_string(map, "op", operation);
        value_list_add(list, map);
        return list;
}

static void add_refused(Value *rules, bool fuse) {
        Value *map = value_map(), *list = value_list();
        for (size_t i = 0; i < G_N_ELEMENTS(refused); i++)
                if (!fuse || !refused[i].fuse)
                        value_list_add(list, value_string(refused[i].name));
        value_map_set(map, "names", list);
        value_map_set_string(map, "action", "SCMP_ACT_ERRNO");
        value_map_set_int(map, "errnoRet", EPERM);
        value_list_add(rules, map);
}

static Value *profile(bool fuse) {
        Value *map = value_map(), *list = value_list(), *rules = value_list();
        value_map_set_string(map, "defaultAction", "SCMP_ACT_ALLOW");
        for (size_t i = 0; i < G_N_ELEMENTS(architectures); i++)
                value_list_add(list, value_string(architectures[i]));
        value_map_set(map, "architectures", list);

        add_refused(rules, fuse);
        if (!fuse) {
                /* A clone3 that "does not exist" makes libc fall back to clone, whose flags can be
                 * looked at. */
                value_list_add(rules, rule("clone3", ENOSYS));
                for (size_t i = 0; i < G_N_ELEMENTS(namespaces); i++) {
                        Value *clone = rule("clone", EPERM);
                        value_map_set(
                                clone, "args",
                                argument(0, namespaces[i], namespaces[i], "SCMP_CMP_MASKED_EQ"));
                        value_list_add(rules, clone);
                }
        }
        value_map_set(map, "syscalls", rules);
        return map;
}

Value *seccomp_standard(void) {
        return profile(false);
}

Value *seccomp_fuse(void) {
        return profile(true);
}
