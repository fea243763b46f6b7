/* Functions of a bench: made, told to the agents, and what these say of them. */
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "common/check.h"
#include "proto/convert.h"
#include "tests/lib/agents_private.h"

void agents_send_function(struct agents *b, struct hub_node *to,
                          struct agents_function *fn)
{
    Mayfly__V1__FunctionState wire;
    Mayfly__V1__Envelope m = MAYFLY__V1__ENVELOPE__INIT;

    CHECK(convert_function_to_wire(&wire, &fn->state) == 0);
    m.body_case = MAYFLY__V1__ENVELOPE__BODY_FUNCTION;
    m.function = &wire;
    CHECK(agents_hub_send(b, to, &m) == 0);
    convert_function_free(&wire);
}

void agents_send_without_grant(struct agents *b, const struct agents_node *n,
                               struct agents_function *fn)
{
    struct grant grants[AGENTS_MAX];
    struct version_state version = fn->version;
    struct agents_function copy = *fn;

    version.n_grants = 0;
    version.grants = grants;
    for (size_t i = 0; i < fn->version.n_grants; i++) {
        if (strcmp(fn->grants[i].node, n->name) != 0) {
            grants[version.n_grants++] = fn->grants[i];
        }
    }
    copy.state.versions = &version;
    copy.state.revision = ++b->revision;
    agents_send_function(b, n->session, &copy);
}

/* --- functions ------------------------------------------------------------------------
 */

static void digest_of(const struct buf *data, char ret[SPEC_DIGEST_LEN + 1])
{
    unsigned char sum[32];

    CHECK(EVP_Digest(data->data, data->len, sum, NULL, EVP_sha256(), NULL) == 1);
    for (int i = 0; i < 32; i++) {
        (void)snprintf(ret + 2 * i, 3, "%02x", sum[i]);
    }
}

struct agents_function *agents_function(struct agents *b, const char *name,
                                        enum spec_runtime runtime, const char *text,
                                        unsigned grant, uint32_t max)
{
    struct agents_function *fn = &b->functions[b->n_functions++];
    struct function_spec *spec = &fn->version.spec;

    CHECK(b->n_functions <= AGENTS_FUNCTIONS);
    (void)snprintf(fn->name, sizeof(fn->name), "%s", name);
    (void)snprintf(fn->namespace_, sizeof(fn->namespace_), "default");
    CHECK(buf_append_str(&fn->package, text) == 0);
    function_spec_init(spec);
    spec->runtime = runtime;
    if (runtime != SPEC_RUNTIME_PROVIDED) {
        spec->handler = strdup("run");
    }
    digest_of(&fn->package, fn->version.package.digest);
    fn->version.number = 1;
    fn->version.package.bytes = fn->package.len;
    fn->version.package.format = SPEC_FORMAT_FILE;
    (void)snprintf(fn->version.package.file_name, sizeof(fn->version.package.file_name),
                   "%s", runtime == SPEC_RUNTIME_PROVIDED ? "bootstrap" : "run");
    (void)snprintf(fn->grants[0].node, sizeof(fn->grants[0].node), "node%u", grant);
    fn->grants[0].max = max;
    return fn;
}

void agents_grant(struct agents_function *fn, unsigned node, uint32_t max)
{
    struct grant *g;

    fn->version.n_grants = fn->version.n_grants > 0 ? fn->version.n_grants : 1;
    g = &fn->grants[fn->version.n_grants++];
    CHECK(fn->version.n_grants <= AGENTS_MAX);
    (void)snprintf(g->node, sizeof(g->node), "node%u", node);
    g->max = max;
}

struct revoked {
    const struct agents_function *fn;
    unsigned node;
};

static bool is_revoked(void *data)
{
    const struct revoked *r = data;

    return r->fn->granted[r->node] == 0;
}

void agents_revoke(struct agents *b, struct agents_function *fn, unsigned i)
{
    struct revoked r = {.fn = fn, .node = i};

    agents_send_without_grant(b, &b->nodes[i], fn);
    agents_wait(b, is_revoked, &r);
}

static bool is_known(void *data)
{
    const struct agents_function *fn = data;

    return fn->known == fn->wanted;
}

void agents_publish(struct agents *b, struct agents_function *fn)
{
    fn->known = fn->wanted = 0;
    fn->version.grants = fn->grants;
    fn->version.n_grants = fn->version.n_grants > 0 ? fn->version.n_grants : 1;
    fn->state = (struct function_state){
        .namespace_ = fn->namespace_,
        .name = fn->name,
        .revision = ++b->revision,
        .namespace_index = 1,
        .serving = fn->unserved ? 0 : fn->version.number,
        .versions = &fn->version,
        .n_versions = 1,
    };
    for (unsigned i = 0; i < AGENTS_MAX; i++) {
        if (b->nodes[i].session != NULL) {
            agents_send_function(b, b->nodes[i].session, fn);
            fn->wanted |= 1u << i;
        }
    }
    agents_wait(b, is_known, fn);
}

bool agents_is_ready(void *fn)
{
    return ((struct agents_function *)fn)->ready;
}

bool agents_is_busy(void *fn)
{
    return ((struct agents_function *)fn)->busy > 0;
}

bool agents_is_leaving(void *node)
{
    return ((struct agents_node *)node)->leaving;
}

bool agents_has_body(void *reply)
{
    return ((struct agents_reply *)reply)->body.len > 0;
}

bool agents_is_idle(void *fn)
{
    return ((struct agents_function *)fn)->busy == 0;
}

bool agents_is_frozen(void *fn)
{
    return ((struct agents_function *)fn)->frozen > 0;
}
