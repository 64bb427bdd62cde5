/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/state/dialogue.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static const uint8_t payload[2048] = "what the peer says";

static void keep(struct ep *e, const struct xt_seg *seg)
{
    struct dlg *d = e->arg;
    if (d->nsent < DLG_SENT)
        d->sent[d->nsent++] = *seg;
}

static void endpoints(struct xt_endpoint *local, struct xt_endpoint *remote)
{
    *local = (struct xt_endpoint){.addr = xt_addr_v4(htonl(0x0a000001)), .port = 80};
    *remote = (struct xt_endpoint){.addr = xt_addr_v4(htonl(0x0a000002)), .port = 40000};
}

static void start(struct dlg *d, struct ep *e)
{
    struct xt_tcp_cfg cfg;
    struct xt_endpoint local, remote;
    endpoints(&local, &remote);
    xt_tcp_cfg_default(&cfg);
    cfg.gso_max = 0; /* each segment by itself */
    e->now = 1000000;
    e->emit = keep;
    e->arg = d;
    ep_init(e, &cfg, &local, &remote, DLG_WINDOW, DLG_WINDOW);
}

void dlg_begin(struct dlg *d, uint32_t iss, uint32_t irs)
{
    memset(d, 0, sizeof *d);
    d->iss = iss;
    d->irs = irs;
    start(d, &d->e);
}

void dlg_end(struct dlg *d)
{
    ep_free(&d->e);
    ep_free(&d->listener);
}

void dlg_clear(struct dlg *d)
{
    d->nsent = 0;
    d->e.events = 0;
}

uint32_t dlg_snd_nxt(const struct dlg *d)
{
    return d->e.conn.state >= XT_SYN_SENT ? d->e.conn.snd_nxt : 0;
}

uint32_t dlg_rcv_nxt(const struct dlg *d)
{
    return d->e.conn.state >= XT_SYN_RECV ? d->e.conn.rcv_nxt : 0;
}

struct xt_seg dlg_seg(const struct dlg *d, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len)
{
    struct xt_seg s = {.sport = d->e.conn.remote.port,
                       .dport = d->e.conn.local.port,
                       .flags = flags,
                       .seq = seq,
                       .ack = flags & XT_TH_ACK ? ack : 0,
                       .wnd = 65535,
                       .payload = payload,
                       .len = len};
    if (flags & XT_TH_SYN) {
        s.opt.present = XT_OPT_MSS;
        s.opt.mss = 1460;
    }
    return s;
}

static void listener_input(struct dlg *d, const struct xt_seg *seg)
{
    struct xt_tcp_ctx ctx = ep_ctx(&d->e);
    struct xt_seg reply = {0};
    int r = xt_tcp_listen_input(&d->e.conn, &ctx, seg, &reply);
    if (r < 0)
        keep(&d->e, &reply);
    if (r <= 0)
        return;
    d->listener = d->e;
    memset(&d->e, 0, sizeof d->e);
    start(d, &d->e);
    ep_accept(&d->e, &d->listener, seg, d->iss);
}

void dlg_input(struct dlg *d, const struct xt_seg *seg)
{
    struct xt_seg reply = {0};
    if (d->e.conn.state == XT_LISTEN)
        listener_input(d, seg);
    else if (d->e.conn.state != XT_CLOSED)
        ep_input(&d->e, seg);
    else if (xt_tcp_reset_for(seg, &reply))
        keep(&d->e, &reply);
}

static bool in_state(struct dlg *d, enum xt_state state)
{
    if (d->e.conn.state != state)
        d->failed = xt_state_name(state);
    return !d->failed;
}

static void from_peer(struct dlg *d, uint8_t flags, uint32_t ack)
{
    uint32_t seq = flags & XT_TH_SYN ? d->irs : dlg_rcv_nxt(d);
    struct xt_seg s = dlg_seg(d, flags, seq, ack, 0);
    dlg_input(d, &s);
}

static bool open_active(struct dlg *d)
{
    ep_connect(&d->e, d->iss);
    return in_state(d, XT_SYN_SENT);
}

static bool open_passive(struct dlg *d)
{
    ep_listen(&d->e);
    if (!in_state(d, XT_LISTEN))
        return false;
    from_peer(d, XT_TH_SYN, 0);
    return in_state(d, XT_SYN_RECV);
}

static bool establish(struct dlg *d)
{
    if (!open_active(d))
        return false;
    from_peer(d, XT_TH_SYN | XT_TH_ACK, d->iss + 1);
    return in_state(d, XT_ESTABLISHED);
}

/* Our side closes first. */
static bool close_first(struct dlg *d)
{
    if (!establish(d))
        return false;
    ep_shutdown(&d->e);
    return in_state(d, XT_FIN_WAIT1);
}

static bool close_acked(struct dlg *d)
{
    if (!close_first(d))
        return false;
    from_peer(d, XT_TH_ACK, d->iss + 2);
    return in_state(d, XT_FIN_WAIT2);
}

/* The peer closes first. */
static bool peer_closed(struct dlg *d)
{
    if (!establish(d))
        return false;
    from_peer(d, XT_TH_FIN | XT_TH_ACK, d->iss + 1);
    return in_state(d, XT_CLOSE_WAIT);
}

static bool reach(struct dlg *d, enum xt_state state)
{
    switch (state) {
    case XT_CLOSED:
        return in_state(d, XT_CLOSED);
    case XT_LISTEN:
        ep_listen(&d->e);
        return in_state(d, XT_LISTEN);
    case XT_SYN_SENT:
        return open_active(d);
    case XT_SYN_RECV:
        return open_passive(d);
    case XT_ESTABLISHED:
        return establish(d);
    case XT_FIN_WAIT1:
        return close_first(d);
    case XT_FIN_WAIT2:
        return close_acked(d);
    case XT_CLOSING:
        if (close_first(d))
            from_peer(d, XT_TH_FIN | XT_TH_ACK, d->iss + 1);
        return in_state(d, XT_CLOSING);
    case XT_TIME_WAIT:
        if (close_acked(d))
            from_peer(d, XT_TH_FIN | XT_TH_ACK, d->iss + 2);
        return in_state(d, XT_TIME_WAIT);
    case XT_CLOSE_WAIT:
        return peer_closed(d);
    case XT_LAST_ACK:
        if (peer_closed(d))
            ep_shutdown(&d->e);
        return in_state(d, XT_LAST_ACK);
    default:
        return false;
    }
}

bool dlg_reach(struct dlg *d, enum xt_state state)
{
    bool ok = reach(d, state);
    dlg_clear(d);
    return ok;
}

const char *dlg_events_name(uint32_t events)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } names[] = {{XT_EV_CONNECTED, "CONNECTED"}, {XT_EV_READABLE, "READABLE"}, {XT_EV_PEER_FIN, "PEER_FIN"},
                 {XT_EV_ERROR, "ERROR"},         {XT_EV_CLOSED, "CLOSED"},     {XT_EV_TIME_WAIT, "TIME_WAIT"},
                 {XT_EV_URGENT, "URGENT"}};
    static char bufs[4][100];
    static unsigned next;
    char *b = bufs[next++ % 4];
    *b = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (events & names[i].bit)
            sprintf(b + strlen(b), "%s%s", *b ? " " : "", names[i].name);
    return *b ? b : "-";
}
