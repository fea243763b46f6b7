/* A server in a child process, for tests that talk to it with plain sockets.
 *
 *   /len      reads the body, answers its length
 *   /echo     sends the body back, chunked
 *   /big      4 MiB with Content-Length
 *   /slow     never answers
 *   /limit    body at most 10 bytes
 *   /pause    stops reading for 30 ms first
 *   /bad      tries to send a header with CRLF in it; answers the error's number
 *   /upgrade  switches to the protocol "echo", or answers why it cannot */
#ifndef TESTS_HTTP_SERVER_CHILD_H
#define TESTS_HTTP_SERVER_CHILD_H

#include <stdint.h>
#include <sys/types.h>

#define BIG_BYTES (4 * 1024 * 1024)

struct server_child {
    pid_t pid;
    uint16_t port;
    int notes; /* reads one int a finished exchange: on_close's status */
    int stop;  /* closing it ends the server */
};

/* Short time limits: head 300 ms, body 300 ms, idle 600 ms, also of
 * what was upgraded. Answers 0 when it exited
 * well. */
void server_child_start(struct server_child *s);
int server_child_stop(struct server_child *s);

#endif /* TESTS_HTTP_SERVER_CHILD_H */
