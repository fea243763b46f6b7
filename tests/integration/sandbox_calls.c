/* The walls of a sandbox, from inside: system calls and the network. The numbers are the
 * statements of docs/sandbox.md. */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h> /* needs the four above */

#include "tests/integration/probe_calls.h"
#include "tests/integration/sandbox_fixture.h"

/* --- system calls ----------------------------------------------------------------- */

/* S5, S7, S10, S12, S14, S23, S24: the table of system calls. */
static void s24_calls_are_refused(void **state)
{
    static const struct {
        const char *name, *expected;
    } calls[] = {
#define CALL(name, error) {#name, #error},
        PROBE_CALLS(CALL) PROBE_CALLS_HERE(CALL)
#undef CALL
    };
    const char *out;
    (void)state;

    out = PROBE_ONCE("calls");
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        assert_says(out, calls[i].name, calls[i].expected);
    }
}

/* S25: no terminal, and none of the calls that type into one. */
static void s25_has_no_terminal(void **state)
{
    struct bench_sandbox s;
    const char *out;
    (void)state;

    fixture_make(&s);
    out = PROBE(&s, "terminal");
    assert_says(out, "TIOCSTI", "EPERM");
    assert_says(out, "TIOCLINUX", "EPERM");
    assert_says(out, "TIOCSETD", "EPERM");
    assert_says(out, "/dev/tty", "ENOENT");
    assert_says(out, "/dev/console", "ENOENT");
    assert_says(out, "/dev/ptmx", "ENOENT");
    bench_sandbox_end(&bench, &s);
}

/* S26: of the socket families three, of their protocols TCP, UDP and ping. */
static void s26_sockets_are_few(void **state)
{
    const char *out;
    (void)state;

    out = PROBE_ONCE("sockets");
    for (int family = 0; family < 50; family++) {
        char name[32];

        (void)snprintf(name, sizeof(name), "family-%d", family);
        assert_says(out, name,
                    family == AF_UNIX || family == AF_INET || family == AF_INET6
                        ? "ok"
                        : "EAFNOSUPPORT");
    }
    assert_says(out, "raw", "EPERM");
    assert_says(out, "raw-ipv6", "EPERM");
    assert_says(out, "packet-of-old", "EPERM");
    assert_says(out, "sctp", "EPROTONOSUPPORT");
    assert_says(out, "sctp-seqpacket", "ESOCKTNOSUPPORT");
    assert_says(out, "dccp", "EPROTONOSUPPORT");
    assert_says(out, "mptcp", "EPROTONOSUPPORT");
    assert_says(out, "udplite", "EPROTONOSUPPORT");
    assert_says(out, "tcp", "ok");
    assert_says(out, "udp-ipv6", "ok");
}

/* --- network ---------------------------------------------------------------------- */

/* S27: metadata services, link-local and private ranges: there is no way, by IPv4, IPv6
 * or IPv4 in IPv6. */
static void s27_reaches_no_address(void **state)
{
    static const char *const addresses[] = {
        "169.254.169.254,80",    "::ffff:169.254.169.254,80",
        "169.254.170.2,80",      "::ffff:169.254.170.2,80",
        "fd00:ec2::254,80",      "fe80::1,80",
        "10.0.0.1,80",           "::ffff:10.0.0.1,80",
        "172.17.0.1,2375",       "192.168.0.1,80",
        "100.100.100.200,80",    "8.8.8.8,53",
        "::ffff:8.8.8.8,53",     "2001:4860:4860::8888,53",
        "64:ff9b::a9fe:a9fe,80",
    };
    struct bench_sandbox s;
    (void)state;

    fixture_make(&s);
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        assert_says_one_of(PROBE(&s, "connect", addresses[i]), addresses[i],
                           "ENETUNREACH", "EADDRNOTAVAIL", "EHOSTUNREACH");
    }
    bench_sandbox_end(&bench, &s);
}

/* A listener on the host's every address; its port. */
static int listen_on_host(int *ret_port)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6};
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    *ret_port = ntohs(a.sin6_port);
    return fd;
}

/* S27: what listens on the host (an agent, etcd, a controller) cannot be reached by the
 * host's addresses nor by the loopback, which is the sandbox's own. */
static void s27_reaches_no_host_port(void **state)
{
    static const char *const loopbacks[] = {"127.0.0.1", "127.0.0.2", "0.0.0.0",
                                            "::1",       "::",        "::ffff:127.0.0.1"};
    struct ifaddrs *all = NULL;
    struct bench_sandbox s;
    char to[128];
    int port, fd = listen_on_host(&port);
    (void)state;

    fixture_make(&s);
    for (size_t i = 0; i < 6; i++) {
        (void)snprintf(to, sizeof(to), "%s,%d", loopbacks[i], port);
        assert_says(PROBE(&s, "connect", to), to, "ECONNREFUSED");
    }
    assert_int_equal(getifaddrs(&all), 0);
    for (const struct ifaddrs *a = all; a != NULL; a = a->ifa_next) {
        char address[INET6_ADDRSTRLEN];

        if (a->ifa_addr == NULL || (a->ifa_flags & IFF_LOOPBACK) != 0 ||
            (a->ifa_addr->sa_family != AF_INET && a->ifa_addr->sa_family != AF_INET6)) {
            continue;
        }
        (void)inet_ntop(
            a->ifa_addr->sa_family,
            a->ifa_addr->sa_family == AF_INET
                ? (void *)&((struct sockaddr_in *)(void *)a->ifa_addr)->sin_addr
                : (void *)&((struct sockaddr_in6 *)(void *)a->ifa_addr)->sin6_addr,
            address, sizeof(address));
        (void)snprintf(to, sizeof(to), "%s,%d", address, port);
        assert_says_one_of(PROBE(&s, "connect", to), to, "ENETUNREACH", "EADDRNOTAVAIL",
                           "EHOSTUNREACH");
    }
    freeifaddrs(all);
    bench_sandbox_end(&bench, &s);
    (void)close(fd);
}

/* S28, S29: there is a loopback and nothing else: no name server, no other address. */
static void s28_s29_has_a_loopback(void **state)
{
    const char *out;
    (void)state;

    out = PROBE_ONCE("network");
    assert_says(out, "interface", "lo");
    assert_null(strstr(strstr(out, "interface lo") + 1, "interface"));
    assert_says(out, "dns", "ENETUNREACH");
    assert_says(out, "dns-metadata", "ENETUNREACH");
    assert_says(out, "bind-other", "EADDRNOTAVAIL");
    assert_says(out, "add-address", "EPERM");
    assert_says(out, "transparent", "EPERM");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(s24_calls_are_refused),
        cmocka_unit_test(s25_has_no_terminal),
        cmocka_unit_test(s26_sockets_are_few),
        cmocka_unit_test(s27_reaches_no_address),
        cmocka_unit_test(s27_reaches_no_host_port),
        cmocka_unit_test(s28_s29_has_a_loopback),
    };

    if (!sandbox_bench_possible()) {
        return 77;
    }
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}
