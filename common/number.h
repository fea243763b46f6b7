/* Numbers as text, where printf() would cost more than all else that is done there. */
#ifndef COMMON_NUMBER_H
#define COMMON_NUMBER_H

#include <stddef.h>
#include <stdint.h>

#define NUMBER_TEXT_SIZE 21 /* 2^64 - 1 and a NUL */

/* Decimal, with a NUL after it. Returns how many digits. */
size_t number_text(char ret[NUMBER_TEXT_SIZE], uint64_t n);

#endif /* COMMON_NUMBER_H */
