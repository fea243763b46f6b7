/* The warden's command line, written by the agent. */
#ifndef AGENT_WARDEN_OPTIONS_H
#define AGENT_WARDEN_OPTIONS_H

#include <stdint.h>

#include "common/error.h"
#include "common/log.h"

struct warden_options {
    int fd;                /* the agent's connection */
    const char *state_dir; /* the warden's own: mount points */
    const char *packages;  /* folder of unpacked packages */
    const char *cgroup;    /* name of its group, "mayfly" */
    uint32_t uid_base;
    unsigned blanks;  /* that are kept ready, at most */
    const char *base; /* "host", or a folder with the functions' root */
    enum log_level log_level;
    enum log_format log_format;
};

int warden_options_parse(struct warden_options *o, int argc, char **argv,
                         struct error *err);

#endif /* AGENT_WARDEN_OPTIONS_H */
