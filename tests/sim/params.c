/* SPDX-License-Identifier: Apache-2.0
 * What a seed means: one of the kinds of network and behaviour, all figures drawn from it. */
#include <stdio.h>
#include <string.h>

#include "proto/xt_cc.h"
#include "tests/sim/net.h"

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
        h->isn_secret = 0u - (uint32_t)rng_log(r, 1, 1 << 20); /* wraps during the transfer */
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
    for (int i = 0; i < 2; i++) {
        link_params(&r, &p->link[i], p->clean);
        host_params(&r, &p->host[i], end[i]);
    }
    /* A reader must come to the end well within the time that an orphan waits in FIN_WAIT2. */
    for (int i = 0; i < 2; i++) {
        struct app_cfg *a = &p->host[i].app;
        uint64_t reads = p->host[!i].app.to_send / (a->read_max / 16 + 1) + 1;
        if (reads * a->think > 15000000)
            a->think = 15000000 / reads;
    }
    bool lossy = end[0] >= END_ABORT || end[1] >= END_ABORT;
    p->rounds = p->simultaneous || lossy || rng_u64(&r) % 4 ? 1 : (unsigned)rng_in(&r, 2, 3);
    p->second_start = rng_in(&r, 0, p->link[0].delay);
    /* Quick enough for the initial time-out of a second, and for a queue that does not look like a loss. */
    if (p->clean && p->host[0].rx_size > 65536)
        p->link[0].rate = p->link[1].rate = 10000000000ull;
}

static void print_host(unsigned i, const struct host_cfg *h)
{
    static const char *const names[] = {"shutdown", "after eof", "close", "abort", "close early"};
    printf("  host %u: %s mss %u gso %u ts %u sack %u wscale %u quickack %u rx %u tx %u batch %u gro %u\n", i,
           xt_cc_name(h->tcp.cc), h->tcp.mss, h->tcp.gso_max, h->tcp.timestamps, h->tcp.sack, h->tcp.wscale,
           h->tcp.quickack, h->rx_size, h->tx_size, h->batch, h->gro);
    printf("    app: %s, sends %u, write %u read %u, think %llu us, %u pauses, nodelay %u cork %u keepalive %u, urgent "
           "%u\n",
           names[h->app.ending], h->app.to_send, h->app.write_max, h->app.read_max, (unsigned long long)h->app.think,
           h->app.pauses, h->app.opt.nodelay, h->app.opt.cork, h->app.opt.keepalive, h->app.urgent);
}

void params_print(const struct params *p)
{
    printf("seed %llu: %s, %s open, %u round(s), rings %s\n", (unsigned long long)p->seed,
           p->clean ? "clean" : "impaired", p->simultaneous ? "simultaneous" : "passive", p->rounds,
           p->grow ? "grow" : "stay");
    for (unsigned i = 0; i < 2; i++) {
        const struct link_cfg *l = &p->link[i];
        printf("  link from %u: delay %llu us, jitter %llu us, %llu bit/s, queue %u, loss %u reorder %u dup %u corrupt "
               "%u ppm\n",
               i, (unsigned long long)l->delay, (unsigned long long)l->jitter, (unsigned long long)l->rate, l->queue,
               l->loss, l->reorder, l->dup, l->corrupt);
        print_host(i, &p->host[i]);
    }
}
