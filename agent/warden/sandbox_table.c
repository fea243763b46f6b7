#include "agent/warden/sandbox_table.h"

#include <stdlib.h>

#include "common/check.h"

static struct list *id_bucket(struct sandbox_table *t, uint64_t id)
{
    return &t->ids[id % SANDBOX_TABLE_BUCKETS];
}

static struct list *pid_bucket(struct sandbox_table *t, pid_t pid)
{
    return &t->pids[(uint32_t)pid % SANDBOX_TABLE_BUCKETS];
}

void sandbox_table_init(struct sandbox_table *t)
{
    for (size_t i = 0; i < SANDBOX_TABLE_BUCKETS; i++) {
        list_init(&t->ids[i]);
        list_init(&t->pids[i]);
    }
    list_init(&t->leftovers);
    t->n = 0;
}

struct sandbox *sandbox_table_find(struct sandbox_table *t, uint64_t id)
{
    LIST_FOREACH(it, id_bucket(t, id))
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
    LIST_FOREACH(it, pid_bucket(t, pid))
    {
        struct sandbox *s = container_of(it, struct sandbox, by_pid);

        if (s->pid == pid) {
            return s;
        }
    }
    return NULL;
}

void sandbox_table_add(struct sandbox_table *t, struct sandbox *s)
{
    list_push_back(id_bucket(t, s->id), &s->by_id);
    list_push_back(s->pid > 0 ? pid_bucket(t, s->pid) : &t->leftovers, &s->by_pid);
    list_init(&s->oom_list);
    t->n++;
}

void sandbox_table_dead(struct sandbox_table *t, struct sandbox *s)
{
    CHECK(s->pid > 0);
    s->pid = 0;
    list_remove(&s->oom_list);
    list_remove(&s->by_pid);
    list_push_back(&t->leftovers, &s->by_pid);
}

static void forget(struct sandbox_table *t, struct sandbox *s)
{
    list_remove(&s->by_id);
    list_remove(&s->by_pid);
    list_remove(&s->oom_list);
    sandbox_close(s);
    free(s);
    t->n--;
}

void sandbox_table_sweep(struct sandbox_table *t, const struct cgroup_root *cgroups)
{
    LIST_FOREACH_SAFE(it, &t->leftovers)
    {
        struct sandbox *s = container_of(it, struct sandbox, by_pid);

        if (cgroup_remove(cgroups, s->id) == 0) {
            forget(t, s);
        }
    }
}

void sandbox_table_kill_all(struct sandbox_table *t, const struct sandbox_host *h)
{
    for (size_t i = 0; i < SANDBOX_TABLE_BUCKETS; i++) {
        LIST_FOREACH(it, &t->ids[i])
        {
            sandbox_kill(h, container_of(it, struct sandbox, by_id));
        }
    }
}

void sandbox_table_free(struct sandbox_table *t)
{
    for (size_t i = 0; i < SANDBOX_TABLE_BUCKETS; i++) {
        while (!list_empty(&t->ids[i])) {
            forget(t, container_of(t->ids[i].next, struct sandbox, by_id));
        }
    }
}
