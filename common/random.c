#include "common/random.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

#include "common/check.h"

void random_bytes(void *ret, size_t len)
{
    char *at = ret;

    while (len > 0) {
        ssize_t n = getrandom(at, len, 0);

        CHECK(n > 0 ||
              errno == EINTR); /* it fails for no other reason once it has begun */
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        }
    }
}

/* A pool saves a system call for most numbers. */
uint64_t random_u64(void)
{
    static __thread uint64_t pool[32];
    static __thread unsigned left;

    if (left == 0) {
        random_bytes(pool, sizeof(pool));
        left = sizeof(pool) / sizeof(pool[0]);
    }
    return pool[--left];
}

void random_uuid(char ret[RANDOM_UUID_SIZE])
{
    uint64_t high = random_u64(), low = random_u64();

    (void)snprintf(ret, RANDOM_UUID_SIZE, "%08x-%04x-4%03x-%04x-%012llx",
                   (unsigned)(high >> 32), (unsigned)(high >> 16) & 0xffffU,
                   (unsigned)high & 0xfffU, 0x8000U | ((unsigned)(low >> 48) & 0x3fffU),
                   (unsigned long long)low & 0xffffffffffffULL);
}
