/* Between the agent (warden_client.c) and its warden: one SOCK_SEQPACKET socketpair, one
 * struct a message, native byte order, both programs from one build; fds by SCM_RIGHTS.
 *
 * The agent faces the network and is trusted less than the warden: each field of a
 * request is checked, and a message of the wrong size or type ends the connection, and
 * with it the warden and every sandbox. A request with a valid shape but a bad value is
 * answered. */
#ifndef AGENT_WARDEN_WARDEN_PROTO_H
#define AGENT_WARDEN_WARDEN_PROTO_H

#include <stdint.h>

#define WARDEN_DIGEST_LEN    64
#define WARDEN_LAYERS_MAX    5
#define WARDEN_TEXT_MAX      480
#define WARDEN_SANDBOXES_MAX 16384
#define WARDEN_BLANKS_MAX    512

/* Ranges of a request's numbers; what is outside is refused, naming the field. */
#define WARDEN_MEMORY_MIN (4ULL << 20)
#define WARDEN_MEMORY_MAX (1ULL << 46)
#define WARDEN_TMP_MIN    (64ULL << 10)
#define WARDEN_TMP_MAX    (1ULL << 40)
#define WARDEN_CPU_MIN    10U
#define WARDEN_CPU_MAX    1024000U
#define WARDEN_PIDS_MIN   1U
#define WARDEN_PIDS_MAX   1000000U

enum warden_request_type {
    WARDEN_CREATE = 1, /* answered by WARDEN_CREATED; with success WARDEN_EXIT follows */
    WARDEN_SOCKET,     /* answered by WARDEN_SOCKET_MADE */
    WARDEN_KILL,       /* no answer */
    WARDEN_USAGE,      /* answered by WARDEN_USAGE_READ */
    WARDEN_COUNT,      /* answered by WARDEN_BLANKS */
};

enum warden_reply_type {
    WARDEN_READY = 1, /* first message: requests are served */
    WARDEN_FAILED,    /* the warden cannot go on, text says why; the connection ends */
    WARDEN_CREATED,   /* fds if status is 0: control, then the listener if asked for,
                         then (WARDEN_FLAG_FREEZER) what freezes it, then
                         (WARDEN_FLAG_SEED) its seed's stdout and stderr */
    WARDEN_SOCKET_MADE,
    WARDEN_USAGE_READ,
    WARDEN_EXIT,
    WARDEN_OOM,
    WARDEN_BLANKS,
    WARDEN_SHORT, /* of memory: once a second while it is */
};

#define WARDEN_FDS_MAX     5 /* with a reply */
#define WARDEN_SEED_MAX    512
#define WARDEN_RECIPES     4 /* different seeds at a time */
#define WARDEN_PROGRAM_MAX 16

#define WARDEN_FLAG_RUNTIME_API 1U  /* create: also listen on 127.0.0.1:9001 inside */
#define WARDEN_FLAG_FREEZER     2U  /* created */
#define WARDEN_FLAG_OOM         4U  /* exit, usage */
#define WARDEN_FLAG_NO_FREEZER  8U  /* created: the host has none */
#define WARDEN_FLAG_BLANK       16U /* created: of a blank that was ready */

#define WARDEN_FLAG_SEED 32U /* created: with a seed (init_seed.h) */

struct warden_request {
    uint32_t type;
    uint32_t flags;
    uint64_t tag; /* the client's; comes back in the answer */
    uint64_t id;  /* of the sandbox */
    uint64_t memory_bytes;
    uint64_t tmp_bytes;
    uint32_t cpu_millis;
    uint32_t pids_max;
    char package[WARDEN_DIGEST_LEN + 4]; /* NUL-padded; "": no package */
    /* At /opt, later ones over earlier ones; the first "" ends the list. */
    char layers[WARDEN_LAYERS_MAX][WARDEN_DIGEST_LEN + 4];
    /* The runtime that may be up before the function is known: its command line and
     * environment, each string with its NUL. Others with the same may get it. seed_len 0:
     * none. */
    uint32_t seed_argv, seed_env, seed_len;
    char seed[WARDEN_SEED_MAX];
};

/* Runtimes that are up, or will be, of one kind; program "": there are none. */
struct warden_seeds {
    char program[WARDEN_PROGRAM_MAX]; /* its first letters, NUL-padded */
    uint32_t ready, making;
    uint64_t memory_bytes; /* of those that are up */
};

struct warden_reply {
    uint32_t type;
    uint32_t flags;
    uint64_t tag;
    uint64_t id;
    int32_t status; /* 0 or a negative errno */
    int32_t wait_status;
    uint32_t pids;
    uint32_t blanks_ready; /* created, blanks: how many there are */
    uint64_t memory_bytes;
    uint64_t memory_peak_bytes;
    uint64_t cpu_us;
    uint64_t blanks_made;         /* created, blanks: so many since the warden's start */
    uint64_t blanks_memory_bytes; /* blanks: of those that are ready */
    uint32_t blanks_making;       /* blanks */
    struct warden_seeds seeds[WARDEN_RECIPES]; /* blanks */
    char text[WARDEN_TEXT_MAX];
};

#endif /* AGENT_WARDEN_WARDEN_PROTO_H */
