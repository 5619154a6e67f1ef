#include "worker/oci/capability.h"

#include <sys/prctl.h>

/* By number, as linux/capability.h. */
static const char *const names[] = {
        "CHOWN",
        "DAC_OVERRIDE",
        "DAC_READ_SEARCH",
        "FOWNER",
        "FSETID",
        "KILL",
        "SETGID",
        "SETUID",
        "SETPCAP",
        "LINUX_IMMUTABLE",
        "NET_BIND_SERVICE",
        "NET_BROADCAST",
        "NET_ADMIN",
        "NET_RAW",
        "IPC_LOCK",
        "IPC_OWNER",
        "SYS_MODULE",
        "SYS_RAWIO",
        "SYS_CHROOT",
        "SYS_PTRACE",
        "SYS_PACCT",
        "SYS_ADMIN",
        "SYS_BOOT",
        "SYS_NICE",
        "SYS_RESOURCE",
        "SYS_TIME",
        "SYS_TTY_CONFIG",
        "MKNOD",
        "LEASE",
        "AUDIT_WRITE",
        "AUDIT_CONTROL",
        "SETFCAP",
        "MAC_OVERRIDE",
        "MAC_ADMIN",
        "SYSLOG",
        "WAKE_ALARM",
        "BLOCK_SUSPEND",
        "AUDIT_READ",
};

#define BIT(number) (UINT64_C(1) << (number))

/* CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT
 * MKNOD AUDIT_WRITE SETFCAP */
const uint64_t capability_unprivileged = BIT(0) | BIT(1) | BIT(3) | BIT(4) | BIT(5) | BIT(6) |
                                         BIT(7) | BIT(8) | BIT(10) | BIT(13) | BIT(18) | BIT(27) |
                                         BIT(29) | BIT(31);
/* All that have a name here: not PERFMON, BPF, CHECKPOINT_RESTORE. */
const uint64_t capability_privileged = BIT(G_N_ELEMENTS(names)) - 1;

uint64_t capability_bounding(void) {
        uint64_t set = 0;
        for (unsigned number = 0; number < G_N_ELEMENTS(names); number++)
                if (prctl(PR_CAPBSET_READ, number, 0, 0, 0) == 1)
                        set |= BIT(number);
        return set;
}

Value *capability_names(uint64_t set) {
        Value *list = value_list();
        for (unsigned number = 0; number < G_N_ELEMENTS(names); number++)
                if (set & BIT(number)) {
                        g_autofree char *name = g_strconcat("CAP_", names[number], NULL);
                        value_list_add(list, value_string(name));
                }
        return list;
}
