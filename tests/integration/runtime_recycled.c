/* What a call of `reuse: false` leaves in its sandbox, the next call of the version,
 * which may have it, does not see. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h> /* needs those above */

#include "tests/integration/runtime_recycled_fixture.h"

/* All that a call sees of its sandbox, but numbers that only count: of processes, of
 * mounts, of time. */
static const char look[] =
    "import os, resource, socket, subprocess\n"
    "def text(p):\n"
    "    try: return open(p).read()\n"
    "    except OSError as e: return str(e.errno)\n"
    "def tree(p):\n"
    "    return [(d, sorted(a), sorted(f), oct(os.stat(d).st_mode))\n"
    "            for d, a, f in os.walk(p)]\n"
    "def room(p):\n"
    "    s = os.statvfs(p)\n"
    "    return (s.f_blocks, s.f_bfree, s.f_files, s.f_ffree)\n"
    "def status(p):\n"
    "    return [l for l in text(p).splitlines() if l.startswith(('Sig', 'Shd', 'Cap',\n"
    "        'Seccomp', 'NoNew', 'Uid', 'Gid', 'Groups', 'Cpus_allowed:', 'Threads'))]\n"
    "pids = [int(p) for p in os.listdir('/proc') if p.isdigit()]\n"
    "print('others', len([p for p in pids if p not in (1, os.getpid())]))\n"
    "print('files', tree('/tmp'), tree('/dev/shm'), room('/tmp'), room('/dev/shm'))\n"
    "print('attributes', [os.listxattr(p) for p in ('/tmp', '/dev/shm')])\n"
    "print('ipc', [len(text('/proc/sysvipc/' + k).splitlines())\n"
    "              for k in ('shm', 'sem', 'msg')])\n"
    "print('unix', text('/proc/net/unix').count('\\n'))\n"
    "print('sockets', text('/proc/net/sockstat').splitlines()[0],\n"
    "      text('/proc/net/sockstat').split(' tw ')[1].split()[0])\n"
    "print('tcp', text('/proc/net/tcp').count('\\n'), "
    "text('/proc/net/udp').count('\\n'))\n"
    "print('labels', text('/proc/net/ip6_flowlabel'), text('/proc/net/dev'))\n"
    "print('core', text('/proc/self/coredump_filter'))\n"
    "print('umask', os.umask(0), 'cwd', os.getcwd())\n"
    "print('self', status('/proc/self/status'), 'init', status('/proc/1/status'))\n"
    "print('limits', text('/proc/self/limits'), text('/proc/1/limits'))\n"
    "print('nice', [os.getpriority(os.PRIO_PROCESS, p) for p in (0, 1)],\n"
    "      [os.sched_getscheduler(p) for p in (0, 1)],\n"
    "      [sorted(os.sched_getaffinity(p)) for p in (0, 1)])\n"
    "import ctypes\n"
    "call = ctypes.CDLL(None, use_errno=True).syscall\n"
    "print('io', call(252, 1, 0), call(252, 1, 1))\n"
    "print('oom', text('/proc/self/oom_score_adj'), text('/proc/1/oom_score_adj'))\n"
    "print('fds', sorted(os.listdir('/proc/self/fd'))[:3])\n"
    "print('env', sorted(k for k in os.environ))\n"
    "print('mounts', [l.split(' ', 2)[2].split(' ', 1)[1]\n"
    "                 for l in text('/proc/self/mountinfo').splitlines()])\n"
    "print('names', socket.gethostname(), os.getsid(0), os.getpgrp() == os.getpid(),\n"
    "      text('/proc/net/dev').count('\\n'), text('/proc/net/route'))\n"
    "print('timers', text('/proc/self/timers'), text('/proc/1/comm'),\n"
    "      text('/proc/self/timerslack_ns'))\n";

/* --- what is left of a call ----------------------------------------------------------
 */

#define LIBC                                         \
    "import ctypes, os, signal, socket, sys, time\n" \
    "libc = ctypes.CDLL(None, use_errno=True)\n"
/* Runs the rest in a process that is nobody's child and in no group of the call's; the
 * call goes on when it says so. */
#define DAEMON                                             \
    LIBC "r, w = os.pipe()\n"                              \
         "if not os.fork():\n"                             \
         "    os.setsid()\n"                               \
         "    if os.fork(): os._exit(0)\n"                 \
         "    for s in range(1, 64):\n"                    \
         "        try: signal.signal(s, signal.SIG_IGN)\n" \
         "        except (OSError, ValueError): pass\n"
#define DAEMON_STAYS                     \
    "    os.write(w, b'x')\n"            \
    "    while True: time.sleep(1000)\n" \
    "os.read(r, 1)\n"

enum fate {
    KEPT,    /* init has cleared it away */
    REFUSED, /* init cannot, or does not */
    EITHER,  /* that depends on when the kernel cleared it away */
};

struct leaving {
    const char *what;
    enum fate fate;
    const char *code;
};

static const struct leaving leavings[] = {
    {"nothing", KEPT, "pass"},
    {"a daemon that ignores signals", KEPT, DAEMON DAEMON_STAYS},
    {"a daemon that has stopped", KEPT,
     DAEMON "    os.write(w, b'x')\n"
            "    os.kill(os.getpid(), signal.SIGSTOP)\n"
            "os.read(r, 1)\n"},
    {"a fork bomb", KEPT,
     LIBC "n = 0\n"
          "while True:\n"
          "    try: pid = os.fork()\n"
          "    except OSError: break\n"
          "    if pid == 0:\n"
          "        os.setsid()\n"
          "        while True:\n"
          "            try: os.fork()\n"
          "            except OSError: time.sleep(0.001)\n"
          "    n += 1\n"
          "    if n > 1000: sys.exit(1)\n"},
    {"a listener on an abstract address", KEPT,
     DAEMON "    s = socket.socket(socket.AF_UNIX); s.bind('\\0left'); "
            "s.listen()\n" DAEMON_STAYS},
    {"TCP and UDP listeners", KEPT,
     DAEMON "    s = socket.socket(); s.bind(('127.0.0.1', 4000)); s.listen()\n"
            "    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
            "    u.bind(('127.0.0.1', 4000))\n" DAEMON_STAYS},
    {"a connection", REFUSED,
     LIBC "s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()\n"
          "c = socket.create_connection(s.getsockname()); o, _ = s.accept()\n"
          "c.close(); o.recv(1); o.close()\n"},
    {"a connection that was reset", REFUSED,
     LIBC "import struct\n"
          "s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()\n"
          "c = socket.create_connection(s.getsockname()); o, _ = s.accept()\n"
          "c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))\n"
          "c.close()\n"},
    {"a lease of a flow label", REFUSED,
     LIBC "import struct\n"
          "s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)\n"
          "r = socket.inet_pton(socket.AF_INET6, '::1') + struct.pack(\n"
          "    '=IBBHHHI', socket.htonl(0x12345), 0, 255, 1, 60, 60, 0)\n"
          "s.setsockopt(socket.IPPROTO_IPV6, 32, r)\n"},
    {"sockets on their way in one another", EITHER,
     LIBC "import array\n"
          "a, b = socket.socketpair()\n"
          "l = socket.socket(socket.AF_UNIX); l.bind('\\0flight'); l.listen()\n"
          "fds = array.array('i', [a.fileno(), b.fileno(), l.fileno()])\n"
          "for s in (a, b):\n"
          "    s.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])\n"},
    {"files", KEPT,
     LIBC
     "import tempfile\n"
     "os.makedirs('/tmp/a/b/c'); open('/tmp/a/b/c/secret', 'w').write('s')\n"
     "os.symlink('/', '/tmp/a/root'); os.mkfifo('/tmp/fifo', 0)\n"
     "os.link('/tmp/a/b/c/secret', '/tmp/link')\n"
     "socket.socket(socket.AF_UNIX).bind('/tmp/socket')\n"
     "open('/dev/shm/secret', 'w').write('s'); os.mkdir('/dev/shm/d')\n"
     "open('/tmp/.hidden', 'w').close(); os.mkdir('/tmp/...')\n"
     "os.chmod('/tmp/a/b/c/secret', 0); os.chmod('/tmp/a/b', 0); os.chmod('/tmp/a', 0)\n"
     "os.open('/tmp', os.O_TMPFILE | os.O_RDWR)\n"
     "try: os.setxattr('/tmp/link', 'user.x', b's')\n"
     "except OSError: pass\n"},
    {"a full /tmp", KEPT,
     "f = open('/tmp/full', 'wb', buffering=0)\n"
     "try:\n"
     "    while True: f.write(bytes(1 << 20))\n"
     "except OSError: pass\n"},
    {"many files", REFUSED, "for i in range(1000): open('/tmp/%d' % i, 'w').close()\n"},
    {"a deep folder", REFUSED,
     "import os\n"
     "os.makedirs('/tmp' + '/d' * 100)\n"},
    {"files of a daemon that writes on", KEPT,
     DAEMON "    os.write(w, b'x')\n"
            "    i = 0\n"
            "    while True:\n"
            "        i = (i + 1) % 50; open('/tmp/%d' % i, 'w').write('s' * 1000)\n"
            "os.read(r, 1)\n"},
    {"mapped and deleted files", KEPT,
     DAEMON
     "    import mmap\n"
     "    f = open('/dev/shm/m', 'w+b'); f.truncate(1 << 20)\n"
     "    m = mmap.mmap(f.fileno(), 0); m[0:4] = b'left'; os.unlink('/dev/shm/m')\n"
     "    g = os.memfd_create('left'); os.write(g, b'left')\n" DAEMON_STAYS},
    {"System V shared memory", REFUSED,
     LIBC "assert libc.shmget(1234, 4096, 0o1666) >= 0\n"},
    {"System V semaphores", REFUSED, LIBC "assert libc.semget(1234, 1, 0o1666) >= 0\n"},
    {"a System V queue", REFUSED, LIBC "assert libc.msgget(1234, 0o1666) >= 0\n"},
    {"a POSIX queue, which cannot be", KEPT,
     LIBC "assert libc.syscall(240, b'left', os.O_CREAT | os.O_RDWR, 0o666, None) < 0\n"},
    {"a key, which cannot be", KEPT,
     LIBC "assert libc.syscall(248, b'user', b'left', b'secret', 6, -4) < 0\n"
          "assert libc.syscall(250, 1, 0) < 0\n"},
    {"its own state", KEPT,
     LIBC
     "import resource\n"
     "os.umask(0o777); os.chdir('/tmp'); os.nice(19)\n"
     "for r in (resource.RLIMIT_NOFILE, resource.RLIMIT_CPU, resource.RLIMIT_FSIZE):\n"
     "    resource.setrlimit(r, (100, 100))\n"
     "open('/proc/self/oom_score_adj', 'w').write('1000')\n"
     "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\n"
     "for s in range(1, 64):\n"
     "    try: signal.signal(s, signal.SIG_IGN)\n"
     "    except (OSError, ValueError): pass\n"
     "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
     "os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))\n"
     "libc.prctl(15, b'left'); libc.prctl(29, 1000000000); libc.prctl(36, 1)\n"
     "libc.prctl(1, 9); libc.prctl(38, 1); libc.alarm(1000)\n"
     "signal.setitimer(signal.ITIMER_REAL, 1000); os.environ['LEFT'] = 'secret'\n"
     "libc.syscall(251, 1, 0, 3 << 13)\n"},
    {"attempts at its surroundings", KEPT,
     LIBC
     "libc.mount(b'none', b'/tmp', b'tmpfs', 0, None); libc.umount2(b'/tmp', 2)\n"
     "libc.unshare(0x20000); libc.sethostname(b'left', 4); libc.chroot(b'/tmp')\n"
     "libc.ptrace(16, 1, 0, 0); libc.ptrace(0x4206, 1, 0, 0)\n"
     "libc.setpgid(1, 0); os.setpgid(0, 0)\n"
     "for p in ('oom_score_adj', 'comm', 'timerslack_ns', 'coredump_filter', 'mem',\n"
     "          'clear_refs', 'autogroup', 'uid_map', 'setgroups', 'attr/exec'):\n"
     "    try: open('/proc/1/' + p, 'w').write('1000')\n"
     "    except OSError: pass\n"
     "for p in ('/tmp', '/dev/shm', '/dev/null', '/var/task', '/'):\n"
     "    for do in (lambda: os.chmod(p, 0), lambda: os.chown(p, 1000, 1000),\n"
     "               lambda: os.setxattr(p, 'user.left', b'x'),\n"
     "               lambda: os.rename(p, p + 'x')):\n"
     "        try: do()\n"
     "        except OSError: pass\n"
     "os.kill(1, signal.SIGKILL); os.kill(1, signal.SIGSTOP)\n"},
    {"limits of init", REFUSED,
     "import resource\n"
     "resource.prlimit(1, resource.RLIMIT_CORE, (0, 0))\n"
     "resource.prlimit(1, resource.RLIMIT_CPU, (1000, 1000))\n"},
    {"no descriptors for init", REFUSED,
     "import resource\n"
     "resource.prlimit(1, resource.RLIMIT_NOFILE, (0, 0))\n"},
    {"the priority of init", REFUSED,
     "import os\n"
     "os.setpriority(os.PRIO_PROCESS, 1, 19)\n"},
    {"the scheduling of init", REFUSED,
     "import os\n"
     "os.sched_setscheduler(1, os.SCHED_BATCH, os.sched_param(0))\n"},
    {"the I/O priority of init", REFUSED,
     LIBC "assert libc.syscall(251, 1, 1, 3 << 13) == 0\n"},
    {"a signal to init", REFUSED, "import os\nos.kill(1, 10)\n"},
    {"queued signals to init", REFUSED,
     LIBC "import struct\n"
          "info = struct.pack('=iiiiii', 40, 0, -1, 0, os.getpid(), os.getuid())\n"
          "info += bytes(128 - len(info))\n"
          "for i in range(500): assert libc.syscall(129, 1, 40, info) == 0\n"},
    {"a failure", KEPT, "import sys\nsys.exit(3)\n"},
};

/* One after another, each in the sandbox that the one before left, if it was kept. */
static void next_call_sees_nothing(void **state)
{
    uint64_t version = recycled_version();
    char *fresh = recycled_reply(0, look);
    (void)state;

    for (size_t n = 0; n < sizeof(leavings) / sizeof(leavings[0]); n++) {
        const struct leaving *l = &leavings[n];
        struct runtime_recycled before, after;
        struct bench_instance i;
        struct bench_call c;
        char *seen;

        before = recycled_counts();
        recycled_init(&i, version);
        recycled_run(&i, l->code, &c);
        if (c.cause != CAUSE_NONE && strcmp(l->what, "a failure") != 0) {
            struct buf log = {0};

            bench_log_read(&bench, &log);
            print_error("%s: %s\n%s\n", l->what, c.text, log.data);
            fail();
        }
        recycled_end(&i, &c);
        after = recycled_counts();
        seen = recycled_reply(version, look);
        if (strcmp(seen, fresh) != 0) {
            print_error("%s:\n%s\n%s\n", l->what, fresh, seen);
        }
        assert_string_equal(seen, fresh);
        if (l->fate != EITHER &&
            (after.refused != before.refused + (l->fate == REFUSED) ||
             recycled_counts().used != after.used + (l->fate == KEPT))) {
            print_error("%s: %s\n", l->what,
                        l->fate == KEPT ? "was not kept" : "was kept");
            fail();
        }
        free(seen);
    }
    free(fresh);
}

/* Of a call that was killed, or ran out of memory or of time, nothing is kept. */
static void bad_ends_are_not_kept(void **state)
{
    static const char *const ends[] = {
        "import os\nos.kill(os.getpid(), 9)",
        "import os\nos.kill(os.getpid(), 11)",
        "x = bytearray(1 << 30)\nfor i in range(0, len(x), 4096): x[i] = 1",
        /* another's end by memory is as bad as its own */
        "import os, sys\n"
        "if not os.fork():\n"
        "    x = bytearray(1 << 30)\n"
        "    for i in range(0, len(x), 4096): x[i] = 1\n"
        "os.wait()\n",
    };
    (void)state;

    for (size_t n = 0; n < sizeof(ends) / sizeof(ends[0]); n++) {
        uint64_t version = recycled_version();
        struct bench_instance i;
        struct bench_call c;
        unsigned waiting = recycled_counts().waiting;

        recycled_init(&i, version);
        recycled_run(&i, ends[n], &c);
        if (n == 3) { /* the kernel tells by itself */
            WAIT_FOR(&bench, bench.sandboxes.n_ooms > 0);
        }
        bench.sandboxes.n_ooms = 0;
        recycled_end(&i, &c);
        assert_int_equal(recycled_counts().waiting, waiting);
    }
    {
        struct bench_instance i;
        struct bench_call c = {0};
        const struct bench_request r = {0};
        unsigned waiting = recycled_counts().waiting;

        recycled_init(&i, recycled_version());
        bench_instance_run(&bench, &i);
        assert_int_equal(bench_call_start(&bench, &i, &c, &r), 0);
        (void)bench_call_cancel(&c);
        recycled_end(&i, &c);
        assert_int_equal(recycled_counts().waiting, waiting);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(next_call_sees_nothing),
        cmocka_unit_test(bad_ends_are_not_kept),
    };

    if (!sandbox_bench_possible()) {
        return 77;
    }
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, recycled_open, recycled_close);
}
