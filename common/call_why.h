/* Why calls met no instance that was ready: one table each for what the agents' cores
 * find out, what reports carry (the names) and what people read (the texts). */
#ifndef COMMON_CALL_WHY_H
#define COMMON_CALL_WHY_H

#include <stdint.h>

#include "common/cause.h"

/* Why an instance had to be started for calls: X(NAME, "name", "because …") */
#define COLD_REASONS(X)                                                       \
    X(NONE, "none", "it is not known")                                        \
    X(NEW, "new_version", "no instance of this version had run there before") \
    X(ZERO, "from_zero", "no instance was running there")                     \
    X(BUSY, "all_busy", "all instances there were busy")                      \
    X(COMING, "none_ready", "the instances there were not ready yet")         \
    X(AHEAD, "not_yet_warm", "an instance was being started ahead of the call")

/* What a call waited for: X(NAME, "name", "because …") */
#define WAIT_REASONS(X)                                                              \
    X(NONE, "none", "it is not known")                                               \
    X(START, "start", "an instance was starting")                                    \
    X(LIMIT, "limit", "the node had as many instances as it may, and all were busy") \
    X(ROOM, "memory", "the node had no memory left for another instance")            \
    X(PACKAGE, "package", "the package had not arrived at the node")                 \
    X(PAUSE, "pause", "a start had failed, and the next try was not due")            \
    X(GRANT, "grant", "the node may not start any, and no other node took it")       \
    X(VERSION, "version", "no version was ready")                                    \
    X(TURN, "turn", "other instances of the node were starting, and its own came after")

#define X(NAME, name, text) COLD_##NAME,
enum cold_reason { COLD_REASONS(X) COLD_REASONS_COUNT };
#undef X
#define X(NAME, name, text) WAIT_##NAME,
enum wait_reason { WAIT_REASONS(X) WAIT_REASONS_COUNT };
#undef X

const char *cold_reason_name(enum cold_reason r);
const char *cold_reason_text(enum cold_reason r);
enum cold_reason cold_reason_parse(const char *name); /* NONE: not known */
const char *wait_reason_name(enum wait_reason r);
const char *wait_reason_text(enum wait_reason r);
enum wait_reason wait_reason_parse(const char *name); /* likewise */

/* The latest of its kind on a node. at_ms: the agent core's clock while in the core, the
 * wall clock's on the wire; 0: there was none, or it was said before. */
struct cold_start {
    uint64_t at_ms; /* when the instance was ready */
    enum cold_reason reason;
    uint32_t start_ms;  /* what the start took */
    uint32_t waited_ms; /* what the call waited for it */
};

struct call_wait {
    uint64_t at_ms; /* when the wait was over and the call ran */
    enum wait_reason reason;
    uint32_t waited_ms;
};

struct call_refusal {
    uint64_t at_ms;
    enum cause cause;
    const char *text; /* borrowed */
};

#endif /* COMMON_CALL_WHY_H */
