/* The walls of a sandbox, from inside: what a hostile function tries, and what it is
 * told. The numbers are the statements of docs/sandbox.md. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h> /* needs the four above */

#include "tests/integration/sandbox_fixture.h"

#define REFUSED "EACCES", "EPERM", "EROFS", "ENOENT"

/* The pid that the host knows the sandbox's init by. */
static pid_t init_pid(const struct bench_sandbox *s)
{
    char group[256], command[320];
    int pid = 0;
    FILE *f;

    fixture_group(s, group);
    (void)snprintf(command, sizeof(command), "sort -n %s/cgroup.procs | head -n 1",
                   group);
    f = popen(command, "re");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%d", &pid), 1);
    (void)pclose(f);
    return pid;
}

/* --- identity --------------------------------------------------------------------- */

static unsigned host_uid(const struct bench_sandbox *s)
{
    unsigned uids[4] = {0};
    char path[64], line[256];
    bool found = false;
    FILE *f;

    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)init_pid(s));
    f = fopen(path, "re");
    assert_non_null(f);
    while (!found && fgets(line, sizeof(line), f) != NULL) {
        found =
            sscanf(line, "Uid: %u %u %u %u", &uids[0], &uids[1], &uids[2], &uids[3]) == 4;
    }
    (void)fclose(f);
    assert_true(found);
    for (int i = 1; i < 4; i++) {
        assert_int_equal(uids[i], uids[0]);
    }
    return uids[0];
}

/* S1: a sandbox's user on the host is nobody, and no other sandbox's. */
static void s1_users_are_its_own(void **state)
{
    struct bench_sandbox s[2];
    unsigned uids[2];
    (void)state;

    for (int i = 0; i < 2; i++) {
        fixture_make(&s[i]);
        uids[i] = host_uid(&s[i]);
        assert_in_range(uids[i], BENCH_UID_BASE, BENCH_UID_BASE + 65535);
    }
    assert_int_not_equal(uids[0], uids[1]);
    for (int i = 0; i < 2; i++) {
        bench_sandbox_end(&bench, &s[i]);
    }
}

/* S2, S3, S4: no capability in any of the five sets, no new privileges, seccomp. */
static void s2_s3_s4_has_no_privileges(void **state)
{
    static const char *const sets[] = {
        "CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"};
    struct bench_sandbox s;
    char out[4096];
    (void)state;

    fixture_make(&s);
    (void)snprintf(out, sizeof(out), "%s", PROBE(&s, "status"));
    bench_sandbox_end(&bench, &s);
    for (char *c = out; *c != '\0'; c++) {
        *c = *c == '\t' ? ' ' : *c;
    }
    for (size_t i = 0; i < 5; i++) {
        assert_says(out, sets[i], "0000000000000000");
    }
    assert_says(out, "NoNewPrivs:", "1");
    assert_says(out, "Seccomp:", "2");
    assert_says(out, "Uid:", "1000 1000 1000 1000");
    assert_says(out, "Groups:", " ");
}

/* S3: a program that is root's and set-user-ID gives nothing. */
static void s3_set_user_id_does_nothing(void **state)
{
    char path[256];
    struct bench_sandbox s;
    struct bench_run r;
    const char *words[] = {"./suid", "identity", NULL};
    (void)state;

    sandbox_bench_copy(&bench, MAYFLY_PROBE, "suid");
    (void)snprintf(path, sizeof(path), "%s/packages/" BENCH_DIGEST "/suid", bench.dir);
    assert_int_equal(chmod(path, 06755), 0);
    fixture_make(&s);
    bench_sandbox_run(&bench, &s, &r, words);
    assert_non_null(strstr(r.out.data, "uid 1000 1000 gid 1000 1000"));
    bench_run_free(&r);
    bench_sandbox_end(&bench, &s);
}

/* S3: and every mount says so itself. */
static void s3_each_mount_is_nosuid(void **state)
{
    char out[32768];
    unsigned n = 0;
    (void)state;

    (void)snprintf(out, sizeof(out), "%s", PROBE_ONCE("mountinfo"));
    for (char *save, *line = strtok_r(out, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        if (strstr(line, "nosuid") == NULL) {
            print_error("%s\n", line);
        }
        assert_non_null(strstr(line, "nosuid"));
        n++;
    }
    assert_true(n > 10);
}

/* What the probe says where there is no sandbox. */
static void probe_outside(const char *group, char *out, size_t size)
{
    char command[512];
    FILE *f;

    (void)snprintf(command, sizeof(command), "%s %s", MAYFLY_PROBE, group);
    f = popen(command, "re");
    assert_non_null(f);
    out[fread(out, 1, size - 1, f)] = '\0';
    assert_int_equal(pclose(f), 0);
}

/* S5: system calls in another machine's language end the process. Those of i386 do so by
 * themselves where the kernel has none (ia32_emulation=off): the filter never sees them.
 * x32 has the same way in as all others. */
static void s5_foreign_calls_kill(void **state)
{
#ifdef __x86_64__
    char outside[1024];
    const char *out;
    bool known;
    (void)state;

    probe_outside("foreign", outside, sizeof(outside));
    known = strcmp(fixture_line(outside, "i386"), "SIGSEGV") != 0;
    if (known) {
        assert_says(outside, "i386", "ok");
    }
    out = PROBE_ONCE("foreign");
    assert_says(out, "i386", known ? "SIGSYS" : "SIGSEGV");
    assert_says(out, "x32", "SIGSYS");
#else
    (void)state;
    skip();
#endif
}

/* --- namespaces ------------------------------------------------------------------- */

/* S6: seven namespaces of its own: not the host's, not another instance's. */
static void s6_namespaces_are_its_own(void **state)
{
    static const char *const kinds[] = {"cgroup", "ipc",  "mnt", "net",
                                        "pid",    "user", "uts"};
    struct bench_sandbox a, b;
    char of_a[1024], of_b[1024];
    (void)state;

    fixture_make(&a);
    fixture_make(&b);
    (void)snprintf(of_a, sizeof(of_a), "%s", PROBE(&a, "namespaces"));
    (void)snprintf(of_b, sizeof(of_b), "%s", PROBE(&b, "namespaces"));
    bench_sandbox_end(&bench, &a);
    bench_sandbox_end(&bench, &b);
    for (size_t i = 0; i < 7; i++) {
        char path[64], host[64];
        ssize_t n;

        (void)snprintf(path, sizeof(path), "/proc/self/ns/%s", kinds[i]);
        n = readlink(path, host, sizeof(host) - 1);
        assert_true(n > 0);
        host[n] = '\0';
        assert_null(strstr(of_a, host));
        (void)snprintf(path, sizeof(path), "%s:[", kinds[i]);
        assert_non_null(strstr(of_a, path));
        assert_non_null(strstr(of_b, path));
        assert_memory_not_equal(strstr(of_a, path), strstr(of_b, path),
                                strcspn(strstr(of_a, path), "\n"));
    }
}

/* S7: no new namespace of any kind by any call. */
static void s7_makes_no_namespaces(void **state)
{
    static const char *const kinds[] = {"cgroup", "ipc",  "mnt", "net",
                                        "pid",    "user", "uts"};
    struct bench_sandbox s;
    const char *out;
    (void)state;

    fixture_make(&s);
    out = PROBE(&s, "new-namespaces");
    bench_sandbox_end(&bench, &s);
    for (size_t i = 0; i < 7; i++) {
        static const char *const ways[] = {"unshare", "clone", "setns"};

        for (size_t k = 0; k < 3; k++) {
            char name[32];

            (void)snprintf(name, sizeof(name), "%s-%s", ways[k], kinds[i]);
            assert_says(out, name, "EPERM");
        }
    }
    assert_says(out, "unshare-time", "EPERM");
}

/* S8: it sees its own processes alone, and cannot harm others by killing all it sees. */
static void s8_sees_its_own_processes(void **state)
{
    struct bench_sandbox a, b;
    const char *out;
    unsigned n = 0;
    int fd;
    (void)state;

    fixture_make(&a);
    fixture_make(&b);
    (void)STAY(&b, &fd, "leave");
    out = PROBE(&a, "pids");
    for (const char *c = out; *c != '\0'; c++) {
        n += *c == '\n';
    }
    assert_int_equal(n, 2); /* init and the probe */
    out = PROBE(&a, "processes");
    assert_says(out, "ptrace", "EPERM");
    assert_says(out, "memory-of-init", "EACCES");
    assert_says(PROBE(&a, "kill-all"), "kill-all", "ESRCH"); /* there is nobody else */
    assert_non_null(strstr(PROBE(&a, "identity"), "uid"));   /* its init lives as well */
    out = PROBE(&b, "find");
    assert_says(out, "socket", "ok"); /* the other's process still listens */
    bench_sandbox_end(&bench, &a);
    bench_sandbox_end(&bench, &b);
    (void)close(fd);
}

/* S9, S39: what one leaves (shared memory, sockets, files) no other finds: not while it
 * lives, not after; and no message queue is made at all. */
static void s9_s39_shares_nothing(void **state)
{
    static const char *const things[] = {"shm", "/tmp", "/dev/shm", "socket"};
    static const char *const errors[] = {"ENOENT", "ENOENT", "ENOENT", "ECONNREFUSED"};
    struct bench_sandbox a, b;
    const char *out;
    int fd;
    (void)state;

    fixture_make(&a);
    fixture_make(&b);
    out = STAY(&a, &fd, "leave");
    assert_says(out, "mqueue", "EMFILE");
    for (size_t i = 0; i < 4; i++) {
        assert_says(out, things[i], "ok");
    }
    out = PROBE(&a, "find");
    for (size_t i = 0; i < 4; i++) {
        assert_says(out, things[i], "ok"); /* the attempt itself works */
    }
    out = PROBE(&b, "find");
    for (size_t i = 0; i < 4; i++) {
        assert_says(out, things[i], errors[i]);
    }
    bench_sandbox_end(&bench, &a);
    bench_sandbox_end(&bench, &b);
    (void)close(fd);
    out = PROBE_ONCE("find");
    for (size_t i = 0; i < 4; i++) {
        assert_says(out, things[i], errors[i]);
    }
}

/* S10: the host's name is not told, and the sandbox's cannot be changed. */
static void s10_has_another_name(void **state)
{
    (void)state;
    assert_non_null(strstr(PROBE_ONCE("identity"), "host mayfly "));
    /* sethostname: in the table of S24 */
}

/* --- files ------------------------------------------------------------------------ */

/* S11: everything but /tmp and /dev/shm is read-only. */
static void s11_root_is_read_only(void **state)
{
    static const char *const folders[] = {
        "/",     "/usr",  "/usr/bin", "/etc", "/var", "/dev",        "/var/task",
        "/home", "/root", "/run",     "/opt", "/sys", "/var/runtime"};
    struct bench_sandbox s;
    const char *out;
    (void)state;

    fixture_make(&s);
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        out = PROBE(&s, "create", folders[i]);
        assert_says(out, folders[i], "EROFS");
    }
    assert_says(PROBE(&s, "create", "/tmp"), "/tmp", "ok");
    assert_says(PROBE(&s, "create", "/var/tmp"), "/var/tmp", "ok");
    assert_says(PROBE(&s, "create", "/dev/shm"), "/dev/shm", "ok");
    bench_sandbox_end(&bench, &s);
}

/* S11: /tmp and /dev/shm end at their size and at their number of files. */
static void s11_tmp_is_bounded(void **state)
{
    static const char *const folders[] = {"/tmp", "/dev/shm"};
    (void)state;

    for (size_t i = 0; i < 2; i++) {
        const char *out = PROBE_ONCE("fill", folders[i]);

        assert_says(out, "bytes", "8388608 ENOSPC");
        assert_non_null(strstr(fixture_line(out, "files"), "ENOSPC"));
        assert_in_range(strtoul(fixture_line(out, "files"), NULL, 10), 256, 2048);
    }
    assert_non_null(strstr(PROBE_ONCE("identity"), "uid 1000"));
}

/* S12: no mount, no unmount, no other root. */
static void s12_mounts_nothing(void **state)
{
    static const char *const attempts[] = {"mount", "remount", "bind", "umount-/proc/sys",
                                           "umount-/tmp"};
    const char *out;
    (void)state;

    out = PROBE_ONCE("mounts");
    for (size_t i = 0; i < 5; i++) {
        assert_says(out, attempts[i], "EPERM");
    }
}

/* S13: five devices, and no way to make another. */
static void s13_has_five_devices(void **state)
{
    const char *out;
    unsigned n = 0;
    (void)state;

    out = PROBE_ONCE("devices");
    assert_says(out, "mknod-c", "EPERM");
    assert_says(out, "mknod-b", "EPERM");
    assert_says(out, "mkfifo", "ok");
    assert_non_null(strstr(out, "character null 1,3\n"));
    assert_non_null(strstr(out, "character zero 1,5\n"));
    assert_non_null(strstr(out, "character full 1,7\n"));
    assert_non_null(strstr(out, "character random 1,8\n"));
    assert_non_null(strstr(out, "character urandom 1,9\n"));
    for (const char *c = strstr(out, "character "); c != NULL;
         c = strstr(c + 1, "character ")) {
        n++;
    }
    assert_int_equal(n, 5);
    assert_null(strstr(out, "block "));
}

/* S15: what /proc tells of the host is empty, and its knobs are not for turning. */
static void s15_proc_is_masked(void **state)
{
    static const char *const files[] = {
        "/proc/kcore",      "/proc/keys",       "/proc/timer_list", "/proc/kmsg",
        "/proc/kallsyms",   "/proc/modules",    "/proc/interrupts", "/proc/cmdline",
        "/proc/diskstats",  "/proc/partitions", "/proc/iomem",      "/proc/locks",
        "/proc/config.gz",  "/proc/slabinfo",   "/proc/zoneinfo",   "/proc/softirqs",
        "/proc/kpagecount", "/proc/swaps",      "/proc/mtrr",       "/proc/devices",
    };
    static const char *const folders[] = {"/proc/acpi",   "/proc/scsi",     "/proc/bus",
                                          "/proc/fs",     "/proc/irq",      "/proc/tty",
                                          "/proc/driver", "/proc/pressure", "/sys"};
    struct bench_sandbox s;
    (void)state;

    fixture_make(&s);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        assert_says_one_of(PROBE(&s, "read", files[i]), files[i], "ENODATA", "ENOENT",
                           "EACCES");
    }
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        assert_says_one_of(PROBE(&s, "list", folders[i]), folders[i], "ENODATA",
                           "ENOENT");
    }
    bench_sandbox_end(&bench, &s);
}

/* S15, S16: each knob by which a container was ever left cannot be written. */
static void s15_s16_knobs_are_read_only(void **state)
{
    static const char *const knobs[] = {
        "/proc/sysrq-trigger",
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/modprobe",
        "/proc/sys/kernel/hotplug",
        "/proc/sys/kernel/hostname",
        "/proc/sys/kernel/ns_last_pid",
        "/proc/sys/kernel/shmmax",
        "/proc/sys/net/ipv4/ip_forward",
        "/proc/sys/net/ipv4/ip_unprivileged_port_start",
        "/proc/sys/vm/drop_caches",
        "/proc/sys/vm/panic_on_oom",
        "/proc/sys/fs/binfmt_misc/register",
        "/proc/sys/fs/suid_dumpable",
        "/proc/sys/user/max_user_namespaces",
        "/proc/self/uid_map",
        "/proc/self/gid_map",
        "/proc/self/setgroups",
        "/proc/1/oom_score_adj",
        "/sys/kernel/uevent_helper",
        "/sys/fs/cgroup/release_agent",
        "/sys/fs/cgroup/memory/release_agent",
        "/sys/fs/cgroup/notify_on_release",
        "/sys/fs/cgroup/cgroup.procs",
        "/sys/kernel/security/apparmor/.replace",
    };
    struct bench_sandbox s;
    (void)state;

    fixture_make(&s);
    for (size_t i = 0; i < sizeof(knobs) / sizeof(knobs[0]); i++) {
        assert_says_one_of(PROBE(&s, "write", knobs[i]), knobs[i], REFUSED);
    }
    bench_sandbox_end(&bench, &s);
}

/* S17: nothing of the host is found by any path. */
static void s17_reaches_no_host_file(void **state)
{
    static const char *const paths[] = {
        "/etc/shadow",
        "/etc/ssh/sshd_config",
        "/etc/mayfly/agent.yaml",
        "/etc/ssl/private/ssl-cert-snakeoil.key",
        "/root/.ssh/authorized_keys",
        "/home/user",
        "/var/lib/mayfly",
        "/var/lib/etcd",
        "/var/run/docker.sock",
        "/run/docker.sock",
        "/run/containerd/containerd.sock",
        "/run/systemd/private",
        "/packages",
        "/template",
        "/proc/1/root/etc/shadow",
        "/proc/1/root/packages",
        "/proc/1/cwd",
        "/proc/1/exe",
        "/proc/1/environ",
        "/proc/1/fd/3",
        "/proc/1/map_files",
        "/proc/self/root/../../../etc/shadow",
        "/proc/self/cwd/../../../../../../etc/shadow",
        "../../../../../../../../etc/shadow",
        "../" BENCH_DIGEST "/probe",
    };
    char secret[128], up[160];
    struct bench_sandbox s;
    FILE *f;
    (void)state;

    (void)snprintf(secret, sizeof(secret), "%s/secret", bench.dir);
    f = fopen(secret, "we");
    assert_non_null(f);
    (void)fclose(f);
    (void)snprintf(up, sizeof(up), "../../../../../../../..%s", secret);
    fixture_make(&s);
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        assert_says_one_of(PROBE(&s, "read", paths[i]), paths[i], REFUSED);
    }
    assert_says(PROBE(&s, "read", secret), secret, "ENOENT");
    assert_says(PROBE(&s, "read", up), up, "ENOENT");
    bench_sandbox_end(&bench, &s);
}

/* S18: three descriptors, none of them a folder. */
static void s18_has_three_descriptors(void **state)
{
    (void)state;
    assert_string_equal(PROBE_ONCE("descriptors"), "0 file\n1 file\n2 file\n");
}

/* S19: the program that all sandboxes start with cannot be written through any path. */
static void s19_programs_cannot_be_overwritten(void **state)
{
    static const char *const paths[] = {"/proc/1/exe", "/proc/self/exe", "./probe",
                                        "/usr/bin/env", "/proc/self/fd/0"};
    struct bench_sandbox s;
    (void)state;

    fixture_make(&s);
    for (size_t i = 0; i < 5; i++) {
        assert_says_one_of(PROBE(&s, "overwrite", paths[i]), paths[i], "EACCES", "EPERM",
                           "EROFS", "ETXTBSY", "EINVAL");
    }
    bench_sandbox_end(&bench, &s);
}

/* S20: the working directory is inside, and `..` ends at the root. */
static void s20_working_directory_is_inside(void **state)
{
    (void)state;
    assert_string_equal(PROBE_ONCE("folder"), "/var/task\n/\n");
}

/* S21: the list of mounts names nothing of the host but where packages are. */
static void s21_mounts_tell_little(void **state)
{
    static const char *const targets[] = {" / ",    " /usr ",     " /var/task ",
                                          " /tmp ", " /dev/shm ", " /proc "};
    char out[32768];
    (void)state;

    (void)snprintf(out, sizeof(out), "%s", PROBE_ONCE("mountinfo"));
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        assert_non_null(strstr(out, targets[i]));
    }
    assert_null(strstr(out, " - cgroup"));
    assert_null(strstr(out, "/warden"));
    for (char *save, *line = strtok_r(out, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        char target[256];

        assert_int_equal(sscanf(line, "%*d %*d %*s %*s %255s", target), 1);
        assert_true(strcmp(target, "/") == 0 || strncmp(target, "/usr", 4) == 0 ||
                    strncmp(target, "/bin", 4) == 0 || strncmp(target, "/sbin", 5) == 0 ||
                    strncmp(target, "/lib", 4) == 0 || strncmp(target, "/dev/", 5) == 0 ||
                    strncmp(target, "/proc", 5) == 0 || strcmp(target, "/tmp") == 0 ||
                    strcmp(target, "/var/task") == 0);
    }
}

/* S22: an instance cannot change the code that the next one runs, whatever its mode. */
static void s22_code_cannot_be_changed(void **state)
{
    char path[256];
    const char *out;
    (void)state;

    sandbox_bench_file(&bench, "code", "code");
    (void)snprintf(path, sizeof(path), "%s/packages/" BENCH_DIGEST "/code", bench.dir);
    assert_int_equal(chmod(path, 0777), 0);
    out = PROBE_ONCE("change", "/var/task/code");
    assert_says(out, "write", "EROFS");
    assert_says(out, "chmod", "EROFS");
    assert_says(out, "unlink", "EROFS");
    assert_says(out, "rename", "EXDEV");
    assert_says(PROBE_ONCE("create", "/var/task"), "/var/task", "EROFS");
}

/* S40: init's command line and environment hold nothing; a function's are not in the
 * command line of anything on the host. */
static void s40_init_knows_no_secret(void **state)
{
    struct bench_sandbox s;
    char path[64], text[256];
    size_t n;
    FILE *f;
    (void)state;

    fixture_make(&s);
    (void)snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)init_pid(&s));
    f = fopen(path, "re");
    assert_non_null(f);
    n = fread(text, 1, sizeof(text), f);
    (void)fclose(f);
    assert_int_equal(n, sizeof("mayfly-init"));
    assert_string_equal(text, "mayfly-init");
    (void)snprintf(path, sizeof(path), "/proc/%d/environ", (int)init_pid(&s));
    f = fopen(path, "re");
    assert_non_null(f);
    assert_int_equal(fread(text, 1, sizeof(text), f), 0);
    (void)fclose(f);
    bench_sandbox_end(&bench, &s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(s1_users_are_its_own),
        cmocka_unit_test(s2_s3_s4_has_no_privileges),
        cmocka_unit_test(s3_set_user_id_does_nothing),
        cmocka_unit_test(s3_each_mount_is_nosuid),
        cmocka_unit_test(s5_foreign_calls_kill),
        cmocka_unit_test(s6_namespaces_are_its_own),
        cmocka_unit_test(s7_makes_no_namespaces),
        cmocka_unit_test(s8_sees_its_own_processes),
        cmocka_unit_test(s9_s39_shares_nothing),
        cmocka_unit_test(s10_has_another_name),
        cmocka_unit_test(s11_root_is_read_only),
        cmocka_unit_test(s11_tmp_is_bounded),
        cmocka_unit_test(s12_mounts_nothing),
        cmocka_unit_test(s13_has_five_devices),
        cmocka_unit_test(s15_proc_is_masked),
        cmocka_unit_test(s15_s16_knobs_are_read_only),
        cmocka_unit_test(s17_reaches_no_host_file),
        cmocka_unit_test(s18_has_three_descriptors),
        cmocka_unit_test(s19_programs_cannot_be_overwritten),
        cmocka_unit_test(s20_working_directory_is_inside),
        cmocka_unit_test(s21_mounts_tell_little),
        cmocka_unit_test(s22_code_cannot_be_changed),
        cmocka_unit_test(s40_init_knows_no_secret),
    };

    if (!sandbox_bench_possible()) {
        return 77;
    }
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}
