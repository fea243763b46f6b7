/* Where mayfly's other programs are. */
#ifndef CLI_PROGRAMS_H
#define CLI_PROGRAMS_H

/* The daemon of that name beside this program, else on the PATH; malloc'ed, NULL:
 * nowhere. */
char *programs_daemon(const char *name);
/* What the agent at that path starts ("mayfly-warden", "mayfly-init"); likewise. */
char *programs_helper(const char *agent, const char *name);

#endif /* CLI_PROGRAMS_H */
