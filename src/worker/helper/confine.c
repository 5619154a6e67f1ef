#include "worker/helper/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

/* More than any archive needs: zstd's largest window is 128 MiB. */
#define MEMORY_MAX (1024UL * 1024 * 1024)

static const int allowed[] = {
        SCMP_SYS(brk),
        SCMP_SYS(chdir),
        SCMP_SYS(chmod),
        SCMP_SYS(chown),
        SCMP_SYS(clock_gettime),
        SCMP_SYS(close),
        SCMP_SYS(dup),
        SCMP_SYS(exit),
        SCMP_SYS(exit_group),
        SCMP_SYS(fadvise64),
        SCMP_SYS(fallocate),
        SCMP_SYS(fchdir),
        SCMP_SYS(fchmod),
        SCMP_SYS(fchmodat),
        SCMP_SYS(fchown),
        SCMP_SYS(fchownat),
        SCMP_SYS(fcntl),
        SCMP_SYS(fgetxattr),
        SCMP_SYS(flistxattr),
        SCMP_SYS(fremovexattr),
        SCMP_SYS(fsetxattr),
        SCMP_SYS(fstat),
        SCMP_SYS(fstatfs),
        SCMP_SYS(fsync),
        SCMP_SYS(ftruncate),
        SCMP_SYS(futex),
        SCMP_SYS(futimesat),
        SCMP_SYS(getcwd),
        SCMP_SYS(getdents64),
        SCMP_SYS(getegid),
        SCMP_SYS(geteuid),
        SCMP_SYS(getgid),
        SCMP_SYS(getpid),
        SCMP_SYS(getrandom),
        SCMP_SYS(gettid),
        SCMP_SYS(gettimeofday),
        SCMP_SYS(getuid),
        SCMP_SYS(getxattr),
        SCMP_SYS(lchown),
        SCMP_SYS(lgetxattr),
        SCMP_SYS(link),
        SCMP_SYS(linkat),
        SCMP_SYS(listxattr),
        SCMP_SYS(llistxattr),
        SCMP_SYS(lremovexattr),
        SCMP_SYS(lseek),
        SCMP_SYS(lsetxattr),
        SCMP_SYS(lstat),
        SCMP_SYS(madvise),
        SCMP_SYS(mkdir),
        SCMP_SYS(mkdirat),
        SCMP_SYS(mknod),
        SCMP_SYS(mknodat),
        SCMP_SYS(mmap),
        SCMP_SYS(mprotect),
        SCMP_SYS(mremap),
        SCMP_SYS(munmap),
        SCMP_SYS(newfstatat),
        SCMP_SYS(open),
        SCMP_SYS(openat),
        SCMP_SYS(poll),
        SCMP_SYS(ppoll),
        SCMP_SYS(pread64),
        SCMP_SYS(pwrite64),
        SCMP_SYS(read),
        SCMP_SYS(readlink),
        SCMP_SYS(readlinkat),
        SCMP_SYS(readv),
        SCMP_SYS(rename),
        SCMP_SYS(renameat),
        SCMP_SYS(renameat2),
        SCMP_SYS(restart_syscall),
        SCMP_SYS(rmdir),
        SCMP_SYS(rt_sigaction),
        SCMP_SYS(rt_sigprocmask),
        SCMP_SYS(rt_sigreturn),
        SCMP_SYS(sched_yield),
        SCMP_SYS(sendmsg),
        SCMP_SYS(sendto),
        SCMP_SYS(set_robust_list),
        SCMP_SYS(setxattr),
        SCMP_SYS(sigaltstack),
        SCMP_SYS(stat),
        SCMP_SYS(statfs),
        SCMP_SYS(statx),
        SCMP_SYS(symlink),
        SCMP_SYS(symlinkat),
        SCMP_SYS(tgkill),
        SCMP_SYS(umask),
        SCMP_SYS(unlink),
        SCMP_SYS(unlinkat),
        SCMP_SYS(utimensat),
        SCMP_SYS(utimes),
        SCMP_SYS(write),
        SCMP_SYS(writev),
        SCMP_SYS(rseq),
};

/* Everything else fails with EPERM rather than killing, so that the child can still say why. */
static bool filter_calls(GError **error) {
        scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
        int result = filter ? 0 : -ENOMEM;
        for (size_t i = 0; result == 0 && i < G_N_ELEMENTS(allowed); i++)
                if (allowed[i] >= 0) /* negative: not on this architecture */
                        result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
        if (result == 0)
                result = seccomp_load(filter); /* sets no_new_privs first */
        seccomp_release(filter);
        if (result == 0)
                return true;
        error_set_errno(error, -result, "failed to filter system calls");
        return false;
}

static bool keep_capabilities(uint64_t bits, GError **error) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

        /* Only of what we have ourselves. */
        if (syscall(SYS_capget, &header, data) == 0)
                for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
                        data[i].permitted &= (uint32_t) (bits >> (32 * i));
                        data[i].effective = data[i].permitted;
                        data[i].inheritable = 0;
                }
        if (syscall(SYS_capset, &header, data) == 0)
                return true;
        error_set_errno(error, errno, "failed to drop capabilities");
        return false;
}

/* Landlock, where the kernel has it: for a child that is not in a root of its own. */
static bool forbid_writing(GError **error) {
        struct landlock_ruleset_attr attributes = {
                .handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1,
        };
        struct landlock_path_beneath_attr everything = {
                .allowed_access = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
        };
        int rules = (int) syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0);
        if (rules < 0 && (errno == ENOSYS || errno == EOPNOTSUPP))
                return true;
        everything.parent_fd = open("/", O_PATH | O_CLOEXEC);
        if (rules < 0 ||
            syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &everything, 0) < 0 ||
            prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
            syscall(SYS_landlock_restrict_self, rules, 0) < 0) {
                error_set_errno(error, errno, "failed to forbid writing");
                return false;
        }
        close(rules);
        close(everything.parent_fd);
        return true;
}

static int by_number(const void *a, const void *b) {
        return *(const int *) a - *(const int *) b;
}

static void close_others(const ConfineSpec *spec) {
        g_autofree int *keep = g_new(int, spec->keep_count + 1);
        unsigned next = 0;

        memcpy(keep, spec->keep, sizeof(int) * spec->keep_count);
        keep[spec->keep_count] = STDERR_FILENO;
        qsort(keep, spec->keep_count + 1, sizeof(int), by_number);
        for (size_t i = 0; i <= spec->keep_count; i++) {
                if (keep[i] > (int) next)
                        close_range(next, (unsigned) keep[i] - 1, 0);
                next = (unsigned) MAX(keep[i] + 1, 0);
        }
        close_range(next, ~0U, 0);
}

bool confine(const ConfineSpec *spec, GError **error) {
        struct rlimit none = { 0, 0 };
        setrlimit(RLIMIT_CORE, &none);
#ifndef SANITIZED
        struct rlimit memory = { MEMORY_MAX, MEMORY_MAX };
        setrlimit(RLIMIT_AS, &memory);
#endif
        umask(0);
        close_others(spec);
        if (spec->read_only && !forbid_writing(error))
                return false;
        return keep_capabilities(spec->capabilities, error) && filter_calls(error);
}
