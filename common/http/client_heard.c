#include "common/http/client_heard.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

void heard_limit(int fd, unsigned ms)
{
    if (ms > 0) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
    }
}

#define PROBE_S       1
#define PROBE_ENDS_MS 5000

/* tcp(7): with TCP_USER_TIMEOUT it, and not the number of probes, says when to give up.
 */
void heard_probe(int fd)
{
    const int on = 1, every_s = PROBE_S;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &every_s, sizeof(every_s));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every_s, sizeof(every_s));
    heard_limit(fd, PROBE_ENDS_MS);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

/* The connection's beginning counts as one byte: RFC 9293, 3.4. */
bool heard_only(int fd, uint64_t bytes)
{
    struct tcp_info info;
    socklen_t len = sizeof(info);

    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
           len >= offsetof(struct tcp_info, tcpi_bytes_acked) +
                      sizeof(info.tcpi_bytes_acked) &&
           info.tcpi_bytes_acked <= bytes + 1;
}
