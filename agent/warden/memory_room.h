/* How much memory is left of what there may be, on the host and in a control group; from
 * the text of the kernel's files. Pure. */
#ifndef AGENT_WARDEN_MEMORY_ROOM_H
#define AGENT_WARDEN_MEMORY_ROOM_H

#include <stdbool.h>
#include <stdint.h>

struct memory_room {
    uint64_t total_bytes; /* 0: it is not known, or not limited */
    uint64_t left_bytes;
};

/* Of /proc/meminfo. */
struct memory_room memory_room_host(const char *meminfo);

/* Of a group: its limit ("max", or v1's number beyond all memory: none), what it uses,
 * and memory.stat, whose file pages the kernel takes back when it needs them: v1's
 * "total_…" counts the groups below as well, as v2's does. */
struct memory_room memory_room_group(const char *limit, const char *usage,
                                     const char *stat);

/* Less than a sixteenth is left. */
bool memory_room_is_short(const struct memory_room *r);

#endif /* AGENT_WARDEN_MEMORY_ROOM_H */
