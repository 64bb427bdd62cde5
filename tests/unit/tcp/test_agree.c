/* SPDX-License-Identifier: Apache-2.0
 * A SYN cookie agrees to what a record would have agreed to, whatever is asked and configured (RFC 4987 section 3.6). */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/tcp/pair.h"

#define ISS 77000u
#define MSS 1400u

/* The SYN of a peer that offers `opts`, with a shift of `wscale`, and ECN. */
static struct xt_seg syn_of(uint8_t opts, uint8_t wscale, bool ecn)
{
    struct xt_seg s = {.sport = 1111, .dport = 2222, .seq = 500, .wnd = 5000, .flags = XT_TH_SYN};
    s.opt = (struct xt_tcp_opts){.present = opts, .mss = MSS, .wscale = wscale, .tsval = 42};
    s.flags |= ecn ? XT_TH_ECE | XT_TH_CWR : 0;
    return s;
}

static void configure(struct pair *p, unsigned bits)
{
    for (int i = 0; i < 2; i++) {
        struct xt_tcp_cfg *cfg = &p->e[i].cfg;
        cfg->timestamps = bits & 1;
        cfg->wscale = bits >> 1 & 1;
        cfg->sack = bits >> 2 & 1;
        cfg->ecn = bits & 8 ? XT_ECN_PASSIVE : XT_ECN_OFF;
        xt_tcp_init(&p->e[i].c, &(struct xt_endpoint){p->e[i].c.local.addr, p->e[i].c.local.port},
                    &(struct xt_endpoint){p->e[i].c.remote.addr, p->e[i].c.remote.port}, cfg);
        xt_seldom_attach(&p->e[i].c, &p->e[i].seldom);
        xt_tcp_set_rings(&p->e[i].c, RING, RING);
    }
}

/* The ACK that answers a SYN+ACK. */
static struct xt_seg answer(const struct xt_seg *syn_ack, bool ts)
{
    struct xt_seg s = {.sport = 1111, .dport = 2222, .seq = 501, .ack = syn_ack->seq + 1, .wnd = 5000};
    s.flags = XT_TH_ACK;
    if (ts)
        s.opt = (struct xt_tcp_opts){.present = XT_OPT_TS, .tsval = 43, .tsecr = syn_ack->opt.tsval};
    return s;
}

static void open_both(struct pair *p, const struct xt_seg *syn)
{
    struct xt_conn listener = {.rx_size = RING};
    struct xt_tcp_ctx plain = pair_ctx(p, 0), cookie = pair_ctx(p, 1);
    struct xt_seg by_record, by_cookie, reply;
    bool ts = plain.cfg->timestamps && (syn->opt.present & XT_OPT_TS);
    int n;
    xt_tcp_accept_syn(&p->e[0].c, &listener, &plain, syn, ISS);
    cr_assert(xt_tcp_output(&p->e[0].c, &plain, &by_record, 0));
    xt_tcp_cookie_reply(&listener, &cookie, syn, ISS, &by_cookie);
    cr_assert_eq(by_cookie.ack, syn->seq + 1);
    cr_assert_eq(by_cookie.opt.mss, by_record.opt.mss);
    if (ts) {
        cr_assert_eq(by_cookie.opt.present, by_record.opt.present);
        cr_assert_eq(by_cookie.opt.wscale, by_record.opt.wscale);
        cr_assert_eq(by_cookie.flags, by_record.flags);
        cr_assert_leq(by_cookie.opt.tsval, p->now / 1000, "never ahead of the clock");
        cr_assert_gt(by_cookie.opt.tsval + 64, p->now / 1000);
        cr_assert_eq(by_cookie.opt.tsecr, syn->opt.tsval);
    } else {
        cr_assert_eq(by_cookie.opt.present, XT_OPT_MSS, "there is no place to remember more");
        cr_assert_eq(by_cookie.flags, XT_TH_SYN | XT_TH_ACK);
    }
    struct xt_seg ack = answer(&by_record, ts);
    xt_tcp_input(&p->e[0].c, &plain, &ack, &reply, &n);
    ack = answer(&by_cookie, ts);
    xt_tcp_accept_cookie(&p->e[1].c, &listener, &cookie, &ack, MSS);
    xt_tcp_input(&p->e[1].c, &cookie, &ack, &reply, &n);
}

static void same(const struct xt_conn *record, const struct xt_conn *cookie, bool ts)
{
    cr_assert_eq(record->state, XT_ESTABLISHED);
    cr_assert_eq(cookie->state, XT_ESTABLISHED);
    cr_assert_eq(cookie->mss_peer, record->mss_peer);
    cr_assert_eq(cookie->rcv_nxt, record->rcv_nxt);
    cr_assert_eq(cookie->snd_nxt, record->snd_nxt);
    cr_assert_eq(cookie->opts & XT_OPT_TS, record->opts & XT_OPT_TS);
    if (!ts)
        return;
    cr_assert_eq(cookie->opts, record->opts);
    cr_assert_eq(cookie->snd_wscale, record->snd_wscale);
    cr_assert_eq(cookie->rcv_wscale, record->rcv_wscale);
    cr_assert_eq(cookie->snd_wnd, record->snd_wnd);
    cr_assert_eq(cookie->ecn & XT_CE_OK, record->ecn & XT_CE_OK);
}

Test(agree, cookie_and_record_say_the_same)
{
    static const uint8_t shifts[] = {0, 7, 14, 15, 255};
    for (unsigned bits = 0; bits < 16 * 16 * 2; bits++) {
        uint8_t opts = XT_OPT_MSS | (bits & 1 ? XT_OPT_TS : 0) | (bits & 2 ? XT_OPT_WSCALE : 0);
        opts |= bits & 4 ? XT_OPT_SACK_OK : 0;
        struct xt_seg syn = syn_of(opts, shifts[bits % 5], bits & 8);
        struct pair *p = pair_new();
        configure(p, bits >> 4);
        p->now += bits * 13000ull; /* the clock's low bits, which the cookie borrows, vary */
        open_both(p, &syn);
        same(&p->e[0].c, &p->e[1].c, p->e[0].c.opts & XT_OPT_TS);
        pair_free(p);
    }
}

/* A listener without a ring of its own, or with a small one, offers what it has. */
Test(agree, window_of_a_cookie)
{
    struct pair *p = pair_new();
    struct xt_tcp_ctx ctx = pair_ctx(p, 1);
    struct xt_conn listener = {.rx_size = 8192, .mss_local = 900};
    struct xt_seg syn = syn_of(XT_OPT_MSS, 0, false), reply;
    xt_tcp_cookie_reply(&listener, &ctx, &syn, ISS, &reply);
    cr_assert_eq(reply.wnd, 8192);
    cr_assert_eq(reply.opt.mss, 900);
    listener.rx_size = 0;
    xt_tcp_cookie_reply(&listener, &ctx, &syn, ISS, &reply);
    cr_assert_eq(reply.wnd, 65535);
    pair_free(p);
}
