/* SPDX-License-Identifier: Apache-2.0
 * Path MTUs by destination (RFC 1191 section 5.2): what one connection was told, the next begins with. They are forgotten
 * after ten minutes (section 6.3). */
#include "daemon/base/time.h"
#include "daemon/stack/internal.h"

#define AGE (600 * XT_US_PER_S)

static struct xt_pmtu *place(struct xt_stack *s, uint32_t addr)
{
    return &s->pmtu[xt_siphash(&s->pmtu_key, &addr, sizeof addr) % XT_PMTU_MAX];
}

void xt_pmtu_learn(struct xt_stack *s, const struct xt_conn *c, uint32_t mtu)
{
    uint32_t addr = xt_addr_to_v4(&c->remote.addr);
    *place(s, addr) = (struct xt_pmtu){.addr = addr, .mtu = mtu, .until = s->now + AGE};
    s->stats.pmtu_learned++;
}

void xt_pmtu_apply(struct xt_stack *s, struct xt_conn *c)
{
    uint32_t addr = xt_addr_to_v4(&c->remote.addr);
    const struct xt_pmtu *p = place(s, addr);
    if (p->addr != addr || s->now >= p->until)
        return;
    struct xt_tcp_ctx ctx = xt_conn_ctx(s, c);
    xt_tcp_path_mtu(c, &ctx, p->mtu);
    s->stats.pmtu_used++;
}
