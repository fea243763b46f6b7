/* Freezing a control group through an open descriptor of its freezer.state (v1) or
 * cgroup.freeze (v2): kernel, Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst
 * and cgroup-v2.rst.
 *
 * A write is all that it takes, some ten microseconds, and it blocks for nobody. Frozen
 * processes stop at the next chance, which for those that run is at once; thawed ones may
 * run when it returns. On v1 what is frozen dies of no signal until it is thawed. */
#ifndef COMMON_FREEZER_H
#define COMMON_FREEZER_H

#include <stdbool.h>

/* fd: open for reading and writing. 0, or a negative errno: -ENODEV, its group is gone. A
 * thaw is confirmed by what the file then says: -EIO, it still says otherwise. */
int freezer_set(int fd, bool frozen);

#endif /* COMMON_FREEZER_H */
