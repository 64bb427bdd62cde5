/* SPDX-License-Identifier: Apache-2.0
 * Dialogues beside the grid: the cases of RFC 9293 section 3.10 that depend on more than one segment's kind. */
#include <errno.h>

#include "tests/state/steps.h"

static const enum xt_state synchronised[] = {XT_ESTABLISHED, XT_FIN_WAIT1, XT_FIN_WAIT2, XT_CLOSE_WAIT,
                                             XT_CLOSING,     XT_LAST_ACK,  XT_TIME_WAIT};
#define N_SYNCHRONISED (sizeof synchronised / sizeof *synchronised)

/* Req RFC5961-3.2 MAY-12: RFC 5961 section 3.2: a reset inside the window but not at RCV.NXT is challenged, */
static void reset_in_window(struct dlg *d)
{
    for (unsigned i = 0; i < N_SYNCHRONISED; i++) {
        dlg_end(d);
        dlg_begin(d, 5000, 9000);
        EXPECT(dlg_reach(d, synchronised[i]));
        from_peer(d, XT_TH_RST, dlg_rcv_nxt(d) + 1, 0, 0);
        EXPECT(d->e.conn.state == synchronised[i] && sent_ack(d) && !(d->e.events & DLG_EVENTS));
    }
}

/* Req RFC5961-3.2: one outside of it is dropped in silence. */
static void reset_outside_window(struct dlg *d)
{
    for (unsigned i = 0; i < N_SYNCHRONISED; i++) {
        dlg_end(d);
        dlg_begin(d, 5000, 9000);
        EXPECT(dlg_reach(d, synchronised[i]));
        from_peer(d, XT_TH_RST, dlg_rcv_nxt(d) - 1, 0, 0);
        EXPECT(d->e.conn.state == synchronised[i] && d->nsent == 0);
        from_peer(d, XT_TH_RST, dlg_rcv_nxt(d) + 2 * DLG_WINDOW, 0, 0);
        EXPECT(d->e.conn.state == synchronised[i] && d->nsent == 0 && !(d->e.events & DLG_EVENTS));
    }
}

static void syn_sent_reset_without_ack(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_SYN_SENT));
    from_peer(d, XT_TH_RST, d->irs, 0, 0);
    EXPECT(d->e.conn.state == XT_SYN_SENT && d->nsent == 0);
    from_peer(d, XT_TH_RST | XT_TH_ACK, d->irs, d->iss, 0); /* SEG.ACK =< ISS */
    EXPECT(d->e.conn.state == XT_SYN_SENT && d->nsent == 0 && !(d->e.events & DLG_EVENTS));
}

static bool simultaneous_syn(struct dlg *d)
{
    if (!dlg_reach(d, XT_SYN_SENT))
        return false;
    from_peer(d, XT_TH_SYN, d->irs, 0, 0);
    return d->e.conn.state == XT_SYN_RECV && sent(d, XT_TH_SYN | XT_TH_ACK, d->iss, d->irs + 1);
}

/* Req MUST-10: Section 3.5, figure 7. */
static void simultaneous_open_by_ack(struct dlg *d)
{
    EXPECT(simultaneous_syn(d));
    from_peer(d, XT_TH_ACK, d->irs + 1, d->iss + 1, 0);
    EXPECT(d->e.conn.state == XT_ESTABLISHED && d->e.events & XT_EV_CONNECTED && d->nsent == 0);
}

/* Req MUST-10: the peer's SYN+ACK begins one before RCV.NXT, as its SYN did. */
static void simultaneous_open_by_synack(struct dlg *d)
{
    EXPECT(simultaneous_syn(d));
    from_peer(d, XT_TH_SYN | XT_TH_ACK, d->irs, d->iss + 1, 0);
    EXPECT(d->nsent <= 1 && !(d->e.events & XT_EV_ERROR));
    if (d->e.conn.state == XT_SYN_RECV)
        from_peer(d, XT_TH_ACK, d->irs + 1, d->iss + 1, 0);
    EXPECT(d->e.conn.state == XT_ESTABLISHED);
}

/* Req MUST-11: SYN_RECV of an active open is refused by a reset, and the user hears of it. */
static void simultaneous_open_reset(struct dlg *d)
{
    EXPECT(simultaneous_syn(d));
    from_peer(d, XT_TH_RST, d->irs + 1, 0, 0);
    EXPECT(d->e.conn.state == XT_CLOSED && d->e.conn.err == ECONNREFUSED && d->e.events & XT_EV_ERROR && d->nsent == 0);
}

static void simultaneous_open_syn_in_window(struct dlg *d)
{
    EXPECT(simultaneous_syn(d));
    from_peer(d, XT_TH_SYN, d->irs + 2, 0, 0);
    EXPECT(d->e.conn.state == XT_SYN_RECV && sent(d, XT_TH_ACK, d->iss + 1, d->irs + 1));
}

static void syn_recv_bad_ack(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_SYN_RECV));
    from_peer(d, XT_TH_ACK, d->irs + 1, d->iss + 2, 0);
    EXPECT(d->e.conn.state == XT_SYN_RECV && sent(d, XT_TH_RST, d->iss + 2, 0));
    from_peer(d, XT_TH_ACK, d->irs + 1, d->iss, 0);
    EXPECT(d->e.conn.state == XT_SYN_RECV && sent(d, XT_TH_RST, d->iss, 0));
}

/* Req RFC5961-5.2 */
static void ack_of_unsent(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_ESTABLISHED));
    from_peer(d, XT_TH_ACK, dlg_rcv_nxt(d), dlg_snd_nxt(d) + 1, 0);
    EXPECT(d->e.conn.state == XT_ESTABLISHED && sent_ack(d));
    from_peer(d, XT_TH_ACK, dlg_rcv_nxt(d), dlg_snd_nxt(d) + 1, 100); /* its data is dropped with it */
    EXPECT(!(d->e.events & XT_EV_READABLE) && d->e.conn.rx_head == 0);
}

/* Req RFC5961-5.2: RFC 5961 section 5.2: older than SND.UNA - MAX.SND.WND. */
static void ack_too_old(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_ESTABLISHED));
    from_peer(d, XT_TH_ACK, dlg_rcv_nxt(d), dlg_snd_nxt(d) - 70000, 100);
    EXPECT(sent_ack(d) && d->e.conn.rx_head == 0);
}

static void data_without_ack_bit(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_ESTABLISHED));
    from_peer(d, 0, dlg_rcv_nxt(d), 0, 100);
    EXPECT(d->nsent == 0 && d->e.conn.rx_head == 0);
}

static void fin_wait1_fin_acks_ours(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_FIN_WAIT1));
    from_peer(d, XT_TH_FIN | XT_TH_ACK, dlg_rcv_nxt(d), dlg_snd_nxt(d), 0);
    EXPECT(d->e.conn.state == XT_TIME_WAIT && sent_ack(d));
    EXPECT((d->e.events & DLG_EVENTS) == (XT_EV_PEER_FIN | XT_EV_TIME_WAIT));
}

static void data_with_fin(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_ESTABLISHED));
    uint32_t r = dlg_rcv_nxt(d);
    from_peer(d, XT_TH_FIN | XT_TH_ACK, r, dlg_snd_nxt(d), 100);
    EXPECT(d->e.conn.state == XT_CLOSE_WAIT && sent(d, XT_TH_ACK, dlg_snd_nxt(d), r + 101));
    EXPECT((d->e.events & DLG_EVENTS) == (XT_EV_READABLE | XT_EV_PEER_FIN) && d->e.conn.rx_head == 100);
}

/* Req SHLD-31: A FIN beyond a gap waits for the gap to fill (SHLD-31). */
static void fin_out_of_order(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_ESTABLISHED));
    uint32_t r = dlg_rcv_nxt(d), n = dlg_snd_nxt(d);
    from_peer(d, XT_TH_FIN | XT_TH_ACK, r + 100, n, 50);
    EXPECT(d->e.conn.state == XT_ESTABLISHED && sent(d, XT_TH_ACK, n, r) && !(d->e.events & DLG_EVENTS));
    from_peer(d, XT_TH_ACK, r, n, 100);
    /* The end of file may be told by the FIN again, when only the text was kept. */
    if (d->e.conn.state == XT_ESTABLISHED)
        from_peer(d, XT_TH_FIN | XT_TH_ACK, r + 100, n, 50);
    EXPECT(d->e.conn.state == XT_CLOSE_WAIT && d->e.conn.rx_head == 150);
    EXPECT(sent(d, XT_TH_ACK, n, r + 151));
}

/* Req MUST-13 */
static void time_wait_two_msl(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_TIME_WAIT));
    uint64_t two_msl = 2 * d->e.cfg.msl;
    EXPECT(xt_tcp_deadline(&d->e.conn, d->e.now) == d->e.now + two_msl);
    d->e.now += 1000000;
    from_peer(d, XT_TH_FIN | XT_TH_ACK, dlg_rcv_nxt(d) - 1, dlg_snd_nxt(d), 0);
    EXPECT(sent_ack(d) && xt_tcp_deadline(&d->e.conn, d->e.now) == d->e.now + two_msl);
    EXPECT(next_timer(d) && d->e.conn.state == XT_CLOSED && d->e.events & XT_EV_CLOSED && d->nsent == 0);
}

static void time_wait_old_syn(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_TIME_WAIT));
    from_peer(d, XT_TH_SYN, d->irs, 0, 0);
    EXPECT(d->e.conn.state == XT_TIME_WAIT && sent_ack(d));
}

/* Req MAY-2 RFC6191-2: RFC 6191: the floor for the new ISS is above all that was sent. */
static void time_wait_new_syn(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_TIME_WAIT));
    uint32_t n = dlg_snd_nxt(d);
    from_peer(d, XT_TH_SYN, dlg_rcv_nxt(d) + 5000, 0, 0);
    EXPECT(d->e.conn.state == XT_CLOSED && (int32_t)(d->e.conn.isn_floor - n) >= 0);
}

/* Req SHLD-3: RFC 2525 section 2.17: what arrives for a closed socket is answered by a reset. */
static void data_after_close(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_ESTABLISHED));
    ep_close(&d->e);
    from_peer(d, XT_TH_ACK, dlg_rcv_nxt(d), dlg_snd_nxt(d), 0);
    EXPECT(d->e.conn.state == XT_FIN_WAIT2);
    from_peer(d, XT_TH_ACK, dlg_rcv_nxt(d), dlg_snd_nxt(d), 100);
    EXPECT(d->nsent == 1 && d->sent[0].flags & XT_TH_RST);
    EXPECT(d->e.conn.state == XT_CLOSED || next_timer(d));
    EXPECT(d->e.conn.state == XT_CLOSED);
}

/* Req SHLD-3 */
static void close_with_unread_data(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_ESTABLISHED));
    from_peer(d, XT_TH_ACK, dlg_rcv_nxt(d), dlg_snd_nxt(d), 100);
    uint32_t n = dlg_snd_nxt(d);
    dlg_clear(d);
    ep_close(&d->e);
    EXPECT(d->nsent == 1 && d->sent[0].flags & XT_TH_RST && d->sent[0].seq == n);
    EXPECT(d->e.conn.state == XT_CLOSED || next_timer(d));
    EXPECT(d->e.conn.state == XT_CLOSED && d->e.events & XT_EV_CLOSED);
}

static bool fill_window(struct dlg *d)
{
    if (!dlg_reach(d, XT_ESTABLISHED))
        return false;
    while (d->e.conn.rcv_adv != d->e.conn.rcv_nxt)
        from_peer(d, XT_TH_ACK, dlg_rcv_nxt(d), dlg_snd_nxt(d), 1024);
    return true;
}

/* MUST-66: with a zero window, resets and ACKs at RCV.NXT are taken all the same; text is not. */
static void zero_window_data(struct dlg *d)
{
    EXPECT(fill_window(d));
    uint32_t r = dlg_rcv_nxt(d);
    from_peer(d, XT_TH_ACK, r, dlg_snd_nxt(d), 1);
    EXPECT(sent(d, XT_TH_ACK, dlg_snd_nxt(d), r) && d->sent[0].wnd == 0 && !(d->e.events & XT_EV_READABLE));
}

/* Req MUST-66 */
static void zero_window_ack(struct dlg *d)
{
    EXPECT(fill_window(d));
    ep_shutdown(&d->e);
    from_peer(d, XT_TH_ACK, dlg_rcv_nxt(d), dlg_snd_nxt(d), 0);
    EXPECT(d->e.conn.state == XT_FIN_WAIT2 && d->nsent == 0);
}

/* The ACK of a probe that carries text is taken although the text is not. */
static void zero_window_ack_with_data(struct dlg *d)
{
    EXPECT(fill_window(d));
    ep_shutdown(&d->e);
    from_peer(d, XT_TH_ACK, dlg_rcv_nxt(d), dlg_snd_nxt(d), 1);
    EXPECT(d->e.conn.state == XT_FIN_WAIT2 && sent_ack(d));
}

/* Req MUST-66 */
static void zero_window_reset(struct dlg *d)
{
    EXPECT(fill_window(d));
    from_peer(d, XT_TH_RST, dlg_rcv_nxt(d), 0, 0);
    EXPECT(d->e.conn.state == XT_CLOSED && d->e.conn.err == ECONNRESET);
}

/* Req MUST-32 */
static void urgent_data(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_ESTABLISHED));
    struct xt_seg s = dlg_seg(d, XT_TH_ACK | XT_TH_URG, dlg_rcv_nxt(d), dlg_snd_nxt(d), 100);
    s.urp = 50;
    dlg_input(d, &s);
    EXPECT((d->e.events & DLG_EVENTS) == (XT_EV_READABLE | XT_EV_URGENT) && d->e.conn.rx_head == 100);
}

/* Req MUST-22 RFC6298-5.5: RFC 6298: a SYN goes out again after one second, then two, ...; after the last try the user hears ETIMEDOUT. */
static void syn_times_out(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_SYN_SENT));
    uint64_t last = d->e.now, gap = d->e.cfg.rto_initial;
    unsigned tries = 0;
    while (d->e.conn.state == XT_SYN_SENT && next_timer(d)) {
        EXPECT(d->e.now == last + gap);
        last = d->e.now;
        gap = 2 * gap < d->e.cfg.rto_max ? 2 * gap : d->e.cfg.rto_max;
        if (d->e.conn.state == XT_SYN_SENT) {
            EXPECT(sent(d, XT_TH_SYN, d->iss, 0));
            tries++;
        }
    }
    EXPECT(tries == d->e.cfg.syn_retries && d->e.conn.state == XT_CLOSED && d->e.conn.err == ETIMEDOUT);
    EXPECT((d->e.events & DLG_EVENTS) == (XT_EV_ERROR | XT_EV_CLOSED));
}

static void synack_times_out(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_SYN_RECV));
    unsigned tries = 0;
    while (d->e.conn.state == XT_SYN_RECV && next_timer(d))
        tries += sent(d, XT_TH_SYN | XT_TH_ACK, d->iss, d->irs + 1);
    EXPECT(tries == d->e.cfg.synack_retries && d->e.conn.state == XT_CLOSED && d->e.events & XT_EV_CLOSED);
}

static uint8_t letter(const void *arg, uint64_t off)
{
    return (uint8_t)('a' + off % 26);
}

/* SEND before the handshake is over: queued, and sent with or right after its last segment. */
static void queued_send(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_SYN_SENT));
    ep_write(&d->e, 10, letter, NULL, false);
    EXPECT(d->nsent == 0);
    from_peer(d, XT_TH_SYN | XT_TH_ACK, d->irs, d->iss + 1, 0);
    EXPECT(d->e.conn.state == XT_ESTABLISHED && d->nsent >= 1);
    const struct xt_seg *s = &d->sent[d->nsent - 1];
    EXPECT(s->len == 10 && s->seq == d->iss + 1);
}

/* 3.10.4: with SENDs queued, CLOSE in SYN_RECV waits for ESTABLISHED; the FIN follows the data. */
static void queued_close(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_SYN_RECV));
    ep_write(&d->e, 10, letter, NULL, false);
    ep_close(&d->e);
    EXPECT(d->nsent == 0);
    from_peer(d, XT_TH_ACK, d->irs + 1, d->iss + 1, 0);
    EXPECT(d->e.conn.state == XT_FIN_WAIT1 && d->nsent >= 1);
    const struct xt_seg *s = &d->sent[d->nsent - 1];
    EXPECT(s->flags & XT_TH_FIN && s->seq + s->len == d->iss + 11);
}

/* 3.10.4: with nothing queued the FIN goes at once; the SYN is still sent again until it is acknowledged. */
static void close_in_syn_recv(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_SYN_RECV));
    ep_close(&d->e);
    EXPECT(d->e.conn.state == XT_FIN_WAIT1 && sent(d, XT_TH_FIN | XT_TH_ACK, d->iss + 1, d->irs + 1));
    dlg_clear(d);
    EXPECT(next_timer(d) && sent(d, XT_TH_SYN | XT_TH_ACK, d->iss, d->irs + 1));
    from_peer(d, XT_TH_ACK, d->irs + 1, d->iss + 1, 0);
    EXPECT(d->e.conn.state == XT_FIN_WAIT1);
    from_peer(d, XT_TH_ACK, d->irs + 1, d->iss + 2, 0);
    EXPECT(d->e.conn.state == XT_FIN_WAIT2);
}

/* With an octet in flight that a closed window behind it threw away, SND.NXT lies beyond what the peer accepts: ACKs must stay
 * at its edge. */
static void ack_after_probe(struct dlg *d)
{
    EXPECT(dlg_reach(d, XT_ESTABLISHED));
    struct xt_seg closed = dlg_seg(d, XT_TH_ACK, dlg_rcv_nxt(d), d->iss + 1, 0);
    closed.wnd = 0;
    ep_write(&d->e, 1, letter, NULL, false);
    dlg_clear(d);
    dlg_input(d, &closed);
    ep_write(&d->e, 10, letter, NULL, false);
    EXPECT(d->nsent == 0 && next_timer(d) && d->nsent == 1 && d->sent[0].len == 1 && d->sent[0].seq == d->iss + 1);
    dlg_clear(d);
    struct xt_seg data = dlg_seg(d, XT_TH_ACK, dlg_rcv_nxt(d), d->iss + 1, 100);
    data.wnd = 0;
    dlg_input(d, &data);
    EXPECT(sent(d, XT_TH_ACK, d->iss + 1, dlg_rcv_nxt(d)));
}

static const struct step_test dialogues[] = {
    {"reset in the window is challenged", reset_in_window},
    {"reset outside the window is dropped", reset_outside_window},
    {"SYN_SENT: reset without a right ACK is dropped", syn_sent_reset_without_ack},
    {"simultaneous open, ended by an ACK", simultaneous_open_by_ack},
    {"simultaneous open, ended by SYN+ACK", simultaneous_open_by_synack},
    {"simultaneous open: reset refuses", simultaneous_open_reset},
    {"simultaneous open: SYN in the window is challenged", simultaneous_open_syn_in_window},
    {"SYN_RECV: an unacceptable ACK is reset", syn_recv_bad_ack},
    {"ACK of what was not sent", ack_of_unsent},
    {"ACK older than the largest window", ack_too_old},
    {"data without the ACK bit", data_without_ack_bit},
    {"FIN_WAIT1: FIN that acknowledges ours", fin_wait1_fin_acks_ours},
    {"data and FIN in one segment", data_with_fin},
    {"FIN beyond a gap", fin_out_of_order},
    {"TIME_WAIT lasts 2 MSL, again after a FIN", time_wait_two_msl},
    {"TIME_WAIT: an old SYN is acknowledged", time_wait_old_syn},
    {"TIME_WAIT: a new SYN, and the floor of the ISN", time_wait_new_syn},
    {"data after close is reset", data_after_close},
    {"close with unread data resets", close_with_unread_data},
    {"zero window: data is not taken", zero_window_data},
    {"zero window: ACK is taken", zero_window_ack},
    {"zero window: ACK with data is taken", zero_window_ack_with_data},
    {"zero window: reset is taken", zero_window_reset},
    {"urgent data is signalled", urgent_data},
    {"SYN times out", syn_times_out},
    {"SYN+ACK times out", synack_times_out},
    {"SEND in SYN_SENT is queued", queued_send},
    {"CLOSE in SYN_RECV with data queued", queued_close},
    {"CLOSE in SYN_RECV sends its FIN at once", close_in_syn_recv},
    {"zero window: ACKs after a probe stay acceptable", ack_after_probe},
};

int main(void)
{
    return run_steps(dialogues, sizeof dialogues / sizeof *dialogues);
}
