/* What containers need of the machine. */
#include "base/child.h"
#include "base/files.h"
#include "cmd/doctor.h"
#include "cmd/way.h"
#include "worker/oci/cgroup.h"
#include "worker/oci/runtime.h"
#include "worker/types.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#define CGROUPS "/sys/fs/cgroup"
#define FORWARDING "/proc/sys/net/ipv4/ip_forward"
#define NFS_MAGIC 0x6969
#define KERNEL_MAJOR 5 /* mount_setattr */
#define KERNEL_MINOR 12
#define FILES_MIN 4096
#define OUTPUT_MAX ((size_t) 1024 * 1024)
#define MEBIBYTE ((uint64_t) 1024 * 1024)
#define DISK_WRONG (256 * MEBIBYTE)
#define DISK_NOTE (2048 * MEBIBYTE)

/* ---- trying things out ---- */

static void try_at(Doctor *doctor, const char *path) {
        g_autoptr(GError) error = NULL;
        Helper *helper = helper_start(path, &error);

        doctor->tried = helper != NULL;
        if (helper)
                doctor->features = *helper_features(helper);
        else
                doctor->why_not_tried = g_strdup(error->message);
        helper_stop(helper);
}

/* As quickstart does when the way is closed. */
static void try_bound(Doctor *doctor, const char *path) {
        g_autofree char *place = way_place(path);
        g_autoptr(GError) error = NULL;

        if (!way_enter(&error) || !way_bind(path, place, &error)) {
                doctor->why_not_tried = g_strdup(error->message);
                return;
        }
        try_at(doctor, place);
        umount2(place, MNT_DETACH);
        rmdir(place);
}

void doctor_try(Doctor *doctor) {
        g_autofree char *path = g_build_filename(doctor->nearest, ".weir-doctor-XXXXXX", NULL);
        g_autofree char *closed = way_closed_at(doctor->nearest, doctor->web_user);

        if (geteuid() != 0) {
                doctor->why_not_tried = g_strdup("only root can try");
                return;
        }
        if (!g_mkdtemp_full(path, 0711)) {
                doctor->why_not_tried = g_strdup_printf("%s: %s", doctor->nearest, strerror(errno));
                return;
        }
        (closed ? try_bound : try_at)(doctor, path);
        directory_remove(path, NULL);
}

/* ---- the machine ---- */

static void look_at_root(const Doctor *doctor, Finding *ret) {
        if (geteuid() == 0)
                finding_ok(ret, "root");
        else
                finding_wrong(ret,
                              "run weir doctor, and quickstart, as root: workers make containers",
                              "user %d", (int) geteuid());
}

static void look_at_kernel(const Doctor *doctor, Finding *ret) {
        struct utsname name;
        int major = 0, minor = 0;

        uname(&name);
        if (sscanf(name.release, "%d.%d", &major, &minor) == 2 &&
            (major > KERNEL_MAJOR || (major == KERNEL_MAJOR && minor >= KERNEL_MINOR)))
                finding_ok(ret, "Linux %s", name.release);
        else
                finding_wrong(ret, "use Linux 5.12 or newer", "Linux %s", name.release);
}

static void look_at_programs(const Doctor *doctor, Finding *ret) {
        static const char *const names[] = { "weir-web", "weir-worker" };

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                g_autoptr(GError) error = NULL;
                g_autofree char *path = quickstart_find_program(doctor->programs, names[i], &error);
                if (path)
                        continue;
                finding_wrong(ret, "install Weir as a whole: meson install", "%s", error->message);
                return;
        }
        finding_ok(ret, "%s", doctor->programs);
}

/* Runs it to its end. Returns its exit status, -1 when it cannot be run; *ret_said is new. */
static int run_program(const char *const *argv, char **ret_said) {
        ChildSpec spec = { .argv = argv, .input = -1, .output = -1, .error = -1 };
        g_auto(ChildResult) result = { 0 };
        g_autoptr(GError) error = NULL;

        if (!child_run(&spec, NULL, 0, OUTPUT_MAX, NULL, &result, &error)) {
                *ret_said = g_strdup(error->message);
                return -1;
        }
        *ret_said = g_strdup(result.status == 0 ? result.output : result.error);
        (*ret_said)[strcspn(*ret_said, "\n")] = '\0';
        return result.status;
}

static void look_at_runtime(const Doctor *doctor, Finding *ret) {
        g_autoptr(GError) error = NULL;
        g_autofree char *path = runtime_which(doctor->options.worker.oci_runtime, &error),
                        *said = NULL;
        const char *const argv[] = { path, "--version", NULL };

        if (!path) {
                finding_wrong(ret, "install runc (or crun), or name one with --worker-oci-runtime",
                              "%s", error->message);
                return;
        }
        int status = run_program(argv, &said);
        if (status == 0)
                finding_ok(ret, "%s (%s)", path, said);
        else
                finding_wrong(ret, "install a runc or crun that works",
                              "%s --version: exit status %d: %s", path, status, said);
}

static void look_at_cgroups(const Doctor *doctor, Finding *ret) {
        g_auto(CgroupHost) host = { 0 };

        cgroup_detect(CGROUPS, &host);
        if (host.mode == CGROUP_NONE)
                finding_wrong(ret, "mount cgroup2 on " CGROUPS, "none at " CGROUPS);
        else if (geteuid() == 0 && access(CGROUPS, W_OK) < 0)
                finding_wrong(ret, "mount it read-write: containers get groups of their own",
                              CGROUPS " (%s): %s", cgroup_mode_name(host.mode), strerror(errno));
        else
                finding_ok(ret, "%s", cgroup_mode_name(host.mode));
}

static void look_at_feature(const Doctor *doctor, bool has, const char *remedy, Finding *ret) {
        if (!doctor->tried)
                finding_wrong(ret, "see above", "not tried: %s", doctor->why_not_tried);
        else if (has)
                finding_ok(ret, "yes");
        else
                finding_wrong(ret, remedy, "no: %s", doctor->features.reason);
}

static void look_at_user_namespaces(const Doctor *doctor, Finding *ret) {
        look_at_feature(
                doctor, doctor->features.user_namespaces,
                "allow them: sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone",
                ret);
}

static void look_at_overlay(const Doctor *doctor, Finding *ret) {
        look_at_feature(
                doctor, doctor->features.overlay,
                "put the work directory on ext4, xfs or btrfs; without overlay every volume is a copy",
                ret);
}

static void look_at_mapped_mounts(const Doctor *doctor, Finding *ret) {
        look_at_feature(
                doctor, doctor->features.mapped,
                "put the work directory on a file system with ID-mapped mounts: ext4, xfs, btrfs",
                ret);
}

/* ---- the network ---- */

static void look_at_nft(const Doctor *doctor, Finding *ret) {
        static const char *const argv[] = { "nft", "list", "tables", NULL };
        g_autofree char *path = g_find_program_in_path("nft"), *said = NULL;

        if (!path) {
                finding_wrong(ret, "install nftables", "no program 'nft'");
                return;
        }
        if (geteuid() != 0) {
                finding_note(ret, "run weir doctor as root", "%s, not tried", path);
                return;
        }
        int status = run_program(argv, &said);
        if (status == 0)
                finding_ok(ret, "%s", path);
        else
                finding_wrong(ret, "use a kernel with nf_tables, or load the module",
                              "nft list tables: exit status %d: %s", status, said);
}

static void look_at_forwarding(const Doctor *doctor, Finding *ret) {
        g_autofree char *text = file_read(FORWARDING, 64, NULL, NULL);

        if (text && text[0] == '1')
                finding_ok(ret, "on");
        else if (text && access(FORWARDING, W_OK) == 0)
                finding_ok(ret, "off; the worker switches it on");
        else
                finding_wrong(ret, "sysctl -w net.ipv4.ip_forward=1, and for good in /etc/sysctl.d",
                              "off, and not ours to switch on");
}

/* ---- the work directory ---- */

static const struct {
        long magic;
        const char *name, *remedy;
        Verdict verdict;
} file_systems[] = {
        { OVERLAYFS_SUPER_MAGIC, "overlay", "mount a disk there: overlays cannot lie on an overlay",
          VERDICT_WRONG },
        { NFS_MAGIC, "nfs", "use a local disk: SQLite and overlays do not work on NFS",
          VERDICT_WRONG },
        { TMPFS_MAGIC, "tmpfs", "use a disk, unless nothing has to outlive the next boot",
          VERDICT_NOTE },
};

static const struct {
        unsigned long flag;
        const char *name;
} mount_flags[] = { { ST_RDONLY, "ro" }, { ST_NOEXEC, "noexec" }, { ST_NOSUID, "nosuid" } };

static void look_at_file_system(const Doctor *doctor, Finding *ret) {
        struct statfs status;
        struct statvfs mounted;

        if (statfs(doctor->nearest, &status) < 0 || statvfs(doctor->nearest, &mounted) < 0) {
                finding_wrong(ret, "choose another --work-dir", "%s: %s", doctor->nearest,
                              strerror(errno));
                return;
        }
        for (size_t i = 0; i < G_N_ELEMENTS(mount_flags); i++)
                if (mounted.f_flag & mount_flags[i].flag) {
                        finding_wrong(
                                ret,
                                "mount it without that option: containers' programs run from there",
                                "%s is mounted %s", doctor->nearest, mount_flags[i].name);
                        return;
                }
        for (size_t i = 0; i < G_N_ELEMENTS(file_systems); i++)
                if ((long) status.f_type == file_systems[i].magic) {
                        (file_systems[i].verdict == VERDICT_WRONG ? finding_wrong : finding_note)(
                                ret, file_systems[i].remedy, "%s is on %s", doctor->nearest,
                                file_systems[i].name);
                        return;
                }
        finding_ok(ret, "%s", doctor->nearest);
}

static void look_at_directory(const Doctor *doctor, Finding *ret) {
        const char *path = doctor->work_directory;
        g_autofree char *closed = way_closed_at(path, doctor->web_user);
        bool exists = access(path, F_OK) == 0;

        if (exists && !g_file_test(path, G_FILE_TEST_IS_DIR))
                finding_wrong(ret, "choose another --work-dir", "%s is not a directory", path);
        else if (access(exists ? path : doctor->nearest, W_OK) < 0)
                finding_wrong(ret, "choose another --work-dir, or make it writable", "%s: %s", path,
                              strerror(errno));
        else if (closed)
                finding_note(ret, "nothing, or: chmod o+x that folder",
                             "others may not enter %s: quickstart binds %s to /run/weir for them",
                             closed, path);
        else
                finding_ok(ret, exists ? "%s" : "%s (not there yet)", path);
}

static void look_at_disk(const Doctor *doctor, Finding *ret) {
        uint64_t left = 0, total = 0;
        g_autoptr(GError) error = NULL;

        if (!disk_free(doctor->nearest, &left, &total, &error)) {
                finding_wrong(ret, "choose another --work-dir", "%s", error->message);
                return;
        }
        double gibibytes = (double) left / (double) (1024 * MEBIBYTE);
        if (left < DISK_WRONG)
                finding_wrong(ret, "free some, or use a larger disk",
                              "%.2f GiB free: too little for any build", gibibytes);
        else if (left < DISK_NOTE)
                finding_note(ret, "images and caches need more than that", "%.2f GiB free",
                             gibibytes);
        else
                finding_ok(ret, "%.1f GiB free", gibibytes);
}

static void look_at_files(const Doctor *doctor, Finding *ret) {
        struct rlimit limit;

        getrlimit(RLIMIT_NOFILE, &limit);
        if (limit.rlim_max >= FILES_MIN)
                finding_ok(ret, "%llu", (unsigned long long) limit.rlim_max);
        else
                finding_wrong(ret, "raise it: LimitNOFILE= of the service, or ulimit -Hn",
                              "at most %llu: each process in a container takes a handful",
                              (unsigned long long) limit.rlim_max);
}

static void look_at_types(const Doctor *doctor, Finding *ret) {
        const char *path = doctor->options.worker.resource_types;
        g_autoptr(GError) error = NULL;

        if (!path) {
                finding_wrong(
                        ret,
                        "install them (./do deps), or name a folder with --worker-resource-types",
                        "none found");
                return;
        }
        g_autoptr(Value) types = resource_types_read(path, &error);
        if (!types || value_length(types) == 0) {
                finding_wrong(
                        ret,
                        "install them anew (./do deps), or name another folder with --worker-resource-types",
                        "%s", types ? "none in that folder" : error->message);
                return;
        }
        g_autoptr(GString) names = g_string_new(NULL);
        for (size_t i = 0; i < value_length(types); i++)
                g_string_append_printf(names, "%s%s", i > 0 ? ", " : "",
                                       value_get_string(value_at(types, i), "type", "?"));
        finding_ok(ret, "%s", names->str);
}

const Examination doctor_host[] = {
        { "user", look_at_root },
        { "kernel", look_at_kernel },
        { "programs", look_at_programs },
        { "OCI runtime", look_at_runtime },
        { "cgroups", look_at_cgroups },
        { "work directory", look_at_directory },
        { "file system", look_at_file_system },
        { "disk", look_at_disk },
        { "user namespaces", look_at_user_namespaces },
        { "overlay", look_at_overlay },
        { "ID-mapped mounts", look_at_mapped_mounts },
        { "nft", look_at_nft },
        { "IP forwarding", look_at_forwarding },
        { "open files", look_at_files },
        { "resource types", look_at_types },
        { 0 },
};
