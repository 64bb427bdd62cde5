/* SPDX-License-Identifier: Apache-2.0
 * Flows of one kind at a shared bottleneck: after all have settled, each has its fair share and together they fill it.
 * Rates, round-trip times, queues and the time at which each flow begins come from seeds. Prints Jain's index and the
 * use of the link for each congestion control: the mean and the worst of the seeds.
 *
 *   share [first-seed [count]]   default: 4 seeds from 1 on */
#include <stdio.h>
#include <stdlib.h>

#include "proto/xt_cc.h"
#include "tests/sim/flow.h"

#define S 1000000ull
#ifdef __SANITIZE_ADDRESS__
#define SEEDS 1
#else
#define SEEDS 4
#endif

/* How many flows, how fast at most, for how long, and the least index (mean and worst) that will do. */
struct share_case {
    unsigned flows;
    uint64_t rate;            /* bits per second for each flow, or down to a third of it */
    uint64_t settle, counted; /* seconds */
    bool ecn;
    double mean, worst;
};

static const struct share_case cases[] = {
    {2, 9000000, 40, 60, false, 0.90, 0.75},
    {2, 9000000, 40, 60, true, 0.90, 0.75},
    {10, 3000000, 40, 40, false, 0.85, 0.70},
    {50, 900000, 30, 30, false, 0.80, 0.65},
};

struct result {
    double jain, used;
};

/* Half to twice the bandwidth-delay product to queue, and room for two segments of each flow. */
static struct path_cfg draw_path(struct rng *r, const struct share_case *k)
{
    uint64_t rate = k->flows * rng_in(r, k->rate / 3, k->rate);
    uint64_t rtt = rng_log(r, 10000, 80000), bdp = rate / 8 * rtt / 1000000;
    uint32_t queue = (uint32_t)(bdp * rng_in(r, 50, 200) / 100) + k->flows * 3000;
    return (struct path_cfg){
        .rate = rate, .rtt = rtt, .queue = queue, .mark = k->ecn ? queue / 3 : 0, .ring = 1u << 21};
}

static struct result run(uint8_t cc, const struct share_case *k, uint64_t seed)
{
    static struct flows s;
    struct rng r = {seed * 1000 + k->flows};
    struct path_cfg path = draw_path(&r, k);
    flows_init(&s, &path, seed);
    for (unsigned i = 0; i < k->flows; i++)
        flows_add(&s, cc, i ? rng_in(&r, 0, 10 * S) : 0);
    flows_run(&s, s.now + k->settle * S);
    flows_mark(&s);
    flows_run(&s, s.now + k->counted * S);
    uint64_t sum = 0;
    for (unsigned i = 0; i < s.n; i++)
        sum += flow_received(&s.f[i]);
    struct result res = {flows_jain(&s), (double)sum * 8 / (double)(k->counted * path.rate)};
    flows_free(&s);
    return res;
}

static bool run_case(uint8_t cc, const struct share_case *k, uint64_t first, uint64_t seeds)
{
    struct result mean = {0}, worst = {1, 1};
    uint64_t worst_seed = first;
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        struct result r = run(cc, k, seed);
        mean.jain += r.jain / (double)seeds;
        mean.used += r.used / (double)seeds;
        worst_seed = r.jain < worst.jain ? seed : worst_seed;
        worst.jain = r.jain < worst.jain ? r.jain : worst.jain;
        worst.used = r.used < worst.used ? r.used : worst.used;
    }
    bool ok = mean.jain >= k->mean && worst.jain >= k->worst && worst.used >= 0.75;
    printf("%-6s %2u flows%s: Jain index %.3f, worst %.3f (seed %llu); link used %.1f %%, worst %.1f %%%s\n",
           xt_cc_name(cc), k->flows, k->ecn ? ", ECN" : "     ", mean.jain, worst.jain, (unsigned long long)worst_seed,
           mean.used * 100, worst.used * 100, ok ? "" : "  FAILED");
    return ok;
}

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 0) : 1, seeds = argc > 2 ? strtoull(argv[2], NULL, 0) : SEEDS;
    bool ok = true;
    printf("seeds %llu to %llu\n", (unsigned long long)first, (unsigned long long)(first + seeds - 1));
    for (uint8_t cc = 0; cc < XT_CC_MAX; cc++)
        for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)
            ok &= run_case(cc, &cases[i], first, seeds);
    return !ok;
}
