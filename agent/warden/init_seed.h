/* A runtime that is up before its function is known: a program (an interpreter) that init
 * has started in a blank, and that waits on its descriptor 3, a stream socket. It writes
 * a byte when it is up, and another when it does no more than wait. It gets a length (32
 * bits) and as many bytes of environment, "K=V" each with a NUL, also before it is up;
 * then it is the function's process. */
#ifndef AGENT_WARDEN_INIT_SEED_H
#define AGENT_WARDEN_INIT_SEED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

/* init.c. Starts a program; fds: 0, 1, 2, and 3 or -1. On failure *ret_error says why (it
 * is then waited for). */
pid_t init_spawn(char *const *argv, char *const *envp, const int fds[4], int *ret_error);
void init_tell_seeded(int error);
void init_tell_settled(void);

/* The fds stay the caller's. */
void seed_start(char *const *argv, char *const *envp, const int fds[3]);
int seed_fd(void); /* to read its words from; -1: none is awaited */
void seed_heard(void);
void seed_hush(void);       /* its words are of no interest any more */
void seed_ended(pid_t pid); /* if it is that */
void seed_limit(const struct rlimit *file);

/* The function is there: its process, or 0: there is no seed (any more), or it is not the
 * program that the function would get. */
pid_t seed_take(const char *program, const char *env, uint32_t env_len);
const int *seed_fds(void); /* that it was started with, for whoever takes its place */
void seed_close(void);

#endif /* AGENT_WARDEN_INIT_SEED_H */
