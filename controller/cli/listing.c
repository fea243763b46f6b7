#include "controller/cli/listing.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "controller/cli/http.h"
#include "controller/cli/print.h"
#include "controller/cli/rest.h"

#define PATH_BYTES 512
#define PAGE_MAX   1000 /* items that the controller gives at once */

/* A list that is being read. */
struct pages {
    const struct cli *c;
    const char *what;
    const char *path;
    uint64_t limit, n; /* 0: none; items so far */
    char *after;       /* the last page's "next"; NULL: none was */
    json_t *page;      /* the items of the page that was read last */
};

static void pages_free(struct pages *p)
{
    json_decref(p->page);
    free(p->after);
}

static bool pages_done(const struct pages *p)
{
    return p->page != NULL && (p->after == NULL || (p->limit > 0 && p->n >= p->limit));
}

static int ask(const struct pages *p, json_t **ret)
{
    _cleanup_free_ char *after = p->after != NULL ? http_escape(p->after) : NULL;
    uint64_t size = p->limit > 0 ? p->limit - p->n : 0;
    char query[64] = "";

    if (p->after != NULL && after == NULL) {
        return cli_fail(p->c, EXIT_CODE_FAILED, NULL, NULL, "out of memory");
    }
    if (size > 0) {
        (void)snprintf(query, sizeof(query), "?limit=%" PRIu64,
                       size < PAGE_MAX ? size : PAGE_MAX);
    }
    return rest_call(p->c, p->what, "GET", NULL, ret, "%s%s%s%s", p->path, query,
                     after == NULL ? ""
                     : size > 0    ? "&after="
                                   : "?after=",
                     after != NULL ? after : "");
}

/* Whether a page that ends so is one, and there is a way on from it. */
static bool is_page(const struct pages *p, const json_t *items, const char *next)
{
    return json_is_array(items) &&
           (next == NULL || (json_array_size(items) > 0 &&
                             (p->after == NULL || strcmp(next, p->after) != 0)));
}

/* The next page: *p has its items and what comes after it. */
static int pages_read(struct pages *p)
{
    json_t *json = NULL, *items;
    int rc = ask(p, &json);
    const char *next;
    char *after;

    if (rc != EXIT_CODE_OK) {
        return rc;
    }
    items = json_object_get(json, "items");
    next = json_string_value(json_object_get(json, "next"));
    if (!is_page(p, items, next)) {
        json_decref(json);
        return cli_fail(
            p->c, EXIT_CODE_FAILED, NULL, "is this the address of a mayfly controller?",
            "cannot %s: %s replied with something that is no list", p->what, p->c->url);
    }
    after = next != NULL ? strdup(next) : NULL;
    if (next != NULL && after == NULL) {
        json_decref(json);
        return cli_fail(p->c, EXIT_CODE_FAILED, NULL, NULL, "out of memory");
    }
    json_decref(p->page);
    p->page = json_incref(items);
    p->n += json_array_size(items);
    free(p->after);
    p->after = after;
    json_decref(json);
    return EXIT_CODE_OK;
}

static int collect(struct pages *p, json_t **ret)
{
    json_t *all = json_array();
    int rc = EXIT_CODE_OK;

    while (rc == EXIT_CODE_OK && !pages_done(p)) {
        rc = pages_read(p);
        if (rc == EXIT_CODE_OK && json_array_extend(all, p->page) < 0) {
            rc = cli_fail(p->c, EXIT_CODE_FAILED, NULL, NULL, "out of memory");
        }
    }
    *ret = rc == EXIT_CODE_OK ? json_pack("{s:O, s:s*}", "items", all, "next", p->after)
                              : NULL;
    json_decref(all);
    return rc;
}

static int print_names(struct pages *p)
{
    int rc = EXIT_CODE_OK;
    const json_t *item;
    size_t i;

    while (rc == EXIT_CODE_OK && !pages_done(p)) {
        rc = pages_read(p);
        if (rc != EXIT_CODE_OK) {
            break;
        }
        json_array_foreach(p->page, i, item)
        {
            (void)puts(json_text(item, "name", "?"));
        }
        (void)fflush(stdout); /* whoever waits no longer has these */
    }
    return rc;
}

int listing_get(const struct cli *c, const char *what, uint64_t limit, json_t **ret_json,
                const char *path, ...)
{
    char whole[PATH_BYTES];
    struct pages p = {.c = c, .what = what, .path = whole, .limit = limit};
    va_list ap;
    int rc;

    va_start(ap, path);
    (void)vsnprintf(whole, sizeof(whole), path, ap);
    va_end(ap);
    rc = collect(&p, ret_json);
    pages_free(&p);
    return rc;
}

int listing_print(const struct cli *c, const struct listing *l, const char *path, ...)
{
    char whole[PATH_BYTES];
    struct pages p = {.c = c, .what = l->what, .path = whole, .limit = l->limit};
    json_t *json = NULL;
    va_list ap;
    int rc;

    va_start(ap, path);
    (void)vsnprintf(whole, sizeof(whole), path, ap);
    va_end(ap);
    if (c->output == OUTPUT_NAME) {
        rc = print_names(&p);
        if (rc == EXIT_CODE_OK && p.n == 0) {
            cli_say(c, "%s", l->empty);
        }
    } else {
        rc = collect(&p, &json);
        rc = rc == EXIT_CODE_OK
                 ? print_list(c, json, l->columns, l->n_columns, l->row, l->empty)
                 : rc;
    }
    if (rc == EXIT_CODE_OK && p.after != NULL) {
        cli_say(c, "the first %" PRIu64 "; there are more", p.n);
    }
    json_decref(json);
    pages_free(&p);
    return rc;
}
