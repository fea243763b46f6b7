/* The host's processors: whether they have time to spare, while starts wait for their
 * turn (agent/core/pool_gate.c). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/agent.h"
#include "common/cleanup.h"

#define SPARE_PERCENT 25 /* of all of them, that were idle */

/* proc_stat(5): user nice system idle iowait irq softirq steal, in ticks, of all
 * processors since the host is up. False: it cannot be read. */
static bool read_times(struct agent_cpu_times *ret)
{
    _cleanup_fclose_ FILE *f = fopen("/proc/stat", "re");
    uint64_t t[8] = {0};

    if (f == NULL || fscanf(f,
                            "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
                            " %" SCNu64 " %" SCNu64 " %" SCNu64,
                            &t[0], &t[1], &t[2], &t[3], &t[4], &t[5], &t[6], &t[7]) < 4) {
        return false;
    }
    *ret = (struct agent_cpu_times){.idle = t[3] + t[4]};
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        ret->all += t[i];
    }
    return true;
}

static void look_cb(uv_timer_t *timer)
{
    struct agent *a = container_of(timer, struct agent, cpu);
    struct agent_cpu_times now, before = a->cpu_times;

    if (!agent_core_starts_wait(a->core) || !read_times(&now)) {
        (void)uv_timer_stop(timer);
        return;
    }
    a->cpu_times = now;
    agent_core_host_spare(a->core, (now.idle - before.idle) * 100 >
                                       (now.all - before.all) * SPARE_PERCENT);
}

void agent_cpu_turn(struct agent *a)
{
    if (agent_core_starts_wait(a->core) && !uv_is_active((uv_handle_t *)&a->cpu) &&
        read_times(&a->cpu_times)) {
        (void)uv_timer_start(&a->cpu, look_cb, CORE_SPARE_MS, CORE_SPARE_MS);
    }
}
