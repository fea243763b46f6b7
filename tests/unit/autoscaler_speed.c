/* How long a decision takes, and an observation: run by hand. */
#include <stdio.h>

#include "common/clock.h"
#include "controller/core/autoscaler.h"

#define VERSIONS 50000
#define ROUNDS   40

static struct autoscaler *scalers[VERSIONS];

int main(void)
{
    struct autoscaler_config c;
    struct autoscaler_decision d;
    uint64_t observing = 0, deciding = 0, t, sum = 0, now = 1000000;

    autoscaler_config_init(&c);
    c.container_concurrency = 1;
    for (size_t i = 0; i < VERSIONS; i++) {
        if (autoscaler_new(&scalers[i], &c, now, 0) < 0) {
            return 1;
        }
    }
    for (int r = 0; r < ROUNDS; r++) {
        now += AUTOSCALER_TICK_MS;
        t = clock_mono_us();
        for (size_t i = 0; i < VERSIONS; i++) {
            sum += autoscaler_observe(scalers[i], &(struct autoscaler_observation){
                                                      .at_ms = now,
                                                      .concurrency = (double)(i % 7),
                                                      .ready = (uint32_t)(i % 5)});
        }
        observing += clock_mono_us() - t;
        t = clock_mono_us();
        for (size_t i = 0; i < VERSIONS; i++) {
            autoscaler_decide(scalers[i], now, &d);
            sum += d.desired;
        }
        deciding += clock_mono_us() - t;
    }
    printf("%d versions, %zu bytes each: observation %.0f ns, decision %.0f ns (%llu)\n",
           VERSIONS, autoscaler_bytes(scalers[0]),
           (double)observing * 1000 / VERSIONS / ROUNDS,
           (double)deciding * 1000 / VERSIONS / ROUNDS, (unsigned long long)sum);
    for (size_t i = 0; i < VERSIONS; i++) {
        scalers[i] = autoscaler_free(scalers[i]);
    }
    return 0;
}
