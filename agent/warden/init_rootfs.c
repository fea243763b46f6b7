/* The root of a sandbox, as far as it does not depend on the function. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/warden/init_blank.h"
#include "agent/warden/rootfs.h"

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

/* World-readable parts of /proc that tell of the host, and its knobs. */
static const char *const masked_files[] = {
    "/proc/kcore",       "/proc/keys",        "/proc/key-users",    "/proc/latency_stats",
    "/proc/timer_list",  "/proc/timer_stats", "/proc/sched_debug",  "/proc/schedstat",
    "/proc/kmsg",        "/proc/kallsyms",    "/proc/kpagecount",   "/proc/kpageflags",
    "/proc/kpagecgroup", "/proc/modules",     "/proc/config.gz",    "/proc/interrupts",
    "/proc/softirqs",    "/proc/slabinfo",    "/proc/vmallocinfo",  "/proc/swaps",
    "/proc/mtrr",        "/proc/cmdline",     "/proc/diskstats",    "/proc/partitions",
    "/proc/mdstat",      "/proc/iomem",       "/proc/ioports",      "/proc/consoles",
    "/proc/zoneinfo",    "/proc/buddyinfo",   "/proc/pagetypeinfo", "/proc/allocinfo",
    "/proc/devices",     "/proc/misc",        "/proc/locks",
};
static const char *const masked_folders[] = {
    "/proc/acpi", "/proc/asound", "/proc/scsi",   "/proc/bus",      "/proc/fs",
    "/proc/irq",  "/proc/tty",    "/proc/driver", "/proc/pressure", "/proc/dynamic_debug",
};

/* Knobs that stay readable. */
static const char *const read_only[] = {"/proc/sys", "/proc/sysrq-trigger"};

static bool hide_file[COUNT(masked_files)];
static bool hide_folder[COUNT(masked_folders)];
static bool bar[COUNT(read_only)];

static int fail(const char **ret_step, const char *step)
{
    *ret_step = step;
    return -errno;
}

/* What is not there need not be hidden, nor what is root's alone: a function is nobody.
 */
static bool is_open(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && (st.st_mode & (S_IRWXG | S_IRWXO)) != 0;
}

static void look_at_proc(void)
{
    for (size_t i = 0; i < COUNT(masked_files); i++) {
        hide_file[i] = is_open(masked_files[i]);
    }
    for (size_t i = 0; i < COUNT(masked_folders); i++) {
        hide_folder[i] = is_open(masked_folders[i]);
    }
    for (size_t i = 0; i < COUNT(read_only); i++) {
        bar[i] = is_open(read_only[i]);
    }
}

/* `root` becomes "/" of the calling process's mount namespace, what was there before is
 * out of reach. */
static int move_into(const char *root)
{
    if (chdir(root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0) {
        return -1;
    }
    /* The old root now lies on top of the new one: take it away. */
    return umount2(".", MNT_DETACH) < 0 || chdir("/") < 0 ? -1 : 0;
}

static int mount_tmp(const char *target, uint64_t bytes)
{
    char options[ROOTFS_TMP_OPTIONS];

    rootfs_tmp_options(options, bytes);
    return mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, options);
}

/* What has gone since the maker looked (a module's file) need not be hidden. */
static int hide(const char *with, const char *path)
{
    return mount(with, path, NULL, MS_BIND, NULL) < 0 && errno != ENOENT ? -1 : 0;
}

static int mask(void)
{
    for (size_t i = 0; i < COUNT(masked_files); i++) {
        if (hide_file[i] && hide("/dev/null", masked_files[i]) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < COUNT(masked_folders); i++) {
        if (hide_folder[i] && hide("/sys", masked_folders[i]) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < COUNT(read_only); i++) {
        const char *at = read_only[i];

        if (!bar[i]) {
            continue;
        }
        if (mount(at, at, NULL, MS_BIND, NULL) < 0) {
            if (errno == ENOENT) {
                continue;
            }
            return -1;
        }
        if (mount(NULL, at, NULL,
                  MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
                  NULL) < 0) {
            return -1;
        }
    }
    return 0;
}

bool rootfs_settle(void)
{
    look_at_proc();
    return unshare(CLONE_NEWNS) == 0 && move_into(ROOTFS_TEMPLATE) == 0;
}

int rootfs_enter(uint64_t tmp_bytes, const char **ret_step)
{
    if (mount_tmp("/tmp", tmp_bytes) < 0 || mount_tmp("/dev/shm", tmp_bytes) < 0) {
        return fail(ret_step, "mount /tmp");
    }
    if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0) {
        return fail(ret_step, "mount /proc");
    }
    return mask() < 0 ? fail(ret_step, "mask /proc") : 0;
}
