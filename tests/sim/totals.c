/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/totals.h"

#include <stdio.h>

#include "daemon/tcp/both.h"

#define NETWORK(X)  \
    X(segs)         \
    X(bytes)        \
    X(crowds)       \
    X(lost)         \
    X(reordered)    \
    X(duplicated)   \
    X(corrupted)    \
    X(queue_drops)  \
    X(marks)        \
    X(blacked_out)  \
    X(acks_thinned) \
    X(too_big)      \
    X(crashes)      \
    X(lent)         \
    X(overfull)     \
    X(fast)

#define MUST_MEET(X)     \
    X(fast_recoveries)   \
    X(rto_timeouts)      \
    X(undone_timeouts)   \
    X(undone_recoveries) \
    X(rack_lost)         \
    X(tlp_probes)        \
    X(probes_sent)       \
    X(keep_probes_sent)  \
    X(delayed_acks)      \
    X(ooo_segs)          \
    X(dsacks_in)         \
    X(challenge_acks)    \
    X(time_wait_reused)  \
    X(resets_received)   \
    X(passive_opens)     \
    X(ecn_conns)         \
    X(ecn_reductions)    \
    X(pmtu_lowered)      \
    X(pmtu_black_holes)  \
    X(timed_out)         \
    X(drop_seq)          \
    X(drop_paws)

void totals_add(struct totals *t, const struct net *n)
{
#define X(name, text) t->tcp.name += n->stats.name;
    XT_TCP_STATS(X)
#undef X
    t->segs += n->segs_sent;
    t->bytes += n->bytes_moved;
    t->too_big += n->too_big;
    t->crashes += n->crashed;
    t->lent += n->lent;
    t->overfull += n->overfull;
    t->fast = xt_both_compared;
    for (int i = 0; i < 2; i++) {
        const struct link *l = &n->link[i];
        t->lost += l->lost;
        t->reordered += l->reordered;
        t->duplicated += l->duplicated;
        t->corrupted += l->corrupted;
        t->blacked_out += l->blacked_out;
        t->acks_thinned += l->acks_thinned;
        t->queue_drops += l->own.drops;
        t->marks += l->own.marks;
    }
}

void totals_print(const struct totals *t)
{
#define X(name, text) \
    if (t->tcp.name)  \
        printf("%12llu %s: %s\n", (unsigned long long)t->tcp.name, #name, text);
    XT_TCP_STATS(X)
#undef X
    printf("the network:");
#define X(name) printf(" %s %llu", #name, (unsigned long long)t->name);
    NETWORK(X)
#undef X
    printf("\n");
}

bool totals_met_all(const struct totals *t)
{
    bool ok = true;
#define X(name)                                      \
    if (!t->name) {                                  \
        printf("FAILED no run has met %s\n", #name); \
        ok = false;                                  \
    }
    NETWORK(X)
#undef X
#define X(name)                                      \
    if (!t->tcp.name) {                              \
        printf("FAILED no run has met %s\n", #name); \
        ok = false;                                  \
    }
    MUST_MEET(X)
#undef X
    return ok;
}
