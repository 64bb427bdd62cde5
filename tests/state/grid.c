/* SPDX-License-Identifier: Apache-2.0
 * Runs the grid of cells.c: one named check for each cell, at two pairs of initial sequence numbers, of which one makes
 * them wrap in the middle of the dialogue. With --markdown, or --table, the grid is printed instead of the checks. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/state/cells.h"
#include "tests/state/dialogue.h"
#include "tests/state/tap.h"

static const enum xt_state rows[] = {XT_CLOSED,      XT_LISTEN,    XT_SYN_SENT,  XT_SYN_RECV,
                                     XT_ESTABLISHED, XT_FIN_WAIT1, XT_FIN_WAIT2, XT_CLOSE_WAIT,
                                     XT_CLOSING,     XT_LAST_ACK,  XT_TIME_WAIT};
_Static_assert(sizeof rows / sizeof *rows == XT_NSTATES, "each state has a row");

static const uint32_t bases[][2] = {{5000, 100000}, {0xffffffffu, 0xfffffffeu}};

static bool has_peer_fin(enum xt_state s)
{
    return s == XT_CLOSE_WAIT || s == XT_CLOSING || s == XT_LAST_ACK || s == XT_TIME_WAIT;
}

static bool has_unacked_fin(enum xt_state s)
{
    return s == XT_FIN_WAIT1 || s == XT_CLOSING || s == XT_LAST_ACK;
}

/* States without a receive window: the segments of the head comment that need one have a form of their own. */
static struct xt_seg opening_segment(const struct dlg *d, enum kind k)
{
    bool sent = d->e.conn.state == XT_SYN_SENT;
    uint32_t ack = sent ? d->e.conn.snd_nxt : d->iss + 1;
    switch (k) {
    case K_SYN:
        return dlg_seg(d, XT_TH_SYN, d->irs, 0, 0);
    case K_SYNACK:
        return dlg_seg(d, XT_TH_SYN | XT_TH_ACK, d->irs, ack, 0);
    case K_RST:
        return dlg_seg(d, sent ? XT_TH_RST | XT_TH_ACK : XT_TH_RST, d->irs, ack, 0);
    case K_ACK:
        return dlg_seg(d, XT_TH_ACK, d->irs + 1, ack, 0);
    case K_FIN:
        return dlg_seg(d, XT_TH_FIN | XT_TH_ACK, d->irs + 1, ack, 0);
    case K_OUT:
        return dlg_seg(d, XT_TH_ACK, d->irs + 200000, ack + 1000, 100);
    case K_OLD:
        return sent ? dlg_seg(d, XT_TH_SYN | XT_TH_ACK, d->irs - 70000, d->iss - 500, 0)
                    : dlg_seg(d, XT_TH_ACK, d->irs - 100, ack, 100);
    default:
        return dlg_seg(d, XT_TH_ACK, d->irs + 1, ack, 100);
    }
}

static struct xt_seg segment(const struct dlg *d, enum kind k)
{
    enum xt_state s = d->e.conn.state;
    uint32_t r = d->e.conn.rcv_nxt, n = d->e.conn.snd_nxt, f = n - has_unacked_fin(s);
    if (s < XT_SYN_RECV)
        return opening_segment(d, k);
    switch (k) {
    case K_SYN:
        return dlg_seg(d, XT_TH_SYN, r + 1, 0, 0);
    case K_SYNACK:
        return dlg_seg(d, XT_TH_SYN | XT_TH_ACK, r + 1, n, 0);
    case K_ACK:
        return dlg_seg(d, XT_TH_ACK, r, n, 0);
    case K_DATA:
        return dlg_seg(d, XT_TH_ACK | XT_TH_PSH, r, f, 100);
    case K_FIN:
        return dlg_seg(d, XT_TH_FIN | XT_TH_ACK, r - has_peer_fin(s), f, 0);
    case K_RST:
        return dlg_seg(d, XT_TH_RST, r, 0, 0);
    case K_OUT:
        return dlg_seg(d, XT_TH_ACK, r + DLG_WINDOW + 1000, n, 100);
    default:
        return s == XT_SYN_RECV ? dlg_seg(d, XT_TH_SYN, d->irs, 0, 0) : dlg_seg(d, XT_TH_ACK, r - 100, f, 100);
    }
}

/* What one cell did. */
struct outcome {
    struct xt_seg in, out;
    int nsent;
    uint32_t snd_nxt, rcv_nxt; /* before */
    enum xt_state next;
    uint32_t events;
    int err;
    uint64_t received; /* bytes */
    const char *failed;
};

static struct outcome run(enum xt_state s, enum kind k, uint32_t iss, uint32_t irs)
{
    struct dlg d;
    struct outcome o = {0};
    dlg_begin(&d, iss, irs);
    if (!dlg_reach(&d, s)) {
        o.failed = "the state was not reached";
    } else {
        o.in = segment(&d, k);
        o.snd_nxt = dlg_snd_nxt(&d);
        o.rcv_nxt = dlg_rcv_nxt(&d);
        dlg_input(&d, &o.in);
        o.nsent = d.nsent;
        o.out = d.sent[0];
        o.next = d.e.conn.state;
        o.events = d.e.events & DLG_EVENTS;
        o.err = d.e.conn.err;
        o.received = d.e.conn.rx_head;
        o.failed = d.e.bad;
    }
    dlg_end(&d);
    return o;
}

static uint32_t want_seq(const struct cell *c, const struct outcome *o, uint32_t iss)
{
    switch (c->seq) {
    case Q_ISS:
        return iss;
    case Q_SND_NXT:
        return o->snd_nxt;
    case Q_SEG_ACK:
        return o->in.ack;
    default:
        return 0;
    }
}

static bool sent_right(const struct cell *c, const struct outcome *o, uint32_t iss)
{
    if (!c->flags)
        return o->nsent == 0;
    if (o->nsent != 1 || o->out.flags != c->flags || o->out.len || o->out.seq != want_seq(c, o, iss))
        return false;
    if (c->ack == A_NONE)
        return true;
    return o->out.ack == (c->ack == A_RCV_NXT ? o->rcv_nxt : o->in.seq + xt_seg_seqlen(&o->in));
}

/* NULL when the cell did what it must. */
static const char *mismatch(const struct cell *c, const struct outcome *o, uint32_t iss)
{
    if (!c->given)
        return "no expectation is given";
    if (o->failed)
        return o->failed;
    if (!sent_right(c, o, iss))
        return "sent something else";
    if (o->next != c->next)
        return "another next state";
    if (o->events != c->events)
        return "the application sees something else";
    if (o->err != c->err)
        return "another error for the application";
    if (o->received != (c->events & XT_EV_READABLE ? 100 : 0))
        return "another number of bytes delivered";
    return NULL;
}

static const char *err_name(int err)
{
    return err == ECONNRESET     ? " ECONNRESET"
           : err == ECONNREFUSED ? " ECONNREFUSED"
           : err == EPIPE        ? " EPIPE"
           : err                 ? " (other error)"
                                 : "";
}

static void check(enum xt_state s, enum kind k)
{
    for (unsigned b = 0; b < sizeof bases / sizeof *bases; b++) {
        const struct cell *c = &grid_cells[s][k];
        struct outcome o = run(s, k, bases[b][0], bases[b][1]);
        const char *why = mismatch(c, &o, bases[b][0]);
        char name[80], text[400];
        snprintf(name, sizeof name, "%s x %s%s", xt_state_name(s), grid_kinds[k], b ? " (wrapping)" : "");
        snprintf(text, sizeof text, "%s: sent %d (%s seq %u ack %u), then %s, events %s%s; wanted %s seq %u, %s, %s%s",
                 why ? why : "", o.nsent, flags_name(o.out.flags), o.out.seq, o.out.ack, xt_state_name(o.next),
                 dlg_events_name(o.events), err_name(o.err), flags_name(c->flags), want_seq(c, &o, bases[b][0]),
                 xt_state_name(c->next), dlg_events_name(c->events), err_name(c->err));
        tap_check(!why, name, text);
    }
}

/* The observed outcome as text: what is sent / next state / what the application sees. */
static void cell_text(char *buf, size_t size, enum xt_state s, enum kind k)
{
    struct outcome o = run(s, k, bases[0][0], bases[0][1]);
    snprintf(buf, size, "%s, %s, %s%s%s", o.nsent ? flags_name(o.out.flags) : "-",
             o.next == s ? "stays" : xt_state_name(o.next), dlg_events_name(o.events), err_name(o.err),
             mismatch(&grid_cells[s][k], &o, bases[0][0]) ? " (WRONG)" : "");
}

static void print_markdown(void)
{
    printf("Each cell: what is sent, the next state, what the application sees.\n\n| state |");
    for (int k = 0; k < K_KINDS; k++)
        printf(" %s |", grid_kinds[k]);
    printf("\n|%s\n", " --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for (int i = 0; i < XT_NSTATES; i++) {
        printf("| %s |", xt_state_name(rows[i]));
        for (int k = 0; k < K_KINDS; k++) {
            char text[200];
            cell_text(text, sizeof text, rows[i], k);
            printf(" %s |", text);
        }
        printf("\n");
    }
}

static void print_table(const char *prefix)
{
    for (int i = 0; i < XT_NSTATES; i++)
        for (int k = 0; k < K_KINDS; k++) {
            char text[200];
            cell_text(text, sizeof text, rows[i], k);
            printf("%s%-12s %-14s %s\n", prefix, xt_state_name(rows[i]), grid_kinds[k], text);
        }
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "--markdown")) {
        print_markdown();
        return 0;
    }
    if (argc > 1 && strcmp(argv[1], "--table")) {
        fprintf(stderr, "usage: %s [--table | --markdown]\n", argv[0]);
        return 2;
    }
    if (argc > 1) {
        print_table("");
        return 0;
    }
    for (int i = 0; i < XT_NSTATES; i++)
        for (int k = 0; k < K_KINDS; k++)
            check(rows[i], k);
    print_table("# ");
    return tap_end();
}
