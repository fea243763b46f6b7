/* What stands in the template root of sandboxes, beside what each mounts for itself. */
#ifndef AGENT_WARDEN_SKELETON_H
#define AGENT_WARDEN_SKELETON_H

#include "common/error.h"

/* root: an empty, writable folder that is a mount. base: "host" or a folder. runtimes:
 * what is copied to /var/runtime; a copy takes no mount of every sandbox. */
int skeleton_make(const char *root, const char *base, const char *runtimes,
                  struct error *err);

#endif /* AGENT_WARDEN_SKELETON_H */
