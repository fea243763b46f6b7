/* mayfly-sim: clusters on virtual time, one a seed. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

static int usage(FILE *out, int status)
{
    (void)fputs("mayfly-sim --seed 7                 one cluster, from that seed\n"
                "mayfly-sim --seed 1 --runs 200      clusters from seeds 1 to 200\n\n"
                "  --seed N       first seed (default 1)\n"
                "  --runs N       how many (default 1)\n"
                "  --nodes N      hosts, 1 to 512 (default: by seed, 2 to 9)\n"
                "  --functions N  1 to 4096 (default: by seed, 1 to 12)\n"
                "  --seconds N    of load and faults (default 40)\n"
                "  --no-faults    nothing fails\n"
                "Ends with 1 if an invariant did not hold; the seed is in the message.\n",
                out);
    return status;
}

static unsigned long number(const char *name, const char *text, unsigned long min,
                            unsigned long max)
{
    char *end;
    unsigned long n;

    errno = 0;
    n = strtoul(text, &end, 10);
    if (errno != 0 || *end != '\0' || end == text || n < min || n > max) {
        (void)fprintf(stderr, "mayfly-sim: --%s %s: give a number from %lu to %lu\n",
                      name, text, min, max);
        exit(2);
    }
    return n;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'},
        {"runs", required_argument, NULL, 'r'},
        {"nodes", required_argument, NULL, 'n'},
        {"functions", required_argument, NULL, 'f'},
        {"seconds", required_argument, NULL, 't'},
        {"no-faults", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    unsigned long seed = 1, runs = 1, nodes = 0, functions = 0, seconds = 40, failed = 0;
    struct sim_counts total = {0};
    bool faults = true;
    int option;

    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (option) {
        case 's':
            seed = number("seed", optarg, 0, (unsigned long)INT64_MAX);
            break;
        case 'r':
            runs = number("runs", optarg, 1, 100000000);
            break;
        case 'n':
            nodes = number("nodes", optarg, 1, SIM_NODES_MAX);
            break;
        case 'f':
            functions = number("functions", optarg, 1, SIM_FUNCTIONS_MAX);
            break;
        case 't':
            seconds = number("seconds", optarg, 1, 100000);
            break;
        case 'q':
            faults = false;
            break;
        case 'h':
            return usage(stdout, 0);
        default:
            return usage(stderr, 2);
        }
    }
    for (unsigned long i = 0; i < runs; i++) {
        struct sim_options o = {
            .seed = seed + i,
            .nodes = (unsigned)(nodes > 0 ? nodes : 2 + (seed + i) % 8),
            .functions = (unsigned)(functions > 0 ? functions : 1 + (seed + i) * 7 % 12),
            .duration_us = seconds * 1000000,
            .faults = faults,
        };
        struct sim_counts counts;

        failed += !sim_run(&o, &counts);
        for (size_t k = 0; k < sizeof(counts) / sizeof(uint64_t); k++) {
            ((uint64_t *)&total)[k] += ((uint64_t *)&counts)[k];
        }
    }
    (void)printf(
        "%lu seeds, %lu failed: %llu calls (%llu answered, %llu failed of which %llu "
        "rejected, %llu canceled, %llu cold, %llu forwarded of which %llu came back), "
        "%llu freezes, %llu prewarms, %llu deploys, %llu deletes, %llu orders, "
        "%llu rollouts, %llu traffic changes, "
        "%llu controller and %llu agent crashes, %llu stops, %llu cuts, %llu resets, "
        "%llu store outages\n",
        runs, failed, (unsigned long long)total.calls, (unsigned long long)total.ok,
        (unsigned long long)total.failed, (unsigned long long)total.rejected,
        (unsigned long long)total.canceled, (unsigned long long)total.cold,
        (unsigned long long)total.forwarded, (unsigned long long)total.returned,
        (unsigned long long)total.freezes, (unsigned long long)total.prewarms,
        (unsigned long long)total.deploys, (unsigned long long)total.deletes,
        (unsigned long long)total.orders, (unsigned long long)total.rollouts,
        (unsigned long long)total.traffic, (unsigned long long)total.controller_crashes,
        (unsigned long long)total.agent_crashes, (unsigned long long)total.stops,
        (unsigned long long)total.cuts, (unsigned long long)total.resets,
        (unsigned long long)total.store_outages);
    return failed > 0;
}
