/* Shared by the files of the kind `provided`, and of all that speak Lambda's Runtime API
 * (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html):
 *
 *   runtime_lambda.c            instances, calls, who gets which event
 *   runtime_lambda_event.c      an event's headers
 *   runtime_lambda_api.c        the endpoints, and whom a request is for
 *   runtime_lambda_reply.c      a call's reply or error, as the runtime sends it
 *   runtime_lambda_report.c     START, END and REPORT in the function's log
 *   runtime_lambda_extension.c  the programs in /opt/extensions: started, told, ended
 *   runtime_lambda_extension_api.c  the Extensions API */
#ifndef AGENT_RUNTIME_RUNTIME_LAMBDA_H
#define AGENT_RUNTIME_RUNTIME_LAMBDA_H

#include "agent/runtime/runtime_private.h"
#include "common/http/http_server.h"
#include "common/random.h"

#define LAMBDA_PAYLOAD_MAX (6 * 1024 * 1024 + 100) /* of a reply that is not streamed */
/* Of an error's document so much is looked at for its text; of one about init, of which
 * nothing else is of use, so much is kept. */
#define LAMBDA_DOCUMENT_MAX   (64 * 1024)
#define LAMBDA_EXTENSIONS_MAX 10

/*   BODY ──whole──▶ QUEUED ──/next──▶ RUNNING ──/response, /error──▶ REPLYING ──▶ over
 *                      ▲                 │                              │          ▲
 *                      └─ never reached ─┘    extensions are at work: SETTLING ────┘  */
enum lambda_phase {
    LAMBDA_BODY,
    LAMBDA_QUEUED,
    LAMBDA_RUNNING,
    LAMBDA_REPLYING,
    LAMBDA_SETTLING
};

struct lambda_exchange;
struct lambda_extension;

struct lambda_call {
    struct runtime_call call;
    enum lambda_phase phase;
    char id[40];
    struct lambda_event *event; /* its headers; NULL once it was answered or dropped */
    char trace_id[160];         /* "Root=…;Parent=…;Sampled=…" */
    uint64_t deadline_wall_ms;
    uint64_t started_us; /* handed out, for the first time; 0: not yet */
    bool verbatim;
    struct buf *log;   /* gets the log's tail; or NULL */
    uint64_t log_mark; /* where that begins, once it was handed out */
    bool reports;      /* its START is in the log, its END and REPORT are not */
    struct buf body;
    struct lambda_exchange *carrier; /* takes the event out, or brings the reply in */
};

struct lambda_extension {
    struct list link;
    char id[RANDOM_UUID_SIZE];
    char name[128];
    uint32_t run; /* init's number for its process; 0: internal */
    bool registered;
    bool asked;  /* for an event, once */
    bool invoke; /* events that it wants */
    bool shutdown;
    bool shutdown_due; /* not yet told */
    bool failed;       /* it said so */
    bool exited;
    struct lambda_exchange *poller; /* waits for its next event */
};

enum lambda_what {
    LAMBDA_NEXT,
    LAMBDA_RESPONSE,
    LAMBDA_ERROR,
    LAMBDA_INIT_ERROR,
    LAMBDA_EXTENSION_REGISTER,
    LAMBDA_EXTENSION_NEXT,
    LAMBDA_EXTENSION_ERROR,
};

/* A request of the bootstrap or an extension, from its head to its exchange's on_close.
 */
struct lambda_exchange {
    struct list link; /* NEXT that waits: in state.pollers */
    struct runtime_instance *instance;
    struct http_exchange *x;
    enum lambda_what what;
    struct lambda_call *call;           /* NULL: none, or it was let go */
    struct lambda_extension *extension; /* whose EXTENSION_NEXT waits, or NULL */
    bool streaming;
    bool prelude; /* the reply's status and headers stand before its body */
    bool refused; /* answered with an error while its body still comes */
    uint64_t seen_bytes;
    struct buf body; /* a document; a reply until it begins */
    struct http_str content_type;
};

struct lambda_state {
    struct http_server server;
    bool server_open;
    struct runtime_instance *instance;
    char *arn; /* the function's, as events say it */
    struct list pollers;
    bool asked; /* for an event, once: the runtime is through with its init */
    bool cut;   /* a call was taken from the bootstrap: there is no way back for it */

    uint64_t handed_us; /* when the last event went out */

    struct list extensions;
    unsigned n_extensions;
    unsigned n_unregistered; /* external ones that are started and not registered yet */
    bool main_due;           /* the program starts when all of those are registered */
    bool ending;             /* extensions were told of the end */
    const char *end_reason;
    uint64_t end_wall_ms;

    bool reported; /* a call: the instance's init is in that one's report */
    uint64_t report_second;
    unsigned n_reports; /* in that second */
    unsigned n_unreported;
    uint64_t usage_us; /* when the peak of memory was last asked for */
};

static inline struct lambda_call *lambda_call_of(struct runtime_call *c)
{
    return container_of(c, struct lambda_call, call);
}

/* runtime_lambda.c */
/* Hands events that wait to those who ask for them. */
void lambda_dispatch(struct runtime_instance *in);
/* The bootstrap's answer to the caller has begun or cannot come: no carrier any more. */
void lambda_detach(struct lambda_call *l);
/* Ends the call, which the bootstrap has answered: its report, and its caller's news. */
void lambda_finish(struct lambda_call *l, enum cause cause, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Ready once the runtime and all extensions have asked for their first event. */
void lambda_check_ready(struct runtime_instance *in);
/* The program's turn; a failure is the instance's. */
void lambda_run_main(struct runtime_instance *in);
/* The call's time goes on until all have asked again; the instance ends if it runs out.
 */
void lambda_watch(struct runtime_instance *in);

/* runtime_lambda_event.c */
int lambda_event_new(struct lambda_call *l, const struct runtime_request *r);
void lambda_event_free(struct lambda_call *l);
int lambda_event_send(const struct lambda_call *l, struct http_exchange *x);
/* The function's ARN as the caller named it, or else as it is. */
const char *lambda_event_arn(const struct lambda_call *l);

/* runtime_lambda_api.c */
void lambda_on_request(struct http_server *s, struct http_exchange *x);
struct lambda_exchange *lambda_exchange_new(struct runtime_instance *in,
                                            struct http_exchange *x,
                                            enum lambda_what what);
void lambda_answer(struct http_exchange *x, int status, const char *type,
                   const char *body);
void lambda_accept(struct http_exchange *x);
void lambda_refuse(struct http_exchange *x, int status, const char *type,
                   const char *message);
struct http_str lambda_header(struct http_headers headers, const char *name);

/* runtime_lambda_reply.c */
void lambda_reply_begin(struct lambda_exchange *e, struct http_str mode);
void lambda_reply_body(struct lambda_exchange *e, const char *data, size_t len);
void lambda_reply_end(struct lambda_exchange *e);
void lambda_error_end(struct lambda_exchange *e);
/* For people: the document's type and message, or what the header said. */
void lambda_error_text(const struct buf *document, struct http_str header,
                       char ret[RUNTIME_TEXT_BYTES]);

/* runtime_lambda_report.c */
void lambda_report_start(struct lambda_call *l);
/* text: of a failure that the bootstrap has not told itself. */
void lambda_report_end(struct lambda_call *l, enum cause cause, const char *text);

/* runtime_lambda_extension.c */
int lambda_extensions_start(struct runtime_instance *in);
void lambda_extensions_free(struct runtime_instance *in);
/* run: init's number for its process; 0: internal. NULL: out of memory. */
struct lambda_extension *lambda_extension_new(struct runtime_instance *in,
                                              const char *name, uint32_t run);
struct lambda_extension *lambda_extension_find(const struct lambda_state *s,
                                               struct http_str name); /* or NULL */
/* Notes what is still waited for, should the instance not be ready in time. */
void lambda_extensions_lack(struct runtime_instance *in);
/* Tells the one that waits for an event of the end. */
void lambda_extension_shutdown(const struct lambda_state *s, struct lambda_extension *e);

/* runtime_lambda_extension_api.c */
/* True if the request's path is theirs. */
bool lambda_extension_request(struct runtime_instance *in, struct http_exchange *x);
void lambda_extension_on_end(struct lambda_exchange *e);
void lambda_extension_on_close(struct lambda_exchange *e);

/* runtime_lambda_extension.c */
void lambda_extension_message(struct runtime_instance *in, const struct init_message *m,
                              const char *text);
/* All have asked for their next event (those that want INVOKE: with a call to come). */
bool lambda_extensions_idle(const struct runtime_instance *in, bool init);
void lambda_extensions_invoke(struct lambda_call *l);
uint32_t lambda_extensions_end(struct runtime_instance *in, const char *reason);

#endif /* AGENT_RUNTIME_RUNTIME_LAMBDA_H */
