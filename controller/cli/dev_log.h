/* The daemons' log files of a detached `mayfly dev`. */
#ifndef CLI_DEV_LOG_H
#define CLI_DEV_LOG_H

#include <stdio.h>

#define DEV_LOG_MAX (10L * 1024 * 1024)

/* Opens a log for appending; fd or -errno. */
int dev_log_open(const char *path);
/* Past DEV_LOG_MAX it becomes PATH.1, and is empty for those who have it open. */
void dev_log_rotate(const char *path);
/* The last lines, as many as fit into 4 KiB, indented. */
void dev_log_tail(const char *path, FILE *out);

#endif /* CLI_DEV_LOG_H */
