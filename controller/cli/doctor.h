/* What this host has and lacks: checks of `mayfly doctor`, and of `mayfly dev` before it
 * starts anything. */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>

#include "controller/cli/cli.h"

enum check_status { CHECK_OK, CHECK_WARN, CHECK_FAIL };

struct check {
    const char *name; /* "cgroups" */
    enum check_status status;
    char message[256];
    char fix[256]; /* "" unless it is to be mended */
};

#define DOCTOR_CHECKS_MAX 32

struct doctor {
    const struct cli *c;
    const char *dir; /* state folder */
    struct check checks[DOCTOR_CHECKS_MAX];
    size_t n;
};

/* Adds a check's result; fix may be NULL. */
void doctor_add(struct doctor *d, const char *name, enum check_status status,
                const char *fix, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* doctor_kernel.c: what sandboxes need of kernel and control groups. */
void doctor_kernel(struct doctor *d);
void doctor_cgroups(struct doctor *d);
/* doctor_host.c: programs and the rest of the host. */
void doctor_programs(struct doctor *d);
void doctor_host(struct doctor *d);

/* Prints what `mayfly dev` cannot do without and is missing; exit code. */
int doctor_preflight(const struct cli *c, const char *dir);

#endif /* CLI_DOCTOR_H */
