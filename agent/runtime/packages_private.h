/* Shared by packages.c (what is wanted) and packages_fetch.c (how it gets here). */
#ifndef AGENT_RUNTIME_PACKAGES_PRIVATE_H
#define AGENT_RUNTIME_PACKAGES_PRIVATE_H

#include <openssl/evp.h>

#include "agent/runtime/packages.h"
#include "common/backoff.h"
#include "common/http/http_client.h"
#include "common/list.h"

#define PACKAGE_FETCHES_MAX    4 /* at once: a node that joins must not fall over */
#define PACKAGE_BACKOFF_MIN_MS 100
#define PACKAGE_BACKOFF_MAX_MS 10000

/* One package that is wanted.
 *
 *   WAITING ──slot──▶ FETCHING ──body whole──▶ UNPACKING ──▶ READY
 *      ▲                 │ cannot be reached      │ bad: FAILED (until wanted again)
 *      └── back-off ─────┘                        │
 */
enum package_state {
    PACKAGE_WAITING,
    PACKAGE_FETCHING,
    PACKAGE_UNPACKING,
    PACKAGE_READY,
    PACKAGE_FAILED
};

struct package_item {
    struct list link;
    struct packages *packages;
    struct package_ref ref;
    enum package_state state;
    bool dropped;      /* unwanted meanwhile: removed when its step has ended */
    uint64_t retry_ms; /* of the loop's clock: not before */
    struct backoff backoff;
    struct http_call *call;
    char tmp[600];
    char dest[600];
    int fd;
    uint64_t got_bytes;
    EVP_MD_CTX *sum;
    enum cause cause; /* of a failure */
    struct error error;
    bool retry;
    uv_work_t work;
};

struct packages {
    uv_loop_t *loop;
    struct packages_options options;
    char *dir;
    char *base_path; /* of the URL: "" or "/prefix" */
    struct list items;
    struct http_client *client; /* NULL: no URL yet */
    uv_timer_t timer;           /* retries, starts and reports */
    unsigned n_working;
    unsigned n_removing;
    uint64_t last_gone; /* names of folders on their way out */
    bool closing;
    bool timer_open;
    unsigned n_clients;
    void (*on_closed)(void *data);
    void *closed_data;
};

/* packages.c */
void package_item_free(struct package_item *i);
/* Its folder goes: off its name at once, off the disk by a worker thread. */
void package_remove(struct packages *p, const char *dest);
void packages_poke(struct packages *p, uint64_t in_ms); /* looks what is due, then */
void packages_closed_check(struct packages *p);         /* last: may free it */

/* packages_fetch.c */
void package_fetch(struct package_item *i);
/* It is there, from before: told from the loop. */
void package_present(struct package_item *i);

#endif /* AGENT_RUNTIME_PACKAGES_PRIVATE_H */
