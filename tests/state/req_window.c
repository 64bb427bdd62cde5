/* SPDX-License-Identifier: Apache-2.0
 * Requirements of RFC 9293 on windows and urgent data (sections 3.8.5 and 3.8.6), each tagged with its number. */
#include <errno.h>

#include "tests/state/steps.h"

/* Puts `n` bytes beyond the application's reach and the window of the peer at `wnd`, with nothing acknowledged of them. */
static bool in_flight(struct dlg *d, uint32_t n, uint16_t wnd)
{
    if (!dlg_reach(d, XT_ESTABLISHED))
        return false;
    app_writes(d, n);
    from_peer_wnd(d, XT_TH_ACK, dlg_rcv_nxt(d), d->iss + 1, 0, wnd);
    return true;
}

/* Req MUST-1: 40000 would be negative in 16 bits. */
static void window_is_unsigned(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_ESTABLISHED));
    from_peer_wnd(d, XT_TH_ACK, dlg_rcv_nxt(d), d->iss + 1, 0, 40000);
    app_writes(d, 1000);
    EXPECT(sent_data(d, d->iss + 1, 1000));
}

/* Req REC-1: the largest window there is, 1 GiB, is held and used in full. */
static void window_of_32_bits(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_SYN_SENT));
    struct xt_seg s = dlg_seg(d, XT_TH_SYN | XT_TH_ACK, d->irs, d->iss + 1, 0);
    s.opt = (struct xt_tcp_opts){.present = XT_OPT_MSS | XT_OPT_WSCALE, .mss = 1460, .wscale = 14};
    dlg_input(d, &s);
    from_peer_wnd(d, XT_TH_ACK, d->irs + 1, d->iss + 1, 0, 65535);
    struct xt_tcp_ctx ctx = ep_ctx(&d->e);
    struct xt_tcp_info info;
    xt_tcp_info(&d->e.conn, &ctx, &info);
    EXPECT(info.snd_wnd == 65535u << 14);
    from_peer_wnd(d, XT_TH_ACK, d->irs + 1, d->iss + 1, 0, 1); /* 16384 bytes */
    app_writes(d, 5000);
    EXPECT(d->nsent == 4);
}

/* Req SHLD-14: whatever the application reads or leaves, and however little the peer sends. */
static void window_never_shrinks(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_SYN_SENT));
    from_peer(d, XT_TH_SYN | XT_TH_ACK, d->irs, d->iss + 1, 0);
    uint32_t edge = d->irs + 1 + DLG_WINDOW;
    for (uint32_t n = 1; d->e.conn.rx_head < 4 * DLG_WINDOW; n = n % 1460 + 1) {
        from_peer(d, XT_TH_ACK, dlg_rcv_nxt(d), dlg_snd_nxt(d), n);
        for (int i = 0; i < d->nsent; i++) {
            uint32_t now = d->sent[i].ack + d->sent[i].wnd;
            EXPECT((int32_t)(now - edge) >= 0);
            edge = now;
        }
        app_reads(d, n % 7 ? n + 1 : 0);
    }
}

/* Req RFC7323-2.4: a scaled window is rounded down; what an earlier ACK offered is taken all the same. */
static void window_rounded_down(struct dlg *d)
{
    EXPECT(reach_with(d, XT_OPT_MSS | XT_OPT_WSCALE, 1460, 65535));
    EXPECT(d->e.conn.rcv_wscale > 0);
    from_peer(d, XT_TH_ACK, dlg_rcv_nxt(d), dlg_snd_nxt(d), 1);
    for (uint32_t left = DLG_WINDOW - 1; left > 0;) {
        uint32_t n = left < 1024 ? left : 1024;
        from_peer(d, XT_TH_ACK, dlg_rcv_nxt(d), dlg_snd_nxt(d), n);
        left -= n;
    }
    EXPECT(d->e.conn.rx_head == DLG_WINDOW);
}

/* Req MUST-34 SHLD-15 SHLD-16: a window that shrank: no new data, and of the old only what lies inside goes again. */
static void shrunk_window(struct dlg *d)
{
    EXPECT(in_flight(d, 5000, 2000));
    app_writes(d, 2000);
    EXPECT(d->nsent == 0);
    EXPECT(next_timer(d) && sent_data(d, d->iss + 1, 1460));
    from_peer_wnd(d, XT_TH_ACK, dlg_rcv_nxt(d), d->iss + 1461, 0, 540);
    for (int i = 0; i < d->nsent; i++)
        EXPECT(d->sent[i].seq + d->sent[i].len <= d->iss + 2001);
    EXPECT(d->nsent == 1 || (next_timer(d) && d->nsent == 1));
    EXPECT(sent_data(d, d->iss + 1461, 540));
    from_peer(d, XT_TH_ACK, dlg_rcv_nxt(d), d->iss + 2001, 0); /* opens again: all the rest */
    while (d->e.conn.snd_una != d->iss + 7001) {
        EXPECT(d->nsent > 0 || next_timer(d));
        EXPECT(d->nsent > 0);
        from_peer(d, XT_TH_ACK, dlg_rcv_nxt(d), d->sent[d->nsent - 1].seq + d->sent[d->nsent - 1].len, 0);
    }
}

/* Req MUST-35 SHLD-17: a window that shrank to nothing over data in flight is probed, and is no reason to give up. */
static void window_shrunk_to_zero(struct dlg *d)
{
    EXPECT(in_flight(d, 5000, 0));
    for (unsigned i = 0; i < 60; i++) {
        EXPECT(next_timer(d) && d->nsent == 1 && d->sent[0].seq == d->iss + 1 && d->sent[0].len == 1460);
        from_peer_wnd(d, XT_TH_ACK, dlg_rcv_nxt(d), d->iss + 1, 0, 0);
    }
    EXPECT(d->e.conn.state == XT_ESTABLISHED);
    from_peer(d, XT_TH_ACK, dlg_rcv_nxt(d), d->iss + 1, 0);
    EXPECT(d->nsent > 0 && d->sent[0].seq == d->iss + 1 && d->sent[0].len == 1460);
}

/* Req MUST-36 SHLD-29 SHLD-30: the first probe after the retransmission time-out, then at doubled intervals. */
static void zero_window_is_probed(struct dlg *d)
{
    EXPECT(in_flight(d, 0, 0));
    uint64_t last = d->e.now, gap = d->e.conn.rto;
    app_writes(d, 1000);
    EXPECT(d->nsent == 0);
    for (unsigned i = 0; i < 12; i++) {
        EXPECT(next_timer(d) && d->nsent == 1 && d->sent[0].seq == d->iss && d->sent[0].len == 0);
        EXPECT(is_gap(d->e.now - last, gap));
        from_peer_wnd(d, XT_TH_ACK, dlg_rcv_nxt(d), d->iss + 1, 0, 0);
        last = d->e.now;
        gap = 2 * gap < d->e.cfg.rto_max ? 2 * gap : d->e.cfg.rto_max;
    }
    from_peer(d, XT_TH_ACK, dlg_rcv_nxt(d), d->iss + 1, 0);
    EXPECT(sent_data(d, d->iss + 1, 1000));
}

/* Req MUST-37: for as long as the peer answers, here for more than a day. */
static void zero_window_for_ever(struct dlg *d)
{
    EXPECT(in_flight(d, 0, 0));
    app_writes(d, 1000);
    uint64_t end = d->e.now + 100000ull * 1000000;
    while (d->e.now < end) {
        EXPECT(next_timer(d) && d->nsent == 1);
        from_peer_wnd(d, XT_TH_ACK, dlg_rcv_nxt(d), d->iss + 1, 0, 0);
        EXPECT(d->e.conn.state == XT_ESTABLISHED);
    }
}

static bool fill(struct dlg *d)
{
    if (!dlg_reach(d, XT_ESTABLISHED))
        return false;
    while (d->e.conn.rcv_adv != d->e.conn.rcv_nxt)
        from_peer(d, XT_TH_ACK, dlg_rcv_nxt(d), dlg_snd_nxt(d), 1024);
    dlg_clear(d);
    return true;
}

/* Req MAY-8: an application that does not read keeps the window closed, and every probe is answered. */
static void closed_window_stays_closed(struct dlg *d)
{
    EXPECT(fill(d));
    pass(d, 1000000);
    for (unsigned i = 0; i < 200; i++) {
        pass(d, 120000000);
        EXPECT(d->nsent == 0);
        from_peer(d, XT_TH_ACK, dlg_rcv_nxt(d), dlg_snd_nxt(d), 1);
        EXPECT(sent_ack(d) && d->sent[0].wnd == 0 && d->e.conn.state == XT_ESTABLISHED);
    }
}

/* Req MUST-66: an urgent pointer is taken with a zero window, though its octet is not. */
static void zero_window_urgent(struct dlg *d)
{
    EXPECT(fill(d));
    struct xt_seg s = dlg_seg(d, XT_TH_ACK | XT_TH_URG, dlg_rcv_nxt(d), dlg_snd_nxt(d), 1);
    s.urp = 1;
    dlg_input(d, &s);
    EXPECT(d->e.events & XT_EV_URGENT && !(d->e.events & XT_EV_READABLE));
    EXPECT(xt_rx_urg(&d->e.conn) == d->e.conn.rx_head + 1);
}

/* Req MUST-66: a reset likewise. */
static void zero_window_rst(struct dlg *d)
{
    EXPECT(fill(d));
    from_peer(d, XT_TH_RST, dlg_rcv_nxt(d), 0, 0);
    EXPECT(d->e.conn.state == XT_CLOSED && d->e.conn.err == ECONNRESET);
}

/* Req MUST-39: the window opens by a full segment or not at all, whoever asks. */
static void receiver_silly_window(struct dlg *d)
{
    EXPECT(fill(d));
    app_reads(d, 1459);
    EXPECT(d->nsent == 0);
    from_peer(d, XT_TH_ACK, dlg_rcv_nxt(d), dlg_snd_nxt(d), 1);
    EXPECT(sent_ack(d) && d->sent[0].wnd == 0);
    app_reads(d, 1);
    EXPECT(sent_ack(d) && d->sent[0].wnd == 1460);
}

/* Req MUST-38: a window of less than a segment and than half the largest is not filled at once; the override timer does. */
static void sender_silly_window(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_ESTABLISHED));
    from_peer_wnd(d, XT_TH_ACK, dlg_rcv_nxt(d), d->iss + 1, 0, 100);
    app_writes(d, 1000);
    EXPECT(d->nsent == 0);
    uint64_t then = d->e.now;
    EXPECT(next_timer(d) && sent_data(d, d->iss + 1, 100) && d->e.now > then);
}

/* Req MUST-30 MUST-62 MUST-31: URG in every segment up to the mark, which is the octet after the urgent data. */
static void urgent_is_sent(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_ESTABLISHED));
    d->e.batch = true;
    app_writes(d, 5000);
    struct xt_tcp_ctx ctx = ep_ctx(&d->e);
    xt_tcp_wrote(&d->e.conn, &ctx, d->e.conn.tx_head, true);
    ep_output(&d->e);
    EXPECT(d->nsent == 4);
    for (int i = 0; i < d->nsent; i++)
        EXPECT(d->sent[i].flags & XT_TH_URG && d->sent[i].seq + d->sent[i].urp == d->iss + 5001);
    peer_acks(d);
    app_writes(d, 10);
    ep_output(&d->e);
    EXPECT(d->nsent == 1 && !(d->sent[0].flags & XT_TH_URG));
}

static void urgent_at(struct dlg *d, uint32_t len, uint16_t urp)
{
    struct xt_seg s = dlg_seg(d, XT_TH_ACK | XT_TH_URG, dlg_rcv_nxt(d), dlg_snd_nxt(d), len);
    s.urp = urp;
    dlg_clear(d);
    dlg_input(d, &s);
}

/* Req MUST-32 MUST-33: told when urgent data comes up and whenever the mark moves, not when it stays; how much is known. */
static void urgent_is_told(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_ESTABLISHED));
    urgent_at(d, 100, 500);
    EXPECT(d->e.events & XT_EV_URGENT && xt_rx_urg(&d->e.conn) - d->e.conn.rx_tail == 500);
    urgent_at(d, 100, 400);
    EXPECT(!(d->e.events & XT_EV_URGENT));
    urgent_at(d, 100, 500);
    EXPECT(d->e.events & XT_EV_URGENT && xt_rx_urg(&d->e.conn) - d->e.conn.rx_tail == 700);
    app_reads(d, 150);
    EXPECT(xt_rx_urg(&d->e.conn) - d->e.conn.rx_tail == 550);
}

/* Req MUST-31: a mark far ahead of the data that has come; the stream catches up with it. */
static void urgent_of_any_length(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_ESTABLISHED));
    urgent_at(d, 100, 60000);
    EXPECT(d->e.events & XT_EV_URGENT && xt_rx_urg(&d->e.conn) == 60000);
    for (unsigned i = 0; i < 70; i++) {
        from_peer(d, XT_TH_ACK, dlg_rcv_nxt(d), dlg_snd_nxt(d), 1000);
        EXPECT(!(d->e.events & XT_EV_URGENT));
        app_reads(d, 2000);
    }
    EXPECT(d->e.conn.rx_tail > xt_rx_urg(&d->e.conn));
}

static const struct step_test tests[] = {
    {"window: unsigned", window_is_unsigned},
    {"window: 32 bits", window_of_32_bits},
    {"window: the right edge never moves left", window_never_shrinks},
    {"window: rounded down by its scale", window_rounded_down},
    {"window: the peer's shrinks", shrunk_window},
    {"window: the peer's shrinks to zero", window_shrunk_to_zero},
    {"window: a closed one is probed, less and less often", zero_window_is_probed},
    {"window: a closed one never ends the connection", zero_window_for_ever},
    {"window: ours may stay closed", closed_window_stays_closed},
    {"window: closed, urgent pointer is taken", zero_window_urgent},
    {"window: closed, reset is taken by the connection", zero_window_rst},
    {"window: silly ones are not offered", receiver_silly_window},
    {"window: silly ones are not filled", sender_silly_window},
    {"urgent: sent with the mark after it", urgent_is_sent},
    {"urgent: told when it comes and when it moves", urgent_is_told},
    {"urgent: of any length", urgent_of_any_length},
};

int main(void)
{
    return run_steps(tests, sizeof tests / sizeof *tests);
}
