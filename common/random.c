#include "common/random.h"

#include <errno.h>
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
    static const char digits[] = "0123456789abcdef";
    uint64_t high = (random_u64() & ~UINT64_C(0xf000)) | 0x4000;
    uint64_t low = (random_u64() & ~(UINT64_C(3) << 62)) | UINT64_C(1) << 63;
    char *at = ret;

    for (unsigned i = 0; i < 32; i++) { /* 8-4-4-4-12 */
        uint64_t half = i < 16 ? high : low;

        if (i == 8 || i == 12 || i == 16 || i == 20) {
            *at++ = '-';
        }
        *at++ = digits[half >> (60 - 4 * (i % 16)) & 15];
    }
    *at = '\0';
}
