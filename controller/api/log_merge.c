#include "controller/api/log_merge.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/list.h"

enum part_state { PART_OWES, PART_HAS, PART_LIVE, PART_ENDED };

struct part {
    struct list link;
    enum part_state state;
    bool live;                  /* has given its history */
    bool will_end;              /* after the lines that are here */
    uint64_t since_ms;          /* owes since */
    uint64_t given_ms;          /* wall time of the newest line given out */
    uint64_t skip_ms;           /* asked anew: lines up to here were given out before */
    struct api_log_line *lines; /* one block with their texts */
    size_t n, next;
    char notice[160]; /* a system line to give out; "" for none */
    uint64_t notice_wall_ms;
    char node[];
};

struct log_merge {
    struct log_merge_options options;
    struct list parts;
    struct part *given; /* its lines[next - 1] is what was given out last */
    struct api_log_line system;
    char text[160];
};

int log_merge_new(struct log_merge **ret, const struct log_merge_options *options)
{
    struct log_merge *m = calloc(1, sizeof(*m));

    if (m == NULL) {
        return -ENOMEM;
    }
    m->options = *options;
    list_init(&m->parts);
    *ret = m;
    return 0;
}

struct log_merge *log_merge_free(struct log_merge *m)
{
    if (m != NULL) {
        LIST_FOREACH_SAFE(it, &m->parts)
        {
            struct part *p = container_of(it, struct part, link);

            free(p->lines);
            free(p);
        }
        free(m);
    }
    return NULL;
}

static struct part *find(const struct log_merge *m, const char *node)
{
    LIST_FOREACH(it, &m->parts)
    {
        struct part *p = container_of(it, struct part, link);

        if (strcmp(p->node, node) == 0) {
            return p;
        }
    }
    return NULL;
}

int log_merge_ask(struct log_merge *m, const char *node, uint64_t now_ms)
{
    struct part *p = find(m, node);

    if (p == NULL) {
        p = calloc(1, sizeof(*p) + strlen(node) + 1);
        if (p == NULL) {
            return -ENOMEM;
        }
        (void)stpcpy(p->node, node);
        list_push_back(&m->parts, &p->link);
    } else if (p->state != PART_ENDED) {
        return 0;
    }
    p->state = PART_OWES;
    p->live = p->will_end = false;
    p->skip_ms = p->given_ms;
    p->since_ms = now_ms;
    return 0;
}

/* --- chunks in ---------------------------------------------------------------- */

static struct api_log_line *copy_lines(const struct api_log_line *lines, size_t n)
{
    size_t size = n * sizeof(*lines);
    struct api_log_line *copy;
    char *at;

    for (size_t i = 0; i < n; i++) {
        size += strlen(lines[i].instance) + strlen(lines[i].stream) + 2 + lines[i].len;
    }
    copy = malloc(size);
    if (copy == NULL) {
        return NULL;
    }
    at = (char *)(copy + n);
    for (size_t i = 0; i < n; i++) {
        copy[i] = lines[i];
        copy[i].instance = at;
        at = stpcpy(at, lines[i].instance) + 1;
        copy[i].stream = at;
        at = stpcpy(at, lines[i].stream) + 1;
        copy[i].text = at;
        if (lines[i].len > 0) {
            memcpy(at, lines[i].text, lines[i].len);
        }
        at += lines[i].len;
    }
    return copy;
}

static void used_up(struct log_merge *m, struct part *p, uint64_t now_ms)
{
    free(p->lines);
    p->lines = NULL;
    p->n = p->next = 0;
    if (p->will_end) {
        p->state = PART_ENDED;
        return;
    }
    p->state = p->live ? PART_LIVE : PART_OWES;
    p->since_ms = now_ms;
    m->options.want_more(m->options.data, p->node);
}

int log_merge_chunk(struct log_merge *m, const char *node,
                    const struct api_log_line *lines, size_t n, bool end, uint64_t now_ms)
{
    struct part *p = find(m, node);
    struct api_log_line *copy;

    if (p == NULL || p->state == PART_ENDED) {
        return 0; /* passed over: too late */
    }
    if (p->state == PART_HAS) {
        return -EPROTO;
    }
    copy = n > 0 ? copy_lines(lines, n) : NULL;
    if (n > 0 && copy == NULL) {
        return -ENOMEM;
    }
    p->lines = copy;
    p->n = n;
    p->next = 0;
    p->will_end = end;
    p->state = PART_HAS;
    while (p->next < n && lines[p->next].wall_ms <= p->skip_ms) {
        p->next++;
    }
    if (p->next == n) {
        used_up(m, p, now_ms);
    }
    return 0;
}

void log_merge_gone(struct log_merge *m, const char *node, const char *text,
                    uint64_t wall_ms)
{
    struct part *p = find(m, node);

    if (p == NULL || p->state == PART_ENDED) {
        return;
    }
    if (p->state == PART_HAS) {
        p->will_end = true; /* what has come is given out */
    } else {
        p->state = PART_ENDED;
    }
    if (text != NULL) {
        (void)snprintf(p->notice, sizeof(p->notice), "%s", text);
        p->notice_wall_ms = wall_ms;
    }
}

/* --- lines out ---------------------------------------------------------------- */

static const struct api_log_line *notice(struct log_merge *m, struct part *p,
                                         const char **ret_node)
{
    memcpy(m->text, p->notice, sizeof(m->text));
    p->notice[0] = '\0';
    m->system = (struct api_log_line){
        .wall_ms = p->notice_wall_ms,
        .instance = "",
        .stream = "system",
        .text = m->text,
        .len = strlen(m->text),
    };
    *ret_node = p->node;
    return &m->system;
}

/* Nodes that have owed for too long hold nothing up any more. */
static void pass_over(struct log_merge *m, uint64_t now_ms, uint64_t wall_ms)
{
    uint32_t limit_ms = m->options.follow ? m->options.quiet_ms : m->options.answer_ms;

    LIST_FOREACH(it, &m->parts)
    {
        struct part *p = container_of(it, struct part, link);

        if (p->state != PART_OWES || now_ms - p->since_ms < limit_ms) {
            continue;
        }
        if (m->options.follow) {
            p->state = PART_LIVE;
            p->live = true;
        } else {
            char text[128];

            (void)snprintf(text, sizeof(text),
                           "no answer from this node within %u ms: its lines are missing",
                           limit_ms);
            log_merge_gone(m, p->node, text, wall_ms);
        }
    }
}

const struct api_log_line *log_merge_next(struct log_merge *m, const char **ret_node,
                                          uint64_t now_ms, uint64_t wall_ms)
{
    struct part *best = NULL;

    if (m->given != NULL && m->given->next == m->given->n) {
        used_up(m, m->given, now_ms);
    }
    m->given = NULL;
    pass_over(m, now_ms, wall_ms);
    LIST_FOREACH(it, &m->parts)
    {
        struct part *p = container_of(it, struct part, link);

        if (p->state == PART_OWES) {
            return NULL;
        }
        if (p->notice[0] != '\0' && p->state == PART_ENDED) {
            return notice(m, p, ret_node);
        }
        if (p->state == PART_HAS &&
            (best == NULL ||
             p->lines[p->next].wall_ms < best->lines[best->next].wall_ms)) {
            best = p;
        }
    }
    if (best == NULL) {
        return NULL;
    }
    m->given = best;
    best->given_ms = best->lines[best->next].wall_ms;
    *ret_node = best->node;
    return &best->lines[best->next++];
}

uint64_t log_merge_deadline_ms(const struct log_merge *m)
{
    uint32_t limit_ms = m->options.follow ? m->options.quiet_ms : m->options.answer_ms;
    uint64_t first_ms = UINT64_MAX;

    LIST_FOREACH(it, &m->parts)
    {
        const struct part *p = container_of(it, const struct part, link);

        if (p->state == PART_OWES && p->since_ms + limit_ms < first_ms) {
            first_ms = p->since_ms + limit_ms;
        }
    }
    return first_ms;
}

bool log_merge_is_over(const struct log_merge *m)
{
    LIST_FOREACH(it, &m->parts)
    {
        const struct part *p = container_of(it, const struct part, link);

        if (p->state != PART_ENDED || p->notice[0] != '\0') {
            return false;
        }
    }
    return true;
}

void log_merge_each_open(const struct log_merge *m,
                         void (*each)(void *data, const char *node), void *data)
{
    LIST_FOREACH(it, &m->parts)
    {
        const struct part *p = container_of(it, const struct part, link);

        if (p->state != PART_ENDED) {
            each(data, p->node);
        }
    }
}
