/* What an agent has learned of when its functions are called (agent/core/keepalive.h), as
 * a file that its next life begins with. The file is protobuf (KeptFile in
 * proto/mayfly.proto) with the SHA-256 of what is in it: what is damaged, foreign or of
 * another version is not believed in any part. Times are those of the wall clock. Blocks;
 * any thread. */
#ifndef AGENT_LEARNED_LEARNED_H
#define AGENT_LEARNED_LEARNED_H

#include "agent/core/keepalive.h"
#include "common/buf.h"
#include "common/error.h"
#include "common/spec.h"

#define LEARNED_FUNCTIONS_MAX 10000
#define LEARNED_BYTES_MAX     (16u << 20)

struct learned_function {
    char namespace_[SPEC_NAME_MAX + 1];
    char name[SPEC_NAME_MAX + 1];
    struct keepalive_memory memory; /* ago_ms: before the time that is given */
};

struct learned {
    struct learned_function *list;
    size_t n, capacity;
};

/* -ENOSPC: as many as there may be. -ENOMEM. */
int learned_add(struct learned *l, const char *namespace_, const char *name,
                const struct keepalive_memory *m);
void learned_free(struct learned *l);

/* orderly: from now on no call comes. 0 or -ENOMEM. */
int learned_pack(struct buf *ret, const struct learned *l, uint64_t wall_ms,
                 bool orderly);
/* What is from the future (the clock went back) or cannot have been learned is left out.
 * -EINVAL, -ENOMEM. */
int learned_unpack(struct learned *ret, const void *data, size_t len, uint64_t wall_ms,
                   struct error *err);

/* The file as a whole, or as it was before: written beside it, synced, renamed. */
int learned_write(const char *path, const void *data, size_t len, struct error *err);
/* -ENOENT, -EFBIG, -EINVAL (no regular file) and what open and read say. */
int learned_read(const char *path, struct buf *ret, struct error *err);

#endif /* AGENT_LEARNED_LEARNED_H */
