/* SPDX-License-Identifier: Apache-2.0
 * The TCP core against itself over a simulated network, one run for each seed. A seed that fails is run once more
 * with a trace of its segments, timers and states.
 *
 *   sim [first-seed [count]]   or by environment: XT_SIM_SEED, XT_SIM_SEEDS; default: 5,000 seeds from 1 on
 *   sim --trace SEED           one seed with its trace */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/net.h"

static uint64_t number(const char *arg, const char *env, uint64_t otherwise)
{
    const char *s = arg ? arg : getenv(env);
    return s && *s ? strtoull(s, NULL, 0) : otherwise;
}

struct totals {
    uint64_t segs, bytes, lost, reordered, duplicated, corrupted, queue_drops;
    struct xt_tcp_stats tcp;
};

/* What a thousand runs must have met, or they prove less than they claim. */
#define MUST_MEET(X)    \
    X(fast_recoveries)  \
    X(rto_timeouts)     \
    X(undone_timeouts)  \
    X(probes_sent)      \
    X(keep_probes_sent) \
    X(delayed_acks)     \
    X(ooo_segs)         \
    X(dsacks_in)        \
    X(challenge_acks)   \
    X(time_wait_reused) \
    X(resets_received)  \
    X(passive_opens)    \
    X(drop_seq)         \
    X(drop_paws)

static bool met_all(const struct xt_tcp_stats *t)
{
    bool ok = true;
#define X(name)                                      \
    if (!t->name) {                                  \
        printf("FAILED no run has met %s\n", #name); \
        ok = false;                                  \
    }
    MUST_MEET(X)
#undef X
    return ok;
}

static void print_stats(const struct xt_tcp_stats *t)
{
#define X(name, text) \
    if (t->name)      \
        printf("%12llu %s: %s\n", (unsigned long long)t->name, #name, text);
    XT_TCP_STATS(X)
#undef X
}

static void add(struct totals *t, const struct net *n)
{
#define X(name, text) t->tcp.name += n->stats.name;
    XT_TCP_STATS(X)
#undef X
    t->segs += n->segs_sent;
    t->bytes += n->bytes_moved;
    for (int i = 0; i < 2; i++) {
        t->lost += n->link[i].lost;
        t->reordered += n->link[i].reordered;
        t->duplicated += n->link[i].duplicated;
        t->corrupted += n->link[i].corrupted;
        t->queue_drops += n->link[i].own.drops;
    }
}

static void report(struct net *n, uint64_t seed, bool traced)
{
    printf("FAILED seed %llu: %s\n", (unsigned long long)seed, n->failure);
    if (traced)
        return;
    params_print(&n->p);
    static struct trace trace;
    trace.n = 0;
    net_run(n, seed, &trace);
    trace_print(&trace);
    printf("FAILED seed %llu: %s\nrun again with: sim --trace %llu\n", (unsigned long long)seed, n->failure,
           (unsigned long long)seed);
}

static int run_traced(uint64_t seed)
{
    struct net *n = calloc(1, sizeof *n);
    if (!n)
        return 2;
    params_from_seed(&n->p, seed);
    params_print(&n->p);
    static struct trace trace = {.all = true};
    bool ok = net_run(n, seed, &trace);
    printf("seed %llu: %s\n", (unsigned long long)seed, ok ? "passed" : n->failure);
    free(n);
    return !ok;
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "--trace"))
        return run_traced(strtoull(argv[2], NULL, 0));
    uint64_t first = number(argc > 1 ? argv[1] : NULL, "XT_SIM_SEED", 1);
    uint64_t count = number(argc > 2 ? argv[2] : NULL, "XT_SIM_SEEDS", 5000), failed = 0;
    struct totals t = {0};
    struct net *n = calloc(1, sizeof *n);
    if (!n)
        return 2;
    for (uint64_t seed = first; seed < first + count; seed++) {
        bool ok = net_run(n, seed, NULL);
        add(&t, n);
        if (!ok)
            report(n, seed, failed++ > 0); /* one trace is enough to start with */
    }
    free(n);
    print_stats(&t.tcp);
    if (count >= 1000 && !met_all(&t.tcp))
        failed++;
    printf("seeds %llu to %llu: %llu failure(s); %llu segments, %llu bytes read; lost %llu, queue drops %llu, "
           "reordered %llu, "
           "duplicated %llu, corrupted %llu\n",
           (unsigned long long)first, (unsigned long long)(first + count - 1), (unsigned long long)failed,
           (unsigned long long)t.segs, (unsigned long long)t.bytes, (unsigned long long)t.lost,
           (unsigned long long)t.queue_drops, (unsigned long long)t.reordered, (unsigned long long)t.duplicated,
           (unsigned long long)t.corrupted);
    return failed || !count;
}
