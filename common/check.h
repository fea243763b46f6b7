/* CHECK: states what must be true if the program is correct. It stays on in release
 * builds: a wrong program should stop, not carry on. Never for input or I/O errors. */
#ifndef COMMON_CHECK_H
#define COMMON_CHECK_H

#include <stdio.h>
#include <stdlib.h>

#define CHECK(cond)                                                                \
    do {                                                                           \
        if (__builtin_expect(!(cond), 0)) {                                        \
            (void)fprintf(stderr, "%s:%d: CHECK failed: %s\n", __FILE__, __LINE__, \
                          #cond);                                                  \
            abort();                                                               \
        }                                                                          \
    } while (0)

#endif /* COMMON_CHECK_H */
