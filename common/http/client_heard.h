/* What the kernel knows of a TCP peer that does not answer. Apart from the client, since
 * the C library's netinet/tcp.h does not know all of it, nor goes together with the
 * kernel's own header. */
#ifndef COMMON_HTTP_CLIENT_HEARD_H
#define COMMON_HTTP_CLIENT_HEARD_H

#include <stdbool.h>
#include <stdint.h>

/* What stays unacknowledged for so long ends the connection; 0: the kernel's own limit.
 */
void heard_limit(int fd, unsigned ms);
/* Asks the peer's host whether it is there, each second while nothing else is sent; if it
 * does not answer for some seconds, the connection ends. */
void heard_probe(int fd);
/* No more than these first bytes of what was sent has been acknowledged. */
bool heard_only(int fd, uint64_t bytes);

#endif /* COMMON_HTTP_CLIENT_HEARD_H */
