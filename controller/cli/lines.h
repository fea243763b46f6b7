/* Lines: a reply of the REST API that comes line by line, asked for again when it breaks
 * off. */
#ifndef CLI_LINES_H
#define CLI_LINES_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"
#include "controller/cli/cli.h"
#include "controller/cli/http.h"

struct lines {
    const struct cli *c;
    const char *what;   /* for errors: "show logs of \"NAME\"" */
    const char *stream; /* for people: "log stream" */
    bool follow;
    /* Appends the URL. again: the stream broke off; what came before is known. */
    int (*url)(void *data, bool again, struct buf *url);
    /* A line without its end; never empty. */
    void (*take)(void *data, const char *line, size_t len);
    void *data;

    struct http_reply reply; /* private from here on: of the request that runs */
    struct buf line;         /* the beginning of a line */
    struct buf error;        /* body of a refusal */
    bool said;               /* that the connection broke */
    int write_errno;
};

/* Until the reply ends or, to follow, until the reader or stdout goes. An exit code; what
 * went wrong was said. */
int lines_run(struct lines *l);

#endif /* CLI_LINES_H */
