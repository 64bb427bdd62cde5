/* SPDX-License-Identifier: Apache-2.0
 * The TCP core against itself over a simulated network, one run for each seed. A seed that fails is run once more with
 * a trace of its last events.
 *
 *   sim [first-seed [count]]   or by environment: XT_SIM_SEED, XT_SIM_SEEDS; default: 10,000 seeds from 1 on, 2,000
 *                              where the address sanitizer slows them down
 *   sim --trace SEED           one seed with its whole trace */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/crowd.h"
#include "tests/sim/totals.h"

#ifdef __SANITIZE_ADDRESS__
#define SEEDS 2000
#else
#define SEEDS 10000
#endif

static struct net net;
static struct crowd crowd;
static struct trace trace;

static uint64_t number(const char *arg, const char *env, uint64_t otherwise)
{
    const char *s = arg ? arg : getenv(env);
    return s && *s ? strtoull(s, NULL, 0) : otherwise;
}

/* NULL: passed. */
static const char *run(uint64_t seed, struct trace *t)
{
    bool ok = crowd_wants(seed) ? crowd_run(&crowd, seed, t) : net_run(&net, seed, t);
    if (ok)
        return NULL;
    return crowd_wants(seed) ? crowd.failure : net.failure;
}

static void count(struct totals *t, uint64_t seed)
{
    if (crowd_wants(seed))
        for (unsigned i = 0; i < crowd.n; i++)
            totals_add(t, &crowd.net[i]);
    else
        totals_add(t, &net);
    t->crowds += crowd_wants(seed);
}

static void print_params(uint64_t seed)
{
    struct params p;
    params_from_seed(&p, seed);
    if (crowd_wants(seed))
        crowd_print(seed);
    else
        params_print(&p);
}

static void report(uint64_t seed, const char *why, bool traced)
{
    unsigned long long s = seed;
    printf("FAILED seed %llu: %s\n", s, why);
    if (traced)
        return;
    print_params(seed);
    trace = (struct trace){0};
    why = run(seed, &trace);
    trace_print(&trace);
    printf("FAILED seed %llu: %s\nrun again, with all of its trace: sim --trace %llu\n", s, why ? why : "not again", s);
}

static int run_traced(uint64_t seed)
{
    print_params(seed);
    trace.all = true;
    const char *why = run(seed, &trace);
    printf("seed %llu: %s\n", (unsigned long long)seed, why ? why : "passed");
    return why != NULL;
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "--trace"))
        return run_traced(strtoull(argv[2], NULL, 0));
    uint64_t first = number(argc > 1 ? argv[1] : NULL, "XT_SIM_SEED", 1), failed = 0;
    uint64_t seeds = number(argc > 2 ? argv[2] : NULL, "XT_SIM_SEEDS", SEEDS);
    static struct totals t;
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        const char *why = run(seed, NULL);
        count(&t, seed);
        if (why)
            report(seed, why, failed++ > 0); /* one trace is enough to start with */
    }
    totals_print(&t);
    if (seeds >= 2000 && !totals_met_all(&t))
        failed++;
    printf("seeds %llu to %llu: %llu failure(s)\n", (unsigned long long)first, (unsigned long long)(first + seeds - 1),
           (unsigned long long)failed);
    return failed || !seeds;
}
