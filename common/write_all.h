/* All of some bytes into a file. */
#ifndef COMMON_WRITE_ALL_H
#define COMMON_WRITE_ALL_H

#include <stddef.h>

/* Blocks. 0 or what write(2) says, some of the bytes being written. */
int write_all(int fd, const void *data, size_t len);

#endif /* COMMON_WRITE_ALL_H */
