/* SPDX-License-Identifier: Apache-2.0
 * Scripts against the pure core, in virtual time. One connection at a time with its listener, and the little of a socket
 * layer that gives calls their results. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/ctl/config.h"
#include "daemon/tcp/due.h"
#include "daemon/wire/icmp.h"
#include "tests/packet/script/core_calls.h"
#include "tests/packet/script/queue.h"

#define START_US 1000000 /* the clock does not start at 0: a timer of 0 is off */

struct core {
    struct core_sock sock; /* first: what the calls work on */
    struct pkt_queue sent;
};

static void emit(struct ep *e, const struct xt_seg *seg)
{
    struct core *k = e->arg;
    uint8_t header[XT_TCP_HDR_MAX];
    size_t n = xt_seg_emit(header, seg);
    uint8_t *p = pkt_queue_add(&k->sent, e->now - START_US, n + seg->len, seg->ecn);
    memcpy(p, header, n);
    if (seg->len)
        ep_copy_payload(e, seg, p + n);
}

static bool configure(struct pkt_run *r, struct core_sock *k)
{
    struct xt_config c;
    struct xt_stack_cfg stack;
    xt_config_default(&c);
    c.mtu = 1500;
    c.tcp.gso_max = 0;
    for (int i = 0; i < r->s->nsettings; i++)
        if (xt_config_set(&c, r->s->settings[i][0], r->s->settings[i][1], r->why, sizeof r->why) != 0)
            return false;
    xt_config_stack(&c, &stack);
    k->cfg = stack.tcp;
    k->rx_size = c.rcvbuf;
    k->tx_size = c.sndbuf;
    return true;
}

static bool start(struct pkt_run *r)
{
    struct core *k = calloc(1, sizeof *k);
    if (!k)
        abort();
    r->impl = k;
    k->sock.now = START_US;
    k->sock.emit = emit;
    k->sock.arg = k;
    k->sock.iss = r->base.own_isn;
    k->sock.fo.key[0] = 0x5a;
    if (configure(r, &k->sock))
        return true;
    free(k);
    return false;
}

static void stop(struct pkt_run *r)
{
    struct core *k = r->impl;
    core_sock_end(&k->sock);
    pkt_queue_free(&k->sent);
    free(k);
}

/* To `at`, or to the first timer that makes it send. */
static void advance(struct pkt_run *r, uint64_t at)
{
    struct core *k = r->impl;
    struct core_sock *s = &k->sock;
    uint64_t until = at + START_US;
    while (pkt_queue_empty(&k->sent) && s->alive) {
        uint64_t next = xt_tcp_deadline(&s->conn.conn, s->now);
        if (next > until)
            break;
        if (next > s->now)
            s->now = next;
        s->conn.now = s->now;
        ep_timer(&s->conn);
        core_sock_settle(s);
    }
    if (pkt_queue_empty(&k->sent) && until > s->now)
        s->now = until;
    s->conn.now = s->listener.now = s->now;
}

static bool next(struct pkt_run *r, struct pkt_sent *out, uint64_t until)
{
    struct core *k = r->impl;
    if (pkt_queue_empty(&k->sent) && until)
        advance(r, until);
    if (pkt_queue_empty(&k->sent))
        return false;
    pkt_queue_take(&k->sent, out);
    return true;
}

static void inject(struct pkt_run *r, const uint8_t *p, size_t len, uint8_t ecn)
{
    struct core *k = r->impl;
    struct xt_seg seg;
    if (xt_seg_parse(p, len, &seg) != 0)
        return;
    seg.ecn = ecn;
    core_sock_input(&k->sock, &seg);
}

/* As daemon/stack maps them. */
static int errno_of(uint8_t type, uint8_t code)
{
    static const int unreachable[] = {ENETUNREACH, EHOSTUNREACH, ENOPROTOOPT, ECONNREFUSED, EMSGSIZE};
    if (type == XT_ICMP_PARAM_PROBLEM)
        return EPROTO;
    return type == XT_ICMP_UNREACHABLE && code < 5 ? unreachable[code] : EHOSTUNREACH;
}

static void icmp(struct pkt_run *r, uint8_t type, uint8_t code, uint32_t mtu, uint32_t seq)
{
    struct core *k = r->impl;
    core_sock_icmp(&k->sock, seq, errno_of(type, code), mtu);
}

static void settle(struct pkt_run *r)
{
    (void)r; /* the core answers at once */
}

static long call(struct pkt_run *r, const struct pkt_event *e, const struct pkt_range *want)
{
    struct core *k = r->impl;
    (void)want;
    return core_sock_call(r, &k->sock, e);
}

static const char *state(struct pkt_run *r, const char *want)
{
    struct core *k = r->impl;
    (void)want;
    if (k->sock.alive)
        return xt_state_name(k->sock.conn.conn.state);
    return k->sock.listening ? "LISTEN" : "CLOSED";
}

static bool info(struct pkt_run *r, const char *name, uint32_t *value)
{
    struct core *k = r->impl;
    struct xt_tcp_info i;
    struct xt_tcp_ctx ctx = ep_ctx(&k->sock.conn);
    xt_tcp_info(&k->sock.conn.conn, &ctx, &i);
    const struct {
        const char *name;
        uint32_t value;
    } figures[] = {{"cwnd", i.cwnd},
                   {"ssthresh", i.ssthresh},
                   {"rto", i.rto},
                   {"srtt", i.srtt},
                   {"rttvar", i.rttvar},
                   {"unacked", i.unacked},
                   {"sacked", i.sacked},
                   {"retrans", i.retrans},
                   {"backoff", i.backoff},
                   {"probes", i.probes},
                   {"ca_state", i.ca_state},
                   {"snd_mss", i.snd_mss},
                   {"rcv_mss", i.rcv_mss},
                   {"fo_acked", (i.fo & XT_FO_ACKED) != 0},
                   {"fo_fail", (uint32_t)(i.fo & XT_FO_FAIL) >> XT_FO_FAIL_SHIFT},
                   {"snd_wnd", i.snd_wnd},
                   {"rcv_wnd", i.rcv_wnd},
                   {"snd_wscale", i.snd_wscale},
                   {"rcv_wscale", i.rcv_wscale},
                   {"lost", i.lost},
                   {"rexmit", i.rexmit},
                   {"notsent", i.notsent},
                   {"timeouts", i.timeouts},
                   {"advmss", i.advmss},
                   {"pmtu", i.pmtu},
                   {"ato", i.ato},
                   {"reordering", i.reordering},
                   {"reord_seen", i.reord_seen},
                   {"data_segs_in", i.data_segs_in},
                   {"data_segs_out", i.data_segs_out},
                   {"segs_in", (uint32_t)i.segs_in},
                   {"segs_out", (uint32_t)i.segs_out},
                   {"delivered", i.delivered},
                   {"delivered_ce", i.delivered_ce},
                   {"dsacks", i.dsacks},
                   {"ooo_segs", i.ooo_segs},
                   {"rtos", i.rtos},
                   {"rto_spells", i.rto_spells},
                   {"rto_ms", i.rto_ms},
                   {"busy_ms", i.busy_ms},
                   {"rwnd_ms", i.rwnd_ms},
                   {"sndbuf_ms", i.sndbuf_ms},
                   {"rate_limited", i.rate_limited},
                   {"delivery_rate", (uint32_t)i.delivery_rate},
                   {"pacing_rate", (uint32_t)i.pacing_rate},
                   {"bytes_acked", (uint32_t)i.bytes_acked},
                   {"bytes_received", (uint32_t)i.bytes_received},
                   {"bytes_retrans", (uint32_t)i.bytes_retrans},
                   {"bytes_sent", (uint32_t)i.bytes_sent}};
    for (size_t n = 0; n < sizeof figures / sizeof *figures; n++) {
        if (strcmp(figures[n].name, name) == 0) {
            *value = figures[n].value;
            return k->sock.alive;
        }
    }
    return false;
}

const struct pkt_backend pkt_core = {
    .name = "core",
    .late = XT_DUE_UNIT,
    .start = start,
    .stop = stop,
    .advance = advance,
    .next = next,
    .settle = settle,
    .inject = inject,
    .icmp = icmp,
    .call = call,
    .state = state,
    .info = info,
};
