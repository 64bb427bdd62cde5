/* SPDX-License-Identifier: Apache-2.0
 * Goodput of the TCP core against the capacity of a simulated link, over loss, round-trip time and reordering, for each
 * congestion control. Virtual time and a fixed seed: the same figures on any machine.
 *
 *   bench-sim [--quick] [--json] [--cc NAME] [--rate MBIT] [--seed N] */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/xt_cc.h"
#include "tests/sim/flow.h"

#define MSS 1448.0

static const uint32_t losses[] = {0, 1000, 10000, 30000, 50000, 100000}; /* millionths */
static const uint32_t rtts[] = {1, 20, 100, 300};                        /* ms */
static const uint32_t reorders[] = {0, 50000};

struct options {
    bool quick, json;
    int cc; /* -1: each */
    uint64_t rate, seed;
};

/* One transfer; goodput as a share of the capacity. */
static double run_cell(const struct options *o, int cc, uint32_t loss, uint32_t rtt_ms, uint32_t reorder)
{
    uint64_t rtt = rtt_ms * 1000ull, bdp = o->rate / 8 * rtt_ms / 1000;
    struct path_cfg path = {
        .rate = o->rate,
        .rtt = rtt,
        .queue = bdp > 65536 ? (uint32_t)bdp : 65536,
        .loss = loss,
        .reorder = reorder,
        .late = rtt / 4,
        .ring = 1u << 24,
    };
    uint64_t secs = o->quick ? 10 : 30;
    uint64_t length = secs * 1000000 > 50 * rtt ? secs * 1000000 : 50 * rtt;
    static struct flows s;
    flows_init(&s, &path, o->seed);
    struct flow *f = flows_add(&s, (uint8_t)cc, 0);
    flows_run(&s, s.now + length);
    double got = (double)flow_received(f) * 8e6 / (double)length;
    flows_free(&s);
    return got / ((double)o->rate * MSS / (MSS + FLOW_WIRE_OVERHEAD));
}

static void run_cc(const struct options *o, int cc, bool *first)
{
    unsigned step = o->quick ? 2 : 1;
    for (unsigned r = 0; r < sizeof reorders / sizeof *reorders; r++) {
        if (!o->json)
            printf("\n%s, reordering %u %%\n   loss     1 ms    20 ms   100 ms   300 ms RTT\n",
                   xt_cc_name((uint32_t)cc), reorders[r] / 10000);
        for (unsigned l = 0; l < sizeof losses / sizeof *losses; l += step) {
            if (!o->json)
                printf("%5.1f %%", losses[l] / 1e4);
            for (unsigned t = 0; t < sizeof rtts / sizeof *rtts; t++) {
                double share = run_cell(o, cc, losses[l], rtts[t], reorders[r]);
                if (o->json)
                    printf("%s{\"cc\":\"%s\",\"reorder\":%.2f,\"loss\":%.3f,\"rtt_ms\":%u,\"share\":%.4f}",
                           *first ? "[" : ",\n", xt_cc_name((uint32_t)cc), reorders[r] / 1e6, losses[l] / 1e6, rtts[t],
                           share);
                else
                    printf("  %6.1f%%", share * 100);
                *first = false;
                fflush(stdout);
            }
            if (!o->json)
                printf("\n");
        }
    }
}

static int usage(void)
{
    fprintf(stderr, "usage: bench-sim [--quick] [--json] [--cc " XT_CC_CHOICES "] [--rate MBIT] [--seed N]\n");
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {
        {"quick", no_argument, NULL, 'q'},      {"json", no_argument, NULL, 'j'},
        {"cc", required_argument, NULL, 'c'},   {"rate", required_argument, NULL, 'r'},
        {"seed", required_argument, NULL, 's'}, {0}};
    struct options o = {.cc = -1, .rate = 100000000, .seed = 1};
    for (int opt; (opt = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (opt == 'q')
            o.quick = true;
        else if (opt == 'j')
            o.json = true;
        else if (opt == 'c')
            o.cc = xt_cc_by_name(optarg);
        else if (opt == 'r')
            o.rate = strtoull(optarg, NULL, 0) * 1000000;
        else if (opt == 's')
            o.seed = strtoull(optarg, NULL, 0);
        if (opt == '?' || (opt == 'c' && o.cc < 0) || o.rate < 1000000 || o.rate > 100000000000ull)
            return usage();
    }
    if (!o.json)
        printf("goodput, percent of the capacity of a %llu Mbit/s link; seed %llu\n",
               (unsigned long long)o.rate / 1000000, (unsigned long long)o.seed);
    bool first = true;
    for (int cc = 0; cc < XT_CC_MAX; cc++)
        if (o.cc < 0 || o.cc == cc)
            run_cc(&o, cc, &first);
    printf(o.json ? "]\n" : "");
    return 0;
}
