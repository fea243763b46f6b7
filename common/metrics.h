/* Metrics registry with Prometheus text exposition (version 0.0.4).
 *
 * Families are declared once at start; series are made on first use and start at 0. A
 * family's series are capped: past the cap values go to one series whose label values are
 * all "other", and mayfly_metrics_folded_total counts what was folded. Hold on to the
 * returned pointer on hot paths: then an update is one add. Threads: one loop. */
#ifndef COMMON_METRICS_H
#define COMMON_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

struct metrics;
struct metric_family;
struct metric; /* one series; stays valid until metrics_free */

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

#define METRIC_LABELS_MAX 6
#define METRIC_SERIES_MAX 1000

int metrics_new(struct metrics **ret);
struct metrics *metrics_free(struct metrics *m); /* takes NULL; returns NULL */

/* name and help are copied. label_names: n_labels names. Histogram buckets are the
 * classic ones of the project in seconds: .0001 … 60. A NULL family (out of memory) is
 * safe to use: every call on it is then without effect. */
struct metric_family *metrics_family(struct metrics *m, enum metric_type type,
                                     const char *name, const char *help,
                                     const char *const *label_names, size_t n_labels);
struct metric *metric_get(struct metric_family *f, const char *const *label_values);
void metric_remove(struct metric_family *f, const char *const *label_values);

void metric_add(struct metric *s, double delta); /* counter: delta >= 0 */
void metric_set(struct metric *s, double value); /* gauge */
void metric_observe_us(struct metric *s, uint64_t us);
double metric_value(const struct metric *s); /* for tests; a histogram's count */

/* Appends the text of all families, sorted by name. 0 or -ENOMEM. */
int metrics_render(struct metrics *m, struct buf *out);

#endif /* COMMON_METRICS_H */
