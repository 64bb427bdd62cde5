/* SPDX-License-Identifier: Apache-2.0
 * The model-based congestion control on bad lines: random loss and reordering do not take the line's bandwidth away, loss of
 * its own making still does. Virtual time and fixed seeds. */
#include <stdio.h>
#include <stdlib.h>

#include "proto/xt_cc.h"
#include "tests/sim/flow.h"

#define RATE 100000000ull
#define RTT 20000ull
#define BDP (RATE / 8 * RTT / 1000000)
#define SECONDS 6
#define SEEDS 3
#define PAYLOAD (1448.0 / (1448 + FLOW_WIRE_OVERHEAD))

struct outcome {
    double used; /* goodput as a part of what the line can carry */
    double lost; /* part of the segments that the bottleneck dropped */
};

static struct outcome run(const struct path_cfg *path, uint64_t seed)
{
    static struct flows s;
    flows_init(&s, path, seed);
    struct flow *f = flows_add(&s, XT_CC_BBR, 0);
    flows_run(&s, s.now + SECONDS * 1000000);
    struct outcome o = {.used = (double)flow_received(f) * 8 / SECONDS / ((double)RATE * PAYLOAD),
                        .lost = (double)s.neck.drops / (double)s.sent};
    flows_free(&s);
    return o;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The median of the seeds. */
static bool bad_line(uint32_t loss, uint32_t reorder)
{
    struct path_cfg path = {
        .rate = RATE, .rtt = RTT, .queue = BDP, .loss = loss, .reorder = reorder, .late = RTT / 4, .ring = 1u << 22};
    double used[SEEDS];
    for (unsigned i = 0; i < SEEDS; i++)
        used[i] = run(&path, i + 1).used;
    qsort(used, SEEDS, sizeof *used, ascending);
    bool ok = used[SEEDS / 2] >= 0.82;
    printf("loss %.0f %%, reordering %.0f %%: link used %.1f %% (%.1f to %.1f)%s\n", loss / 1e4, reorder / 1e4,
           used[SEEDS / 2] * 100, used[0] * 100, used[SEEDS - 1] * 100, ok ? "" : "  FAILED");
    return ok;
}

/* A queue so short that no round-trip time shows it: what it drops is the sender's own doing, and has to stay little. */
static bool short_queue(void)
{
    struct path_cfg path = {.rate = RATE, .rtt = RTT, .queue = BDP / 10, .ring = 1u << 22};
    struct outcome o = run(&path, 1);
    bool ok = o.used >= 0.75 && o.lost <= 0.05;
    printf("queue of a tenth of the bandwidth-delay product: link used %.1f %%, %.1f %% dropped%s\n", o.used * 100,
           o.lost * 100, ok ? "" : "  FAILED");
    return ok;
}

int main(void)
{
    static const uint32_t losses[] = {10000, 30000}, reorders[] = {0, 50000};
    bool ok = short_queue();
    for (unsigned l = 0; l < 2; l++)
        for (unsigned r = 0; r < 2; r++)
            ok &= bad_line(losses[l], reorders[r]);
    return !ok;
}
