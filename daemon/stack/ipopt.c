/* SPDX-License-Identifier: Apache-2.0
 * IP options of connections (RFC 9293 section 3.9.2.1). Few connections have any: their table is memory only where it is
 * used. It outlives the process, as the records do. */
#include "daemon/wire/ipopt.h"

#include <errno.h>
#include <string.h>

#include "daemon/stack/internal.h"
#include "daemon/tcp/seq.h"

const struct xt_ipopt *xt_ipopts_of(const struct xt_stack *s, const struct xt_conn *c)
{
    return c->ip_optlen ? &s->ipopts[c->index].o : NULL;
}

int xt_ipopts_hop(const struct xt_stack *s, const struct xt_ipopt *o, uint32_t dst, uint32_t *nexthop)
{
    uint32_t first = xt_ipopt_first_hop(o, dst);
    int r = xt_route_lookup(s, first, nexthop);
    return r == 0 && xt_ipopt_is_strict(o) && *nexthop != first ? -ENETUNREACH : r;
}

/* Should the process die in the middle, the record's undo leaves no options rather than half of them. */
static void set_len(struct xt_stack *s, struct xt_conn *c, uint8_t len)
{
    xt_conn_begin(s, c);
    xt_tcp_ip_options(c, len);
    xt_conn_end(s);
}

void xt_ipopts_set(struct xt_stack *s, struct xt_conn *c, const struct xt_ipopt *o, bool own)
{
    if (c->ip_optlen)
        set_len(s, c, 0);
    if (o->len) {
        s->ipopts[c->index] = (struct xt_ipopts){.o = *o, .own = own};
        set_len(s, c, o->len);
    }
    s->side[c->index].route_gen = 0; /* the next hop may be another */
}

/* Is it what the peer sends next, and about what we sent? Whoever only knows the end points must not redirect a connection. */
static bool is_genuine(const struct xt_conn *c, const struct xt_seg *seg)
{
    return seg->seq == c->rcv_nxt && (seg->flags & (XT_TH_ACK | XT_TH_RST | XT_TH_SYN)) == XT_TH_ACK &&
           xt_seq_ge(seg->ack, c->snd_una) && xt_seq_le(seg->ack, c->snd_nxt);
}

void xt_ipopts_received(struct xt_stack *s, struct xt_conn *c, const struct xt_seg *seg, const struct xt_ipopt *back)
{
    const struct xt_ipopts *now = c->ip_optlen ? &s->ipopts[c->index] : NULL;
    if (!(c->cflags & XT_CF_PASSIVE) || !back->len || (now && now->own) || !is_genuine(c, seg))
        return;
    if (now && now->o.len == back->len && memcmp(now->o.data, back->data, back->len) == 0)
        return;
    xt_ipopts_set(s, c, back, false);
    s->stats.routes_learned++;
}

void xt_stack_set_ip_options(struct xt_stack *s, struct xt_conn *c, const struct xt_ipopt *o)
{
    xt_ipopts_set(s, c, o, true);
}

const struct xt_ipopt *xt_stack_ip_options(const struct xt_stack *s, const struct xt_conn *c)
{
    return xt_ipopts_of(s, c);
}
