#include "agent/warden/warden_counts.h"

#include <stdio.h>
#include <string.h>

/* Where this program is counted, or NULL: there are too many different ones. */
static struct warden_blank_kind *kind_of(struct warden_blanks *b, const char *program)
{
    for (unsigned i = 0; i < b->n_kinds; i++) {
        if (strcmp(b->kinds[i].program, program) == 0) {
            return &b->kinds[i];
        }
    }
    if (b->n_kinds == WARDEN_KINDS_MAX) {
        return NULL;
    }
    (void)snprintf(b->kinds[b->n_kinds].program, sizeof(b->kinds[0].program), "%s",
                   program);
    return &b->kinds[b->n_kinds++];
}

void warden_counts_given(struct warden_blanks *b, const char *program, bool found)
{
    struct warden_blank_kind *kind = kind_of(b, program);

    if (kind != NULL) {
        kind->used += found;
        kind->missed += !found;
    }
}

static void add_seeds(struct warden_blanks *b, const struct warden_seeds *seeds)
{
    struct warden_blank_kind *kind;
    char program[WARDEN_PROGRAM_MAX + 1];

    (void)snprintf(program, sizeof(program), "%.*s", WARDEN_PROGRAM_MAX, seeds->program);
    kind = *program != '\0' ? kind_of(b, program) : NULL;
    if (kind != NULL) {
        kind->ready += seeds->ready;
        kind->making += seeds->making;
        kind->memory_bytes += seeds->memory_bytes;
    }
}

/* Several recipes may have one program. */
static void take_seeds(struct warden_blanks *b, const struct warden_reply *r)
{
    for (unsigned i = 0; i < b->n_kinds; i++) {
        b->kinds[i].ready = b->kinds[i].making = 0;
        b->kinds[i].memory_bytes = 0;
    }
    for (unsigned i = 0; i < WARDEN_RECIPES; i++) {
        add_seeds(b, &r->seeds[i]);
    }
}

void warden_counts_told(struct warden_blanks *b, const struct warden_reply *r)
{
    struct warden_blank_kind *plain;

    if (r->type == WARDEN_BLANKS) {
        take_seeds(b, r);
    }
    b->made = r->blanks_made;
    plain = kind_of(b, "");
    if (plain == NULL) {
        return;
    }
    plain->ready = r->blanks_ready;
    if (r->type == WARDEN_BLANKS) {
        plain->making = r->blanks_making;
        plain->memory_bytes = r->blanks_memory_bytes;
    }
}
