/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/start.h"

#include "tests/fuzz/fuzz.h"

static struct xt_seg segment(const struct ep *e, uint8_t flags)
{
    const struct xt_conn *c = &e->conn;
    struct xt_seg s = {.sport = c->remote.port, .dport = c->local.port, .flags = flags, .wnd = 0xffff};
    s.seq = c->rcv_nxt;
    s.ack = flags & XT_TH_ACK ? c->snd_nxt : 0;
    if (c->opts & XT_OPT_TS)
        s.opt = (struct xt_tcp_opts){.present = XT_OPT_TS, .tsval = c->ts_recent, .tsecr = (uint32_t)(e->now / 1000)};
    return s;
}

static struct xt_seg syn(const struct ep *e, uint8_t flags, uint8_t opts)
{
    struct xt_seg s = segment(e, flags);
    s.seq = START_IRS;
    s.opt = (struct xt_tcp_opts){.present = opts, .mss = 1400, .wscale = 3, .tsval = 7};
    s.opt.tsecr = (uint32_t)(e->now / 1000);
    return s;
}

static void input(struct ep *e, uint8_t flags)
{
    struct xt_seg s = segment(e, flags);
    ep_input(e, &s);
}

static void open_passive(struct ep *e, struct ep *listener, enum xt_state state, uint8_t opts)
{
    struct xt_seg s = syn(e, XT_TH_SYN | XT_TH_ECE | XT_TH_CWR, opts);
    ep_init(listener, &e->cfg, &e->conn.local, &e->conn.remote, e->rx_size, e->tx_size);
    ep_listen(listener);
    ep_accept(e, listener, &s, START_ISS);
    if (state != XT_SYN_RECV)
        input(e, XT_TH_ACK);
}

static void open_active(struct ep *e, enum xt_state state, uint8_t opts)
{
    ep_connect(e, START_ISS);
    if (state == XT_SYN_SENT)
        return;
    struct xt_seg s = syn(e, state == XT_SYN_RECV ? XT_TH_SYN : XT_TH_SYN | XT_TH_ACK | XT_TH_ECE, opts);
    ep_input(e, &s);
}

/* From ESTABLISHED on, by what either side closes. */
static void finish(struct ep *e, enum xt_state state)
{
    switch (state) {
    case XT_CLOSE_WAIT:
        input(e, XT_TH_FIN | XT_TH_ACK);
        break;
    case XT_LAST_ACK:
        input(e, XT_TH_FIN | XT_TH_ACK);
        ep_shutdown(e);
        break;
    case XT_FIN_WAIT1:
        ep_shutdown(e);
        break;
    case XT_FIN_WAIT2:
        ep_shutdown(e);
        input(e, XT_TH_ACK);
        break;
    case XT_TIME_WAIT:
        ep_shutdown(e);
        input(e, XT_TH_FIN | XT_TH_ACK);
        break;
    case XT_CLOSING: {
        ep_shutdown(e);
        struct xt_seg s = segment(e, XT_TH_FIN | XT_TH_ACK);
        s.ack = e->conn.snd_una;
        ep_input(e, &s);
        break;
    }
    default:
        break;
    }
}

void start_in(struct ep *e, struct ep *listener, enum xt_state state, bool passive, uint8_t opts)
{
    if (state == XT_LISTEN) {
        ep_listen(e);
    } else if (state != XT_CLOSED) {
        if (passive && state != XT_SYN_SENT)
            open_passive(e, listener, state, opts);
        else
            open_active(e, state, opts);
        finish(e, state);
    }
    FUZZ_CHECK(e->conn.state == state);
}
