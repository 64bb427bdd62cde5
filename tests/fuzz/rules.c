/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/rules.h"

#include "daemon/tcp/seq.h"
#include "tests/fuzz/fuzz.h"

#define WINDOW_MAX (65535u << 14) /* bytes (RFC 7323 section 2.3) */

/* Of any segment that may count: the connection believes no more than this. */
void rules_input(struct rules *r, const struct xt_conn *c, const struct xt_seg *s)
{
    bool syn = s->flags & XT_TH_SYN;
    uint32_t base = s->flags & XT_TH_ACK ? s->ack : c->snd_una + 1, edge;
    if (c->state < XT_SYN_SENT || c->snd_nxt - base > WINDOW_MAX)
        return;
    edge = base + ((uint32_t)s->wnd << (syn ? 0 : c->snd_wscale));
    if (!r->edge_known || xt_seq_lt(r->peer_edge, edge))
        r->peer_edge = edge;
    r->edge_known = true;
}

/* An acknowledgment is of what was received, and neither it nor the window's right edge is taken back (SHLD-14), but for the
 * rounding of a scaled window (RFC 7323 section 2.4). A SYN that goes out again has no scaled window to give. */
static void check_ack(struct rules *r, const struct xt_conn *c, const struct xt_seg *s)
{
    bool syn = s->flags & XT_TH_SYN;
    uint8_t shift = syn ? 0 : c->rcv_wscale;
    uint32_t edge = s->ack + ((uint32_t)s->wnd << shift);
    FUZZ_CHECK(xt_seq_le(s->ack, c->rcv_nxt));
    if (r->acked) {
        FUZZ_CHECK(!xt_seq_lt(s->ack, r->last_ack));
        FUZZ_CHECK(syn || !xt_seq_lt(edge + (1u << shift) - 1, r->edge));
    }
    if (!r->acked || xt_seq_lt(r->edge, edge))
        r->edge = edge;
    r->last_ack = s->ack;
    r->acked = true;
}

/* Nothing goes beyond the peer's window but an octet that probes it, or a FIN (RFC 9293 section 3.8.6.1), and a reset never
 * carries data. */
static void check_text(const struct rules *r, const struct ep *e, const struct xt_seg *s)
{
    uint32_t end = s->seq + xt_seg_seqlen(s);
    if (s->len == 0)
        return;
    if (s->flags & XT_TH_SYN) /* sent before any window was known (RFC 7413) */
        FUZZ_CHECK((e->conn.fo & XT_FO_DATA) && e->conn.state == XT_SYN_SENT);
    else
        FUZZ_CHECK(r->edge_known && xt_seq_le(end, r->peer_edge + 1));
    FUZZ_CHECK(s->gso_size || s->len <= e->cfg.mss);
    FUZZ_CHECK(!s->gso_size || s->gso_size <= e->cfg.mss);
}

void rules_sent(struct rules *r, const struct ep *e, const struct xt_seg *s)
{
    const struct xt_conn *c = &e->conn;
    if (s->flags & XT_TH_RST) {
        FUZZ_CHECK(s->len == 0 && !(s->flags & (XT_TH_SYN | XT_TH_FIN)));
        return;
    }
    FUZZ_CHECK(c->state >= XT_SYN_SENT);
    FUZZ_CHECK((s->flags & XT_TH_ACK) || c->state == XT_SYN_SENT);
    FUZZ_CHECK(!(s->flags & XT_TH_FIN) || (c->cflags & XT_CF_SHUT));
    if (s->flags & XT_TH_ACK)
        check_ack(r, c, s);
    check_text(r, e, s);
}
