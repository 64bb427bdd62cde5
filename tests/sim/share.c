/* SPDX-License-Identifier: Apache-2.0
 * Two flows of one kind at a shared bottleneck: after both have settled, each has its fair share and together they fill
 * it. Prints Jain's index and the use of the link for each case. */
#include <stdio.h>
#include <stdlib.h>

#include "proto/xt_cc.h"
#include "tests/sim/flow.h"

struct share_case {
    uint64_t rate, rtt;
    uint32_t queue_percent; /* of the bandwidth-delay product */
};

static const struct share_case cases[] = {
    {20000000, 20000, 100},
    {50000000, 40000, 50},
    {100000000, 10000, 200},
};

/* A second flow that starts 5 s later; 30 s to settle, then 60 s that count. */
static bool run_case(uint8_t cc, const struct share_case *k, uint64_t seed)
{
    static struct flows s;
    uint64_t bdp = k->rate / 8 * k->rtt / 1000000;
    struct path_cfg path = {
        .rate = k->rate, .rtt = k->rtt, .queue = (uint32_t)(bdp * k->queue_percent / 100), .ring = 1u << 22};
    flows_init(&s, &path, seed);
    flows_add(&s, cc, 0);
    flows_add(&s, cc, 5000000);
    flows_run(&s, s.now + 35000000);
    flows_mark(&s);
    flows_run(&s, s.now + 60000000);
    double jain = flows_jain(&s);
    double used = (double)(flow_received(&s.f[0]) + flow_received(&s.f[1])) * 8 / 60 / (double)k->rate;
    bool ok = jain >= 0.8 && used >= 0.8;
    printf("%-6s %3llu Mbit/s, %2llu ms, queue %3u %% of BDP: Jain index %.3f, link used %.1f %%%s\n", xt_cc_name(cc),
           (unsigned long long)k->rate / 1000000, (unsigned long long)k->rtt / 1000, k->queue_percent, jain, used * 100,
           ok ? "" : "  FAILED");
    flows_free(&s);
    return ok;
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
    bool ok = true;
    printf("seed %llu\n", (unsigned long long)seed);
    for (uint8_t cc = 0; cc < XT_CC_MAX; cc++)
        for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)
            ok &= run_case(cc, &cases[i], seed);
    return !ok;
}
