/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tcp/fastopen.h"

#include "daemon/tcp/internal.h"

#define OPTION_SPACE 40 /* left free in a SYN with data: middleboxes add options */

/* ---- client ---- */

void xt_tcp_fastopen(struct xt_conn *c, const struct xt_fo_cookie *cookie, bool no_cookie)
{
    c->fo = XT_FO_OPTION;
    c->fo_cookie = *cookie;
    if (no_cookie)
        c->fo = XT_FO_DATA | XT_FO_DEFER;
    else if (cookie->len)
        c->fo |= XT_FO_DATA | XT_FO_DEFER;
    else
        c->fo |= XT_FO_FAIL_NO_COOKIE << XT_FO_FAIL_SHIFT;
}

uint32_t xt_tcp_fastopen_room(const struct xt_conn *c)
{
    uint32_t mss = c->mss_path;
    if (c->fo_cookie.mss)
        mss = xt_u32_min(mss, c->fo_cookie.mss);
    uint32_t taken = OPTION_SPACE + c->ip_optlen;
    return mss > taken ? mss - taken : 0;
}

uint32_t xt_tcp_fastopen_go(struct xt_conn *c, const struct xt_tcp_ctx *ctx)
{
    if (!(c->fo & XT_FO_DEFER))
        return 0;
    c->fo &= (uint8_t)~XT_FO_DEFER;
    c->snd_nxt = c->iss + 1;
    c->pending |= XT_PEND_SYN;
    c->t_rcv_ms = c->t_progress_ms = xt_now_ms(ctx);
    return 0;
}

/* The data in the SYN is not pushed, and it is the urgent data's segment that says so, not the SYN. */
static void emit_data(struct xt_conn *c, struct xt_seg *out)
{
    uint32_t n = xt_u32_min((uint32_t)c->tx_head, xt_tcp_fastopen_room(c));
    if (n == 0) {
        out->opt.ncookie = 0; /* nothing to use it for: a new one is welcome */
        return;
    }
    out->len = n;
    c->fo_len = (uint16_t)n;
    c->snd_nxt = c->iss + 1 + n;
}

void xt_fo_emit(struct xt_conn *c, struct xt_seg *out)
{
    /* A SYN that is sent again is a plain one: it may have been the option or the data that something on the path did not like
     * (RFC 7413 section 4.2.1). */
    if (c->state == XT_SYN_SENT ? (c->cflags & XT_CF_SYN_RXT) != 0 : c->state != XT_SYN_RECV)
        return;
    if (c->fo & XT_FO_OPTION) {
        out->opt.present |= XT_OPT_FO;
        out->opt.cookie = c->fo_cookie.b;
        out->opt.ncookie = c->fo_cookie.len;
    }
    if (c->state == XT_SYN_SENT && (c->fo & XT_FO_DATA))
        emit_data(c, out);
}

void xt_fo_synack(struct xt_in *in)
{
    struct xt_conn *c = in->c;
    uint32_t taken = in->seg->ack - c->iss - 1;
    c->snd_nxt = in->seg->ack;
    if (c->fo_len == 0)
        return;
    if (taken > 0) {
        c->tx_una = taken;
        in->ev |= XT_EV_WRITABLE;
    }
    if (taken == c->fo_len) {
        c->fo |= XT_FO_ACKED;
        in->ctx->stats->fastopen_active++;
        return;
    }
    unsigned why = c->cflags & XT_CF_SYN_RXT ? XT_FO_FAIL_SYN_LOST : XT_FO_FAIL_NOT_ACKED;
    c->fo = (uint8_t)((c->fo & ~XT_FO_FAIL) | why << XT_FO_FAIL_SHIFT);
    in->ctx->stats->fastopen_active_fail++;
}

/* ---- server ---- */

/* Forgets what was held too long. */
static void hold_until_now(struct xt_fo_listen *l, const struct xt_tcp_ctx *ctx)
{
    uint32_t now = (uint32_t)(ctx->now_us / 1000000 / XT_FO_HOLD_S);
    if (now - l->epoch >= XT_FO_HOLDS)
        memset(l->held, 0, sizeof l->held);
    else
        while (l->epoch != now)
            l->held[++l->epoch % XT_FO_HOLDS] = 0;
    l->epoch = now;
}

static bool has_place(struct xt_fo_listen *l, const struct xt_tcp_ctx *ctx)
{
    uint32_t held = 0;
    if (l->limit == 0)
        return false;
    hold_until_now(l, ctx);
    for (unsigned i = 0; i < XT_FO_HOLDS; i++)
        held += l->held[i];
    if (l->pending + held < l->limit)
        return true;
    ctx->stats->fastopen_overflow++;
    return false;
}

static bool same(const struct xt_tcp_opts *opt, const uint8_t *cookie)
{
    return opt->ncookie == XT_FO_COOKIE_LEN && memcmp(opt->cookie, cookie, XT_FO_COOKIE_LEN) == 0;
}

unsigned xt_tcp_fastopen_syn(struct xt_conn *listener, const struct xt_tcp_ctx *ctx, const struct xt_seg *syn,
                             const uint8_t (*cookies)[XT_FO_COOKIE_LEN], unsigned n)
{
    struct xt_fo_listen *l = &listener->fo_listen;
    const struct xt_tcp_opts *opt = &syn->opt;
    bool option = opt->present & XT_OPT_FO, asks = option && opt->ncookie == 0;
    ctx->stats->fastopen_cookie_reqs += asks;
    if (!(ctx->cfg->fast_open & XT_FO_SERVER) || !(option || syn->len) || !has_place(l, ctx))
        return XT_FO_IGNORE;
    if (l->no_cookie)
        return XT_FO_OPEN;
    if (!option)
        return XT_FO_IGNORE;
    if (asks)
        return XT_FO_GRANT;
    for (unsigned i = 0; i < n; i++)
        if (same(opt, cookies[i]))
            return i == 0 ? XT_FO_OPEN : XT_FO_OPEN | XT_FO_GRANT;
    ctx->stats->fastopen_passive_fail++;
    return XT_FO_GRANT;
}

void xt_tcp_fastopen_grant(struct xt_conn *child, const uint8_t cookie[XT_FO_COOKIE_LEN])
{
    child->fo |= XT_FO_OPTION;
    child->fo_cookie.len = XT_FO_COOKIE_LEN;
    memcpy(child->fo_cookie.b, cookie, XT_FO_COOKIE_LEN);
}

uint32_t xt_tcp_fastopen_accept(struct xt_conn *child, struct xt_conn *listener, const struct xt_tcp_ctx *ctx,
                                const struct xt_seg *syn)
{
    struct xt_in in = {.c = child, .ctx = ctx, .seg = syn, .seq = syn->seq + 1, .len = syn->len};
    child->fo |= XT_FO_CHILD | XT_FO_PENDING;
    listener->fo_listen.pending++;
    ctx->stats->fastopen_passive++;
    ctx->stats->fastopen_passive_alt += (child->fo & XT_FO_OPTION) != 0;
    xt_open_ready(child, ctx);
    xt_in_text(&in);
    if (child->rx_head > 0)
        child->fo |= XT_FO_ACKED;
    return in.ev | XT_EV_FASTOPEN;
}

void xt_tcp_fastopen_done(struct xt_conn *listener, const struct xt_tcp_ctx *ctx, bool reset)
{
    struct xt_fo_listen *l = &listener->fo_listen;
    if (l->pending > 0)
        l->pending--;
    if (!reset)
        return;
    hold_until_now(l, ctx);
    if (l->held[l->epoch % XT_FO_HOLDS] < UINT16_MAX)
        l->held[l->epoch % XT_FO_HOLDS]++;
}
