/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>

#include <linux/capability.h>
#include <linux/magic.h>

#include "../basic/cleanup.h"
#include "../basic/macro.h"
#include "../basic/string-util.h"
#include "daemon-manager.h"
#include "daemon-surroundings.h"

/* Programs set the error of a refused connect(2) since then; cgroup storage by id is older. */
#define KERNEL_MAJOR 6
#define KERNEL_MINOR 1

static bool kernel_is_new_enough(void) {
        unsigned major, minor;
        struct utsname u;

        if (uname(&u) < 0 || sscanf(u.release, "%u.%u", &major, &minor) != 2)
                return true; /* loading will tell */
        return major > KERNEL_MAJOR || (major == KERNEL_MAJOR && minor >= KERNEL_MINOR);
}

/* The first releases without faults of sockets in BPF maps that crash the kernel from afar or lose data
 * (CVE-2025-38165; "bpf, sockmap: Fix data lost during EAGAIN retries"): for 6.1 and 6.12 by the changelogs
 * of Debian's packages, for 6.6 and 6.15 the ones of the same days. Lines that are not named had ended by
 * then, or began with the fixes. */
#define SOCKMAP_RELEASES "6.1.142, 6.6.95, 6.12.35, 6.15.4 or 6.16"
static const struct {
        unsigned minor, patch;
} sockmap_fixed[] = { { 1, 142 }, { 6, 95 }, { 12, 35 }, { 15, 4 } };
#define SOCKMAP_FIXED_MINOR 16 /* and all later ones */

bool kernel_sockmap_is_sound(const char *release, const char *version) {
        const char *debian = strstr(version, "Debian ");
        unsigned major, minor, patch = 0;

        /* Debian's release is "6.1.0-50-amd64" at every point release; its version says which one it is. */
        if (debian)
                release = debian + strlen("Debian ");
        if (sscanf(release, "%u.%u.%u", &major, &minor, &patch) < 2)
                return false;
        if (major != KERNEL_MAJOR)
                return major > KERNEL_MAJOR;
        for (size_t i = 0; i < ELEMENTSOF(sockmap_fixed); i++)
                if (sockmap_fixed[i].minor == minor)
                        return patch >= sockmap_fixed[i].patch;
        return minor >= SOCKMAP_FIXED_MINOR;
}

bool surroundings_fast_path(const char **ret_sentence) {
        struct utsname u;

        if (uname(&u) >= 0 && kernel_sockmap_is_sound(u.release, u.version))
                return true;
        *ret_sentence = "This kernel has faults that sockets in BPF maps can crash it by; Linux "
                        SOCKMAP_RELEASES " is needed.";
        return false;
}

static bool has_btf(void) {
        return access("/sys/kernel/btf/vmlinux", R_OK) == 0;
}

static bool is_on(const char *path, long magic) {
        struct statfs fs;

        return statfs(path, &fs) == 0 && (long) fs.f_type == magic;
}

static bool has_cgroup2(void) {
        _cleanup_free_ char *root = NULL;

        return surroundings_cgroup_root(&root) >= 0;
}

/* The directory itself may not be there yet. */
static bool has_bpffs(void) {
        _cleanup_free_ char *parent = strdup(surroundings_pin_path());
        char *slash = parent ? strrchr(parent, '/') : NULL;

        if (slash)
                *slash = 0;
        return parent && is_on(parent, BPF_FS_MAGIC);
}

static bool has_capabilities(void) {
        static const unsigned needed[] = { CAP_NET_ADMIN, CAP_PERFMON, CAP_BPF };
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};

        if (syscall(SYS_capget, &header, data) < 0)
                return false;
        for (size_t i = 0; i < ELEMENTSOF(needed); i++)
                if (!(data[needed[i] / 32].effective & 1u << needed[i] % 32))
                        return false;
        return true;
}

static const struct {
        bool (*holds)(void);
        int outcome;
        const char *sentence; /* if it does not hold */
} requirements[] = {
        { kernel_is_new_enough, MANAGER_E_UNAVAILABLE,
          "Linux 6.1 or later is needed: older kernels cannot refuse a connection with a reason." },
        { has_cgroup2, MANAGER_E_UNAVAILABLE,
          "No cgroup2 hierarchy is mounted at /sys/fs/cgroup or /sys/fs/cgroup/unified: slices cannot be "
          "told apart. Boot with systemd.unified_cgroup_hierarchy=1." },
        { has_btf, MANAGER_E_UNAVAILABLE,
          "The kernel does not describe its types (/sys/kernel/btf/vmlinux): it was built without "
          "CONFIG_DEBUG_INFO_BTF." },
        { has_bpffs, MANAGER_E_UNAVAILABLE,
          "No BPF file system is mounted at /sys/fs/bpf: nothing could be kept attached over a restart. "
          "Mount one with: mount -t bpf bpf /sys/fs/bpf." },
        { has_capabilities, MANAGER_E_NO_PERMISSION,
          "CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON are needed to load and attach BPF programs." },
};

int surroundings_check(const char **ret_sentence) {
        for (size_t i = 0; i < ELEMENTSOF(requirements); i++)
                if (!requirements[i].holds()) {
                        *ret_sentence = requirements[i].sentence;
                        return requirements[i].outcome;
                }
        return 0;
}

int surroundings_cgroup_root(char **ret) {
        const char *setting = secure_getenv("SLICEMESH_CGROUP_ROOT");
        const char *const places[] = { setting, "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };

        for (size_t i = 0; i < ELEMENTSOF(places); i++)
                if (places[i] && is_on(places[i], CGROUP2_SUPER_MAGIC))
                        return strdup_to(ret, places[i]);
        return -ENOENT;
}

const char *surroundings_pin_path(void) {
        return secure_getenv("SLICEMESH_PIN_PATH") ?: "/sys/fs/bpf/slicemesh";
}

const char *surroundings_relay_socket(void) {
        return secure_getenv("SLICEMESH_RELAY_SOCKET") ?: "/run/slicemesh/relay.sock";
}
