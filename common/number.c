#include "common/number.h"

size_t number_text(char ret[NUMBER_TEXT_SIZE], uint64_t n)
{
    size_t len = 1;

    for (uint64_t rest = n; rest >= 10; rest /= 10) {
        len++;
    }
    ret[len] = '\0';
    for (size_t i = len; i > 0; i--, n /= 10) {
        ret[i - 1] = (char)('0' + n % 10);
    }
    return len;
}
