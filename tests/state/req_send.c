/* SPDX-License-Identifier: Apache-2.0
 * Requirements on what a TCP sends and when: options of its SYN, segment sizes, Nagle's algorithm, PUSH, retransmission,
 * giving up, keep-alive. Each is tagged with its number. */
#include <errno.h>

#include "proto/xt_cc.h"
#include "tests/state/steps.h"

static bool established(struct dlg *d)
{
    return dlg_reach(d, XT_ESTABLISHED);
}

static uint32_t una(const struct dlg *d)
{
    return d->e.conn.snd_una;
}

/* Req MUST-14 SHLD-5 MAY-3: SYN and SYN+ACK carry the MSS option, whatever its value. */
static void mss_on_syn(struct dlg *d)
{
    static const uint16_t values[] = {1460, 536, 1220, 9000};
    for (unsigned i = 0; i < 8; i++) {
        dlg_end(d);
        dlg_begin(d, 5000, 9000);
        d->e.cfg.mss = values[i / 2];
        if (i % 2) {
            ep_connect(&d->e, d->iss);
            from_peer(d, XT_TH_SYN, d->irs, 0, 0); /* a simultaneous open: SYN+ACK */
        } else {
            ep_connect(&d->e, d->iss);
        }
        EXPECT(d->nsent == 1 && d->sent[0].opt.present & XT_OPT_MSS && d->sent[0].opt.mss == values[i / 2]);
    }
}

/* Req MUST-14 MUST-16: what the peer announces bounds what is sent. */
static void mss_of_the_peer(struct dlg *d)
{
    EXPECT(reach_with(d, XT_OPT_MSS, 700, 65535));
    app_writes(d, 1400);
    EXPECT(d->nsent == 2 && d->sent[0].len == 700 && d->sent[1].len == 700);
}

/* Req MUST-16: the options of each segment count: the smaller of both MSS, less time stamps. */
static void mss_less_options(struct dlg *d)
{
    EXPECT(reach_with(d, XT_OPT_MSS | XT_OPT_TS, 9000, 65535));
    d->e.conn.opt.nodelay = 1;
    app_writes(d, 1460);
    EXPECT(d->nsent == 2 && d->sent[0].len == 1448 && d->sent[0].opt.present & XT_OPT_TS);
}

/* Req MUST-15: without the option 536 for IPv4, */
static void mss_default(struct dlg *d)
{
    EXPECT(reach_with(d, 0, 0, 65535));
    app_writes(d, 1072);
    EXPECT(d->nsent == 2 && d->sent[0].len == 536 && d->sent[1].len == 536);
}

/* Req MUST-15: and 1220 for IPv6. */
static void mss_default_ipv6(struct dlg *d)
{
    struct xt_endpoint local = {.port = 80}, remote = {.port = 40000};
    local.addr.b[0] = remote.addr.b[0] = 0xfd;
    local.addr.b[15] = 1;
    remote.addr.b[15] = 2;
    xt_tcp_init(&d->e.conn, &local, &remote, &d->e.cfg);
    xt_seldom_attach(&d->e.conn, &d->e.seldom);
    xt_tcp_set_rings(&d->e.conn, DLG_WINDOW, DLG_WINDOW);
    EXPECT(reach_with(d, 0, 0, 65535));
    app_writes(d, 2440);
    EXPECT(d->nsent == 2 && d->sent[0].len == 1220 && d->sent[1].len == 1220);
}

/* Req MUST-65: no segment but a SYN has the MSS option. */
static void mss_on_syn_only(struct dlg *d)
{
    EXPECT(established(d));
    app_writes(d, 5000);
    for (int i = 0; i < d->nsent; i++)
        EXPECT(!(d->sent[i].opt.present & XT_OPT_MSS));
    from_peer(d, XT_TH_ACK, dlg_rcv_nxt(d), dlg_snd_nxt(d), 100);
    EXPECT(d->nsent > 0 && !(d->sent[0].opt.present & XT_OPT_MSS));
    dlg_clear(d);
    ep_shutdown(&d->e);
    EXPECT(d->nsent == 1 && !(d->sent[0].opt.present & XT_OPT_MSS));
}

/* Req MUST-61 SHLD-27: the last segment of what is queued has PSH, and it alone. */
static void push_on_the_last(struct dlg *d)
{
    EXPECT(established(d));
    app_writes(d, 3000);
    EXPECT(d->nsent == 3);
    for (int i = 0; i < 3; i++)
        EXPECT(!(d->sent[i].flags & XT_TH_PSH) == (i < 2));
}

/* Req SHLD-27 SHLD-28 MAY-16: small SENDs are put together into segments of the largest size. */
static void largest_segments(struct dlg *d)
{
    EXPECT(established(d));
    app_writes(d, 10);
    for (unsigned i = 0; i < 10; i++) {
        app_writes(d, 292);
        EXPECT(i % 5 == 4 ? d->nsent == 1 && d->sent[0].len == 1460 : d->nsent == 0);
    }
    app_writes(d, 1500); /* and what fills one goes, though the rest must wait */
    EXPECT(d->nsent == 1 && d->sent[0].len == 1460);
}

/* Req MUST-60 SHLD-7 MAY-16: Nagle holds the second small segment, and no longer than until the ACK. */
static void nagle(struct dlg *d)
{
    EXPECT(established(d));
    app_writes(d, 10);
    EXPECT(sent_data(d, d->iss + 1, 10));
    app_writes(d, 10);
    EXPECT(d->nsent == 0);
    from_peer(d, XT_TH_ACK, dlg_rcv_nxt(d), d->iss + 11, 0);
    EXPECT(sent_data(d, d->iss + 11, 10));
}

/* Req MUST-60: nor does TCP_CORK hold data for ever. */
static void cork_ends(struct dlg *d)
{
    EXPECT(established(d));
    d->e.conn.opt.cork = 1;
    app_writes(d, 10);
    EXPECT(d->nsent == 0 && next_timer(d) && sent_data(d, d->iss + 1, 10));
}

/* Req MUST-17 */
static void nodelay(struct dlg *d)
{
    EXPECT(established(d));
    d->e.conn.opt.nodelay = 1;
    for (uint32_t i = 0; i < 5; i++) {
        app_writes(d, 10);
        EXPECT(sent_data(d, d->iss + 1 + 10 * i, 10));
    }
}

/* Req MUST-19 RFC6298-5.5: each time-out doubles the next, up to the limit. */
static void backoff(struct dlg *d)
{
    EXPECT(established(d));
    app_writes(d, 100);
    uint64_t last = d->e.now, gap = d->e.conn.rto;
    for (unsigned i = 0; i < 12; i++) {
        EXPECT(next_timer(d) && sent_data(d, d->iss + 1, 100) && is_gap(d->e.now - last, gap));
        last = d->e.now;
        gap = 2 * gap < d->e.cfg.rto_max ? 2 * gap : d->e.cfg.rto_max;
    }
}

/* Keeps the send queue full, takes all that goes out now, and returns how many segments that is. */
static int burst(struct dlg *d)
{
    app_writes(d, ep_room(&d->e));
    return d->nsent;
}

/* Req MUST-19 RFC5681-3.1: slow start: twice as much for each flight acknowledged, one segment at a time. */
static void slow_start(struct dlg *d)
{
    d->e.cfg.init_cwnd = 2;
    EXPECT(established(d));
    EXPECT(burst(d) == 2);
    peer_acks(d);
    EXPECT(d->nsent == 4);
    peer_acks(d);
    EXPECT(d->nsent + burst(d) == 8);
}

/* Req RFC6928-2: ten segments at first. */
static void initial_window(struct dlg *d)
{
    EXPECT(established(d));
    EXPECT(burst(d) == 10);
}

/* Req RFC5681-3.1 MUST-19: after a time-out one segment; slow start up to half of what was in flight, then congestion
 * avoidance: one segment more for each flight. */
static void congestion_avoidance(struct dlg *d)
{
    d->e.cfg.cc = XT_CC_RENO;
    EXPECT(established(d));
    EXPECT(burst(d) == 10);
    EXPECT(next_timer(d) && d->nsent == 1);
    EXPECT(d->e.conn.cwnd == 1460 && d->e.conn.ssthresh == 5 * 1460);
    peer_acks(d);
    d->e.conn.cwnd = d->e.conn.ssthresh;
    uint32_t cwnd = d->e.conn.cwnd;
    for (unsigned round = 0; round < 4; round++) {
        app_writes(d, ep_room(&d->e));
        peer_acks(d);
        app_writes(d, ep_room(&d->e));
        EXPECT(d->e.conn.cwnd >= cwnd && d->e.conn.cwnd <= cwnd + 2 * 1460);
        cwnd = d->e.conn.cwnd;
    }
    EXPECT(cwnd > 5 * 1460 && cwnd <= 10 * 1460);
}

/* Req RFC2861-3 RFC5681-4.1: after a long pause not more than the initial window at once. */
static void restart_window(struct dlg *d)
{
    d->e.cfg.init_cwnd = 2;
    EXPECT(established(d));
    for (unsigned i = 0; i < 4; i++) {
        burst(d);
        peer_acks(d);
    }
    while (una(d) != dlg_snd_nxt(d))
        peer_acks(d);
    EXPECT(d->e.conn.cwnd > 4 * 1460);
    pass(d, 10000000);
    EXPECT(burst(d) == 2);
}

/* Req MUST-18 RFC6298-3: the ACK of a segment sent twice says nothing of the round-trip time; the backoff stays. */
static void karn(struct dlg *d)
{
    EXPECT(established(d));
    app_writes(d, 100);
    pass(d, 10000);
    peer_acks(d);
    uint32_t srtt = d->e.conn.srtt;
    EXPECT(srtt > 0);
    app_writes(d, 100);
    EXPECT(next_timer(d));
    uint64_t rto = d->e.conn.rto, now = d->e.now;
    pass(d, 50000);
    peer_acks(d);
    EXPECT(d->e.conn.srtt == srtt);
    now = d->e.now;
    app_writes(d, 100);
    EXPECT(is_gap(xt_tcp_deadline(&d->e.conn, d->e.now) - now, 2 * rto));
    pass(d, 10000);
    peer_acks(d);
    now = d->e.now;
    app_writes(d, 100);
    EXPECT(xt_tcp_deadline(&d->e.conn, d->e.now) - now < 2 * rto);
}

/* Req RFC6298-2: SRTT and RTTVAR from the first sample, then 7/8 and 3/4 of the old. */
static void rtt_estimate(struct dlg *d)
{
    d->e.cfg.rto_min = 0;
    EXPECT(dlg_reach(d, XT_SYN_SENT));
    pass(d, 100000);
    from_peer(d, XT_TH_SYN | XT_TH_ACK, d->irs, d->iss + 1, 0);
    EXPECT(d->e.conn.srtt == 100000 && d->e.conn.rttvar == 50000 && d->e.conn.rto == 300000);
    app_writes(d, 100);
    pass(d, 180000);
    peer_acks(d);
    EXPECT(d->e.conn.srtt == 110000 && d->e.conn.rttvar == 57500 && d->e.conn.rto == 340000);
}

/* Req MUST-20 SHLD-9 SHLD-10 SHLD-11: at R1, at least three retransmissions, the path is doubted; at R2, at least 100 s, the
 * connection ends and the application is told. */
static void gives_up(struct dlg *d)
{
    EXPECT(established(d));
    uint64_t begin = d->e.now;
    unsigned tries = 0, advised = 0;
    app_writes(d, 100);
    while (d->e.conn.state == XT_ESTABLISHED) {
        EXPECT(next_timer(d));
        tries += (unsigned)d->nsent;
        if (d->e.events & XT_EV_ADVISE)
            advised = tries;
    }
    EXPECT(advised >= 3 && advised < tries);
    EXPECT(d->e.now - begin >= 100000000 && d->e.conn.err == ETIMEDOUT);
    EXPECT((d->e.events & DLG_EVENTS) == (XT_EV_ERROR | XT_EV_CLOSED));
}

/* Req RFC5482-3.1 MUST-21: R2 is the application's to set. */
static void user_timeout(struct dlg *d)
{
    EXPECT(established(d));
    d->e.conn.opt.user_timeout = 5000;
    uint64_t begin = d->e.now;
    app_writes(d, 100);
    while (d->e.conn.state == XT_ESTABLISHED)
        EXPECT(next_timer(d));
    EXPECT(d->e.now - begin >= 5000000 && d->e.now - begin < 5002000 && d->e.conn.err == ETIMEDOUT);
}

/* Req MUST-22 MUST-23: for SYNs too, and for at least three minutes. */
static void syn_gives_up(struct dlg *d)
{
    uint64_t begin = d->e.now;
    bool advised = false;
    EXPECT(dlg_reach(d, XT_SYN_SENT));
    while (d->e.conn.state == XT_SYN_SENT) {
        EXPECT(next_timer(d));
        advised |= (d->e.events & XT_EV_ADVISE) != 0;
    }
    EXPECT(advised && d->e.now - begin >= 180000000 && d->e.conn.err == ETIMEDOUT && d->e.events & XT_EV_ERROR);
}

/* Req MUST-25: nobody asked for it, so an idle connection has no timer at all. */
static void keepalive_is_off(struct dlg *d)
{
    EXPECT(established(d));
    EXPECT(xt_tcp_deadline(&d->e.conn, d->e.now) == UINT64_MAX);
}

static void keepalive_on(struct dlg *d, uint32_t idle)
{
    struct xt_tcp_ctx ctx = ep_ctx(&d->e);
    d->e.conn.opt.keepalive = 1;
    d->e.conn.opt.keep_idle = idle;
    xt_tcp_options_changed(&d->e.conn, &ctx);
}

/* Req MUST-24 MUST-28 MAY-5: asked for, the first probe comes after two hours at least. */
static void keepalive_default(struct dlg *d)
{
    EXPECT(established(d));
    keepalive_on(d, 0);
    pass(d, 7199ull * 1000000);
    EXPECT(d->nsent == 0);
    pass(d, 2000000);
    EXPECT(d->nsent == 1);
}

/* Req MUST-27 SHLD-12: the interval is the application's; the probe has no data and a sequence number already acknowledged. */
static void keepalive_interval(struct dlg *d)
{
    EXPECT(established(d));
    keepalive_on(d, 10);
    pass(d, 9999000);
    EXPECT(d->nsent == 0);
    pass(d, 1000);
    EXPECT(sent(d, XT_TH_ACK, dlg_snd_nxt(d) - 1, dlg_rcv_nxt(d)) && d->sent[0].len == 0);
}

/* Req MUST-26: only after an idle interval: each segment from the peer begins a new one. */
static void keepalive_when_idle(struct dlg *d)
{
    EXPECT(established(d));
    keepalive_on(d, 10);
    for (unsigned i = 0; i < 5; i++) {
        pass(d, 9000000);
        EXPECT(d->nsent == 0);
        from_peer(d, XT_TH_ACK, dlg_rcv_nxt(d), dlg_snd_nxt(d), 10);
    }
    pass(d, 10000000);
    EXPECT(d->nsent == 1);
}

/* Req MUST-29: a probe without an answer says nothing; nine of them in a row do, and one answer makes up for all. */
static void keepalive_lost_ack(struct dlg *d)
{
    EXPECT(established(d));
    keepalive_on(d, 10);
    pass(d, 10000000);
    for (unsigned i = 0; i < 8; i++)
        EXPECT(d->nsent == 1 && d->e.conn.state == XT_ESTABLISHED && next_timer(d));
    peer_acks(d);
    for (unsigned i = 0; i < 9; i++)
        EXPECT(next_timer(d) && d->e.conn.state == XT_ESTABLISHED);
    while (d->e.conn.state == XT_ESTABLISHED)
        EXPECT(next_timer(d));
    EXPECT(d->e.conn.err == ETIMEDOUT);
}

/* A duplicate ACK; with SACK it tells of the bytes [left, right) of the stream. */
static void dup_ack(struct dlg *d, uint32_t left, uint32_t right)
{
    struct xt_seg s = dlg_seg(d, XT_TH_ACK, dlg_rcv_nxt(d), una(d), 0);
    if (right) {
        s.opt.nsack = 1;
        s.opt.sack[0] = (struct xt_sack_block){d->iss + 1 + left, d->iss + 1 + right};
    }
    dlg_clear(d);
    dlg_input(d, &s);
}

/* Req RFC5681-3.2: the third duplicate ACK sends the lost segment again; half of what was in flight is the new limit. */
static void fast_retransmit(struct dlg *d)
{
    d->e.cfg.cc = XT_CC_RENO;
    EXPECT(established(d));
    app_writes(d, 14600);
    EXPECT(d->nsent == 10);
    dup_ack(d, 0, 0);
    EXPECT(d->nsent == 0 || d->sent[0].seq != d->iss + 1);
    dup_ack(d, 0, 0);
    EXPECT(d->nsent == 0 || d->sent[0].seq != d->iss + 1);
    dup_ack(d, 0, 0);
    EXPECT(d->nsent >= 1 && d->sent[0].seq == d->iss + 1 && d->sent[0].len == 1460);
    EXPECT(d->e.conn.ssthresh == 5 * 1460);
}

/* Req RFC6582-3.2: a partial ACK sends the next lost segment at once; the full one ends recovery at ssthresh. */
static void partial_ack(struct dlg *d)
{
    EXPECT(established(d));
    app_writes(d, 14600);
    for (unsigned i = 0; i < 3; i++)
        dup_ack(d, 0, 0);
    from_peer(d, XT_TH_ACK, dlg_rcv_nxt(d), d->iss + 1 + 3 * 1460, 0);
    EXPECT(d->nsent >= 1 && d->sent[0].seq == d->iss + 1 + 3 * 1460);
    from_peer(d, XT_TH_ACK, dlg_rcv_nxt(d), d->iss + 1 + 14600, 0);
    EXPECT(d->e.conn.ca_state == XT_CA_OPEN && d->e.conn.ssthresh < 14600);
    EXPECT(d->e.conn.cwnd == d->e.conn.ssthresh);
}

/* Req RFC6675-5: only what is not SACKed goes again. */
static void sack_recovery(struct dlg *d)
{
    EXPECT(reach_with(d, XT_OPT_MSS | XT_OPT_SACK_OK, 1460, 65535));
    d->e.conn.recovery = XT_RECOVERY_SACK;
    app_writes(d, 14600);
    EXPECT(d->nsent == 10);
    dup_ack(d, 1460, 2920); /* 0 is lost, 1 is there; 2 is lost, 3 to 5 are there */
    dup_ack(d, 4380, 5840);
    dup_ack(d, 4380, 7300);
    bool again[10] = {0};
    for (unsigned i = 0; i < 4; i++) {
        for (int k = 0; k < d->nsent; k++)
            if (d->sent[k].seq - (d->iss + 1) < 14600)
                for (uint32_t o = 0; o < d->sent[k].len; o += 1460)
                    again[(d->sent[k].seq - (d->iss + 1) + o) / 1460] = true;
        dup_ack(d, 4380, 8760 + 1460 * i);
    }
    EXPECT(again[0] && again[2] && !again[1] && !again[3] && !again[4] && !again[5]);
}

/* Req MUST-18 RFC6298-3: likewise of a segment that fast retransmit sent again. */
static void karn_fast(struct dlg *d)
{
    EXPECT(established(d));
    app_writes(d, 14600);
    uint32_t srtt = d->e.conn.srtt;
    for (unsigned i = 0; i < 3; i++)
        dup_ack(d, 0, 0);
    EXPECT(d->nsent >= 1 && d->sent[0].seq == d->iss + 1);
    pass(d, 50000);
    peer_acks(d);
    EXPECT(d->e.conn.srtt == srtt);
}

static void syn_ecn(struct dlg *d, uint8_t flags)
{
    struct xt_seg s = dlg_seg(d, flags, d->irs, d->iss + 1, 0);
    dlg_clear(d);
    dlg_input(d, &s);
}

#define ECN_SETUP (XT_TH_ECE | XT_TH_CWR)

/* Req SHLD-8 RFC3168-6.1.1: taken up when offered, and only then; offered when configured so. */
static void ecn_is_agreed(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_LISTEN));
    syn_ecn(d, XT_TH_SYN | ECN_SETUP);
    EXPECT(d->nsent == 1 && d->sent[0].flags == (XT_TH_SYN | XT_TH_ACK | XT_TH_ECE) && d->sent[0].ecn == 0);
    from_peer(d, XT_TH_ACK, d->irs + 1, d->iss + 1, 0);
    app_writes(d, 100);
    EXPECT(sent_data(d, d->iss + 1, 100) && d->sent[0].ecn == 2);
    EXPECT(next_timer(d) && sent_data(d, d->iss + 1, 100) && d->sent[0].ecn == 0);
    dlg_end(d);
    dlg_begin(d, 5000, 9000);
    EXPECT(dlg_reach(d, XT_LISTEN));
    syn_ecn(d, XT_TH_SYN);
    EXPECT(d->nsent == 1 && d->sent[0].flags == (XT_TH_SYN | XT_TH_ACK));
    from_peer(d, XT_TH_ACK, d->irs + 1, d->iss + 1, 0);
    app_writes(d, 100);
    EXPECT(d->nsent == 1 && d->sent[0].ecn == 0);
}

/* Established by a SYN of our own that offers ECN. */
static bool reach_ecn(struct dlg *d)
{
    d->e.cfg.ecn = 1;
    d->e.cfg.quickack = 0;
    ep_connect(&d->e, d->iss);
    if (d->nsent != 1 || d->sent[0].flags != (XT_TH_SYN | ECN_SETUP))
        return false;
    syn_ecn(d, XT_TH_SYN | XT_TH_ACK | XT_TH_ECE);
    dlg_clear(d);
    return d->e.conn.state == XT_ESTABLISHED;
}

/* Req SHLD-8 RFC3168-6.1.2: ECE takes a fifth of the window (RFC 8511), once for each window of data, and CWR says so. */
static void ecn_sender(struct dlg *d)
{
    d->e.cfg.cc = XT_CC_RENO;
    EXPECT(reach_ecn(d));
    app_writes(d, 14600);
    EXPECT(d->nsent == 10 && d->sent[0].ecn == 2);
    from_peer(d, XT_TH_ACK | XT_TH_ECE, d->irs + 1, d->iss + 1461, 0);
    EXPECT(d->e.conn.cwnd == 8 * 1460);
    from_peer(d, XT_TH_ACK | XT_TH_ECE, d->irs + 1, d->iss + 2921, 0);
    EXPECT(d->e.conn.cwnd == 8 * 1460);
    from_peer(d, XT_TH_ACK | XT_TH_ECE, d->irs + 1, d->iss + 14601, 0);
    EXPECT(d->e.conn.cwnd == 8 * 1460);
    app_writes(d, 1460);
    EXPECT(d->nsent == 1 && d->sent[0].flags & XT_TH_CWR);
    app_writes(d, 1460);
    EXPECT(d->nsent >= 1 && !(d->sent[d->nsent - 1].flags & XT_TH_CWR));
}

/* Req SHLD-8 RFC3168-6.1.3: congestion experienced is told with every ACK until CWR comes. */
static void ecn_receiver(struct dlg *d)
{
    EXPECT(reach_ecn(d));
    struct xt_seg s = dlg_seg(d, XT_TH_ACK, d->irs + 1, d->iss + 1, 100);
    s.ecn = 3;
    dlg_input(d, &s);
    EXPECT(d->nsent == 1 && d->sent[0].flags == (XT_TH_ACK | XT_TH_ECE));
    app_writes(d, 100);
    EXPECT(d->nsent == 1 && d->sent[0].flags & XT_TH_ECE);
    from_peer(d, XT_TH_ACK | XT_TH_CWR, d->irs + 101, d->iss + 101, 100);
    EXPECT(sent_ack(d));
}

/* Req SHLD-8 RFC3168-6.1.1: a SYN sent again offers nothing, in case the offer was why the first was lost. */
static void ecn_falls_back(struct dlg *d)
{
    d->e.cfg.ecn = 1;
    ep_connect(&d->e, d->iss);
    EXPECT(next_timer(d) && sent(d, XT_TH_SYN, d->iss, 0));
    syn_ecn(d, XT_TH_SYN | XT_TH_ACK | XT_TH_ECE);
    app_writes(d, 100);
    EXPECT(d->nsent == 1 && d->sent[0].ecn == 0);
}

static const struct step_test tests[] = {
    {"mss: on every SYN", mss_on_syn},
    {"mss: the peer's is kept to", mss_of_the_peer},
    {"mss: less the options", mss_less_options},
    {"mss: 536 by default", mss_default},
    {"mss: 1220 by default for IPv6", mss_default_ipv6},
    {"mss: on nothing but a SYN", mss_on_syn_only},
    {"push: on the last segment", push_on_the_last},
    {"push: small sends make large segments", largest_segments},
    {"nagle: holds until the ACK", nagle},
    {"nagle: cork ends by itself", cork_ends},
    {"nagle: can be turned off", nodelay},
    {"retransmission: exponential backoff", backoff},
    {"congestion: slow start", slow_start},
    {"congestion: initial window", initial_window},
    {"congestion: avoidance", congestion_avoidance},
    {"congestion: restart after idle", restart_window},
    {"rtt: not of what was sent twice", karn},
    {"rtt: nor of a fast retransmission", karn_fast},
    {"rtt: the estimate", rtt_estimate},
    {"failure: R1 and R2", gives_up},
    {"failure: R2 by the application", user_timeout},
    {"failure: of a SYN", syn_gives_up},
    {"keep-alive: off", keepalive_is_off},
    {"keep-alive: after two hours", keepalive_default},
    {"keep-alive: interval and probe", keepalive_interval},
    {"keep-alive: when idle only", keepalive_when_idle},
    {"keep-alive: lost answers", keepalive_lost_ack},
    {"recovery: fast retransmit", fast_retransmit},
    {"recovery: partial ACK", partial_ack},
    {"recovery: by SACK", sack_recovery},
    {"ecn: agreed on", ecn_is_agreed},
    {"ecn: the sender reacts", ecn_sender},
    {"ecn: the receiver tells", ecn_receiver},
    {"ecn: not offered twice", ecn_falls_back},
};

int main(void)
{
    return run_steps(tests, sizeof tests / sizeof *tests);
}
