/* Keep-alive that learns against fixed times: share of cold starts and memory-time wasted
 * (an instance that waits), on synthetic patterns and on a trace in the format of the
 * Azure Functions Invocation Trace 2021 (app,func,end_timestamp,duration; seconds). Run
 * by hand:
 *
 *     bench_keepalive [TRACE.csv]
 *
 * As in the paper, a function has an instance or has none: a call that comes while
 * another runs is warm. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/core/keepalive.h"

#define MINUTE    60000.0
#define DAYS      14
#define CALLS_MAX 400000

struct call {
    char func[65];
    double start_ms, end_ms;
};

static struct call calls[CALLS_MAX];
static size_t n_calls;

static const struct policy {
    const char *name;
    uint32_t fixed_ms;
    bool learn;
} policies[] = {
    {"fixed 1 min", 60000, false},
    {"fixed 10 min", 600000, false},
    {"fixed 60 min", 3600000, false},
    {"learned, else 1 min", 60000, true}, /* the default */
    {"learned, else 10 min", 600000, true},
};
#define N_POLICIES (sizeof(policies) / sizeof(policies[0]))

struct outcome {
    size_t calls, cold, prewarmed;
    double wasted_ms, busy_ms;
};

/* --- one function under one policy ---------------------------------------------- */

static double overlap(double from, double to, double end)
{
    double until = to < end ? to : end;

    return until > from ? until - from : 0;
}

/* Time that an instance waited, when nothing came before end. */
static double waited(const struct keepalive_plan *p, double idle, double end)
{
    double sum = overlap(idle, (double)p->drop_ms, end);

    if (p->prewarm_ms != UINT64_MAX) {
        sum += overlap((double)p->prewarm_ms, (double)p->until_ms, end);
    }
    return sum;
}

static void run(const struct call *c, size_t n, double horizon,
                const struct policy *policy, struct outcome *ret)
{
    struct keepalive k;
    struct keepalive_plan p = {0};
    double idle = -1;

    keepalive_init(&k, policy->fixed_ms, policy->learn);
    for (size_t i = 0; i < n; i++) {
        uint64_t at = (uint64_t)c[i].start_ms;

        ret->calls++;
        if (idle < 0) {
            ret->cold++; /* the first ever */
            idle = c[i].start_ms;
        } else if (c[i].start_ms >= idle) {
            bool pre = at >= p.prewarm_ms && at < p.until_ms;

            ret->cold += at >= p.drop_ms && !pre;
            ret->prewarmed += at >= p.drop_ms && pre;
            ret->wasted_ms += waited(&p, idle, c[i].start_ms);
            keepalive_call(&k, at);
        }
        if (c[i].end_ms > idle) {
            ret->busy_ms += c[i].end_ms - (c[i].start_ms > idle ? c[i].start_ms : idle);
            idle = c[i].end_ms;
        }
        keepalive_idle(&k, (uint64_t)idle);
        keepalive_plan(&k, &p);
    }
    if (idle >= 0) {
        ret->wasted_ms += waited(&p, idle, horizon);
    }
}

static int by_func_and_start(const void *a, const void *b)
{
    const struct call *x = a, *y = b;
    int order = strcmp(x->func, y->func);

    return order != 0 ? order : (x->start_ms > y->start_ms) - (x->start_ms < y->start_ms);
}

static void report(const char *name)
{
    double horizon = 0;

    qsort(calls, n_calls, sizeof(calls[0]), by_func_and_start);
    for (size_t i = 0; i < n_calls; i++) {
        horizon = calls[i].end_ms > horizon ? calls[i].end_ms : horizon;
    }
    for (size_t i = 0; i < N_POLICIES; i++) {
        struct outcome o = {0};

        for (size_t from = 0, to; from < n_calls; from = to) {
            for (to = from;
                 to < n_calls && strcmp(calls[to].func, calls[from].func) == 0;) {
                to++;
            }
            run(&calls[from], to - from, horizon, &policies[i], &o);
        }
        printf("| %-26s | %-20s | %7zu | %6.2f %% | %6.2f %% | %10.1f |\n", name,
               policies[i].name, o.calls, 100.0 * (double)o.cold / (double)o.calls,
               100.0 * (double)o.prewarmed / (double)o.calls, o.wasted_ms / MINUTE / 60);
    }
    n_calls = 0;
}

/* --- patterns --------------------------------------------------------------------- */

static uint64_t rng = 1;

static double uniform(void) /* (0, 1], splitmix64 */
{
    uint64_t z = (rng += 0x9e3779b97f4a7c15ull);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return ((double)((z ^ (z >> 31)) >> 11) + 1) / 9007199254740992.0;
}

static double exponential(double mean)
{
    return -log(uniform()) * mean;
}

static void add(double start_ms, double duration_ms)
{
    if (n_calls < CALLS_MAX) {
        calls[n_calls++] = (struct call){
            .func = "f", .start_ms = start_ms, .end_ms = start_ms + duration_ms};
    }
}

static void periodic(double period_min, double jitter_min)
{
    for (double t = 0; t < DAYS * 1440.0; t += period_min) {
        add((t + uniform() * jitter_min) * MINUTE, 500);
    }
}

static void poisson(double mean_min)
{
    for (double t = 0; t < DAYS * 1440.0; t += exponential(mean_min)) {
        add(t * MINUTE, 500);
    }
}

static void bursty(double pause_min, int n)
{
    for (double t = 0; t < DAYS * 1440.0; t += exponential(pause_min)) {
        for (int i = 0; i < n; i++) {
            add((t += exponential(0.05)) * MINUTE, 500);
        }
    }
}

static void patterns(void)
{
    periodic(5, 0.1);
    report("periodic, 5 min");
    periodic(30, 1);
    report("periodic, 30 min");
    periodic(120, 5);
    report("periodic, 2 h");
    bursty(45, 20);
    report("bursts of 20, 45 min");
    poisson(3);
    report("random, mean 3 min");
    poisson(30);
    report("random, mean 30 min");
    poisson(360);
    report("rare, random, mean 6 h");
    periodic(360, 10);
    report("rare, every 6 h");
}

/* --- trace ---------------------------------------------------------------------- */

static int trace(const char *path)
{
    FILE *f = fopen(path, "re");
    char line[512];

    if (f == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 1;
    }
    while (fgets(line, sizeof(line), f) != NULL && n_calls < CALLS_MAX) {
        struct call *c = &calls[n_calls];
        double end, duration;

        if (sscanf(line, "%*[^,],%64[^,],%lf,%lf", c->func, &end, &duration) == 3) {
            c->end_ms = end * 1000;
            c->start_ms = c->end_ms - duration * 1000;
            n_calls++;
        }
    }
    (void)fclose(f);
    report("trace");
    return 0;
}

int main(int argc, char **argv)
{
    printf("| pattern                    | keep-alive           |   calls |     cold |  "
           "prewarm | wasted, h   |\n|---|---|---|---|---|---|\n");
    patterns();
    return argc > 1 ? trace(argv[1]) : 0;
}
