/* SPDX-License-Identifier: Apache-2.0
 * IP options of connections (RFC 9293 section 3.9.2.1). Few connections have any, so they live beside the side record. */
#include "daemon/wire/ipopt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/stack/internal.h"
#include "daemon/tcp/seq.h"

const struct xt_ipopt *xt_ipopts_of(const struct xt_stack *s, const struct xt_conn *c)
{
    const struct xt_ipopts *o = s->side[c->index].ipopts;
    return o ? &o->o : NULL;
}

int xt_ipopts_hop(const struct xt_stack *s, const struct xt_ipopt *o, uint32_t dst, uint32_t *nexthop)
{
    uint32_t first = xt_ipopt_first_hop(o, dst);
    int r = xt_route_lookup(s, first, nexthop);
    return r == 0 && xt_ipopt_is_strict(o) && *nexthop != first ? -ENETUNREACH : r;
}

int xt_ipopts_set(struct xt_stack *s, struct xt_conn *c, const struct xt_ipopt *o, bool own)
{
    struct xt_side *d = &s->side[c->index];
    if (o->len && !d->ipopts && !(d->ipopts = malloc(sizeof *d->ipopts)))
        return -ENOMEM;
    if (o->len)
        *d->ipopts = (struct xt_ipopts){.o = *o, .own = own};
    else
        xt_ipopts_free(s, c->index);
    d->route_gen = 0; /* the next hop may be another */
    xt_tcp_ip_options(c, o->len);
    return 0;
}

void xt_ipopts_free(struct xt_stack *s, uint32_t i)
{
    free(s->side[i].ipopts);
    s->side[i].ipopts = NULL;
}

/* Is it what the peer sends next, and about what we sent? Whoever only knows the end points must not redirect a connection. */
static bool is_genuine(const struct xt_conn *c, const struct xt_seg *seg)
{
    return seg->seq == c->rcv_nxt && (seg->flags & (XT_TH_ACK | XT_TH_RST | XT_TH_SYN)) == XT_TH_ACK &&
           xt_seq_ge(seg->ack, c->snd_una) && xt_seq_le(seg->ack, c->snd_nxt);
}

void xt_ipopts_received(struct xt_stack *s, struct xt_conn *c, const struct xt_seg *seg, const struct xt_ipopt *back)
{
    const struct xt_ipopts *now = s->side[c->index].ipopts;
    if (!(c->cflags & XT_CF_PASSIVE) || !back->len || (now && now->own) || !is_genuine(c, seg))
        return;
    if (now && now->o.len == back->len && memcmp(now->o.data, back->data, back->len) == 0)
        return;
    if (xt_ipopts_set(s, c, back, false) == 0)
        s->stats.routes_learned++;
}

int xt_stack_set_ip_options(struct xt_stack *s, struct xt_conn *c, const struct xt_ipopt *o)
{
    return xt_ipopts_set(s, c, o, true);
}

const struct xt_ipopt *xt_stack_ip_options(const struct xt_stack *s, const struct xt_conn *c)
{
    return xt_ipopts_of(s, c);
}
