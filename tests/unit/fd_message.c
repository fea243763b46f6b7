/* Unit tests for messages that bring descriptors. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h> /* needs the four above */

#include "common/fd_message.h"

static int ends[2];

static int open_pair(void **state)
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends);
}

static int close_pair(void **state)
{
    return close(ends[0]) | close(ends[1]);
}

static void send_text(const char *text, const int *fds, size_t n_fds)
{
    struct iovec part = {(void *)(uintptr_t)text, strlen(text)};

    assert_int_equal(fd_message_send(ends[0], &part, 1, fds, n_fds, 0), strlen(text));
}

static int lowest_free(void)
{
    int fd = dup(0);

    assert_int_equal(close(fd), 0);
    return fd;
}

/* Parts come whole, descriptors in their order and close-on-exec; where none came is -1.
 */
static void brings_descriptors(void **state)
{
    char head[3] = "", rest[8] = "", byte;
    struct iovec parts[2] = {{head, 2}, {rest, sizeof(rest)}};
    int pipe_ends[2], fds[3];
    (void)state;

    assert_int_equal(pipe(pipe_ends), 0);
    send_text("hello", pipe_ends, 2);
    assert_int_equal(fd_message_receive(ends[1], parts, 2, fds, 3, 0), 5);
    assert_string_equal(head, "he");
    assert_string_equal(rest, "llo");
    assert_int_equal(fds[2], -1);
    assert_int_equal(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_int_equal(read(pipe_ends[0], &byte, 1), 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(close(fds[i]), 0);
        assert_int_equal(close(pipe_ends[i]), 0);
    }
}

static void comes_without(void **state)
{
    char text[8] = "";
    struct iovec part = {text, sizeof(text)};
    int fds[1] = {0};
    (void)state;

    send_text("none", NULL, 0);
    assert_int_equal(fd_message_receive(ends[1], &part, 1, fds, 1, 0), 4);
    assert_int_equal(fds[0], -1);
}

/* More than there is room for are nowhere: not even an odd one, which the alignment of
 * the kernel's message would have room for. */
static void takes_no_more(void **state)
{
    char text[8] = "";
    struct iovec part = {text, sizeof(text)};
    int fds[3] = {0, 0, 0}, none;
    (void)state;

    send_text("many", fds, 3);
    none = lowest_free();
    assert_int_equal(fd_message_receive(ends[1], &part, 1, fds, 1, 0), 4);
    assert_int_equal(fds[0], none);
    assert_int_equal(close(fds[0]), 0);
    assert_int_equal(lowest_free(), none);
}

static void tells_ends(void **state)
{
    char text[8] = "";
    struct iovec part = {text, sizeof(text)};
    int fds[1];
    (void)state;

    assert_int_equal(fd_message_receive(ends[1], &part, 1, fds, 1, MSG_DONTWAIT),
                     -EAGAIN);
    assert_int_equal(shutdown(ends[0], SHUT_WR), 0);
    assert_int_equal(fd_message_receive(ends[1], &part, 1, fds, 1, 0), 0);
    assert_int_equal(shutdown(ends[1], SHUT_RD), 0);
    part.iov_len = 1;
    assert_int_equal(fd_message_send(ends[0], &part, 1, NULL, 0, 0), -EPIPE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(brings_descriptors, open_pair, close_pair),
        cmocka_unit_test_setup_teardown(comes_without, open_pair, close_pair),
        cmocka_unit_test_setup_teardown(takes_no_more, open_pair, close_pair),
        cmocka_unit_test_setup_teardown(tells_ends, open_pair, close_pair),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
