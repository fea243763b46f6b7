/* Randomness as the edges take it. Cores never call these: it is handed to them. */
#ifndef COMMON_RANDOM_H
#define COMMON_RANDOM_H

#include <stddef.h>
#include <stdint.h>

void random_bytes(void *ret, size_t len); /* fit for secrets */
uint64_t random_u64(void);

#define RANDOM_UUID_SIZE 37
void random_uuid(char ret[RANDOM_UUID_SIZE]); /* version 4, RFC 9562, with NUL */

#endif /* COMMON_RANDOM_H */
