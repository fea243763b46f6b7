/* Processes known by pid and start, and ports. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* needs the above */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "controller/cli/port.h"
#include "controller/cli/process.h"

/* A child that lives until it is killed; with stubborn it takes no notice of SIGTERM. */
static struct process child(bool stubborn)
{
    int ready[2];
    struct process p;
    char byte;
    pid_t pid;

    assert_int_equal(pipe(ready), 0);
    pid = fork();
    if (pid == 0) {
        (void)signal(SIGTERM, stubborn ? SIG_IGN : SIG_DFL);
        (void)!write(ready[1], "", 1);
        for (;;) {
            (void)pause();
        }
    }
    assert_true(pid > 0);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    (void)close(ready[0]);
    (void)close(ready[1]);
    p = process_of(pid);
    assert_int_equal(p.pid, pid);
    return p;
}

static int end_of(const struct process *p)
{
    int status;

    assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

/* SIGTERM is enough for most, SIGKILL ends the rest. */
static void ended(void **state)
{
    struct process good = child(false), bad = child(true);

    assert_true(process_is_alive(&good));
    assert_int_equal(process_end(&good, 10000), 0);
    assert_false(process_is_alive(&good)); /* a zombie does not count */
    assert_int_equal(end_of(&good), SIGTERM);
    assert_int_equal(process_end(&bad, 50), 0);
    assert_int_equal(end_of(&bad), SIGKILL);
    assert_int_equal(process_end(&bad, 50), 0); /* gone already */
}

/* Another process that has the pid now is neither taken for it nor hit. */
static void pid_used_again(void **state)
{
    struct process now = child(false);
    struct process then = {.pid = now.pid, .start = now.start - 1};

    assert_false(process_is_alive(&then));
    assert_int_equal(process_end(&then, 50), 0);
    assert_true(process_is_alive(&now));
    assert_int_equal(process_end(&now, 0), 0);
    (void)end_of(&now);
}

/* No process has pid 0, -1 or one that is gone. */
static void no_process(void **state)
{
    struct process none = {0};

    assert_int_equal(process_of(0).pid, 0);
    assert_int_equal(process_of(-1).pid, 0);
    assert_false(process_is_alive(&none));
    assert_int_equal(process_end(&none, 50), 0);
}

static void note_self(void *data, const struct process *p, const char *name,
                      char *const *argv)
{
    if (p->pid == getpid()) {
        *(bool *)data = strcmp(name, "test_cli_process") == 0 && argv[1] == NULL;
    }
}

/* Processes are found with their name and arguments. */
static void each_process(void **state)
{
    bool found = false;

    process_each(note_self, &found);
    assert_true(found);
}

/* A port that is listened on is seen as such, and by whom. */
static void port_in_use(void **state)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct port_holder holder;
    uint16_t port, other;

    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    port = ntohs(a.sin_port);
    assert_int_equal(port_try("127.0.0.1", port), -EADDRINUSE);
    assert_true(port_holder(port, &holder));
    assert_int_equal(holder.pid, getpid());
    assert_string_equal(holder.name,
                        "test_cli_proces"); /* 15 bytes, as the kernel has it */
    other = port_other("127.0.0.1", port, &port, 1);
    assert_true(other != 0 && other != port);
    assert_int_equal(port_try("127.0.0.1", other), 0);
    (void)close(fd);
    assert_int_equal(port_try("127.0.0.1", port), 0);
}

/* One that was chosen for something else is not chosen again. */
static void port_taken(void **state)
{
    uint16_t first = port_other("127.0.0.1", 1024, NULL, 0);
    uint16_t second = port_other("127.0.0.1", 1024, &first, 1);

    assert_true(first != 0 && second != 0 && first != second);
}

/* Not every text is an address. */
static void no_address(void **state)
{
    assert_int_equal(port_try("example", 1), -EINVAL);
    assert_int_equal(port_try("192.0.2.1", 9), -EADDRNOTAVAIL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ended),       cmocka_unit_test(pid_used_again),
        cmocka_unit_test(no_process),  cmocka_unit_test(each_process),
        cmocka_unit_test(port_in_use), cmocka_unit_test(port_taken),
        cmocka_unit_test(no_address),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("cli_process", tests, NULL, NULL);
}
