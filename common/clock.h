/* Time as the edges read it. Cores do not: they are handed the time, and only write it
 * down (clock_rfc3339). */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stdint.h>

uint64_t clock_mono_ms(void); /* CLOCK_MONOTONIC, for deadlines and durations */
uint64_t clock_mono_us(void);
uint64_t clock_wall_ms(void); /* since the epoch, for people and for Lambda's headers */

/* RFC 3339 in UTC with milliseconds: "2026-01-31T12:00:00.123Z" and NUL, 25 bytes. */
#define CLOCK_RFC3339_SIZE 25
void clock_rfc3339(uint64_t wall_ms, char ret[CLOCK_RFC3339_SIZE]);

#endif /* COMMON_CLOCK_H */
