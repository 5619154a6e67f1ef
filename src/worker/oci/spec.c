#include "worker/oci/spec.h"

#include "worker/oci/capability.h"

#include <stdio.h>
#include <string.h>

bool privileged_mode_parse(const char *text, PrivilegedMode *ret, GError **error) {
        static const char *const names[] = {
                [PRIVILEGED_FULL] = "full",
                [PRIVILEGED_FUSE_ONLY] = "fuse-only",
                [PRIVILEGED_IGNORE] = "ignore",
        };
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
                if (g_str_equal(text, names[i])) {
                        *ret = (PrivilegedMode) i;
                        return true;
                }
        g_set_error(error, ERROR, ERROR_INVALID, "invalid privileged mode '%s'", text);
        return false;
}

bool spec_is_full(const SpecHost *host, bool privileged) {
        return privileged && host->mode == PRIVILEGED_FULL;
}

/* ---- mounts ---- */

typedef struct {
        const char *destination, *type, *source;
        const char *options; /* separated by commas */
} FixedMount;

static const FixedMount fixed_mounts[] = {
        { "/proc", "proc", "proc", "nosuid,noexec,nodev" },
        { "/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k" },
        { "/dev/pts", "devpts", "devpts",
          "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5" },
        { "/dev/shm", "tmpfs", "shm", "nosuid,noexec,nodev,mode=1777" },
        { "/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev" },
};

static void add_mount(Value *list, const char *destination, const char *type, const char *source,
                      const char *options) {
        g_auto(GStrv) parts = g_strsplit(options, ",", -1);
        Value *mount = value_map(), *texts = value_list();
        for (char **part = parts; *part; part++)
                value_list_add(texts, value_string(*part));
        value_map_set_string(mount, "destination", destination);
        value_map_set_string(mount, "type", type);
        value_map_set_string(mount, "source", source);
        value_map_set(mount, "options", texts);
        value_list_add(list, mount);
}

static Value *make_mounts(const SpecHost *host, const SpecContainer *container, bool full) {
        Value *list = value_list();
        for (size_t i = 0; i < G_N_ELEMENTS(fixed_mounts); i++) {
                const FixedMount *fixed = &fixed_mounts[i];
                add_mount(list, fixed->destination, fixed->type, fixed->source, fixed->options);
        }
        add_mount(list, "/sys", "sysfs", "sysfs",
                  full ? "nosuid,noexec,nodev" : "nosuid,noexec,nodev,ro");
        if (host->cgroup->mode != CGROUP_NONE)
                add_mount(list, "/sys/fs/cgroup",
                          host->cgroup->mode == CGROUP_V2 ? "cgroup2" : "cgroup", "cgroup",
                          full ? "nosuid,noexec,nodev" : "ro,nosuid,noexec,nodev");
        add_mount(list, SPEC_INIT, "bind", host->init, "bind,ro,nosuid,nodev");
        for (size_t i = 0; i < container->mount_count; i++) {
                const SpecMount *mount = &container->mounts[i];
                add_mount(list, mount->destination, "bind", mount->source,
                          mount->writable ? "bind,rw" : "bind,ro");
        }
        static const char *const files[] = { "hosts", "hostname", "resolv.conf" };
        for (size_t i = 0; container->directory && i < G_N_ELEMENTS(files); i++) {
                g_autofree char *source = g_build_filename(container->directory, files[i], NULL);
                g_autofree char *destination = g_build_filename("/etc", files[i], NULL);
                add_mount(list, destination, "bind", source, "bind,rw");
        }
        return list;
}

/* ---- process ---- */

static Value *make_process(const SpecHost *host, bool full, bool privileged) {
        Value *process = value_map(), *user = value_map(), *arguments = value_list();
        uint64_t set = full ? capability_privileged : capability_unprivileged;
        if (privileged && host->mode == PRIVILEGED_FUSE_ONLY)
                set |= CAPABILITY_SYS_ADMIN;

        value_map_set_int(user, "uid", 0);
        value_map_set_int(user, "gid", 0);
        value_list_add(arguments, value_string(SPEC_INIT));
        value_map_set(process, "user", user);
        value_map_set(process, "args", arguments);
        value_map_set_string(process, "cwd", "/");

        static const char *const sets[] = { "bounding", "effective", "inheritable", "permitted" };
        Value *capabilities = value_map();
        for (size_t i = 0; i < G_N_ELEMENTS(sets); i++)
                value_map_set(capabilities, sets[i], capability_names(set & host->capabilities));
        value_map_set(process, "capabilities", capabilities);
        return process;
}

/* ---- linux ---- */

static void add_namespace(Value *list, const char *type, const char *path) {
        Value *entry = value_map();
        value_map_set_string(entry, "type", type);
        value_map_set_string_opt(entry, "path", path);
        value_list_add(list, entry);
}

static Value *make_namespaces(const SpecHost *host, const SpecContainer *container, bool full) {
        Value *list = value_list();
        add_namespace(list, "pid", NULL);
        add_namespace(list, "ipc", NULL);
        add_namespace(list, "uts", NULL);
        add_namespace(list, "mount", NULL);
        add_namespace(list, "network", container->network_namespace);
        if (full)
                return list;
        add_namespace(list, "user", host->user_namespace);
        if (host->cgroup->has_namespace)
                add_namespace(list, "cgroup", NULL);
        return list;
}

static Value *make_mappings(const SpecHost *host) {
        Value *list = value_list(), *entry = value_map();
        value_map_set_int(entry, "containerID", 0);
        value_map_set_int(entry, "hostID", host->id_base);
        value_map_set_int(entry, "size", host->id_count);
        value_list_add(list, entry);
        return list;
}

static Value *device_rule(bool allow, const char *type, int64_t major, int64_t minor,
                          const char *access) {
        Value *rule = value_map();
        value_map_set_bool(rule, "allow", allow);
        value_map_set_string_opt(rule, "type", type);
        if (major >= 0)
                value_map_set_int(rule, "major", major);
        if (minor >= 0)
                value_map_set_int(rule, "minor", minor);
        value_map_set_string(rule, "access", access);
        return rule;
}

/* Reads digits or "*" (-1) up to `stop`. */
static bool read_device_number(const char **cursor, char stop, int64_t *ret) {
        const char *start = *cursor;
        *ret = -1;
        if (*start == '*')
                (*cursor)++;
        else
                for (*ret = 0; g_ascii_isdigit(**cursor) && *ret < INT32_MAX; (*cursor)++)
                        *ret = *ret * 10 + (**cursor - '0');
        return *cursor > start && *(*cursor)++ == stop;
}

Value *spec_device_rule(const char *text, GError **error) {
        const char *cursor = text;
        char type[2] = { *text, '\0' };
        int64_t major, minor;
        bool valid = *text && strchr("abc", *text) && text[1] == ' ';
        if (valid) {
                cursor += 2;
                valid = read_device_number(&cursor, ':', &major) &&
                        read_device_number(&cursor, ' ', &minor) && *cursor &&
                        strspn(cursor, "rwm") == strlen(cursor);
        }
        if (valid)
                return device_rule(true, type, major, minor, cursor);
        g_set_error(error, ERROR, ERROR_INVALID,
                    "invalid device rule '%s': must be like 'c 10:200 rwm'", text);
        return NULL;
}

static Value *make_resources(const SpecHost *host, const SpecContainer *container) {
        Value *resources = value_map(), *devices = value_list();
        value_list_add(devices, device_rule(false, NULL, -1, -1, "rwm"));
        value_list_add(devices, device_rule(true, "c", 10, 229, "rwm"));
        for (size_t i = 0; host->devices && i < host->devices->len; i++) {
                Value *rule = spec_device_rule(g_ptr_array_index(host->devices, i), NULL);
                if (rule)
                        value_list_add(devices, rule);
        }
        value_map_set(resources, "devices", devices);

        if (container->memory_bytes > 0) {
                Value *memory = value_map();
                value_map_set_int(memory, "limit", (int64_t) container->memory_bytes);
                if (host->cgroup->swap_limit)
                        value_map_set_int(memory, "swap", (int64_t) container->memory_bytes);
                value_map_set(resources, "memory", memory);
        }
        if (container->cpu_shares > 0) {
                Value *cpu = value_map();
                value_map_set_int(cpu, "shares", (int64_t) container->cpu_shares);
                value_map_set(resources, "cpu", cpu);
        }
        if (container->pids > 0) {
                Value *pids = value_map();
                value_map_set_int(pids, "limit", (int64_t) container->pids);
                value_map_set(resources, "pids", pids);
        }
        return resources;
}

static Value *make_fuse_device(void) {
        Value *list = value_list(), *device = value_map();
        value_map_set_string(device, "path", "/dev/fuse");
        value_map_set_string(device, "type", "c");
        value_map_set_int(device, "major", 10);
        value_map_set_int(device, "minor", 229);
        value_map_set_int(device, "fileMode", 0666);
        value_map_set_int(device, "uid", 0);
        value_map_set_int(device, "gid", 0);
        value_list_add(list, device);
        return list;
}

static Value *make_linux(const SpecHost *host, const SpecContainer *container, bool full) {
        Value *section = value_map();
        value_map_set(section, "namespaces", make_namespaces(host, container, full));
        if (!full) {
                value_map_set(section, "uidMappings", make_mappings(host));
                value_map_set(section, "gidMappings", make_mappings(host));
        }
        if (full || (container->privileged && host->mode == PRIVILEGED_FUSE_ONLY))
                value_map_set(section, "devices", make_fuse_device());
        value_map_set_string_opt(section, "cgroupsPath", container->cgroup_path);
        value_map_set(section, "resources", make_resources(host, container));
        if (!full && host->seccomp)
                value_map_set(section, "seccomp", value_copy(host->seccomp));
        return section;
}

Value *spec_make(const SpecHost *host, const SpecContainer *container) {
        bool full = spec_is_full(host, container->privileged);
        Value *spec = value_map(), *root = value_map();
        value_map_set_string(spec, "ociVersion", "1.0.2");
        value_map_set(spec, "process", make_process(host, full, container->privileged));
        value_map_set_string(root, "path", container->root);
        value_map_set_bool(root, "readonly", false);
        value_map_set(spec, "root", root);
        value_map_set_string(spec, "hostname", container->handle);
        value_map_set(spec, "mounts", make_mounts(host, container, full));
        value_map_set(spec, "linux", make_linux(host, container, full));
        if (value_length(host->hooks) > 0)
                value_map_set(spec, "hooks", value_copy(host->hooks));
        return spec;
}
