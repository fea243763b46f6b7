#include "common/metrics.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/list.h"

static const double bounds[] = {.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05,
                                .1,    .25,    .5,    1,    2.5,   5,    10,  30,   60};
#define N_BOUNDS (sizeof(bounds) / sizeof(bounds[0]))

struct metric {
    struct list node;
    double value; /* counter, gauge, or a histogram's sum */
    uint64_t count;
    uint64_t *buckets; /* histogram: not cumulative */
    char *labels[METRIC_LABELS_MAX];
};

struct metric_family {
    struct list node;
    struct metrics *registry;
    enum metric_type type;
    char *name;
    char *help;
    char *label_names[METRIC_LABELS_MAX];
    size_t n_labels;
    struct list series;
    size_t n_series;
};

struct metrics {
    struct list families;
    struct metric *folded;
};

static void series_free(struct metric *s, size_t n_labels)
{
    for (size_t i = 0; i < n_labels; i++) {
        free(s->labels[i]);
    }
    free(s->buckets);
    free(s);
}

static void family_free(struct metric_family *f)
{
    LIST_FOREACH_SAFE(it, &f->series)
    {
        series_free(container_of(it, struct metric, node), f->n_labels);
    }
    for (size_t i = 0; i < f->n_labels; i++) {
        free(f->label_names[i]);
    }
    free(f->name);
    free(f->help);
    free(f);
}

int metrics_new(struct metrics **ret)
{
    struct metrics *m = calloc(1, sizeof(*m));

    if (m == NULL) {
        return -ENOMEM;
    }
    list_init(&m->families);
    m->folded =
        metric_get(metrics_family(m, METRIC_COUNTER, "mayfly_metrics_folded_total",
                                  "Updates that went to a series \"other\" because "
                                  "its family has too many.",
                                  NULL, 0),
                   NULL);
    *ret = m;
    return 0;
}

struct metrics *metrics_free(struct metrics *m)
{
    if (m != NULL) {
        LIST_FOREACH_SAFE(it, &m->families)
        {
            family_free(container_of(it, struct metric_family, node));
        }
        free(m);
    }
    return NULL;
}

struct metric_family *metrics_family(struct metrics *m, enum metric_type type,
                                     const char *name, const char *help,
                                     const char *const *label_names, size_t n_labels)
{
    struct metric_family *f = calloc(1, sizeof(*f));
    bool whole;

    if (f == NULL) {
        return NULL;
    }
    list_init(&f->series);
    f->registry = m;
    f->type = type;
    f->name = strdup(name);
    f->help = strdup(help);
    whole = f->name != NULL && f->help != NULL;
    for (size_t i = 0; i < n_labels && i < METRIC_LABELS_MAX; i++) {
        f->label_names[i] = strdup(label_names[i]);
        f->n_labels++;
        whole = whole && f->label_names[i] != NULL;
    }
    if (!whole) {
        family_free(f);
        return NULL;
    }
    LIST_FOREACH(it, &m->families)
    { /* sorted, for the reader */
        if (strcmp(container_of(it, struct metric_family, node)->name, name) > 0) {
            list_push_back(it, &f->node);
            return f;
        }
    }
    list_push_back(&m->families, &f->node);
    return f;
}

static struct metric *find(struct metric_family *f, const char *const *values)
{
    LIST_FOREACH(it, &f->series)
    {
        struct metric *s = container_of(it, struct metric, node);
        size_t i = 0;

        while (i < f->n_labels && strcmp(s->labels[i], values[i]) == 0) {
            i++;
        }
        if (i == f->n_labels) {
            return s;
        }
    }
    return NULL;
}

static struct metric *make(struct metric_family *f, const char *const *values)
{
    struct metric *s = calloc(1, sizeof(*s));

    if (s == NULL) {
        return NULL;
    }
    if (f->type == METRIC_HISTOGRAM &&
        (s->buckets = calloc(N_BOUNDS, sizeof(*s->buckets))) == NULL) {
        free(s);
        return NULL;
    }
    for (size_t i = 0; i < f->n_labels; i++) {
        s->labels[i] = strdup(values[i]);
        if (s->labels[i] == NULL) {
            series_free(s, f->n_labels);
            return NULL;
        }
    }
    list_push_back(&f->series, &s->node);
    f->n_series++;
    return s;
}

struct metric *metric_get(struct metric_family *f, const char *const *label_values)
{
    const char *other[METRIC_LABELS_MAX];
    struct metric *s;

    if (f == NULL) {
        return NULL;
    }
    s = find(f, label_values);
    if (s != NULL) {
        return s;
    }
    if (f->n_series < METRIC_SERIES_MAX) {
        return make(f, label_values);
    }
    metric_add(f->registry->folded, 1);
    for (size_t i = 0; i < f->n_labels; i++) {
        other[i] = "other";
    }
    s = find(f, other);
    return s != NULL ? s : make(f, other);
}

void metric_remove(struct metric_family *f, const char *const *label_values)
{
    struct metric *s = f != NULL ? find(f, label_values) : NULL;

    if (s != NULL) {
        list_remove(&s->node);
        series_free(s, f->n_labels);
        f->n_series--;
    }
}

void metric_add(struct metric *s, double delta)
{
    if (s != NULL) {
        s->value += delta;
    }
}

void metric_set(struct metric *s, double value)
{
    if (s != NULL) {
        s->value = value;
    }
}

double metric_value(const struct metric *s)
{
    return s == NULL ? 0 : s->buckets != NULL ? (double)s->count : s->value;
}

void metric_observe_us(struct metric *s, uint64_t us)
{
    double value = (double)us / 1e6;

    if (s == NULL || s->buckets == NULL) {
        return;
    }
    for (size_t i = 0; i < N_BOUNDS; i++) {
        if (value <= bounds[i]) {
            s->buckets[i]++;
            break;
        }
    }
    s->count++;
    s->value += value;
}

/* --- text --------------------------------------------------------------------- */

static int put_escaped(struct buf *b, const char *text)
{
    int rc = 0;

    for (const char *c = text; rc == 0 && *c != '\0'; c++) {
        if (*c == '\\' || *c == '"') {
            rc = buf_printf(b, "\\%c", *c);
        } else if (*c == '\n') {
            rc = buf_append_str(b, "\\n");
        } else {
            rc = buf_append(b, c, 1);
        }
    }
    return rc;
}

static int put_number(struct buf *b, double value)
{
    if (isnan(value)) {
        return buf_append_str(b, "NaN");
    }
    if (isinf(value)) {
        return buf_append_str(b, value > 0 ? "+Inf" : "-Inf");
    }
    if (value == floor(value) && fabs(value) < 1e15) {
        return buf_printf(b, "%.0f", value);
    }
    return buf_printf(b, "%.9g", value);
}

static int put_line(struct buf *b, const struct metric_family *f, const struct metric *s,
                    const char *suffix, const char *le, double value)
{
    int rc = buf_printf(b, "%s%s", f->name, suffix);
    const char *sep = "{";

    for (size_t i = 0; rc == 0 && i < f->n_labels; i++) {
        rc = buf_printf(b, "%s%s=\"", sep, f->label_names[i]);
        rc = rc < 0 ? rc : put_escaped(b, s->labels[i]);
        rc = rc < 0 ? rc : buf_append_str(b, "\"");
        sep = ",";
    }
    if (rc == 0 && le != NULL) {
        rc = buf_printf(b, "%sle=\"%s\"", sep, le);
        sep = ",";
    }
    if (rc == 0 && *sep == ',') {
        rc = buf_append_str(b, "}");
    }
    rc = rc < 0 ? rc : buf_append_str(b, " ");
    rc = rc < 0 ? rc : put_number(b, value);
    return rc < 0 ? rc : buf_append_str(b, "\n");
}

static int put_histogram(struct buf *b, const struct metric_family *f,
                         const struct metric *s)
{
    uint64_t sum = 0;
    char le[32];
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < N_BOUNDS; i++) {
        sum += s->buckets[i];
        (void)snprintf(le, sizeof(le), "%g", bounds[i]);
        rc = put_line(b, f, s, "_bucket", le, (double)sum);
    }
    rc = rc < 0 ? rc : put_line(b, f, s, "_bucket", "+Inf", (double)s->count);
    rc = rc < 0 ? rc : put_line(b, f, s, "_sum", NULL, s->value);
    return rc < 0 ? rc : put_line(b, f, s, "_count", NULL, (double)s->count);
}

int metrics_render(struct metrics *m, struct buf *b)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};

    LIST_FOREACH(it, &m->families)
    {
        const struct metric_family *f = container_of(it, struct metric_family, node);
        int rc = 0;

        if (list_empty(&f->series)) {
            continue;
        }
        rc = buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", f->name, f->help, f->name,
                        types[f->type]);
        LIST_FOREACH(st, &f->series)
        {
            const struct metric *s = container_of(st, struct metric, node);

            if (rc == 0) {
                rc = f->type == METRIC_HISTOGRAM ? put_histogram(b, f, s)
                                                 : put_line(b, f, s, "", NULL, s->value);
            }
        }
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}
