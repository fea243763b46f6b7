/* Giving root up for good. The agent faces the network; its warden keeps the privileges.
 */
#ifndef AGENT_PRIVILEGES_H
#define AGENT_PRIVILEGES_H

#include <sys/types.h>

#include "common/error.h"

struct privileges_user {
    uid_t uid;
    gid_t gid;
};

/* A name, or a number (its group is the passwd entry's, or the same number). root is
 * refused. -ENOENT, -EINVAL. */
int privileges_user(struct privileges_user *ret, const char *user, struct error *err);

/* Makes state_dir and in it the folders "packages", "logs" and "learned" of that user,
 * and "warden" of root. Follows no link that the user could have put there. */
int privileges_folders(const char *state_dir, const struct privileges_user *user,
                       struct error *err);

/* As many open files as the system allows. */
void privileges_raise_files(void);

/* Groups, user, capabilities, and no way back (checked). No other thread may run yet. */
int privileges_drop(const struct privileges_user *user, struct error *err);

#endif /* AGENT_PRIVILEGES_H */
