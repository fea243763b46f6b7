/* Lists in pages: ?limit= and ?after=, and "next" in the reply, which is the next page's
 * `after`. That is the name of a page's last item: it stays good while others come and
 * go, and though that one itself is deleted. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controller/api/api_private.h"

#define LIMIT_DEFAULT 500
#define LIMIT_MAX     1000
/* A page that has so much ends, however few items it has: the loop makes it in one go. */
#define PAGE_BYTES (4 * 1024 * 1024)

struct list_reply {
    struct core_list list;
    struct buf text;
    bool names_namespace; /* in `next`: the list is of all namespaces */
    char after_namespace[SPEC_NAME_MAX + 1];
    char next[SPEC_NAME_MAX + 1 + API_LIST_NAME_MAX + 1];
    bool failed;
};

static bool is_name(const struct list_reply *l, const char *name)
{
    size_t len = strlen(name);

    return len > 0 && len <= API_LIST_NAME_MAX &&
           (l->list.after_namespace == NULL || strchr(name, '/') == NULL);
}

/* "name", or "namespace/name". */
static bool read_after(struct list_reply *l, const char *text)
{
    const char *slash = strchr(text, '/');
    size_t len = slash != NULL ? (size_t)(slash - text) : 0;

    if (!l->names_namespace) {
        l->list.after = text;
        return is_name(l, text);
    }
    if (slash == NULL || len > SPEC_NAME_MAX) {
        return false;
    }
    memcpy(l->after_namespace, text, len);
    l->after_namespace[len] = '\0';
    l->list.after_namespace = l->after_namespace;
    l->list.after = slash + 1;
    return spec_name_valid(l->after_namespace) && is_name(l, l->list.after);
}

static bool read_query(struct api_request *r, struct list_reply *l)
{
    const char *after = input_query_get(&r->query, "after");
    struct error err;
    uint64_t limit;

    if (input_query_u64(&r->query, "limit", 1, LIMIT_MAX, LIMIT_DEFAULT, &limit, &err) <
        0) {
        api_refuse(r, "limit", &err);
        return false;
    }
    l->list.limit = (size_t)limit;
    if (after != NULL && !read_after(l, after)) {
        (void)error_set(&err, -EINVAL,
                        "after is \"%.80s\"; give what the page before has as next%s",
                        after, l->names_namespace ? ", such as default/hello" : "");
        api_refuse(r, "after", &err);
        return false;
    }
    return true;
}

static int append(const char *text, size_t len, void *data)
{
    return buf_append(data, text, len);
}

static bool each(void *data, const char *namespace_, const char *name, json_t *item)
{
    struct list_reply *l = data;
    char *at = l->next;

    if (l->text.len > 0) {
        l->failed |= buf_append_str(&l->text, ",") < 0;
    } else {
        l->failed |= buf_append_str(&l->text, "{\"items\":[") < 0;
    }
    l->failed |= json_dump_callback(item, append, &l->text, API_JSON) < 0;
    json_decref(item);
    if (l->names_namespace) {
        at = stpcpy(stpcpy(at, namespace_), "/");
    }
    (void)stpcpy(at, name);
    return !l->failed && l->text.len < PAGE_BYTES;
}

static int append_name(struct list_reply *l)
{
    json_t *name = json_string(l->next);
    int rc = json_dump_callback(name, append, &l->text, JSON_ENCODE_ANY);

    json_decref(name);
    return rc;
}

static int end_text(struct list_reply *l, bool more)
{
    if (l->failed || (l->text.len == 0 && buf_append_str(&l->text, "{\"items\":[") < 0)) {
        return -ENOMEM;
    }
    if (more && (buf_append_str(&l->text, "],\"next\":") < 0 || append_name(l) < 0)) {
        return -ENOMEM;
    }
    return buf_append_str(&l->text, more ? "}\n" : "]}\n");
}

void api_reply_list(struct api_request *r, const char *namespace_, api_lister *lister)
{
    struct list_reply l = {.list = {.each = each, .data = &l}};
    int rc;

    l.names_namespace = namespace_ != NULL && strcmp(namespace_, "-") == 0;
    l.list.after_namespace = namespace_;
    if (!read_query(r, &l)) {
        return;
    }
    rc = lister(r->api->core, l.names_namespace ? NULL : namespace_, &l.list);
    if (rc < 0 || end_text(&l, rc > 0) < 0) {
        api_fail(r, &(struct api_error){.cause = CAUSE_INTERNAL}, "out of memory");
    } else {
        api_reply_text(r, 200, "application/json", l.text.data, l.text.len);
    }
    buf_free(&l.text);
}
