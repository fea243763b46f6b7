/* etcd's JSON: requests as text, replies as our types. int64 travel as strings, bytes as
 * base64, and what is zero is left out. Replies are input from outside: what does not fit
 * gives -EBADMSG. Keys with a NUL inside cannot be ours and are skipped. */
#ifndef CONTROLLER_STORE_ETCD_JSON_H
#define CONTROLLER_STORE_ETCD_JSON_H

#include "common/buf.h"
#include "controller/store/request.h"

/* Path and body of a request. 0 or -ENOMEM. */
int etcd_encode(const struct request *r, const char **ret_path, struct buf *body);
int etcd_encode_watch(const char *prefix, int64_t from_revision, struct buf *body);

/* The body of a reply with status 200 into r's result. */
int etcd_decode(struct request *r, const char *body, size_t len);

struct etcd_watch_reply {
    bool created;
    bool canceled;
    int64_t compact_revision;
    int64_t revision;
    struct event_list events;
    char error[160]; /* the stream failed; "" otherwise */
};
/* One line of a watch's stream. To be freed also after a failure. */
int etcd_decode_watch(const char *line, size_t len, struct etcd_watch_reply *ret);
void etcd_watch_reply_free(struct etcd_watch_reply *reply);

/* An error's gRPC code (0 if it is not JSON) and message. */
int etcd_decode_error(const char *body, size_t len, char *text, size_t size);

#endif /* CONTROLLER_STORE_ETCD_JSON_H */
