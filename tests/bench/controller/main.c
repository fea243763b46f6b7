/* The controller with thousands of nodes: a real controller process on one core, its real
 * hub protocol, and agents that are a connection each (fleet.h). README.md tells what
 * each row means. */
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "fleet.h"
#include "subject.h"

#define PROBES  300
#define LIMIT_S 600

struct row {
    const char *name, *unit;
    double value;
};

struct results {
    struct row rows[40];
    size_t n;
};

static void note(struct results *r, const char *name, double value, const char *unit)
{
    CHECK(r->n < sizeof(r->rows) / sizeof(r->rows[0]));
    r->rows[r->n++] = (struct row){name, unit, value};
    (void)printf("%-44s %12.2f %s\n", name, value, unit);
    (void)fflush(stdout);
}

static double now_s(void)
{
    return (double)uv_hrtime() / 1e9;
}

static void must(bool ok, const struct fleet *f, const char *what)
{
    if (!ok) {
        (void)fprintf(
            stderr,
            "bench_controller: not within %u s: %s (up %u, snapshots %u, proved "
            "%llu, answered %u, closed %u)\n",
            LIMIT_S, what, f->n_up, f->n_snapshots, (unsigned long long)f->proofs,
            f->n_answered, f->n_closed);
        exit(1);
    }
}

/* --- what is waited for ----------------------------------------------------------- */

static bool all_have_snapshots(const struct fleet *f)
{
    return f->n_snapshots == f->wanted && f->n_up == f->wanted;
}

static bool all_proved(const struct fleet *f)
{
    return f->proofs >= f->n_functions && f->functions >= f->n_functions;
}

static bool all_up(const struct fleet *f)
{
    return f->n_up == f->wanted;
}

static bool all_answered(const struct fleet *f)
{
    return f->n_answered == f->asked;
}

/* --- rows ------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void percentiles(struct results *r, const char *p50, const char *p99, double *ms,
                        size_t n)
{
    qsort(ms, n, sizeof(*ms), compare);
    note(r, p50, ms[n / 2], "ms");
    note(r, p99, ms[n * 99 / 100], "ms");
}

static void deploy(struct results *r, struct fleet *f, const struct subject *s)
{
    uint64_t rss = subject_rss_bytes(s);
    unsigned first = f->n < FLEET_FIRST ? f->n : FLEET_FIRST;
    double t = now_s();

    note(r, "memory at the start", (double)rss / 1048576, "MiB");
    subject_deploy(s, f->n_functions);
    note(r, "deploy", f->n_functions / (now_s() - t), "functions/s");
    t = now_s();
    fleet_connect(f, first);
    must(fleet_run(f, all_proved, LIMIT_S), f, "functions proved");
    note(r, "placed, proved and published", f->n_functions / (now_s() - t),
         "functions/s");
    must(fleet_run(f, all_have_snapshots, LIMIT_S), f, "first snapshots");
    (void)fleet_run(f, NULL, 2);
    note(r, "memory per function",
         ((double)subject_rss_bytes(s) - (double)rss) / 1024 / f->n_functions, "KiB");
}

static void connect_storm(struct results *r, struct fleet *f, const struct subject *s)
{
    uint64_t rss = subject_rss_bytes(s), bytes = f->bytes, cpu = subject_cpu_us(s);
    unsigned more = f->n - f->n_up;
    double t = now_s();

    fleet_connect(f, f->n);
    must(fleet_run(f, all_up, LIMIT_S), f, "all connected");
    note(r, "connect storm: all welcomed", now_s() - t, "s");
    must(fleet_run(f, all_have_snapshots, LIMIT_S), f, "all have their snapshot");
    t = now_s() - t;
    note(r, "connect storm: all have their snapshot", t, "s");
    note(r, "connect storm: sent", (double)(f->bytes - bytes) / 1048576 / t, "MiB/s");
    note(r, "connect storm: controller's CPU", (double)(subject_cpu_us(s) - cpu) / 1e6,
         "s");
    note(r, "connect storm: memory at the end", (double)subject_rss_bytes(s) / 1048576,
         "MiB");
    (void)fleet_run(f, NULL, 5);
    if (more > 0) {
        note(r, "memory per agent",
             ((double)subject_rss_bytes(s) - (double)rss) / 1024 / more, "KiB");
    }
}

static void steady(struct results *r, struct fleet *f, const struct subject *s,
                   unsigned seconds)
{
    uint64_t cpu;
    double t;

    f->reports = true;
    (void)fleet_run(f, NULL, 2);
    cpu = subject_cpu_us(s);
    t = now_s();
    (void)fleet_run(f, NULL, seconds);
    note(r, "steady, 1 report/s an agent: CPU",
         (double)(subject_cpu_us(s) - cpu) / 1e4 / (now_s() - t), "% of a core");
}

/* Of those in [from, to); how many were answered. */
static size_t answers(const struct fleet *f, double *ms, unsigned from, unsigned to)
{
    size_t n = 0;

    for (unsigned i = from; i < to; i++) {
        if (f->of[i].answered_ns > 0) {
            ms[n++] = (double)f->of[i].answered_ns / 1e6;
        }
    }
    return n;
}

/* One queue at a time, while all the reports go on. */
static void grants(struct results *r, struct fleet *f, unsigned n)
{
    double ms[PROBES];
    unsigned asked = 0;
    size_t answered;

    for (unsigned i = 0; i < n; i++) {
        f->n_answered = 0;
        f->asked = fleet_queue_forms(f, i);
        asked += f->asked;
        (void)fleet_run(f, all_answered, 3);
    }
    answered = answers(f, ms, 0, n);
    note(r, "queue to grant: answered",
         100.0 * (double)answered / (asked > 0 ? asked : 1), "%");
    if (answered > 0) {
        percentiles(r, "queue to grant, p50", "queue to grant, p99", ms, answered);
    }
}

/* A queue for so many functions at once. */
static void placement_storm(struct results *r, struct fleet *f, const struct subject *s,
                            unsigned from, unsigned to)
{
    double *ms = calloc(to - from + 1, sizeof(*ms));
    uint64_t cpu = subject_cpu_us(s);
    double t = now_s();
    size_t answered;

    CHECK(ms != NULL);
    f->n_answered = f->asked = 0;
    for (unsigned i = from; i < to; i++) {
        f->asked += fleet_queue_forms(f, i);
    }
    (void)fleet_run(f, all_answered, 60);
    t = now_s() - t;
    answered = answers(f, ms, from, to);
    note(r, "placement storm: queues", f->asked, "");
    note(r, "placement storm: answered", (double)answered, "");
    note(r, "placement storm: time", t, "s");
    note(r, "placement storm: controller's CPU", (double)(subject_cpu_us(s) - cpu) / 1e6,
         "s");
    if (answered > 0) {
        percentiles(r, "placement storm: answer, p50", "placement storm: answer, p99", ms,
                    answered);
    }
    free(ms);
}

static void fail_over(struct results *r, struct fleet *f, const struct subject *s)
{
    uint64_t cpu = subject_cpu_us(s);
    double t = now_s();

    fleet_cut(f);
    f->n_closed = 0;
    (void)fleet_run(f, NULL, 0);
    must(fleet_run(f, all_up, LIMIT_S), f, "all links back");
    note(r, "fail-over of all links: all are back", now_s() - t, "s");
    note(r, "fail-over of all links: resumed", f->n_resumed, "sessions");
    note(r, "fail-over of all links: controller's CPU",
         (double)(subject_cpu_us(s) - cpu) / 1e6, "s");
}

/* --- main ------------------------------------------------------------------------- */

static void write_json(const char *path, const struct results *r, unsigned agents,
                       unsigned functions, const char *store)
{
    FILE *f = fopen(path, "we");

    if (f == NULL) {
        perror(path);
        exit(1);
    }
    (void)fprintf(f,
                  "{\"bench\": \"controller\", \"agents\": %u, \"functions\": %u, "
                  "\"store\": \"%s\", \"rows\": [\n",
                  agents, functions, store);
    for (size_t i = 0; i < r->n; i++) {
        (void)fprintf(f, "  {\"name\": \"%s\", \"value\": %.3f, \"unit\": \"%s\"}%s\n",
                      r->rows[i].name, r->rows[i].value, r->rows[i].unit,
                      i + 1 < r->n ? "," : "");
    }
    (void)fprintf(f, "]}\n");
    (void)fclose(f);
}

static void pin(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    (void)sched_setaffinity(0, sizeof(set), &set);
}

static unsigned number(const char *text)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);

    if (*end != '\0' || n == 0 || n > 1000000) {
        (void)fprintf(stderr, "bench_controller: %s is not a number of 1 to 1000000\n",
                      text);
        exit(2);
    }
    return (unsigned)n;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"agents", required_argument, NULL, 'a'},
                                            {"functions", required_argument, NULL, 'f'},
                                            {"store", required_argument, NULL, 's'},
                                            {"seconds", required_argument, NULL, 't'},
                                            {"controller", required_argument, NULL, 'c'},
                                            {"json", required_argument, NULL, 'j'},
                                            {"unpinned", no_argument, NULL, 'u'},
                                            {0}};
    const char *store = "memory", *program = MAYFLY_CONTROLLER, *json = NULL;
    unsigned agents = 5000, functions = 50000, seconds = 10;
    bool pinned = true;
    struct results r = {0};
    struct subject s;
    struct fleet f;
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 'a':
            agents = number(optarg);
            break;
        case 'f':
            functions = number(optarg);
            break;
        case 't':
            seconds = number(optarg);
            break;
        case 's':
            store = optarg;
            break;
        case 'c':
            program = optarg;
            break;
        case 'j':
            json = optarg;
            break;
        case 'u':
            pinned = false;
            break;
        default:
            (void)fprintf(stderr, "usage: bench_controller [--agents N] [--functions N] "
                                  "[--store memory|sqlite] [--seconds N] [--unpinned] "
                                  "[--controller PATH] [--json FILE]\n");
            return 2;
        }
    }
    (void)signal(SIGPIPE, SIG_IGN);
    subject_start(&s, program, store, pinned ? 0 : -1);
    if (pinned) {
        pin(1);
    }
    (void)printf("%u agents, %u functions, %s store\n", agents, functions, store);
    CHECK(fleet_open(&f, s.hub_url, agents, functions) == 0);
    deploy(&r, &f, &s);
    connect_storm(&r, &f, &s);
    steady(&r, &f, &s, seconds);
    grants(&r, &f, functions / 2 < PROBES ? functions / 2 : PROBES);
    placement_storm(&r, &f, &s, functions / 2,
                    functions / 2 + (functions / 2 < agents ? functions / 2 : agents));
    f.reports = false;
    (void)fleet_run(&f, NULL, 3);
    fail_over(&r, &f, &s);
    note(&r, "memory at the end", (double)subject_rss_bytes(&s) / 1048576, "MiB");
    fleet_close(&f);
    subject_stop(&s);
    if (json != NULL) {
        write_json(json, &r, agents, functions, store);
    }
    return 0;
}
