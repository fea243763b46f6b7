/* A process that ends and removes what a bench of agents made when the bench's own
 * process ends, however it does: an agent gives up its ties to its parent with its
 * privileges. */
#ifndef TESTS_LIB_AGENTS_GUARD_H
#define TESTS_LIB_AGENTS_GUARD_H

#include <sys/types.h>

void agents_guard_start(void);
void agents_guard_tell(pid_t pid); /* an agent's; -pid: it has ended */
/* The folder of all that this process' benches make; the caller makes it. */
void agents_guard_folder(char ret[40]);

#endif /* TESTS_LIB_AGENTS_GUARD_H */
