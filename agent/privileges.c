#include "agent/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"

#define FILES_MAX 1048576 /* fs.nr_open's default */

int privileges_user(struct privileges_user *ret, const char *user, struct error *err)
{
    const struct passwd *entry = getpwnam(user);
    struct privileges_user u;
    unsigned long number;
    char *end;

    if (entry == NULL) {
        errno = 0;
        number = strtoul(user, &end, 10);
        if (*user < '0' || *user > '9' || *end != '\0' || errno != 0 ||
            number >= UINT32_MAX) {
            return error_set(err, -ENOENT,
                             "user: there is no user \"%s\"; make it (useradd --system "
                             "%s) or name another",
                             user, user);
        }
        u = (struct privileges_user){(uid_t)number, (gid_t)number};
        entry = getpwuid(u.uid);
    }
    if (entry != NULL) {
        u = (struct privileges_user){entry->pw_uid, entry->pw_gid};
    }
    if (u.uid == 0 || u.gid == 0) {
        return error_set(err, -EINVAL,
                         "user: \"%s\" is root; the agent must not run as root", user);
    }
    *ret = u;
    return 0;
}

/* --- folders --------------------------------------------------------------------------
 */

static int make_path(const char *path, struct error *err)
{
    _cleanup_free_ char *part = strdup(path);

    if (part == NULL) {
        return error_set(err, -ENOMEM, "out of memory");
    }
    for (char *slash = strchr(part + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash != NULL) {
            *slash = '\0';
        }
        if (mkdir(part, 0755) < 0 && errno != EEXIST) {
            return error_set_errno(err, -errno, "state_dir: make %s", part);
        }
        if (slash == NULL) {
            return 0;
        }
        *slash = '/';
    }
}

static int make_folder(int dir, const char *state_dir, const char *name, mode_t mode,
                       uid_t uid, gid_t gid, struct error *err)
{
    _cleanup_close_ int fd = -1;

    if (mkdirat(dir, name, mode) < 0 && errno != EEXIST) {
        return error_set_errno(err, -errno, "state_dir: make %s/%s", state_dir, name);
    }
    fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fchown(fd, uid, gid) < 0 || fchmod(fd, mode) < 0) {
        return error_set_errno(err, -errno, "state_dir: set up %s/%s", state_dir, name);
    }
    return 0;
}

int privileges_folders(const char *state_dir, const struct privileges_user *user,
                       struct error *err)
{
    int rc = make_path(state_dir, err);
    _cleanup_close_ int dir = -1;

    if (rc < 0) {
        return rc;
    }
    dir = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) {
        return error_set_errno(err, -errno, "state_dir: open %s", state_dir);
    }
    rc = make_folder(dir, state_dir, "packages", 0755, user->uid, user->gid, err);
    rc = rc < 0 ? rc
                : make_folder(dir, state_dir, "logs", 0750, user->uid, user->gid, err);
    rc = rc < 0 ? rc
                : make_folder(dir, state_dir, "learned", 0750, user->uid, user->gid, err);
    return rc < 0 ? rc : make_folder(dir, state_dir, "warden", 0755, 0, 0, err);
}

/* --- root, given up
 * ---------------------------------------------------------------------- */

void privileges_raise_files(void)
{
    struct rlimit limit = {FILES_MAX, FILES_MAX};

    if (setrlimit(RLIMIT_NOFILE, &limit) < 0 && getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static bool has_capabilities(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];

    if (syscall(SYS_capget, &head, data) < 0) {
        return true;
    }
    for (int i = 0; i < 2; i++) {
        if (data[i].effective != 0 || data[i].permitted != 0 ||
            data[i].inheritable != 0) {
            return true;
        }
    }
    return false;
}

static bool is_only(const struct privileges_user *user)
{
    uid_t uids[3];
    gid_t gids[3];

    if (getresuid(&uids[0], &uids[1], &uids[2]) < 0 ||
        getresgid(&gids[0], &gids[1], &gids[2]) < 0 || getgroups(0, NULL) != 0) {
        return false;
    }
    for (int i = 0; i < 3; i++) {
        if (uids[i] != user->uid || gids[i] != user->gid) {
            return false;
        }
    }
    return setresuid(0, 0, 0) < 0 && !has_capabilities() &&
           prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
}

int privileges_drop(const struct privileges_user *user, struct error *err)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}, {0}};

    for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
        (void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
    }
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (setgroups(0, NULL) < 0 || setresgid(user->gid, user->gid, user->gid) < 0 ||
        setresuid(user->uid, user->uid, user->uid) < 0) {
        return error_set_errno(err, -errno, "become user %u", (unsigned)user->uid);
    }
    if (syscall(SYS_capset, &head, none) < 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        return error_set_errno(err, -errno, "give up capabilities");
    }
    /* Changing the user made the process one that leaves no core dump and whose
     * /proc/self is root's. It holds no privilege any more: as any other. */
    (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    return is_only(user) ? 0 : error_set(err, -EPERM, "root was not given up wholly");
}
