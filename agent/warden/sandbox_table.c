#include "agent/warden/sandbox_table.h"

#include <stdlib.h>

#include "common/check.h"

static struct list *bucket(struct list *buckets, uint64_t key)
{
    return &buckets[key % SANDBOX_TABLE_BUCKETS];
}

void sandbox_table_init(struct sandbox_table *t)
{
    for (size_t i = 0; i < SANDBOX_TABLE_BUCKETS; i++) {
        list_init(&t->ids[i]);
        list_init(&t->pids[i]);
        list_init(&t->groups[i]);
    }
    for (uint32_t i = 0; i < SANDBOX_TABLE_MAX; i++) {
        t->slots[i] = i;
    }
    list_init(&t->leftovers);
    t->n = t->first_slot = 0;
    t->last_group = 0; /* which is the warden's own: cgroup_hold_freezer() */
}

struct sandbox *sandbox_table_find(struct sandbox_table *t, uint64_t id)
{
    LIST_FOREACH(it, bucket(t->ids, id))
    {
        struct sandbox *s = container_of(it, struct sandbox, by_id);

        if (s->id == id) {
            return s;
        }
    }
    return NULL;
}

struct sandbox *sandbox_table_find_pid(struct sandbox_table *t, pid_t pid)
{
    LIST_FOREACH(it, bucket(t->pids, (uint64_t)pid))
    {
        struct sandbox *s = container_of(it, struct sandbox, by_pid);

        if (s->pid == pid) {
            return s;
        }
    }
    return NULL;
}

struct sandbox *sandbox_table_find_group(struct sandbox_table *t, uint64_t group)
{
    LIST_FOREACH(it, bucket(t->groups, group))
    {
        struct sandbox *s = container_of(it, struct sandbox, by_group);

        if (s->group == group) {
            return s;
        }
    }
    return NULL;
}

struct sandbox *sandbox_table_add(struct sandbox_table *t)
{
    struct sandbox *s =
        t->n < SANDBOX_TABLE_MAX ? (struct sandbox *)calloc(1, sizeof(*s)) : NULL;

    if (s == NULL) {
        return NULL;
    }
    s->control = s->net = s->mnt = s->out = s->err = s->oom = s->freezer = -1;
    s->group = ++t->last_group;
    s->slot = t->slots[t->first_slot];
    t->first_slot = (t->first_slot + 1) % SANDBOX_TABLE_MAX;
    t->n++;
    list_init(&s->by_id);
    list_init(&s->by_pid);
    list_init(&s->link);
    list_init(&s->oom_list);
    list_push_back(bucket(t->groups, s->group), &s->by_group);
    return s;
}

void sandbox_table_set_pid(struct sandbox_table *t, struct sandbox *s, pid_t pid)
{
    s->pid = pid;
    list_push_back(bucket(t->pids, (uint64_t)pid), &s->by_pid);
}

void sandbox_table_set_id(struct sandbox_table *t, struct sandbox *s, uint64_t id)
{
    s->id = id;
    list_push_back(bucket(t->ids, id), &s->by_id);
}

void sandbox_table_dead(struct sandbox_table *t, struct sandbox *s)
{
    s->pid = 0;
    s->state = SANDBOX_DEAD;
    list_remove(&s->oom_list);
    list_remove(&s->by_pid);
    list_remove(&s->link);
    list_push_back(&t->leftovers, &s->link);
}

void sandbox_table_forget(struct sandbox_table *t, struct sandbox *s)
{
    CHECK(t->n > 0);
    t->slots[(t->first_slot + SANDBOX_TABLE_MAX - t->n) % SANDBOX_TABLE_MAX] = s->slot;
    t->n--;
    list_remove(&s->by_id);
    list_remove(&s->by_pid);
    list_remove(&s->by_group);
    list_remove(&s->link);
    list_remove(&s->oom_list);
    sandbox_close(s);
    free(s);
}

void sandbox_table_set_group(struct sandbox_table *t, struct sandbox *s, uint64_t group)
{
    list_remove(&s->by_group);
    s->group = group;
    list_push_back(bucket(t->groups, s->group), &s->by_group);
}

/* The ones that are busy go to the end. */
bool sandbox_table_sweep(struct sandbox_table *t, const struct cgroup_root *cgroups,
                         size_t max)
{
    struct list *last = t->leftovers.prev;
    size_t n = 0;

    while (!list_empty(&t->leftovers)) {
        struct list *it = t->leftovers.next;
        struct sandbox *s = container_of(it, struct sandbox, link);
        bool at_end = it == last;

        if (n == max) {
            return true;
        }
        if (cgroup_remove(cgroups, s->group) == 0) {
            sandbox_table_forget(t, s);
            n++;
        } else {
            list_remove(it);
            list_push_back(&t->leftovers, it);
        }
        if (at_end) {
            return false;
        }
    }
    return false;
}

void sandbox_table_kill_all(struct sandbox_table *t, const struct sandbox_host *h)
{
    for (size_t i = 0; i < SANDBOX_TABLE_BUCKETS; i++) {
        LIST_FOREACH(it, &t->groups[i])
        {
            sandbox_kill(h, container_of(it, struct sandbox, by_group));
        }
    }
}

void sandbox_table_free(struct sandbox_table *t)
{
    for (size_t i = 0; i < SANDBOX_TABLE_BUCKETS; i++) {
        while (!list_empty(&t->groups[i])) {
            sandbox_table_forget(
                t, container_of(t->groups[i].next, struct sandbox, by_group));
        }
    }
}
