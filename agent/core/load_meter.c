#include "agent/core/load_meter.h"

#include "common/check.h"

uint64_t load_meter_read(const struct load_meter *m, uint64_t now_us)
{
    return now_us > m->since_us ? m->load_us + (now_us - m->since_us) * m->level
                                : m->load_us;
}

static void advance(struct load_meter *m, uint64_t now_us)
{
    m->load_us = load_meter_read(m, now_us);
    m->since_us = now_us > m->since_us ? now_us : m->since_us;
}

void load_meter_add(struct load_meter *m, uint64_t now_us)
{
    advance(m, now_us);
    m->level++;
}

void load_meter_remove(struct load_meter *m, uint64_t now_us)
{
    CHECK(m->level > 0);
    advance(m, now_us);
    m->level--;
}
