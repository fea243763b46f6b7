/* The program that a process becomes: where it is, and why it cannot be executed. */
#ifndef AGENT_WARDEN_INIT_PROGRAM_H
#define AGENT_WARDEN_INIT_PROGRAM_H

/* execve(2) of argv[0]: a path, or a name without a slash that is looked up in /var/task
 * and then where programs are. Returns -1, and errno says why not. */
int program_execute(char *const *argv, char *const *envp);

/* The same without executing it: 0, it could be. *ret_word: what is wrong with it, for
 * people, or "": errno says all. It is good until the next check. */
int program_check(const char *program, const char **ret_word);

#endif /* AGENT_WARDEN_INIT_PROGRAM_H */
