/* SPDX-License-Identifier: Apache-2.0
 * What a seed means for the hosts and their applications; params_net.c has the network. */
#include <string.h>

#include "proto/xt_cc.h"
#include "tests/sim/net.h"

static void tcp_params(struct rng *r, struct xt_tcp_cfg *c)
{
    static const uint16_t sizes[] = {1460, 1460, 1460, 536, 1220, 8960, 128};
    xt_tcp_cfg_default(c);
    c->mss = sizes[rng_u64(r) % (sizeof sizes / sizeof *sizes)];
    c->timestamps = rng_u64(r) % 3 > 0;
    c->sack = rng_u64(r) % 3 > 0;
    c->wscale = rng_u64(r) % 3 > 0;
    c->quickack = rng_u64(r) % 2 ? 16 : 0;
    if (rng_u64(r) % 4 == 0)
        c->gso_max = c->mss;
    c->cc = (uint8_t)(rng_u64(r) % XT_CC_MAX);
    c->recovery = rng_u64(r) % 3 ? XT_RECOVERY_RACK : XT_RECOVERY_SACK;
    c->ecn = (uint8_t)(rng_u64(r) % 3);
}

static void app_params(struct rng *r, struct app_cfg *a, enum ending ending)
{
    a->ending = ending;
    a->to_send = rng_u64(r) % 6 ? (uint32_t)rng_in(r, 1, rng_log(r, 1000, rng_u64(r) % 8 ? 200000 : STREAM_MAX)) : 0;
    a->write_max = (uint32_t)rng_log(r, 64, 65536);
    a->read_max = (uint32_t)rng_log(r, 64, 65536);
    a->think = rng_log(r, 1, 20000);
    /* A stream of tiny calls would take most of the time of a run and show little more. */
    if (a->to_send / a->write_max > 500)
        a->write_max = 16384;
    if (a->to_send > 100000)
        a->read_max = 65536;
    a->pauses = rng_u64(r) % 3 ? 0 : (unsigned)rng_in(r, 1, 2);
    a->silences = rng_u64(r) % 4 ? 0 : (unsigned)rng_in(r, 1, 3);
    a->pause = 20000000;
    a->urgent = rng_u64(r) % 6 ? 0 : 50000;
    a->quit_after = (uint32_t)rng_log(r, 1, 50000);
    a->opt.nodelay = rng_u64(r) % 2;
    a->opt.quickack = rng_u64(r) % 4 == 0;
    a->opt.cork = rng_u64(r) % 8 == 0;
    a->opt.keepalive = rng_u64(r) % 4 == 0;
    a->opt.keep_idle = 3;
    a->opt.keep_intvl = 5;
}

/* Not both sides may wait for the other's end of file. */
static void endings(struct rng *r, enum ending *a, enum ending *b)
{
    static const enum ending pairs[][2] = {
        {END_SHUTDOWN, END_SHUTDOWN},    {END_SHUTDOWN, END_AFTER_EOF}, {END_AFTER_EOF, END_SHUTDOWN},
        {END_CLOSE, END_CLOSE},          {END_CLOSE, END_AFTER_EOF},    {END_SHUTDOWN, END_CLOSE},
        {END_CLOSE, END_SHUTDOWN},       {END_AFTER_EOF, END_CLOSE},    {END_SHUTDOWN, END_SHUTDOWN},
        {END_ABORT, END_SHUTDOWN},       {END_SHUTDOWN, END_ABORT},     {END_CLOSE_EARLY, END_SHUTDOWN},
        {END_SHUTDOWN, END_CLOSE_EARLY},
    };
    uint64_t i = rng_u64(r) % (sizeof pairs / sizeof *pairs);
    *a = pairs[i][0];
    *b = pairs[i][1];
}

static void host_params(struct rng *r, struct host_cfg *h, enum ending ending)
{
    tcp_params(r, &h->tcp);
    h->rx_size = 4096u << (rng_u64(r) % 6);
    h->tx_size = 4096u << (rng_u64(r) % 6);
    if (rng_u64(r) % 16 == 0)
        h->rx_size = h->tx_size = 1u << 20;
    h->batch = rng_u64(r) % 2;
    h->gro = rng_u64(r) % 2 ? (uint32_t)rng_in(r, 0, 1000000) : 0;
    h->isn_secret = (uint32_t)rng_u64(r);
    if (rng_u64(r) % 3 == 0)
        h->isn_secret =
            (rng_u64(r) % 3 ? 0 : 1u << 31) - (uint32_t)rng_log(r, 1, 1 << 20); /* wraps during the transfer */
    app_params(r, &h->app, ending);
}

void params_from_seed(struct params *p, uint64_t seed)
{
    struct rng r = {seed * 0x2545f4914f6cdd1dull + 1};
    enum ending end[2];
    memset(p, 0, sizeof *p);
    p->seed = seed;
    p->clean = seed % 4 == 0;
    p->grow = seed % 3 == 1 ? 50000 : 0;
    p->simultaneous = rng_u64(&r) % 6 == 0;
    endings(&r, &end[0], &end[1]);
    for (int i = 0; i < 2; i++)
        host_params(&r, &p->host[i], end[i]);
    /* A reader must come to the end well within the time that an orphan waits in FIN_WAIT2. */
    for (int i = 0; i < 2; i++) {
        struct app_cfg *a = &p->host[i].app;
        uint64_t reads = p->host[!i].app.to_send / (a->read_max / 16 + 1) + 1;
        if (reads * a->think > 15000000)
            a->think = 15000000 / reads;
    }
    bool lossy = end[0] >= END_ABORT || end[1] >= END_ABORT;
    p->rounds = p->simultaneous || lossy || rng_u64(&r) % 4 ? 1 : (unsigned)rng_in(&r, 2, 3);
    params_net(p, &r);
    if (!p->clean && !p->reorders && !p->echoes && rng_u64(&r) % 20 == 0) {
        p->may_break = true;
        p->host[rng_u64(&r) % 2].app.opt.user_timeout = (uint32_t)rng_log(&r, 500, 30000);
    }
    /* Without one, what comes out of order may find no room, which is a loss. */
    p->host[0].no_board = rng_u64(&r) % 4 == 0 && !p->reorders;
    p->host[1].no_board = rng_u64(&r) % 4 == 0 && !p->reorders;
    p->second_start = rng_in(&r, 0, p->link[0].delay);
    /* Quick enough for the initial time-out of a second, and for a queue that does not look like a loss. */
    if (p->clean && p->host[0].rx_size > 65536)
        p->link[0].rate = p->link[1].rate = 10000000000ull;
}
