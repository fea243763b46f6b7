#include "controller/controller.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/list.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/random.h"
#include "controller/hub_link.h"
#include "controller/store_link.h"

#define STOP_GRACE_MS 5000

struct controller {
    uv_loop_t *loop;
    const struct controller_config *config;
    void (*on_ready)(void *data);
    void *data;
    char *token; /* NULL: none */
    struct metrics *metrics;
    struct controller_core *core;
    struct api *api;
    struct hub *hub;
    struct store_link store;
    struct hub_link agents;
    uv_timer_t timer;     /* for the core's deadline */
    uv_prepare_t prepare; /* arms it, after all that a turn of the loop has brought */
    uint64_t armed_ms;    /* UINT64_MAX: not armed */
    bool store_open, timer_open;
    bool ready;
    bool stopping;
};

/* --- what the core asks for ------------------------------------------------------- */

static uint64_t io_now_ms(void *ctx)
{
    return clock_mono_ms();
}

static uint64_t io_wall_ms(void *ctx)
{
    return clock_wall_ms();
}

static uint64_t io_random(void *ctx)
{
    return random_u64();
}

static void io_txn(void *ctx, uint64_t id, const struct core_compare *compares,
                   size_t n_compares, const struct core_op *ops, size_t n_ops)
{
    struct controller *c = ctx;

    store_link_txn(&c->store, id, compares, n_compares, ops, n_ops);
}

static void io_send_function(void *ctx, const char *node, const struct function_state *f)
{
    struct controller *c = ctx;

    hub_link_send_function(&c->agents, node, f);
}

static void io_send_node(void *ctx, const char *node, const struct node_state *n)
{
    struct controller *c = ctx;

    hub_link_send_node(&c->agents, node, n);
}

static void io_send_key(void *ctx, const char *node, const struct key_state *k)
{
    struct controller *c = ctx;

    hub_link_send_key(&c->agents, node, k);
}

static void io_resync(void *ctx, const char *node)
{
    struct controller *c = ctx;

    hub_link_resync(&c->agents, node);
}

/* --- what the API asks for --------------------------------------------------------- */

static bool io_store_up(void *ctx)
{
    const struct controller *c = ctx;

    return store_link_is_up(&c->store);
}

static void io_logs_ask(void *ctx, const char *node, uint64_t id,
                        const struct api_log_query *q,
                        void (*asked)(void *data, const char *node), void *data)
{
    struct controller *c = ctx;

    hub_link_logs_ask(&c->agents, node, id, q, asked, data);
}

static void io_logs_ack(void *ctx, const char *node, uint64_t id)
{
    struct controller *c = ctx;

    hub_link_logs_ack(&c->agents, node, id);
}

static void io_logs_cancel(void *ctx, const char *node, uint64_t id)
{
    struct controller *c = ctx;

    hub_link_logs_cancel(&c->agents, node, id);
}

/* --- time --------------------------------------------------------------------- */

static void timer_cb(uv_timer_t *timer)
{
    struct controller *c = container_of(timer, struct controller, timer);

    c->armed_ms = UINT64_MAX;
    if (clock_mono_ms() >= controller_core_deadline_ms(c->core)) {
        controller_core_tick(c->core);
    }
}

/* Arms the timer, and tells who follows events. Never less than 1 ms: a deadline that
 * stays in the past must not spin the loop. */
static void prepare_cb(uv_prepare_t *prepare)
{
    struct controller *c = container_of(prepare, struct controller, prepare);
    uint64_t due_ms = controller_core_deadline_ms(c->core);
    uint64_t now_ms;

    if (!c->stopping) {
        api_events_added(c->api);
    }
    if (due_ms == c->armed_ms) {
        return;
    }
    c->armed_ms = due_ms;
    if (due_ms == UINT64_MAX) {
        (void)uv_timer_stop(&c->timer);
        return;
    }
    now_ms = clock_mono_ms();
    (void)uv_timer_start(&c->timer, timer_cb, due_ms > now_ms ? due_ms - now_ms : 1, 0);
}

static void on_store_change(void *data)
{
    struct controller *c = data;

    if (!c->ready && !c->stopping && controller_core_is_ready(c->core)) {
        c->ready = true;
        hub_set_accepting(c->hub, true);
        c->on_ready(c->data);
    }
}

/* --- begin -------------------------------------------------------------------- */

int controller_new(struct controller **ret, uv_loop_t *loop,
                   const struct controller_config *config, void (*on_ready)(void *data),
                   void *data, struct error *err)
{
    struct controller *c = calloc(1, sizeof(*c));
    struct controller_io io = {
        .ctx = c,
        .now_ms = io_now_ms,
        .wall_ms = io_wall_ms,
        .random = io_random,
        .txn = io_txn,
        .send_function = io_send_function,
        .send_node = io_send_node,
        .send_key = io_send_key,
        .resync = io_resync,
    };
    struct controller_core_options options = {
        .settle_ms = config->settle_ms,
        .progress_deadline_ms = config->progress_deadline_ms,
        .homes_max = config->placement_homes,
        .cpu_overcommit_percent = config->placement_cpu_overcommit > 0
                                      ? config->placement_cpu_overcommit
                                      : UINT32_MAX,
        .spread = strcmp(config->placement_policy, "spread") == 0,
    };
    int rc;

    if (c == NULL || metrics_new(&c->metrics) < 0) {
        free(c);
        return error_set(err, -ENOMEM, "out of memory");
    }
    c->loop = loop;
    c->config = config;
    c->on_ready = on_ready;
    c->data = data;
    c->armed_ms = UINT64_MAX;
    rc = controller_config_autoscaler(config, &options.autoscaler, err);
    if (rc < 0) {
        controller_free(c);
        return rc;
    }
    rc = controller_core_new(&c->core, &io, &options);
    if (rc < 0) {
        controller_free(c);
        return error_set(err, rc, "out of memory");
    }
    *ret = c;
    return 0;
}

/* As mkdir -p. */
static int make_folders(const char *path, struct error *err)
{
    char part[PATH_MAX];
    size_t len = strlen(path);

    if (len >= sizeof(part)) {
        return error_set(err, -ENAMETOOLONG, "state_dir is too long");
    }
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != '\0') {
            continue;
        }
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, 0750) < 0 && errno != EEXIST) {
            return error_set_errno(err, -errno, "state_dir: make folder %s", part);
        }
    }
    return 0;
}

static int open_store(struct controller *c, struct error *err)
{
    const struct controller_config *config = c->config;
    char path[PATH_MAX];
    struct store *store;
    int rc;

    if (strcmp(config->store_engine, "etcd") == 0) {
        struct store_etcd_options o = {.endpoints =
                                           (const char *const *)config->store_endpoints};

        rc = store_etcd_new(&store, c->loop, &o, err);
    } else if (strcmp(config->store_engine, "memory") == 0) {
        rc = store_memory_new(&store, c->loop, err);
    } else {
        (void)snprintf(path, sizeof(path), "%.4000s/controller.db", config->state_dir);
        rc = store_sqlite_new(&store, c->loop, path, err);
    }
    if (rc < 0) {
        return error_wrap(err, rc, "store");
    }
    store_link_open(&c->store, c->loop, store, c->metrics, on_store_change, c);
    c->store_open = true;
    return 0;
}

static int open_api(struct controller *c, struct error *err)
{
    const struct controller_config *config = c->config;
    char packages[PATH_MAX];
    struct api_options o = {
        .host = config->rest_host,
        .port = config->rest_port,
        .controller_name = config->name,
        .store_engine = config->store_engine,
        .packages_dir = packages,
        .package_max_bytes = config->packages_max_bytes,
        .package_grace_ms = config->packages_grace_ms,
        .lambda_auth_off = strcmp(config->lambda_auth, "off") == 0,
        .lambda_account = config->lambda_account,
        .core = c->core,
        .metrics = c->metrics,
        .io = {c, io_store_up, io_logs_ask, io_logs_ack, io_logs_cancel},
    };

    (void)snprintf(packages, sizeof(packages), "%.4000s/packages", config->state_dir);
    return api_new(&c->api, c->loop, &o, err);
}

static void default_url(const struct controller *c, char *ret, size_t size)
{
    char host[256] = "localhost";

    (void)gethostname(host, sizeof(host) - 1);
    (void)snprintf(ret, size, "http://%s:%u", host, api_port(c->api));
}

static int open_hub(struct controller *c, struct error *err)
{
    const struct controller_config *config = c->config;
    bool is_v6 = strchr(config->hub_host, ':') != NULL;
    char listen[320], url[320];
    struct hub_options o = {
        .listen = listen,
        .controller_name = config->name,
        .packages_url = config->advertise_url != NULL ? config->advertise_url : url,
        .token = c->token,
        .heartbeat_ms = config->hub_heartbeat_ms,
        .resume_ms = config->hub_resume_ms,
        .grants_ttl_ms = config->grants_ttl_ms,
    };
    int rc;

    default_url(c, url, sizeof(url));
    (void)snprintf(listen, sizeof(listen), "tcp://%s%.250s%s:%u", is_v6 ? "[" : "",
                   config->hub_host, is_v6 ? "]" : "", config->hub_port);
    hub_link_open(&c->agents, c->core, c->api, c->metrics);
    hub_link_options(&c->agents, &o);
    rc = hub_new(&c->hub, c->loop, &o, err);
    if (rc < 0) {
        return error_wrap(err, rc, "hub.port %u", config->hub_port);
    }
    hub_set_accepting(c->hub, false); /* until the store has been read */
    hub_link_set_hub(&c->agents, c->hub);
    return 0;
}

int controller_start(struct controller *c, struct error *err)
{
    int rc = controller_config_token(c->config, &c->token, err);

    rc = rc < 0 ? rc : make_folders(c->config->state_dir, err);
    rc = rc < 0 ? rc : open_store(c, err);
    rc = rc < 0 ? rc : open_api(c, err);
    rc = rc < 0 ? rc : open_hub(c, err);
    if (rc < 0) {
        return rc;
    }
    if (c->token == NULL) {
        log_warn("no token_file: any agent that reaches the hub may join");
    }
    CHECK(uv_timer_init(c->loop, &c->timer) == 0);
    CHECK(uv_prepare_init(c->loop, &c->prepare) == 0);
    CHECK(uv_prepare_start(&c->prepare, prepare_cb) == 0);
    c->timer_open = true;
    store_link_start(&c->store, c->core);
    return 0;
}

uint16_t controller_rest_port(const struct controller *c)
{
    return api_port(c->api);
}

uint16_t controller_hub_port(const struct controller *c)
{
    return hub_port(c->hub);
}

/* --- end: api, hub, store, time ---------------------------------------------------- */

static void store_closed(void *data)
{
    struct controller *c = data;

    if (c->timer_open) {
        uv_close((uv_handle_t *)&c->timer, NULL);
        uv_close((uv_handle_t *)&c->prepare, NULL);
    }
}

static void hub_closed(void *data)
{
    struct controller *c = data;

    c->hub = NULL;
    if (c->store_open) {
        store_link_close(&c->store, store_closed, c);
    } else {
        store_closed(c);
    }
}

static void api_closed(void *data)
{
    struct controller *c = data;

    if (c->hub != NULL) {
        hub_link_set_hub(&c->agents, NULL);
        hub_close(c->hub, hub_closed, c);
    } else {
        hub_closed(c);
    }
}

void controller_stop(struct controller *c)
{
    if (c->stopping) {
        return;
    }
    c->stopping = true;
    if (c->api != NULL) {
        api_close(c->api, STOP_GRACE_MS, api_closed, c);
    } else {
        api_closed(c);
    }
}

struct controller *controller_free(struct controller *c)
{
    if (c != NULL) {
        c->core = controller_core_free(c->core);
        c->api = api_free(c->api);
        c->metrics = metrics_free(c->metrics);
        free(c->token);
        free(c);
    }
    return NULL;
}
