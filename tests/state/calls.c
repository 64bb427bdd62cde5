/* SPDX-License-Identifier: Apache-2.0
 * The user's calls in each state (RFC 9293 sections 3.10.1 to 3.10.5): what is sent, the next state, what is signalled.
 * A call that the interface does not allow in a state has no row. */
#include <stdio.h>
#include <string.h>

#include "tests/state/dialogue.h"
#include "tests/state/tap.h"

enum call { C_CONNECT, C_LISTEN, C_SEND, C_SHUTDOWN, C_CLOSE, C_ABORT };

static const char *const call_names[] = {"connect", "listen", "send", "shutdown", "close", "abort"};

struct row {
    enum call call;
    enum xt_state from, to;
    uint8_t flags; /* of the one segment sent, PSH aside; 0: none */
    uint32_t events;
};

#define ACK_FIN (XT_TH_FIN | XT_TH_ACK)

static const struct row rows[] = {
    {C_CONNECT, XT_CLOSED, XT_SYN_SENT, XT_TH_SYN, 0},
    {C_LISTEN, XT_CLOSED, XT_LISTEN, 0, 0},
    {C_SEND, XT_SYN_SENT, XT_SYN_SENT, 0, 0}, /* queued for later */
    {C_SEND, XT_SYN_RECV, XT_SYN_RECV, 0, 0},
    {C_SEND, XT_ESTABLISHED, XT_ESTABLISHED, XT_TH_ACK, 0},
    {C_SEND, XT_CLOSE_WAIT, XT_CLOSE_WAIT, XT_TH_ACK, 0},
    {C_SHUTDOWN, XT_ESTABLISHED, XT_FIN_WAIT1, ACK_FIN, 0},
    {C_SHUTDOWN, XT_FIN_WAIT1, XT_FIN_WAIT1, 0, 0}, /* no second FIN */
    {C_SHUTDOWN, XT_FIN_WAIT2, XT_FIN_WAIT2, 0, 0},
    {C_SHUTDOWN, XT_CLOSE_WAIT, XT_LAST_ACK, ACK_FIN, 0},
    {C_SHUTDOWN, XT_CLOSING, XT_CLOSING, 0, 0},
    {C_SHUTDOWN, XT_LAST_ACK, XT_LAST_ACK, 0, 0},
    {C_SHUTDOWN, XT_TIME_WAIT, XT_TIME_WAIT, 0, 0},
    {C_CLOSE, XT_LISTEN, XT_CLOSED, 0, XT_EV_CLOSED},
    {C_CLOSE, XT_SYN_SENT, XT_CLOSED, 0, XT_EV_CLOSED},
    {C_CLOSE, XT_SYN_RECV, XT_FIN_WAIT1, ACK_FIN, 0},
    {C_SHUTDOWN, XT_SYN_RECV, XT_FIN_WAIT1, ACK_FIN, 0},
    {C_CLOSE, XT_ESTABLISHED, XT_FIN_WAIT1, ACK_FIN, 0},
    {C_CLOSE, XT_FIN_WAIT1, XT_FIN_WAIT1, 0, 0},
    {C_CLOSE, XT_FIN_WAIT2, XT_FIN_WAIT2, 0, 0},
    {C_CLOSE, XT_CLOSE_WAIT, XT_LAST_ACK, ACK_FIN, 0},
    {C_CLOSE, XT_CLOSING, XT_CLOSING, 0, 0},
    {C_CLOSE, XT_LAST_ACK, XT_LAST_ACK, 0, 0},
    {C_CLOSE, XT_TIME_WAIT, XT_TIME_WAIT, 0, 0},
    {C_ABORT, XT_LISTEN, XT_CLOSED, 0, XT_EV_CLOSED},
    {C_ABORT, XT_SYN_SENT, XT_CLOSED, 0, XT_EV_CLOSED},
    {C_ABORT, XT_SYN_RECV, XT_CLOSED, XT_TH_RST, XT_EV_CLOSED},
    {C_ABORT, XT_ESTABLISHED, XT_CLOSED, XT_TH_RST, XT_EV_CLOSED},
    {C_ABORT, XT_FIN_WAIT1, XT_CLOSED, XT_TH_RST, XT_EV_CLOSED},
    {C_ABORT, XT_FIN_WAIT2, XT_CLOSED, XT_TH_RST, XT_EV_CLOSED},
    {C_ABORT, XT_CLOSE_WAIT, XT_CLOSED, XT_TH_RST, XT_EV_CLOSED},
    {C_ABORT, XT_CLOSING, XT_CLOSED, 0, XT_EV_CLOSED},
    {C_ABORT, XT_LAST_ACK, XT_CLOSED, 0, XT_EV_CLOSED},
    {C_ABORT, XT_TIME_WAIT, XT_CLOSED, 0, XT_EV_CLOSED},
};

static uint8_t letter(const void *arg, uint64_t off)
{
    return (uint8_t)('a' + off % 26);
}

static void call(struct dlg *d, enum call c)
{
    switch (c) {
    case C_CONNECT:
        ep_connect(&d->e, d->iss);
        break;
    case C_LISTEN:
        ep_listen(&d->e);
        break;
    case C_SEND:
        ep_write(&d->e, 10, letter, NULL, false);
        break;
    case C_SHUTDOWN:
        ep_shutdown(&d->e);
        break;
    case C_CLOSE:
        ep_close(&d->e);
        break;
    case C_ABORT:
        ep_abort(&d->e);
        break;
    }
}

/* A reset may carry an ACK; it harms nobody. */
static bool sent_right(const struct row *r, const struct dlg *d, uint32_t nxt)
{
    if (!r->flags)
        return d->nsent == 0;
    uint8_t mask = (uint8_t) ~(XT_TH_PSH | (r->flags & XT_TH_RST ? XT_TH_ACK : 0));
    uint32_t seq = r->flags & XT_TH_SYN ? d->iss : nxt;
    return d->nsent == 1 && (d->sent[0].flags & mask) == r->flags && d->sent[0].seq == seq &&
           d->sent[0].len == (r->call == C_SEND ? 10 : 0);
}

static void check(const struct row *r)
{
    char name[60], text[200];
    struct dlg d;
    dlg_begin(&d, 7000, 900000);
    bool ok = dlg_reach(&d, r->from);
    uint32_t nxt = dlg_snd_nxt(&d);
    if (ok)
        call(&d, r->call);
    uint32_t seen = d.e.events & DLG_EVENTS & ~(uint32_t)XT_EV_ERROR; /* the caller of abort knows */
    ok = ok && !d.e.bad && d.e.conn.state == r->to && seen == r->events && sent_right(r, &d, nxt);
    snprintf(name, sizeof name, "%s in %s", call_names[r->call], xt_state_name(r->from));
    snprintf(text, sizeof text, "%s sent %d (%s seq %u len %u), then %s, events %s; wanted %s, %s, %s",
             d.e.bad ? d.e.bad : "", d.nsent, flags_name(d.sent[0].flags), d.sent[0].seq, d.sent[0].len,
             xt_state_name(d.e.conn.state), dlg_events_name(seen), flags_name(r->flags), xt_state_name(r->to),
             dlg_events_name(r->events));
    tap_check(ok, name, text);
    dlg_end(&d);
}

int main(void)
{
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
        check(&rows[i]);
    return tap_end();
}
