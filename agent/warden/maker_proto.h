/* Between the warden and its maker (init_maker.c), which makes the first process of each
 * sandbox: one SOCK_SEQPACKET connection, one struct a message, native byte order, both
 * from one build; fds by SCM_RIGHTS.
 *
 * What the maker makes is a blank (init_blank.c): a sandbox in which nothing is missing
 * but the function. It tells of itself over its own connection, the one that init and the
 * agent use later (init_proto.h). */
#ifndef AGENT_WARDEN_MAKER_PROTO_H
#define AGENT_WARDEN_MAKER_PROTO_H

#include <stdint.h>

#define MAKER_GROUPS_MAX 5 /* control group hierarchies of v1 */

/* First. With fds: seccomp_compile()'s filter, then NAME in each hierarchy. */
struct maker_setup {
    uint32_t n_groups;
};

/* With fds: init's end of the connection, then NAME/<group> of v2 if in_v2, then a
 * network namespace, its loopback up, if has_net. */
struct maker_order {
    uint64_t group;
    uint64_t tmp_bytes;
    uint32_t host_id; /* user and group on the host */
    uint32_t in_v2;
    uint32_t has_net;
    uint32_t reserved;
};

/* One for each order, in their order. The process is the warden's child. */
struct maker_reply {
    uint64_t group;
    int32_t pid; /* or a negative errno */
    uint32_t reserved;
};

#endif /* AGENT_WARDEN_MAKER_PROTO_H */
