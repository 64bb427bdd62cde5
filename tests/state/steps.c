/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/state/steps.h"

#include <stdio.h>

#include "tests/state/tap.h"

void from_peer_wnd(struct dlg *d, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len, uint16_t wnd)
{
    struct xt_seg s = dlg_seg(d, flags, seq, ack, len);
    s.wnd = wnd;
    dlg_clear(d);
    dlg_input(d, &s);
}

void from_peer(struct dlg *d, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len)
{
    from_peer_wnd(d, flags, seq, ack, len, 65535);
}

void peer_acks(struct dlg *d)
{
    from_peer(d, XT_TH_ACK, dlg_rcv_nxt(d), dlg_snd_nxt(d), 0);
}

bool sent(const struct dlg *d, uint8_t flags, uint32_t seq, uint32_t ack)
{
    const struct xt_seg *s = &d->sent[0];
    return d->nsent == 1 && s->flags == flags && s->seq == seq && (!(flags & XT_TH_ACK) || s->ack == ack);
}

bool sent_ack(const struct dlg *d)
{
    return sent(d, XT_TH_ACK, dlg_snd_nxt(d), dlg_rcv_nxt(d));
}

bool sent_data(const struct dlg *d, uint32_t seq, uint32_t len)
{
    return d->nsent == 1 && d->sent[0].seq == seq && d->sent[0].len == len;
}

static uint8_t letter(const void *arg, uint64_t off)
{
    return (uint8_t)('a' + off % 26);
}

void app_writes(struct dlg *d, uint32_t n)
{
    dlg_clear(d);
    ep_write(&d->e, n, letter, NULL, false);
}

void app_reads(struct dlg *d, uint32_t n)
{
    uint8_t buf[DLG_WINDOW];
    dlg_clear(d);
    ep_read(&d->e, buf, n < sizeof buf ? n : sizeof buf);
}

bool next_timer(struct dlg *d)
{
    uint64_t t = xt_tcp_deadline(&d->e.conn, d->e.now);
    if (t == UINT64_MAX)
        return false;
    dlg_clear(d);
    d->e.now = t > d->e.now ? t : d->e.now;
    ep_timer(&d->e);
    return true;
}

void pass(struct dlg *d, uint64_t us)
{
    uint64_t end = d->e.now + us, t;
    dlg_clear(d);
    while ((t = xt_tcp_deadline(&d->e.conn, d->e.now)) <= end) {
        d->e.now = t > d->e.now ? t : d->e.now;
        ep_timer(&d->e);
    }
    d->e.now = end;
}

bool reach_with(struct dlg *d, uint8_t opts, uint16_t mss, uint16_t wnd)
{
    if (!dlg_reach(d, XT_SYN_SENT))
        return false;
    struct xt_seg s = dlg_seg(d, XT_TH_SYN | XT_TH_ACK, d->irs, d->iss + 1, 0);
    s.wnd = wnd;
    s.opt = (struct xt_tcp_opts){
        .present = opts, .mss = mss, .tsval = 1000, .tsecr = (uint32_t)(d->e.now / 1000)}; /* a scale of 0 */
    dlg_input(d, &s);
    dlg_clear(d);
    return d->e.conn.state == XT_ESTABLISHED;
}

static void run(const struct step_test *t)
{
    struct dlg d;
    char text[300];
    dlg_begin(&d, 5000, 9000);
    t->run(&d);
    const char *why = d.failed ? d.failed : d.e.bad ? d.e.bad : "";
    snprintf(text, sizeof text, "%s (state %s, sent %d: %s seq %u ack %u len %u, events %s)", why,
             xt_state_name(d.e.conn.state), d.nsent, flags_name(d.sent[0].flags), d.sent[0].seq, d.sent[0].ack,
             d.sent[0].len, dlg_events_name(d.e.events));
    tap_check(!d.failed && !d.e.bad, t->name, text);
    dlg_end(&d);
}

int run_steps(const struct step_test *tests, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        run(&tests[i]);
    return tap_end();
}
