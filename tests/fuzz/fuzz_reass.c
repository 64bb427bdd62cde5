/* SPDX-License-Identifier: Apache-2.0
 * Reassembly against a model that marks each byte: segments in any order, overlapping, with a reader in between. */
#include <arpa/inet.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/input.h"
#include "tests/sim/endpoint.h"

#define RING 4096
#define STREAM 32768 /* bytes that the model follows */
#define ISS 100u
#define IRS 0xffff8000u /* sequence numbers wrap in the middle */

struct model {
    uint8_t have[STREAM];
    uint32_t head; /* all bytes below arrived */
    uint32_t edge; /* right edge of the window offered, stream offset */
    bool exact;    /* nothing was sent so far that the connection may drop */
};

struct fuzz {
    struct ep e;
    struct model m;
};

static uint8_t stream_byte(uint32_t off)
{
    return (uint8_t)(off * 31 + (off >> 8));
}

static void sent(struct ep *e, const struct xt_seg *s)
{
    struct fuzz *f = e->arg;
    if (!(s->flags & XT_TH_ACK) || s->flags & XT_TH_SYN)
        return;
    uint32_t edge = s->ack + s->wnd - (IRS + 1);
    FUZZ_CHECK(edge >= f->m.edge && edge <= e->conn.rx_tail + RING);
    f->m.edge = edge;
    FUZZ_CHECK(s->ack - (IRS + 1) <= f->m.head);
    for (int i = 0; i < s->opt.nsack; i++)
        for (uint32_t q = s->opt.sack[i].left; q != s->opt.sack[i].right; q++)
            FUZZ_CHECK(q - (IRS + 1) < STREAM && f->m.have[q - (IRS + 1)]);
}

static void establish(struct fuzz *f, bool sack)
{
    struct xt_endpoint local = {xt_addr_v4(htonl(0x0a000001)), 80}, remote = {xt_addr_v4(htonl(0x0a000002)), 40000};
    struct xt_tcp_cfg cfg;
    struct xt_seg s = {.sport = 40000, .dport = 80, .flags = XT_TH_SYN | XT_TH_ACK, .seq = IRS, .ack = ISS + 1};
    xt_tcp_cfg_default(&cfg);
    s.wnd = 65535;
    s.opt.present = sack ? XT_OPT_MSS | XT_OPT_SACK_OK : XT_OPT_MSS;
    s.opt.mss = 1460;
    f->e.emit = sent;
    f->e.arg = f;
    f->e.now = 1000000;
    ep_init(&f->e, &cfg, &local, &remote, RING, RING);
    ep_connect(&f->e, ISS);
    ep_input(&f->e, &s);
    FUZZ_CHECK(f->e.conn.state == XT_ESTABLISHED);
}

static unsigned gaps(const struct model *m)
{
    unsigned n = 0;
    for (uint32_t i = m->head + 1; i < m->head + RING + 1 && i < STREAM; i++)
        n += m->have[i] && !m->have[i - 1];
    return n;
}

static void deliver(struct fuzz *f, uint32_t off, uint32_t len)
{
    uint8_t payload[RING];
    struct model *m = &f->m;
    if (off >= STREAM || off + len > STREAM)
        return;
    for (uint32_t i = 0; i < len; i++) {
        payload[i] = stream_byte(off + i);
        m->have[off + i] = 1;
    }
    while (m->head < STREAM && m->have[m->head])
        m->head++;
    /* Beyond the window, or with more pieces than are remembered, bytes may be dropped: they must come again. */
    if (off + len > m->edge || gaps(m) >= XT_OOO_MAX)
        m->exact = false;
    uint32_t before = (uint32_t)f->e.conn.rx_head, edge = m->edge;
    struct xt_seg s = {.sport = 40000, .dport = 80, .flags = XT_TH_ACK, .seq = IRS + 1 + off, .ack = ISS + 1};
    s.wnd = 65535;
    s.payload = payload;
    s.len = len;
    ep_input(&f->e, &s);
    uint32_t end = off + len < edge ? off + len : edge;
    if (off <= before && end > before)
        FUZZ_CHECK(f->e.conn.rx_head >= end); /* in order: taken at once */
}

static void read_some(struct fuzz *f, uint32_t n)
{
    uint8_t buf[RING];
    uint32_t off = (uint32_t)f->e.conn.rx_tail;
    n = ep_read(&f->e, buf, n % (RING + 1));
    for (uint32_t i = 0; i < n; i++)
        FUZZ_CHECK(buf[i] == stream_byte(off + i));
}

static void check(struct fuzz *f)
{
    if (ep_check(&f->e))
        fprintf(stderr, "invariant: %s\n", f->e.bad);
    FUZZ_CHECK(!f->e.bad);
    FUZZ_CHECK(f->e.conn.state == XT_ESTABLISHED);
    FUZZ_CHECK(f->e.conn.rx_head <= f->m.head);
    FUZZ_CHECK(!f->m.exact || f->e.conn.rx_head == f->m.head);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz f;
    struct input in = {data, size};
    memset(&f, 0, sizeof f);
    f.m.exact = true;
    establish(&f, in_u8(&in) & 1);
    for (int i = 0; i < 200 && in.left; i++) {
        uint8_t op = in_u8(&in);
        uint32_t base = (uint32_t)f.e.conn.rx_head;
        if (op < 160)
            deliver(&f, base + (in_u16(&in) % 4096), in_u8(&in) + 1u);
        else if (op < 192)
            deliver(&f, base - (in_u8(&in) < base ? op : base), 1 + in_u16(&in) % 2048);
        else if (op < 224)
            read_some(&f, in_u16(&in));
        else
            f.e.now += 1000ull * in_u16(&in), ep_timer(&f.e);
        check(&f);
    }
    ep_free(&f.e);
    return 0;
}
