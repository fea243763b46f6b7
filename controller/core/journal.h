/* Journal: the events that people ask about with `mayfly events`: what the cluster
 * decided and what became of its nodes. The newest JOURNAL_MAX are kept, in memory;
 * numbers grow over restarts of the controller, so that a reader can go on where it was.
 */
#ifndef CONTROLLER_CORE_JOURNAL_H
#define CONTROLLER_CORE_JOURNAL_H

#include "controller/core/core_private.h"

int journal_init(struct controller_core *c); /* -ENOMEM */
void journal_free(struct controller_core *c);

/* Of a node. fmt: a sentence without its subject ("was lost: no heartbeat for 5 s"). */
void journal_node(struct controller_core *c, enum event_kind kind, const char *node,
                  const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* Of a function; version 0: of none. */
void journal_function(struct controller_core *c, enum event_kind kind,
                      const struct core_function *f, uint64_t version, const char *fmt,
                      ...) __attribute__((format(printf, 5, 6)));

/* What the store now says of a function, beside what it said; next NULL: it is gone. */
void journal_record(struct controller_core *c, const struct core_function *f,
                    const struct record *next);

#endif /* CONTROLLER_CORE_JOURNAL_H */
