/* What a call leaves in its sandbox, and whether the next call may have it: init's part
 * of recycling (docs/decisions/0013-recycled-sandboxes.md). Without a right over
 * anything, init ends all processes and removes all files; the rest it compares with what
 * there was before any program of the function ran. What differs is not repaired. */
#ifndef AGENT_WARDEN_INIT_CLEAN_H
#define AGENT_WARDEN_INIT_CLEAN_H

#include <stdbool.h>

/* Keeps how things are, before the first program of a function runs: nothing changes
 * them but a function. The first time counts, later ones are without effect. */
void clean_mark(void);

/* Ends what is left and looks. signals: a signalfd of SIGCHLD; children is false if there
 * are none. NULL: all is as it was, and no process is left but init. Else what is not, in
 * a word or two; the sandbox must go. Takes a fifth of a second at most. */
const char *clean_up(int signals, bool children);

#endif /* AGENT_WARDEN_INIT_CLEAN_H */
