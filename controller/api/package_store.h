/* Packages on the controller's disk, by digest.
 *
 *   <dir>/<sha256>.<format>    whole, its digest checked and its content verified as that
 *                              format; the same bytes under a second format are a link
 *   <dir>/.upload-*            in progress; removed at start
 *
 * What is there is known from an index in memory, so that asking costs no disk. All work
 * on files of any size is done on libuv's worker threads; callbacks come on the loop's.
 */
#ifndef CONTROLLER_API_PACKAGE_STORE_H
#define CONTROLLER_API_PACKAGE_STORE_H

#include <limits.h>
#include <stdbool.h>
#include <uv.h>

#include "common/cause.h"
#include "common/error.h"
#include "common/spec.h"

struct package_store;
struct package_upload;

/* Makes the folder, removes what a predecessor left half done, reads what is there. */
int package_store_new(struct package_store **ret, uv_loop_t *loop, const char *dir,
                      struct error *err);
/* After the loop has run out (uploads' work ends there). Takes NULL. */
struct package_store *package_store_free(struct package_store *s);

/* False: not there. ret_* may be NULL. */
bool package_store_find(const struct package_store *s, const char *digest,
                        uint64_t *ret_bytes);
/* Whether it was verified as this format. */
bool package_store_has(const struct package_store *s, const char *digest,
                       enum spec_format format);
/* Its file, under whichever format. False: not there. */
bool package_store_path(const struct package_store *s, const char *digest,
                        char ret[PATH_MAX]);
size_t package_store_count(const struct package_store *s);
uint64_t package_store_bytes(const struct package_store *s);

/* Somebody wants it: its grace begins anew. */
void package_store_touch(struct package_store *s, const char *digest);
/* While pinned it is not collected. It must be there. */
void package_store_pin(struct package_store *s, const char *digest);
void package_store_unpin(struct package_store *s, const char *digest);

/* Removes what nobody has wanted for grace_ms and `used` does not know. */
size_t package_store_collect(struct package_store *s, uint64_t grace_ms,
                             bool (*used)(void *data, const char *digest), void *data);

/* --- upload --------------------------------------------------------------------------
 *
 *   new ──write*──▶ end ──▶ on_done ──▶ close          on_done may come before end
 */
struct package_upload_result {
    enum cause cause; /* CAUSE_NONE: stored, durable */
    const char *text; /* when it failed; valid in the call */
    bool created;     /* it was not there, in this format */
    uint64_t bytes;
};

/* ref: digest, format and file name as the client says; bytes is ignored. -EBUSY: too
 * many uploads are under way. on_room: write() may be called again after it returned
 * false. */
int package_upload_new(struct package_upload **ret, struct package_store *s,
                       const struct package_ref *ref, void (*on_room)(void *data),
                       void (*on_done)(void *data, const struct package_upload_result *r),
                       void *data);
/* Copies. False: it is taken, but wait for on_room before the next. */
bool package_upload_write(struct package_upload *u, const void *data, size_t len);
void package_upload_end(struct package_upload *u); /* all was written */
/* No callback after this; what was not stored leaves nothing. Takes NULL. */
void package_upload_close(struct package_upload *u);

#endif /* CONTROLLER_API_PACKAGE_STORE_H */
