/* Programs, limits, disk, memory, network and clock. */
#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "controller/cli/doctor.h"
#include "controller/cli/print.h"
#include "controller/cli/programs.h"

#define FILES_WANTED  65536
#define FILES_NEEDED  1024
#define PIDS_WANTED   16384
#define DISK_WANTED   (1024ULL << 20)
#define DISK_NEEDED   (64ULL << 20)
#define MEMORY_WANTED (512ULL << 20)
#define CLOCK_SANE    1735689600 /* 2025-01-01: no release is older */

static void check_program(struct doctor *d, const char *name, const char *path,
                          const char *where)
{
    if (path != NULL) {
        doctor_add(d, name, CHECK_OK, NULL, "%s", path);
    } else {
        doctor_add(d, name, CHECK_FAIL,
                   "install mayfly whole: cmake --install, or its packages",
                   "not found %s", where);
    }
}

/* Functions run with the host's /usr, unless the agent's `base` says otherwise. */
static void check_interpreter(struct doctor *d, const char *name, const char *runtime)
{
    static const char *const folders[] = {"/usr/local/bin", "/usr/bin", "/bin"};
    char path[64];

    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", folders[i], name);
        if (access(path, X_OK) == 0) {
            doctor_add(d, name, CHECK_OK, NULL, "%s", path);
            return;
        }
    }
    doctor_add(d, name, CHECK_WARN,
               runtime[0] == 'n' ? "apt-get install nodejs" : "apt-get install python3",
               "not found: functions of the runtime %s cannot run here", runtime);
}

void doctor_programs(struct doctor *d)
{
    _cleanup_free_ char *controller = programs_daemon("mayfly-controller");
    _cleanup_free_ char *agent = programs_daemon("mayfly-agent");
    _cleanup_free_ char *warden =
        agent != NULL ? programs_helper(agent, "mayfly-warden") : NULL;
    _cleanup_free_ char *init =
        agent != NULL ? programs_helper(agent, "mayfly-init") : NULL;

    check_program(d, "mayfly-controller", controller,
                  "beside this program or on the PATH");
    check_program(d, "mayfly-agent", agent, "beside this program or on the PATH");
    check_program(d, "mayfly-warden", warden,
                  "in libexec/mayfly beside the agent's folder");
    check_program(d, "mayfly-init", init, "in libexec/mayfly beside the agent's folder");
    check_interpreter(d, "python3", "python");
    check_interpreter(d, "node", "node");
}

static void check_limits(struct doctor *d)
{
    struct rlimit files = {0};
    _cleanup_fclose_ FILE *f = fopen("/proc/sys/kernel/pid_max", "re");
    long pid_max = 0;

    (void)getrlimit(RLIMIT_NOFILE, &files);
    doctor_add(d, "open files",
               files.rlim_max >= FILES_WANTED   ? CHECK_OK
               : files.rlim_max >= FILES_NEEDED ? CHECK_WARN
                                                : CHECK_FAIL,
               "raise the hard limit: LimitNOFILE in the unit, or ulimit -Hn 1048576",
               "at most %llu a process", (unsigned long long)files.rlim_max);
    if (f != NULL && fscanf(f, "%ld", &pid_max) == 1) {
        doctor_add(d, "processes", pid_max >= PIDS_WANTED ? CHECK_OK : CHECK_WARN,
                   "sysctl kernel.pid_max=4194304", "at most %ld on this host", pid_max);
    }
}

/* Of the folder, or of the nearest above it that is there. */
static void check_disk(struct doctor *d)
{
    char path[PATH_MAX];
    struct statvfs fs;
    uint64_t free_bytes;
    char text[PRINT_SHORT];

    (void)snprintf(path, sizeof(path), "%s", d->dir);
    while (statvfs(path, &fs) < 0) {
        char *slash = strrchr(path, '/');

        if (slash == NULL || slash == path) {
            (void)strcpy(path, slash == path ? "/" : ".");
            if (statvfs(path, &fs) < 0) {
                return;
            }
            break;
        }
        *slash = '\0';
    }
    free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    doctor_add(d, "disk",
               free_bytes >= DISK_WANTED   ? CHECK_OK
               : free_bytes >= DISK_NEEDED ? CHECK_WARN
                                           : CHECK_FAIL,
               "free space, or put the state elsewhere: MAYFLY_DEV_DIR", "%s free for %s",
               print_bytes(free_bytes, text), d->dir);
}

static void check_memory(struct doctor *d)
{
    _cleanup_fclose_ FILE *f = fopen("/proc/meminfo", "re");
    char line[128], text[PRINT_SHORT];
    unsigned long long kib;

    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        if (sscanf(line, "MemAvailable: %llu", &kib) == 1) {
            doctor_add(d, "memory", kib * 1024 >= MEMORY_WANTED ? CHECK_OK : CHECK_WARN,
                       "end something, or deploy functions with a small --memory",
                       "%s available", print_bytes(kib * 1024, text));
        }
    }
}

static void check_loopback(struct doctor *d)
{
    _cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq lo = {.ifr_name = "lo"};
    bool up =
        fd >= 0 && ioctl(fd, SIOCGIFFLAGS, &lo) == 0 && (lo.ifr_flags & IFF_UP) != 0;

    doctor_add(d, "loopback", up ? CHECK_OK : CHECK_FAIL, "ip link set lo up", "%s",
               up ? "up" : "down");
}

static void check_clock(struct doctor *d)
{
    struct timex t = {0};
    int state = adjtimex(&t);

    if (time(NULL) < CLOCK_SANE) {
        doctor_add(d, "clock", CHECK_FAIL, "set it: timedatectl set-ntp true",
                   "it is before this program was written");
    } else if (state < 0 || state == TIME_ERROR) {
        doctor_add(d, "clock", CHECK_WARN,
                   "timedatectl set-ntp true (one host can do without)",
                   "not kept by a time server");
    } else {
        doctor_add(d, "clock", CHECK_OK, NULL, "kept by a time server");
    }
}

void doctor_host(struct doctor *d)
{
    check_limits(d);
    check_disk(d);
    check_memory(d);
    check_loopback(d);
    check_clock(d);
}
