#include "common/random.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "common/check.h"

#define BYTES(n) (UINT64_C(0x0101010101010101) * (n))

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

/* The eight digits of 32 bits, in the order of memory. */
static uint64_t hex_of(uint32_t n)
{
    uint64_t w = n >> 16 | (uint64_t)(n & 0xffff) << 32, letters;

    w = (w >> 8 & 0x000000ff000000ff) | (w & 0x000000ff000000ff) << 16;
    w = (w >> 4 & 0x000f000f000f000f) | (w & 0x000f000f000f000f) << 8;
    letters = (w + BYTES(6)) >> 4 & BYTES(1); /* those over nine */
    return htole64(w + BYTES('0') + letters * ('a' - '0' - 10));
}

void random_uuid(char ret[RANDOM_UUID_SIZE])
{
    uint64_t high = (random_u64() & ~UINT64_C(0xf000)) | 0x4000;
    uint64_t low = (random_u64() & ~(UINT64_C(3) << 62)) | UINT64_C(1) << 63;
    uint64_t words[4] = {hex_of((uint32_t)(high >> 32)), hex_of((uint32_t)high),
                         hex_of((uint32_t)(low >> 32)), hex_of((uint32_t)low)};
    const char *digits = (const char *)words;
    char *at = ret;

    at = mempcpy(at, digits, 8); /* 8-4-4-4-12 */
    *at++ = '-';
    at = mempcpy(at, digits + 8, 4);
    *at++ = '-';
    at = mempcpy(at, digits + 12, 4);
    *at++ = '-';
    at = mempcpy(at, digits + 16, 4);
    *at++ = '-';
    at = mempcpy(at, digits + 20, 12);
    *at = '\0';
}
