/* SPDX-License-Identifier: Apache-2.0
 * Bytes become segments, clock steps and calls of the user, against one connection that begins in any state. Each byte of the
 * peer's stream is a function of its sequence number, so that whatever is delivered can be checked.
 *
 * With XT_FUZZ_TRACE set in the environment the dialogue is printed. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "daemon/tcp/fastopen.h"
#include "proto/xt_cc.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/rules.h"
#include "tests/fuzz/start.h"

#define PAYLOAD_MAX 4096

struct fuzz {
    struct input in;
    struct ep e;
    struct ep listener;
    struct rules rules;
    bool opened; /* a dead record is not opened again without xt_tcp_init() */
    uint8_t payload[PAYLOAD_MAX];
};

static uint8_t stream_byte(uint32_t seq)
{
    return (uint8_t)(seq ^ (seq >> 8) ^ (seq >> 16));
}

static uint8_t own_byte(const void *arg, uint64_t off)
{
    return (uint8_t)(off * 7);
}

static void trace(const char *dir, const struct ep *e, const struct xt_seg *s)
{
    const struct xt_conn *c = &e->conn;
    if (!getenv("XT_FUZZ_TRACE"))
        return;
    bool out = *dir == '-';
    fprintf(stderr, "%s %s seq %u ack %u len %u wnd %u nsack %u [%s una %u nxt %u wnd %u, rcv_nxt %u]\n", dir,
            flags_name(s->flags), s->seq - (out ? c->iss : c->irs), s->ack - (out ? c->irs : c->iss), s->len, s->wnd,
            s->opt.nsack, xt_state_name(c->state), c->snd_una - c->iss, c->snd_nxt - c->iss, c->snd_wnd,
            c->rcv_nxt - c->irs);
}

static void sent(struct ep *e, const struct xt_seg *s)
{
    struct fuzz *f = e->arg;
    uint8_t hdr[XT_TCP_HDR_MAX];
    trace("->", e, s);
    FUZZ_CHECK(xt_seg_emit(hdr, s) <= XT_TCP_HDR_MAX);
    FUZZ_CHECK(s->opt.nsack <= XT_SACK_MAX);
    rules_sent(&f->rules, e, s);
}

static void configure(struct fuzz *f, struct xt_tcp_cfg *cfg, uint8_t bits, uint8_t more)
{
    xt_tcp_cfg_default(cfg);
    cfg->timestamps = bits & 1;
    cfg->sack = bits >> 1 & 1;
    cfg->wscale = bits >> 2 & 1;
    cfg->quickack = bits & 8 ? 16 : 0;
    cfg->mss = bits & 16 ? 1460 : 300;
    cfg->cc = (more & 3) % XT_CC_MAX;
    cfg->recovery = more & 4 ? XT_RECOVERY_SACK : XT_RECOVERY_RACK;
    cfg->ecn = more & 8 ? XT_ECN_ON : XT_ECN_PASSIVE;
    cfg->gso_max = more & 16 ? cfg->mss : cfg->gso_max;
    cfg->delack = more & 32 ? 0 : cfg->delack;
}

/* The peer's bytes are a function of their sequence numbers: nothing is read before the first that is sent. */
static void begin(struct fuzz *f)
{
    struct xt_endpoint local = {xt_addr_v4(htonl(0x0a000001)), 80}, remote = {xt_addr_v4(htonl(0x0a000002)), 40000};
    struct xt_tcp_cfg cfg;
    uint8_t bits = in_u8(&f->in), where = in_u8(&f->in), more = in_u8(&f->in);
    configure(f, &cfg, bits, more);
    f->e.emit = f->listener.emit = sent;
    f->e.arg = f->listener.arg = f;
    f->e.now = f->listener.now = 1000000;
    ep_init(&f->e, &cfg, &local, &remote, bits & 32 ? 65536 : 4096, bits & 64 ? 65536 : 4096);
    if (bits & 128)
        f->e.conn.opt.nodelay = 1;
    f->e.conn.opt.defer = more & 64 ? 3 : 0;
    f->opened = where % XT_NSTATES != XT_CLOSED;
    /* What the well-behaved peer of the beginning offers. */
    f->rules.edge_known = f->opened;
    f->rules.peer_edge = START_ISS + 1 + 0xffffu;
    start_in(&f->e, &f->listener, (enum xt_state)(where % XT_NSTATES), where & 128, more & 128 ? 1 : 15);
}

static void options(struct fuzz *f, struct xt_seg *s)
{
    struct input *in = &f->in;
    s->opt.present = in_u8(in) & 15;
    if (s->opt.present & XT_OPT_MSS)
        s->opt.mss = in_u16(in);
    if (s->opt.present & XT_OPT_WSCALE)
        s->opt.wscale = in_u8(in);
    if (s->opt.present & XT_OPT_TS) {
        s->opt.tsval = f->e.conn.ts_recent + in_delta(in);
        s->opt.tsecr = (uint32_t)(f->e.now / 1000) + in_delta(in);
    }
    s->opt.nsack = in_u8(in) % (XT_SACK_MAX + 1);
    for (int i = 0; i < s->opt.nsack; i++) {
        s->opt.sack[i].left = f->e.conn.snd_una + in_delta(in);
        s->opt.sack[i].right = s->opt.sack[i].left + in_delta(in);
    }
}

static void segment(struct fuzz *f, struct xt_seg *s)
{
    struct input *in = &f->in;
    const struct xt_conn *c = &f->e.conn;
    uint8_t shape = in_u8(in);
    memset(s, 0, sizeof *s);
    s->sport = 40000;
    s->dport = 80;
    s->flags = shape & 1 ? XT_TH_ACK : in_u8(in);
    s->seq = c->rcv_nxt + (shape & 2 ? 0 : in_delta(in));
    s->ack = (shape & 4 ? c->snd_una : c->snd_nxt) + (shape & 8 ? 0 : in_delta(in));
    s->wnd = shape & 16 ? 65535 : in_u16(in);
    s->urp = s->flags & XT_TH_URG ? in_u16(in) : 0;
    if (shape & 32)
        options(f, s);
    else if (c->opts & XT_OPT_TS)
        s->opt =
            (struct xt_tcp_opts){.present = XT_OPT_TS, .tsval = c->ts_recent, .tsecr = (uint32_t)(f->e.now / 1000)};
    if (shape & 64)
        s->len = in_u16(in) % (PAYLOAD_MAX + 1);
    s->ecn = s->flags & XT_TH_CWR ? 3 : 0;
    s->gso_size = shape & 128 && s->len > 500 ? 500 : 0;
    uint32_t first = s->seq + (s->flags & XT_TH_SYN ? 1 : 0);
    for (uint32_t i = 0; i < s->len; i++)
        f->payload[i] = stream_byte(first + i);
    s->payload = f->payload;
}

/* Of some segments the payload lies in its place before they come. */
static void place(struct fuzz *f, struct xt_seg *s)
{
    uint8_t *at = f->e.no_rx || !s->len ? NULL : xt_tcp_place(&f->e.conn, f->e.rx, s);
    if (!at)
        return;
    memcpy(at, f->payload, s->len);
    s->payload = at;
}

static void input_listen(struct fuzz *f, const struct xt_seg *s)
{
    struct xt_tcp_ctx ctx = ep_ctx(&f->e);
    struct xt_seg reply = {0};
    int r = xt_tcp_listen_input(&f->e.conn, &ctx, s, &reply);
    FUZZ_CHECK(r >= -1 && r <= 1);
    FUZZ_CHECK(r != -1 || reply.flags & XT_TH_RST);
    if (r != 1)
        return;
    struct xt_endpoint local = f->e.conn.local, remote = f->e.conn.remote;
    f->listener = f->e;
    memset(&f->e, 0, sizeof f->e);
    f->e.emit = sent;
    f->e.arg = f;
    f->e.now = f->listener.now;
    f->rules.edge_known = true;
    f->rules.peer_edge = START_ISS + 1 + s->wnd;
    ep_init(&f->e, &f->listener.cfg, &local, &remote, f->listener.rx_size, f->listener.tx_size);
    f->e.batch = true;
    ep_accept(&f->e, &f->listener, s, START_ISS);
    ctx = ep_ctx(&f->e);
    if (xt_tcp_fastopen_syn(&f->listener.conn, &ctx, s, NULL, 0) & XT_FO_OPEN)
        f->e.events |= xt_tcp_fastopen_accept(&f->e.conn, &f->listener.conn, &ctx, s);
    f->e.batch = false;
    ep_output(&f->e);
}

static void input_segment(struct fuzz *f)
{
    struct xt_seg s, reply;
    segment(f, &s);
    trace("<-", &f->e, &s);
    if (f->e.conn.state == XT_LISTEN)
        input_listen(f, &s);
    else if (f->e.conn.state == XT_CLOSED)
        FUZZ_CHECK(xt_tcp_reset_for(&s, &reply) == !(s.flags & XT_TH_RST));
    else {
        if (s.gso_size)
            place(f, &s);
        rules_input(&f->rules, &f->e.conn, &s);
        ep_input(&f->e, &s);
    }
}

static void read_some(struct fuzz *f, uint32_t n)
{
    uint8_t buf[PAYLOAD_MAX];
    uint32_t first = f->e.conn.irs + 1 + (uint32_t)f->e.conn.rx_tail;
    n = ep_read(&f->e, buf, n % sizeof buf);
    for (uint32_t i = 0; i < n; i++)
        FUZZ_CHECK(buf[i] == stream_byte(first + i));
}

/* After its run, a timer that was due must not be due any more: the daemon would spin. */
static void run_timers(struct fuzz *f)
{
    for (int i = 0; xt_tcp_deadline(&f->e.conn, f->e.now) <= f->e.now; i++) {
        FUZZ_CHECK(i < 16);
        ep_timer(&f->e);
    }
}

static void clock_step(struct fuzz *f)
{
    uint8_t kind = in_u8(&f->in);
    uint64_t t = xt_tcp_deadline(&f->e.conn, f->e.now);
    if (kind & 1 && t != UINT64_MAX && t > f->e.now)
        f->e.now = t;
    else
        f->e.now += 1ull << (kind >> 3);
    f->listener.now = f->e.now;
    if (kind & 2)
        ep_timer(&f->e);
    run_timers(f);
}

static void set_options(struct fuzz *f)
{
    uint8_t b = in_u8(&f->in);
    f->e.conn.opt.nodelay = b & 1;
    f->e.conn.opt.cork = b >> 1 & 1;
    f->e.conn.opt.keepalive = b >> 2 & 1;
    f->e.conn.opt.quickack = b >> 3 & 1;
    f->e.conn.opt.user_timeout = b & 16 ? in_u16(&f->in) : 0;
    f->e.conn.opt.keep_idle = b & 32 ? in_u8(&f->in) : 0;
    f->e.conn.opt.keep_intvl = b & 64 ? in_u8(&f->in) : 0;
    uint8_t linger2 = b & 128 ? in_u8(&f->in) : 0;
    if (!(f->e.conn.cflags & XT_CF_ORPHAN)) /* whose timer runs already, and who has nobody to change it */
        f->e.conn.opt.linger2 = linger2;
    struct xt_tcp_ctx ctx = ep_ctx(&f->e);
    xt_tcp_options_changed(&f->e.conn, &ctx);
    ep_output(&f->e);
}

static void icmp(struct fuzz *f)
{
    static const int errs[] = {EHOSTUNREACH, ECONNREFUSED, EMSGSIZE, ENETUNREACH};
    struct xt_tcp_ctx ctx = ep_ctx(&f->e);
    uint32_t seq = f->e.conn.snd_una + in_delta(&f->in);
    uint8_t which = in_u8(&f->in) % 4;
    f->e.events |= xt_tcp_icmp(&f->e.conn, &ctx, seq, errs[which], in_u16(&f->in));
    ep_output(&f->e);
}

static bool may_send(const struct fuzz *f)
{
    enum xt_state s = f->e.conn.state;
    return s == XT_SYN_SENT || s == XT_SYN_RECV || s == XT_ESTABLISHED || s == XT_CLOSE_WAIT;
}

/* With Fast Open the first 300 bytes go with the SYN. */
static void open_active(struct fuzz *f, bool fast)
{
    const struct xt_fo_cookie cookie = {.len = 8};
    struct xt_tcp_ctx ctx = ep_ctx(&f->e);
    if (fast)
        xt_tcp_fastopen(&f->e.conn, &cookie, false);
    ep_connect(&f->e, in_u32(&f->in));
    if (!fast)
        return;
    ep_write(&f->e, 300, own_byte, NULL, false);
    xt_tcp_fastopen_go(&f->e.conn, &ctx);
    ep_output(&f->e);
}

/* Likewise: takes data in any SYN. */
static void open_passive(struct fuzz *f, bool fast)
{
    if (fast)
        f->e.conn.fo_listen = (struct xt_fo_listen){.limit = 4, .no_cookie = 1};
    ep_listen(&f->e);
}

static void one_call(struct fuzz *f, uint8_t op)
{
    enum xt_state s = f->e.conn.state;
    switch (op % 16) {
    case 0:
        if (!f->opened)
            open_active(f, op & 128);
        f->opened = true;
        break;
    case 1:
        if (!f->opened)
            open_passive(f, op & 128);
        f->opened = true;
        break;
    case 2:
    case 3:
        if (may_send(f))
            ep_write(&f->e, in_u16(&f->in), own_byte, NULL, op & 128);
        break;
    case 4:
    case 5:
        read_some(f, in_u16(&f->in));
        break;
    case 6:
        if (s >= XT_SYN_RECV && op & 128)
            ep_shutdown(&f->e);
        break;
    case 7:
        if ((op & 0xc0) == 0xc0)
            ep_close(&f->e);
        break;
    case 8:
        if (op == 0xe8)
            ep_abort(&f->e);
        break;
    case 9:
        set_options(f);
        break;
    case 10:
        icmp(f);
        break;
    case 11:
        f->e.no_rx = op & 128;
        break;
    case 12:
        f->e.batch = op & 128;
        f->e.no_board = op & 64;
        ep_output(&f->e);
        break;
    default:
        clock_step(f);
        break;
    }
}

static void check(struct fuzz *f)
{
    struct xt_tcp_info info;
    struct xt_tcp_ctx ctx = ep_ctx(&f->e);
    if (ep_check(&f->e))
        fprintf(stderr, "invariant: %s (state %s)\n", f->e.bad, xt_state_name(f->e.conn.state));
    FUZZ_CHECK(!f->e.bad);
    FUZZ_CHECK(xt_tcp_deadline_name(&f->e.conn, f->e.now) != NULL);
    xt_tcp_info(&f->e.conn, &ctx, &info);
    FUZZ_CHECK(info.state == f->e.conn.state);
    if (f->e.conn.state == XT_CLOSED)
        FUZZ_CHECK(xt_tcp_deadline(&f->e.conn, f->e.now) == UINT64_MAX);
}

/* Whatever happened before, an abort ends it. */
static void end(struct fuzz *f)
{
    if (f->e.conn.state != XT_CLOSED)
        ep_abort(&f->e);
    FUZZ_CHECK(f->e.conn.state == XT_CLOSED);
    check(f);
    ep_free(&f->e);
    ep_free(&f->listener);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz f = {.in = {data, size}};
    begin(&f);
    for (int i = 0; i < 400 && f.in.left; i++) {
        uint8_t op = in_u8(&f.in);
        if (op & 16)
            input_segment(&f);
        else
            one_call(&f, op);
        check(&f);
        run_timers(&f);
    }
    end(&f);
    return 0;
}
