/* Runtimes: instances of functions in sandboxes, and calls on them.
 *
 * One runtime_host a node. An instance is a sandbox with the version's program in it; how
 * a call reaches the program is the business of the three kinds behind this interface:
 * http (proxied to $PORT), exec (a process a call), lambda (the Runtime API: `provided`,
 * and with a bootstrap of ours `python` and `node`).
 * A call looks to its user as an HTTP client's call does, whatever the kind. Loop's
 * thread; no callback runs from within the function that leads to it. */
#ifndef AGENT_RUNTIME_RUNTIME_H
#define AGENT_RUNTIME_RUNTIME_H

#include <uv.h>

#include "agent/warden/warden_client.h"
#include "common/buf.h"
#include "common/cause.h"
#include "common/http/http.h"
#include "common/spec.h"

struct runtime_host;
struct runtime_instance;
struct runtime_call;
struct logs;

struct runtime_host_options {
    struct warden_client *warden; /* the host sets itself up as its user */
    struct logs *logs;            /* agent/runtime/logs.h */
    const char *region;           /* AWS_REGION for functions; default "us-east-1" */
    const char *account;          /* in their ARNs; default "000000000000" */
    const char *packages_dir;     /* unpacked packages; NULL: no extensions of layers */
    /* Each started instance gets on_ready or on_failed, later on_failed if it crashes,
     * and last on_gone, after which it is freed. text is for people: "exit status 3",
     * "peak 130 MiB of 128 MiB". */
    void (*on_ready)(void *data, struct runtime_instance *in);
    void (*on_failed)(void *data, struct runtime_instance *in, enum cause cause,
                      const char *text);
    void (*on_gone)(void *data, struct runtime_instance *in);
    /* Its sandbox took so much more processor time, whatever for: told about once a
     * second while it uses some, and when it ends; each microsecond once, from its start
     * to before on_gone. NULL: not wanted. in NULL: one that waited, recycled, and ended.
     */
    void (*on_cpu)(void *data, struct runtime_instance *in, uint64_t cpu_us);
    /* Sandboxes whose call is over that wait for the next call of the same version, if it
     * wants a fresh one for each (exec with reuse false), at most; 0: none does. */
    unsigned recycled_max;
    void *data;
};

/* Ignores SIGPIPE in the process: functions close their stdin as they like. */
int runtime_host_new(struct runtime_host **ret, uv_loop_t *loop,
                     const struct runtime_host_options *options);
void runtime_host_close(struct runtime_host *h, void (*on_closed)(void *data),
                        void *data);
/* Route the warden client's events here. */
void runtime_host_on_exit(struct runtime_host *h, uint64_t id,
                          const struct sandbox_exit *e);
void runtime_host_on_oom(struct runtime_host *h, uint64_t id);
void runtime_host_on_short(struct runtime_host *h); /* of memory: nothing waits */
/* It has no instances, and gets none: no sandbox waits for its next call. */
void runtime_host_on_version_left(struct runtime_host *h, uint64_t version_id);

struct runtime_recycled {
    unsigned waiting;
    unsigned ending;  /* that waited: they are killed */
    uint64_t used;    /* instances that began in one */
    uint64_t refused; /* sandboxes in which something of their call was left */
};
struct runtime_recycled runtime_host_recycled(const struct runtime_host *h);

struct runtime_instance_config {
    uint64_t id;
    const char *namespace_;
    const char *name;
    uint64_t version;
    uint64_t version_id; /* no other version's, ever; 0: its sandboxes are not recycled */
    uint64_t published;  /* its number as a published version, so far; 0: none */
    uint32_t namespace_index;
    const struct function_spec *spec; /* these two outlive the instance */
    const struct package_ref *package;
    bool proven; /* an instance of the version was ready before: what is in the package
                    need not be looked at again */
    void *data;
};

/* Phases of a start, for Server-Timing and metrics. */
struct runtime_phases {
    uint64_t sandbox_us; /* asked the warden to sandbox made */
    uint64_t init_us;    /* program started to ready */
};

int runtime_instance_start(struct runtime_host *h, struct runtime_instance **ret,
                           const struct runtime_instance_config *config);
/* grace_ms 0: SIGKILL at once, and the calls in it end. Else no new calls, and the calls
 * in it may end by themselves; SIGTERM (http: at once; else after the last call), and
 * SIGKILL when the program has ended or the grace is over. */
void runtime_instance_stop(struct runtime_instance *in, uint32_t grace_ms);
/* Stops its processes where they are, or lets them go on; at once, see common/freezer.h.
 * freeze: -EBUSY while it is not ready, has a call or is not done with one; -ENOTSUP, the
 * host has no freezer. Stopping it thaws it. */
int runtime_instance_freeze(struct runtime_instance *in);
int runtime_instance_thaw(struct runtime_instance *in);
void *runtime_instance_data(const struct runtime_instance *in);
const struct runtime_phases *runtime_instance_phases(const struct runtime_instance *in);

#define RUNTIME_LOG_TAIL 4096

struct runtime_request {
    const char *request_id; /* UUID */
    struct http_str method;
    struct http_str path;  /* below /fn/<name>: "/" at least, as received */
    struct http_str query; /* without '?' */
    struct http_headers headers;
    uint64_t content_length; /* or HTTP_BODY_CHUNKED */
    struct http_str upgrade; /* `http`: protocols to switch to (http_headers_upgrade) */
    const char *peer;        /* caller's address */
    uint64_t deadline_wall_ms;
    const char
        *invoked_arn; /* `provided`: as the caller named it; NULL: the function's */
    bool verbatim;    /* `provided`: status and headers within a reply stay in its body */
    /* `provided`: gets what the instance's log says from the call's START to its REPORT,
     * the last RUNTIME_LOG_TAIL bytes of it, before on_replied or on_close, or within
     * runtime_call_cancel(); lives until then. NULL: not wanted. */
    struct buf *log;
};

struct runtime_call_ops {
    /* 101, if the request had `upgrade`: its Upgrade is among the headers, and bytes go
     * both ways until the function ends; runtime_call_end() tells it that the caller has
     * no more to say. */
    void (*on_response)(struct runtime_call *c, int status, struct http_headers headers,
                        uint64_t content_length);
    void (*on_body)(struct runtime_call *c, const char *data, size_t len);
    void (*on_drain)(struct runtime_call *c);
    /* The response is whole, but what goes along with the call in its instance
     * (`provided`: extensions) is not through with it: its slot is not free before
     * on_close, whose cause is then no news for the caller. NULL: on_close comes at once
     * instead. */
    void (*on_replied)(struct runtime_call *c);
    /* Last; the call is gone when it returns. CAUSE_NONE: the response is whole. If
     * on_response was not called the gateway makes the error reply from cause and text.
     * A function's own error document (`provided`) is a whole response as well: status
     * 502, X-Mayfly-Error among its headers, all of the announced length, then
     * CAUSE_FUNCTION_ERROR. Any other cause after on_response: the reply is cut. */
    void (*on_close)(struct runtime_call *c, enum cause cause, const char *text,
                     uint64_t cpu_us);
};

/* -EAGAIN: not ready, or failing: on_failed is about to come. -ENOMEM. What is wrong with
 * the request itself is told by on_close. */
int runtime_call_start(struct runtime_instance *in, struct runtime_call **ret,
                       const struct runtime_request *request,
                       const struct runtime_call_ops *ops, void *data);
void *runtime_call_data(const struct runtime_call *c);
/* In on_response: CAUSE_FUNCTION_ERROR if the reply is the function's own word about its
 * failure. It comes whole, and on_close has the same cause. */
enum cause runtime_call_cause(const struct runtime_call *c);
/* In on_close: true if the program has seen nothing of the call, which may thus be made
 * again elsewhere. ret_body gets what came of the body; the caller's to free. */
bool runtime_call_take_back(struct runtime_call *c, struct buf *ret_body);
int runtime_call_write(struct runtime_call *c, const char *data, size_t len);
int runtime_call_end(struct runtime_call *c);
size_t runtime_call_pending(const struct runtime_call *c);
void runtime_call_pause(struct runtime_call *c);
void runtime_call_resume(struct runtime_call *c);
/* No more callbacks after this; may be called from within one of the call's callbacks.
 * Returns true if the instance remains usable. Alone in its instance (concurrency 1) a
 * call that the function has begun is certainly stopped only with its sandbox: false. */
bool runtime_call_cancel(struct runtime_call *c);
/* The same, of a call whose time is over: true if the program has seen nothing of it,
 * which may thus be made again elsewhere. ret_body as runtime_call_take_back()'s. */
bool runtime_call_withdraw(struct runtime_call *c, struct buf *ret_body);

#endif /* AGENT_RUNTIME_RUNTIME_H */
