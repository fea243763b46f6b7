/* Packages on a node: fetched by digest from the controller, verified, unpacked once, and
 * shared read-only by all instances that use them.
 *
 *   <dir>/<digest>/          unpacked (whole or absent)
 *   <dir>/.fetch-*           in progress; removed at start
 */
#ifndef AGENT_RUNTIME_PACKAGES_H
#define AGENT_RUNTIME_PACKAGES_H

#include <uv.h>

#include "common/cause.h"
#include "common/error.h"
#include "common/spec.h"

struct packages;

struct packages_options {
    const char *dir;
    void (*on_ready)(void *data, const char *digest);
    void (*on_failed)(void *data, const char *digest, enum cause cause, const char *text);
    void *data;
};

int packages_new(struct packages **ret, uv_loop_t *loop,
                 const struct packages_options *options, struct error *err);
void packages_close(struct packages *p, void (*on_closed)(void *data), void *data);
void packages_set_url(struct packages *p,
                      const char *base_url); /* "http://1.2.3.4:8090" */
/* Fetches GET <base>/v1/packages/<digest>, retrying with back-off and jitter while the
 * controller cannot be reached; a wrong digest or a bad archive fails at once. */
void packages_want(struct packages *p, const struct package_ref *ref);
void packages_drop(struct packages *p, const char *digest);
/* What an earlier agent left here and nobody wants goes. For when all that is wanted has
 * been said. */
void packages_prune(struct packages *p);
bool packages_has(const struct packages *p, const char *digest);

#endif /* AGENT_RUNTIME_PACKAGES_H */
