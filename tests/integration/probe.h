/* The probe: a small static program that tests run inside a sandbox. It tries what a
 * function must not be able to do and prints one line an attempt:
 *
 *     mount EPERM        the errno's name, or "ok", or the signal that it died of
 *
 *     probe GROUP [ARGUMENT…]      attempts of that group
 *
 * Each attempt runs in a process of its own, at most ten seconds. */
#ifndef TESTS_INTEGRATION_PROBE_H
#define TESTS_INTEGRATION_PROBE_H

/* 0 or an errno. arg may be NULL. */
typedef int (*probe_attempt)(const char *arg);

/* Runs one attempt and prints its line. */
void probe_try(const char *name, probe_attempt attempt, const char *arg);

/* A group prints its lines itself; args are the words after its name, NULL-terminated. */
struct probe_group {
    const char *name;
    void (*run)(char **args);
};

/* Ends with name NULL. */
extern const struct probe_group probe_process_groups[];  /* probe_process.c */
extern const struct probe_group probe_file_groups[];     /* probe_files.c */
extern const struct probe_group probe_resource_groups[]; /* probe_resources.c */

#endif /* TESTS_INTEGRATION_PROBE_H */
