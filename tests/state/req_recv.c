/* SPDX-License-Identifier: Apache-2.0
 * Requirements on what a TCP does with the segments it gets: acknowledgments, options, resets, the end of a connection.
 * Each is tagged with its number. */
#include <errno.h>

#include "tests/state/steps.h"

static void data(struct dlg *d, uint32_t off, uint32_t len)
{
    from_peer(d, XT_TH_ACK, d->irs + 1 + off, dlg_snd_nxt(d), len);
}

/* Established, with the delayed ACK of RFC 9293 from the first segment on. */
static bool reach_plain(struct dlg *d)
{
    d->e.cfg.quickack = 0;
    return dlg_reach(d, XT_ESTABLISHED);
}

/* Req MUST-58 MUST-59: all queued segments are taken before one ACK for them all leaves. */
static void queued_segments_have_one_ack(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_ESTABLISHED));
    d->e.batch = true;
    for (uint32_t i = 0; i < 5; i++) {
        data(d, i * 1460, 1460);
        EXPECT(d->nsent == 0);
    }
    ep_output(&d->e);
    EXPECT(sent(d, XT_TH_ACK, dlg_snd_nxt(d), d->irs + 1 + 5 * 1460));
}

/* Req SHLD-31 MAY-13 RFC5681-4.2: kept and acknowledged at once; what fills the gap acknowledges all, at once. */
static void out_of_order_is_kept(struct dlg *d)
{
    EXPECT(reach_plain(d));
    data(d, 100, 200);
    EXPECT(sent(d, XT_TH_ACK, dlg_snd_nxt(d), d->irs + 1));
    data(d, 500, 100);
    EXPECT(sent(d, XT_TH_ACK, dlg_snd_nxt(d), d->irs + 1));
    data(d, 0, 100);
    EXPECT(sent(d, XT_TH_ACK, dlg_snd_nxt(d), d->irs + 301) && d->e.conn.rx_head == 300);
    data(d, 300, 200);
    EXPECT(sent(d, XT_TH_ACK, dlg_snd_nxt(d), d->irs + 601) && d->e.conn.rx_head == 600);
}

/* Req SHLD-18 MUST-40: one segment is acknowledged later, and not much later. */
static void ack_is_delayed(struct dlg *d)
{
    EXPECT(reach_plain(d));
    data(d, 0, 1460);
    EXPECT(d->nsent == 0 && xt_tcp_deadline(&d->e.conn, d->e.now) - d->e.now < 500000);
    EXPECT(next_timer(d) && sent_ack(d));
}

/* Req SHLD-19: the second full-sized segment is acknowledged at once, and so are two that came as one. */
static void every_second_segment(struct dlg *d)
{
    EXPECT(reach_plain(d));
    for (uint32_t i = 0; i < 4; i++) {
        data(d, i * 1460, 1460);
        EXPECT(i % 2 ? sent_ack(d) : d->nsent == 0);
    }
    struct xt_seg s = dlg_seg(d, XT_TH_ACK, dlg_rcv_nxt(d), dlg_snd_nxt(d), 2048);
    s.gso_size = 1024;
    dlg_clear(d);
    dlg_input(d, &s);
    EXPECT(sent_ack(d));
}

/* Req MUST-5 MUST-6: options on a segment that is no SYN: known ones out of place do no harm, its data counts. */
static void options_on_any_segment(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_ESTABLISHED));
    struct xt_seg s = dlg_seg(d, XT_TH_ACK, dlg_rcv_nxt(d), dlg_snd_nxt(d), 100);
    s.opt = (struct xt_tcp_opts){
        .present = XT_OPT_MSS | XT_OPT_WSCALE | XT_OPT_TS | XT_OPT_SACK_OK, .mss = 100, .wscale = 9};
    dlg_input(d, &s);
    EXPECT(d->e.conn.rx_head == 100);
    app_writes(d, 1000);
    EXPECT(sent_data(d, d->iss + 1, 1000));
}

/* Req SHLD-2 MUST-12: a reset may carry text; it ends the connection and the application hears of it. */
static void reset_with_data(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_ESTABLISHED));
    from_peer(d, XT_TH_RST, dlg_rcv_nxt(d), 0, 30);
    EXPECT(d->e.conn.state == XT_CLOSED && d->e.conn.err == ECONNRESET && d->nsent == 0);
    EXPECT((d->e.events & DLG_EVENTS) == (XT_EV_ERROR | XT_EV_CLOSED));
}

/* Req MUST-10: figure 7, and data flows. */
static void simultaneous_open(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_SYN_SENT));
    from_peer(d, XT_TH_SYN, d->irs, 0, 0);
    EXPECT(d->e.conn.state == XT_SYN_RECV && sent(d, XT_TH_SYN | XT_TH_ACK, d->iss, d->irs + 1));
    from_peer(d, XT_TH_SYN | XT_TH_ACK, d->irs, d->iss + 1, 0);
    EXPECT(d->e.conn.state == XT_ESTABLISHED);
    app_writes(d, 10);
    EXPECT(sent_data(d, d->iss + 1, 10));
}

/* Req MUST-11: SYN_RECV knows where it came from: of a passive open a reset is not told, of an active one it is. */
static void syn_recv_remembers(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_SYN_RECV));
    from_peer(d, XT_TH_RST, d->irs + 1, 0, 0);
    EXPECT(d->e.conn.state == XT_CLOSED && !(d->e.events & XT_EV_ERROR) && d->e.conn.err == 0);
    dlg_end(d);
    dlg_begin(d, 5000, 9000);
    EXPECT(dlg_reach(d, XT_SYN_SENT));
    from_peer(d, XT_TH_SYN, d->irs, 0, 0);
    from_peer(d, XT_TH_RST, d->irs + 1, 0, 0);
    EXPECT(d->e.conn.state == XT_CLOSED && d->e.events & XT_EV_ERROR && d->e.conn.err == ECONNREFUSED);
}

/* Established with time stamps, then closed by us first: TIME_WAIT, with TS.Recent 1000. */
static bool time_wait_with_ts(struct dlg *d)
{
    if (!reach_with(d, XT_OPT_MSS | XT_OPT_TS, 1460, 65535))
        return false;
    ep_shutdown(&d->e);
    struct xt_seg s = dlg_seg(d, XT_TH_FIN | XT_TH_ACK, dlg_rcv_nxt(d), d->iss + 2, 0);
    s.opt = (struct xt_tcp_opts){.present = XT_OPT_TS, .tsval = 1000, .tsecr = (uint32_t)(d->e.now / 1000)};
    dlg_input(d, &s);
    dlg_clear(d);
    return d->e.conn.state == XT_TIME_WAIT;
}

static void syn_with_ts(struct dlg *d, uint32_t seq, uint32_t tsval)
{
    struct xt_seg s = dlg_seg(d, XT_TH_SYN, seq, 0, 0);
    s.opt.present |= XT_OPT_TS;
    s.opt.tsval = tsval;
    dlg_clear(d);
    dlg_input(d, &s);
}

/* Req MAY-2 SHLD-4 RFC6191-2: a later time stamp makes a SYN new, whatever its sequence number. */
static void time_wait_newer_stamp(struct dlg *d)
{
    EXPECT(time_wait_with_ts(d));
    syn_with_ts(d, d->irs - 70000, 1001);
    EXPECT(d->e.conn.state == XT_CLOSED && d->e.events & XT_EV_TIME_WAIT);
    EXPECT((int32_t)(d->e.conn.isn_floor - dlg_snd_nxt(d)) > 0);
}

/* Req SHLD-4 RFC6191-2: an older one makes it old. */
static void time_wait_older_stamp(struct dlg *d)
{
    EXPECT(time_wait_with_ts(d));
    syn_with_ts(d, dlg_rcv_nxt(d) + 5000, 999);
    EXPECT(d->e.conn.state == XT_TIME_WAIT && sent_ack(d));
}

/* Req MUST-13: for twice the MSL and no less, and again after the peer's FIN comes again. */
static void time_wait_lasts(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_TIME_WAIT));
    uint64_t two_msl = 2 * d->e.cfg.msl;
    pass(d, two_msl - 1000);
    EXPECT(d->e.conn.state == XT_TIME_WAIT);
    from_peer(d, XT_TH_FIN | XT_TH_ACK, dlg_rcv_nxt(d) - 1, dlg_snd_nxt(d), 0);
    EXPECT(sent_ack(d));
    pass(d, two_msl - 1000);
    EXPECT(d->e.conn.state == XT_TIME_WAIT);
    pass(d, 1000);
    EXPECT(d->e.conn.state == XT_CLOSED);
}

/* Req MAY-1 SHLD-3: closing both directions at once with text unread, or text that comes after: a reset says it is lost. */
static void half_duplex_close(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_ESTABLISHED));
    data(d, 0, 100);
    dlg_clear(d);
    ep_close(&d->e);
    EXPECT(d->nsent == 1 && d->sent[0].flags & XT_TH_RST);
    dlg_end(d);
    dlg_begin(d, 5000, 9000);
    EXPECT(dlg_reach(d, XT_ESTABLISHED));
    ep_close(&d->e);
    data(d, 0, 100);
    EXPECT(d->nsent == 1 && d->sent[0].flags & XT_TH_RST && d->e.conn.state == XT_CLOSED);
}

static void icmp(struct dlg *d, uint32_t seq, int err)
{
    struct xt_tcp_ctx ctx = ep_ctx(&d->e);
    dlg_clear(d);
    d->e.events |= xt_tcp_icmp(&d->e.conn, &ctx, seq, err, 0);
    ep_output(&d->e);
}

/* Req MUST-56 SHLD-25: what may pass does not end a connection, nor its opening; should it fail, that is the reason told. */
static void soft_icmp(struct dlg *d)
{
    static const enum xt_state states[] = {XT_SYN_SENT, XT_ESTABLISHED};
    static const int errs[] = {ENETUNREACH, EHOSTUNREACH, EOPNOTSUPP, EPROTO};
    for (unsigned i = 0; i < 8; i++) {
        dlg_end(d);
        dlg_begin(d, 5000, 9000);
        EXPECT(dlg_reach(d, states[i % 2]));
        app_writes(d, 100);
        icmp(d, d->e.conn.snd_una, errs[i / 2]);
        EXPECT(d->e.conn.state == states[i % 2] && d->e.conn.soft_err == errs[i / 2] && !(d->e.events & DLG_EVENTS));
        while (d->e.conn.state != XT_CLOSED)
            EXPECT(next_timer(d));
        EXPECT(d->e.conn.err == errs[i / 2] && d->e.events & XT_EV_ERROR);
    }
}

/* Req SHLD-26: a hard error ends the opening of a connection. Later it is as easy to forge as any (RFC 5461 section 2). */
static void hard_icmp(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_SYN_SENT));
    icmp(d, d->iss, ECONNREFUSED);
    EXPECT(d->e.conn.state == XT_CLOSED && d->e.conn.err == ECONNREFUSED && d->e.events & XT_EV_ERROR);
}

/* Req RFC5927-4.1: an error about a sequence number that is not in flight says nothing. */
static void icmp_out_of_flight(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_SYN_SENT));
    icmp(d, d->iss + 1, ECONNREFUSED);
    icmp(d, d->iss - 1, ECONNREFUSED);
    EXPECT(d->e.conn.state == XT_SYN_SENT && d->e.conn.soft_err == 0);
}

/* Req RFC5927-7.2: a forged next-hop MTU does not make segments tiny. */
static void icmp_tiny_mtu(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_ESTABLISHED));
    app_writes(d, 1460);
    struct xt_tcp_ctx ctx = ep_ctx(&d->e);
    xt_tcp_icmp(&d->e.conn, &ctx, d->iss + 1, EMSGSIZE, 68);
    dlg_clear(d);
    ep_output(&d->e);
    EXPECT(d->nsent > 0 && d->sent[0].len == 512);
}

/* Req MAY-12 RFC5961-3.2: a reset in the window but not at its edge is challenged. */
static void blind_reset(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_ESTABLISHED));
    from_peer(d, XT_TH_RST, dlg_rcv_nxt(d) + 100, 0, 0);
    EXPECT(d->e.conn.state == XT_ESTABLISHED && sent_ack(d));
}

/* Req MAY-12 RFC5961-4.2: a SYN is challenged, wherever it is. */
static void blind_syn(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_ESTABLISHED));
    from_peer(d, XT_TH_SYN, dlg_rcv_nxt(d) + 100, 0, 0);
    EXPECT(d->e.conn.state == XT_ESTABLISHED && sent_ack(d));
    pass(d, 500000); /* challenges are rationed */
    from_peer(d, XT_TH_SYN, dlg_rcv_nxt(d) - 100000, 0, 0);
    EXPECT(d->e.conn.state == XT_ESTABLISHED && sent_ack(d));
}

/* Req MAY-12 RFC5961-5.2: data with an ACK that is too old, or ahead of what was sent, is not taken. */
static void blind_data(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_ESTABLISHED));
    from_peer(d, XT_TH_ACK, dlg_rcv_nxt(d), dlg_snd_nxt(d) - 70000, 100);
    EXPECT(sent_ack(d) && d->e.conn.rx_head == 0);
    pass(d, 500000); /* challenges are rationed */
    from_peer(d, XT_TH_ACK, dlg_rcv_nxt(d), dlg_snd_nxt(d) + 1, 100);
    EXPECT(sent_ack(d) && d->e.conn.rx_head == 0);
}

/* Req RFC5961-7: challenges are few. */
static void challenges_are_limited(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_ESTABLISHED));
    unsigned n = 0;
    for (unsigned i = 0; i < 100; i++) {
        from_peer(d, XT_TH_SYN, dlg_rcv_nxt(d) + 100, 0, 0);
        n += (unsigned)d->nsent;
    }
    EXPECT(n == 1);
    pass(d, 500000);
    from_peer(d, XT_TH_SYN, dlg_rcv_nxt(d) + 100, 0, 0);
    EXPECT(d->nsent == 1);
}

static bool stamped(struct dlg *d, uint32_t off, uint32_t len, uint32_t tsval)
{
    struct xt_seg s = dlg_seg(d, XT_TH_ACK, d->irs + 1 + off, dlg_snd_nxt(d), len);
    s.opt = (struct xt_tcp_opts){.present = XT_OPT_TS, .tsval = tsval, .tsecr = (uint32_t)(d->e.now / 1000)};
    uint64_t head = d->e.conn.rx_head;
    dlg_clear(d);
    dlg_input(d, &s);
    return d->e.conn.rx_head != head;
}

/* Req RFC7323-5.3: an older time stamp makes a segment a duplicate of an earlier lap: acknowledged, not taken. */
static void paws(struct dlg *d)
{
    EXPECT(reach_with(d, XT_OPT_MSS | XT_OPT_TS, 1460, 65535));
    EXPECT(stamped(d, 0, 100, 1001));
    EXPECT(!stamped(d, 100, 100, 1000) && sent_ack(d));
    EXPECT(stamped(d, 100, 100, 1001));
}

/* Req RFC7323-5.5: after 24 days without a segment the last time stamp means nothing. */
static void paws_after_long_idle(struct dlg *d)
{
    EXPECT(reach_with(d, XT_OPT_MSS | XT_OPT_TS, 1460, 65535));
    pass(d, 25ull * 86400 * 1000000);
    EXPECT(stamped(d, 0, 100, 999));
}

/* Req RFC7323-4.3: the echo is the stamp of the segment that the last ACK waited for, not of one that came ahead. */
static void echoed_stamp(struct dlg *d)
{
    d->e.cfg.quickack = 0;
    EXPECT(reach_with(d, XT_OPT_MSS | XT_OPT_TS, 1460, 65535));
    stamped(d, 0, 100, 1001);
    stamped(d, 100, 100, 1002);
    EXPECT(d->nsent == 0 && next_timer(d) && sent_ack(d) && d->sent[0].opt.tsecr == 1001);
    stamped(d, 300, 100, 1003);
    EXPECT(sent_ack(d) && d->sent[0].opt.tsecr == 1001);
    stamped(d, 200, 100, 1002);
    EXPECT(sent_ack(d) && d->sent[0].opt.tsecr == 1002);
}

/* Req RFC7323-3.2: with time stamps agreed, a segment without is dropped. */
static void stamp_missing(struct dlg *d)
{
    EXPECT(reach_with(d, XT_OPT_MSS | XT_OPT_TS, 1460, 65535));
    data(d, 0, 100);
    EXPECT(d->e.conn.rx_head == 0);
}

/* Req RFC7323-2.3 RFC7323-2.2: a shift above 14 is taken for 14; the window of a SYN is not scaled. */
static void shift_is_bounded(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_SYN_SENT));
    struct xt_seg s = dlg_seg(d, XT_TH_SYN | XT_TH_ACK, d->irs, d->iss + 1, 0);
    s.opt = (struct xt_tcp_opts){.present = XT_OPT_MSS | XT_OPT_WSCALE, .mss = 1460, .wscale = 15};
    dlg_input(d, &s);
    EXPECT(d->e.conn.snd_wnd == 65535);
    from_peer_wnd(d, XT_TH_ACK, d->irs + 1, d->iss + 1, 0, 3);
    EXPECT(d->e.conn.snd_wnd == 3u << 14);
}

static bool block(const struct dlg *d, unsigned i, uint32_t left, uint32_t right)
{
    const struct xt_tcp_opts *o = &d->sent[0].opt;
    return d->nsent == 1 && o->nsack > i && o->sack[i].left == d->irs + 1 + left &&
           o->sack[i].right == d->irs + 1 + right;
}

/* Req RFC2018-4: the block of the segment that caused the ACK comes first, then those told last. */
static void sack_blocks(struct dlg *d)
{
    EXPECT(reach_with(d, XT_OPT_MSS | XT_OPT_SACK_OK, 1460, 65535));
    data(d, 1000, 100);
    EXPECT(block(d, 0, 1000, 1100) && d->sent[0].opt.nsack == 1);
    data(d, 3000, 100);
    EXPECT(block(d, 0, 3000, 3100) && block(d, 1, 1000, 1100));
    data(d, 1100, 100);
    EXPECT(block(d, 0, 1000, 1200) && block(d, 1, 3000, 3100) && d->sent[0].opt.nsack == 2);
    data(d, 0, 1000);
    EXPECT(block(d, 0, 3000, 3100) && d->sent[0].ack == d->irs + 1201);
}

/* Req RFC2883-4: what came twice is told first, once. */
static void dsack(struct dlg *d)
{
    EXPECT(reach_with(d, XT_OPT_MSS | XT_OPT_SACK_OK, 1460, 65535));
    data(d, 0, 500);
    data(d, 0, 500);
    EXPECT(block(d, 0, 0, 500) && d->sent[0].opt.nsack == 1);
    data(d, 1000, 100);
    EXPECT(block(d, 0, 1000, 1100) && d->sent[0].opt.nsack == 1);
    data(d, 1000, 100);
    EXPECT(block(d, 0, 1000, 1100) && block(d, 1, 1000, 1100));
}

/* Req RFC2018-2: no blocks for a peer that did not permit them. */
static void no_sack(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_ESTABLISHED));
    data(d, 1000, 100);
    EXPECT(sent_ack(d) && d->sent[0].opt.nsack == 0);
}

static const struct step_test tests[] = {
    {"ack: queued segments have one", queued_segments_have_one_ack},
    {"ack: text out of order is kept", out_of_order_is_kept},
    {"ack: delayed, by less than half a second", ack_is_delayed},
    {"ack: at once for every second segment", every_second_segment},
    {"options: on any segment", options_on_any_segment},
    {"reset: may carry data, is told", reset_with_data},
    {"open: at the same time", simultaneous_open},
    {"open: SYN_RECV remembers how it came about", syn_recv_remembers},
    {"TIME_WAIT: a newer time stamp makes a new connection", time_wait_newer_stamp},
    {"TIME_WAIT: an older time stamp does not", time_wait_older_stamp},
    {"TIME_WAIT: twice the MSL", time_wait_lasts},
    {"close: lost text is told by a reset", half_duplex_close},
    {"icmp: soft errors end nothing", soft_icmp},
    {"icmp: hard errors end an open", hard_icmp},
    {"icmp: about what is not in flight", icmp_out_of_flight},
    {"icmp: a tiny MTU", icmp_tiny_mtu},
    {"blind reset", blind_reset},
    {"blind SYN", blind_syn},
    {"blind data", blind_data},
    {"challenges are limited", challenges_are_limited},
    {"time stamps: older ones are dropped", paws},
    {"time stamps: but not after a long silence", paws_after_long_idle},
    {"time stamps: which is echoed", echoed_stamp},
    {"time stamps: missing", stamp_missing},
    {"window scale: at most 14, none in a SYN", shift_is_bounded},
    {"sack: order of blocks", sack_blocks},
    {"sack: duplicates", dsack},
    {"sack: only when permitted", no_sack},
};

int main(void)
{
    return run_steps(tests, sizeof tests / sizeof *tests);
}
