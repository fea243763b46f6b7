/* Subject: the controller under test, a process of its own on one core, and what it uses;
 * and the functions deployed to it by REST. */
#ifndef TESTS_BENCH_CONTROLLER_SUBJECT_H
#define TESTS_BENCH_CONTROLLER_SUBJECT_H

#include <stdint.h>
#include <sys/types.h>

struct subject {
    pid_t pid;
    uint16_t rest_port, hub_port;
    char dir[64], hub_url[64];
};

/* program: path of mayfly-controller; store: memory or sqlite; cpu < 0: not pinned.
 * Returns once its REST port answers; ends the bench if it does not. */
void subject_start(struct subject *s, const char *program, const char *store, int cpu);
void subject_stop(struct subject *s);
uint64_t subject_cpu_us(
    const struct subject *s); /* of all its threads, since its start */
uint64_t subject_rss_bytes(const struct subject *s);
/* f000000 … , one package, Python-sized specs. */
void subject_deploy(const struct subject *s, unsigned n);

#endif /* TESTS_BENCH_CONTROLLER_SUBJECT_H */
