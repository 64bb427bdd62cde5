/* SPDX-License-Identifier: Apache-2.0
 * A run's parameters for the reader of a failure: only what is out of the ordinary. */
#include <inttypes.h>
#include <stdio.h>

#include "proto/xt_cc.h"
#include "tests/sim/net.h"

static void print_host(unsigned i, const struct host_cfg *h)
{
    static const char *const names[] = {"shutdown", "after eof", "close", "abort", "close early"};
    printf("  host %u: %s %s mss %u gso %u ts %u sack %u wscale %u ecn %u quickack %u rx %u tx %u batch %u gro %u\n", i,
           xt_cc_name(h->tcp.cc), h->tcp.recovery == XT_RECOVERY_RACK ? "rack" : "sack", h->tcp.mss, h->tcp.gso_max,
           h->tcp.timestamps, h->tcp.sack, h->tcp.wscale, h->tcp.ecn, h->tcp.quickack, h->rx_size, h->tx_size, h->batch,
           h->gro);
    printf("    app: %s, sends %u, write %u read %u, think %" PRIu64
           " us, %u pauses, %u silences, nodelay %u cork %u keepalive %u, "
           "urgent %u, user time-out %u\n",
           names[h->app.ending], h->app.to_send, h->app.write_max, h->app.read_max, h->app.think, h->app.pauses,
           h->app.silences, h->app.opt.nodelay, h->app.opt.cork, h->app.opt.keepalive, h->app.urgent,
           h->app.opt.user_timeout);
}

static void print_link(unsigned i, const struct link_cfg *l)
{
    printf("  link from %u: delay %" PRIu64 " us, jitter %" PRIu64 " us, %" PRIu64 " bit/s, queue %u mark %u, "
           "loss %u ack loss %u reorder %u dup %u corrupt %u ppm\n",
           i, l->delay, l->jitter, l->rate, l->queue, l->mark, l->loss, l->ack_loss, l->reorder, l->dup, l->corrupt);
    if (l->slot)
        printf("    slots of %" PRIu64 " us%s\n", l->slot, l->thin ? ", ACKs thinned" : "");
    for (unsigned k = 0; k < LINK_MTUS; k++)
        if (l->mtu[k].mtu)
            printf("    MTU %u from %.3f s, ICMP %u\n", l->mtu[k].mtu, (double)l->mtu[k].at / 1e6, l->icmp);
    for (unsigned k = 0; k < LINK_OUTAGES; k++)
        if (l->outage[k].until)
            printf("    down from %.3f s to %.3f s\n", (double)l->outage[k].from / 1e6,
                   (double)l->outage[k].until / 1e6);
}

static void print_box(const struct middlebox *b)
{
    if (b->strip || b->clamp_mss || b->renumber[0] || b->renumber[1] || b->clear_ecn || b->clear_ecn_flags || b->split)
        printf("  box: strips 0x%x, MSS at most %u, renumbers by %u and %u%s, clears ECN %u %u, splits at %u\n",
               b->strip, b->clamp_mss, b->renumber[0], b->renumber[1], b->fix_sack ? "" : " but not SACK", b->clear_ecn,
               b->clear_ecn_flags, b->split);
}

void params_print(const struct params *p)
{
    printf("seed %" PRIu64 ": %s, %s open, %u round(s)%s%s%s%s\n", p->seed,
           p->clean      ? "clean"
           : p->reorders ? "reordering only"
                         : "impaired",
           p->simultaneous ? "simultaneous" : "passive", p->rounds, p->may_break ? ", may break" : "",
           p->merge ? ", segments merged" : "", p->echoes ? ", sequence numbers come again" : "",
           p->grow ? ", rings grow" : "");
    if (p->crashes)
        printf("  host %u crashes at %.3f s, for %.3f s\n", p->crash_host, (double)p->crash_at / 1e6,
               (double)p->reboot / 1e6);
    print_box(&p->box);
    for (unsigned i = 0; i < 2; i++) {
        print_link(i, &p->link[i]);
        print_host(i, &p->host[i]);
    }
}
