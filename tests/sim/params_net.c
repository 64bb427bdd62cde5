/* SPDX-License-Identifier: Apache-2.0
 * What a seed means for the network: a clean one, or any mixture of what networks do. */
#include "tests/sim/net.h"

#define S 1000000ull

static bool one_in(struct rng *r, unsigned n)
{
    return rng_u64(r) % n == 0;
}

static void link_params(struct rng *r, struct link_cfg *l, bool clean)
{
    l->delay = rng_log(r, 20, 100000);
    l->jitter = rng_u64(r) % 2 ? 0 : rng_in(r, 0, clean ? 2000 : 20000);
    l->rate = clean ? rng_log(r, 20000000, 40000000000ull) : rng_log(r, 500000, 40000000000ull);
    l->queue = clean ? UINT32_MAX : (uint32_t)rng_log(r, 20000, 4000000);
    l->reorder_delay = rng_log(r, 10, 50000);
    if (clean)
        return;
    l->loss = rng_u64(r) % 3 ? (uint32_t)rng_log(r, 1000, 100000) : 0;
    l->reorder = rng_u64(r) % 2 ? (uint32_t)rng_log(r, 1000, 500000) : 0;
    l->dup = rng_u64(r) % 2 ? (uint32_t)rng_log(r, 1000, 200000) : 0;
    l->corrupt = rng_u64(r) % 2 ? (uint32_t)rng_log(r, 1000, 50000) : 0;
}

/* What queues and return paths do besides. */
static void queue_params(struct rng *r, struct link_cfg *l)
{
    if (one_in(r, 3))
        l->mark = (uint32_t)rng_log(r, 1500, l->queue / 2);
    if (one_in(r, 8)) {
        l->slot = rng_log(r, 500, 50000);
        l->thin = one_in(r, 2);
    }
    if (one_in(r, 6))
        l->ack_loss = (uint32_t)rng_log(r, 10000, 200000);
}

static void mtu_params(struct rng *r, struct link_cfg *l)
{
    static const uint16_t sizes[] = {576, 1006, 1280, 1400, 1492, 1500, 4352};
    l->mtu[0].mtu = sizes[rng_u64(r) % 7];
    l->mtu[0].at = one_in(r, 2) ? 0 : rng_log(r, 1000, 3 * S);
    if (one_in(r, 2)) {
        l->mtu[1].mtu = sizes[rng_u64(r) % 7];
        l->mtu[1].at = l->mtu[0].at + rng_log(r, 1000, 5 * S);
    }
    l->icmp = !one_in(r, 3);
}

/* Short enough to be survived with the retries that patient() gives, or so long that it need not be. */
static void outage_params(struct rng *r, struct params *p)
{
    uint64_t from = 0, most = 15 * S;
    unsigned which = (unsigned)rng_in(r, 0, 2);
    if (one_in(r, 6)) {
        p->may_break = true;
        most = 1800 * S;
    }
    for (unsigned i = 0; i < LINK_OUTAGES; i++) {
        from += rng_log(r, 1000, 4 * S);
        struct outage o = {from, from + rng_log(r, 10000, most)};
        for (unsigned h = 0; h < 2; h++)
            if (which == h || which == 2)
                p->link[h].outage[i] = o;
        from = o.until;
        if (one_in(r, 2))
            break;
    }
}

/* A line much slower in one direction, as access lines are. */
static void asymmetric_params(struct rng *r, struct params *p)
{
    unsigned slow = (unsigned)rng_in(r, 0, 1);
    uint64_t rate = p->link[!slow].rate / rng_in(r, 5, 100);
    p->link[slow].rate = rate > 64000 ? rate : 64000;
    p->link[slow].delay = rng_log(r, 20, 300000);
}

static void box_params(struct rng *r, struct middlebox *b)
{
    static const uint8_t strips[] = {0,
                                     0,
                                     XT_OPT_SACK_OK,
                                     XT_OPT_TS,
                                     XT_OPT_WSCALE,
                                     XT_OPT_SACK_OK | XT_OPT_TS | XT_OPT_WSCALE,
                                     XT_OPT_MSS,
                                     XT_OPT_MSS | XT_OPT_SACK_OK | XT_OPT_TS | XT_OPT_WSCALE};
    b->strip = strips[rng_u64(r) % sizeof strips];
    b->clamp_mss = one_in(r, 3) ? (uint16_t)rng_in(r, 400, 1400) : 0;
    b->fix_sack = one_in(r, 2);
    for (unsigned h = 0; h < 2; h++)
        if (one_in(r, 3))
            b->renumber[h] = one_in(r, 4) ? (uint32_t)rng_log(r, 1, 100000) : (uint32_t)rng_u64(r);
    b->clear_ecn = one_in(r, 4);
    b->clear_ecn_flags = one_in(r, 4);
    b->split = one_in(r, 4) ? (uint16_t)rng_in(r, 100, 1000) : 0;
}

/* More retries than usual, so that an outage and losses together do not end a connection. */
static void patient(struct params *p)
{
    for (unsigned h = 0; h < 2; h++) {
        struct xt_tcp_cfg *c = &p->host[h].tcp;
        c->orphan_retries = c->synack_retries = c->syn_retries = 15;
        c->finwait2 = 1800 * S;
    }
}

/* Nothing but packets that come a little late, for two ends with SACK and RACK. */
static void mere_reordering(struct rng *r, struct params *p)
{
    p->reorders = true;
    p->rounds = 1;
    for (unsigned h = 0; h < 2; h++) {
        struct link_cfg *l = &p->link[h];
        *l = (struct link_cfg){.delay = rng_log(r, 5000, 100000), .queue = UINT32_MAX};
        l->rate = rng_log(r, 10000000, 1000000000);
        l->reorder = (uint32_t)rng_log(r, 10000, 300000);
        l->reorder_delay = l->delay / 8;
        p->host[h].tcp.sack = 1;
        p->host[h].tcp.recovery = XT_RECOVERY_RACK;
    }
}

/* A reader that pauses often, a small buffer, and window updates that get lost: only probes find out. */
static void stingy_reader(struct rng *r, struct params *p)
{
    unsigned h = (unsigned)rng_in(r, 0, 1);
    struct app_cfg *reader = &p->host[h].app, *writer = &p->host[!h].app;
    p->host[h].rx_size = 4096u << rng_in(r, 0, 1);
    p->link[h].ack_loss = (uint32_t)rng_in(r, 100000, 400000);
    reader->pauses = 6;
    reader->pause = 3 * S;
    reader->read_max = 8192;
    reader->think = 1000;
    if (writer->to_send < 30000)
        writer->to_send = 30000;
    writer->write_max = 16384;
}

/* Connection after connection with the same sequence numbers, and many late duplicates. */
static void echoing(struct rng *r, struct params *p)
{
    p->echoes = true;
    p->rounds = 3;
    for (unsigned h = 0; h < 2; h++) {
        p->host[h].tcp.timestamps = 1;
        p->link[h].dup = (uint32_t)rng_log(r, 50000, 300000);
    }
}

void params_net(struct params *p, struct rng *r)
{
    for (unsigned h = 0; h < 2; h++)
        link_params(r, &p->link[h], p->clean);
    if (p->clean)
        return;
    bool lossy = p->host[0].app.ending >= END_ABORT || p->host[1].app.ending >= END_ABORT;
    if (one_in(r, 20) && !lossy) {
        mere_reordering(r, p);
        return;
    }
    if (one_in(r, 15) && !lossy && !p->simultaneous) {
        echoing(r, p);
        return;
    }
    for (unsigned h = 0; h < 2; h++) {
        queue_params(r, &p->link[h]);
        if (one_in(r, 6))
            mtu_params(r, &p->link[h]);
    }
    if (one_in(r, 5))
        asymmetric_params(r, p);
    if (one_in(r, 5))
        box_params(r, &p->box);
    p->merge = one_in(r, 8);
    if (one_in(r, 12))
        stingy_reader(r, p);
    patient(p);
    if (one_in(r, 7))
        outage_params(r, p);
    if (one_in(r, 20)) {
        p->crashes = 1;
        p->crash_host = (unsigned)rng_in(r, 0, 1);
        p->crash_at = rng_log(r, 1000, 5 * S);
        p->reboot = 6 * S + rng_log(r, 1, 20 * S);
        p->rounds = 2;
        p->simultaneous = false;
    }
}
