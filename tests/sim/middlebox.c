/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/middlebox.h"

static void rewrite_syn(const struct middlebox *m, struct xt_seg *s)
{
    s->opt.present &= (uint8_t)~m->strip;
    if (m->clamp_mss && (s->opt.present & XT_OPT_MSS) && s->opt.mss > m->clamp_mss)
        s->opt.mss = m->clamp_mss;
    if (m->clear_ecn_flags)
        s->flags &= (uint8_t) ~(XT_TH_ECE | XT_TH_CWR);
}

static void renumber_sack(struct xt_tcp_opts *o, uint32_t by)
{
    for (unsigned i = 0; i < o->nsack; i++) {
        o->sack[i].left -= by;
        o->sack[i].right -= by;
    }
}

void middlebox_rewrite(const struct middlebox *m, unsigned from, struct xt_seg *s)
{
    if (s->flags & XT_TH_SYN)
        rewrite_syn(m, s);
    s->seq += m->renumber[from];
    if (s->flags & XT_TH_ACK)
        s->ack -= m->renumber[!from];
    if (m->fix_sack)
        renumber_sack(&s->opt, m->renumber[!from]);
    if (m->clear_ecn)
        s->ecn = 0;
}

uint32_t middlebox_undo_seq(const struct middlebox *m, unsigned from, uint32_t seq)
{
    return seq - m->renumber[from];
}

bool middlebox_part(const struct middlebox *m, const struct xt_seg *s, uint32_t off, struct xt_seg *part)
{
    uint32_t left = s->len - off;
    bool more = m->split && left > m->split;
    *part = *s;
    part->len = more ? m->split : left;
    part->payload = s->payload ? s->payload + off : NULL;
    part->seq += off;
    if (more)
        part->flags &= (uint8_t) ~(XT_TH_FIN | XT_TH_PSH);
    if (off)
        part->flags &= (uint8_t) ~(XT_TH_CWR | XT_TH_SYN);
    if (off && (s->flags & XT_TH_SYN))
        part->seq++;
    if (off && (s->flags & XT_TH_URG))
        part->urp = s->urp > off ? (uint16_t)(s->urp - off) : 0;
    if (off && (s->flags & XT_TH_URG) && s->urp <= off)
        part->flags &= (uint8_t)~XT_TH_URG;
    return more;
}
