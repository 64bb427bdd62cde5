/* SPDX-License-Identifier: Apache-2.0
 * IPv4 fragments against a model that counts the bytes of each block of each datagram: in any order, cut anywhere, repeated,
 * overlapping, of more datagrams at once than are kept, and late. Each byte of a datagram is a function of its place and
 * identification, so what is put together can be checked. */
#include <arpa/inet.h>
#include <limits.h>
#include <string.h>

#include "daemon/base/wheel.h"
#include "daemon/stack/internal.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/input.h"

#define IDS (XT_REASS_MAX + 4)
#define BLOCKS 8193u /* of 8 bytes, at which fragments begin */
#define LIFETIME 30000000u
#define TICK (1u << XT_WHEEL_TICK_SHIFT)
#define MAX_CONNS 4

struct datagram {
    bool used, have_first;
    uint64_t started;
    uint32_t total; /* 0: not known */
    uint8_t hdr_len;
    uint8_t have[BLOCKS]; /* bytes of each block: always its first ones */
};

struct fuzz {
    struct xt_stack *s;
    struct datagram d[IDS];
    uint64_t done, dup, overlap, bad, many, full, late; /* what the counters must say */
};

static uint8_t byte_at(unsigned id, uint32_t off)
{
    return (uint8_t)(id * 77 + off * 31 + (off >> 8));
}

/* Bytes of block `i` in [0, right). */
static uint32_t part(uint32_t i, uint32_t right)
{
    return right <= 8 * i ? 0 : right - 8 * i < 8 ? right - 8 * i : 8;
}

/* Bytes of [left, right) that are there. */
static uint32_t marked(const struct datagram *d, uint32_t left, uint32_t right)
{
    uint32_t n = 0;
    for (uint32_t i = left / 8; 8 * i < right; i++)
        n += d->have[i] < part(i, right) ? d->have[i] : part(i, right);
    return n;
}

static bool any_beyond(const struct datagram *d, uint32_t right)
{
    for (uint32_t i = right / 8; i < BLOCKS; i++)
        if (d->have[i] > part(i, right))
            return true;
    return false;
}

static unsigned pieces(const struct datagram *d)
{
    unsigned n = d->have[0] > 0;
    for (uint32_t i = 1; i < BLOCKS; i++)
        n += d->have[i] && d->have[i - 1] < 8;
    return n;
}

static void forget(struct datagram *d)
{
    memset(d, 0, sizeof *d);
}

/* The model's datagram, in the oldest one's place when too many are in the making. */
static struct datagram *datagram(struct fuzz *f, unsigned id)
{
    struct datagram *d = &f->d[id], *oldest = NULL;
    unsigned n = 0;
    if (d->used)
        return d;
    for (unsigned i = 0; i < IDS; i++) {
        n += f->d[i].used;
        if (f->d[i].used && (!oldest || f->d[i].started < oldest->started))
            oldest = &f->d[i];
    }
    if (n == XT_REASS_MAX) {
        forget(oldest);
        f->full++;
    }
    d->used = true;
    d->started = f->s->now;
    return d;
}

/* What a fragment does to the model. True: the datagram is complete. */
static bool model(struct fuzz *f, unsigned id, uint32_t left, uint32_t right, bool mf, uint8_t hdr_len)
{
    struct datagram *d = datagram(f, id);
    uint64_t *wrong = NULL;
    uint32_t there = marked(d, left, right);
    bool beyond = any_beyond(d, right);
    if (right > left && there == right - left) {
        f->dup++;
        return false;
    }
    if (right == left || right > 65535 - XT_IPV4_HDR_LEN || (mf && (right - left) % 8))
        wrong = &f->bad;
    else if (d->total ? (mf ? right > d->total : right != d->total) : !mf && beyond)
        wrong = &f->bad;
    else if (there)
        wrong = &f->overlap;
    for (uint32_t i = left / 8; 8 * i < right; i++)
        d->have[i] = (uint8_t)part(i, right);
    if (!wrong && pieces(d) > XT_REASS_RANGES)
        wrong = &f->many;
    if (wrong) {
        (*wrong)++;
        forget(d);
        return false;
    }
    d->total = mf ? d->total : right;
    if (left == 0)
        d->hdr_len = hdr_len;
    if (!d->total || marked(d, 0, d->total) != d->total)
        return false;
    if (d->hdr_len + d->total <= 65535)
        return true;
    f->bad++;
    forget(d);
    return false;
}

static void check_whole(struct fuzz *f, unsigned id, const uint8_t *p, size_t len)
{
    struct datagram *d = &f->d[id];
    struct xt_ipv4 ip;
    FUZZ_CHECK(p && len == d->hdr_len + d->total);
    FUZZ_CHECK(xt_ipv4_parse(p, len, &ip) == 0 && ip.total_len == len && ip.id == id && !xt_ipv4_is_fragment(&ip));
    for (uint32_t i = 0; i < d->total; i++)
        FUZZ_CHECK(p[d->hdr_len + i] == byte_at(id, i));
    forget(d);
    f->done++;
}

static void fragment(struct fuzz *f, struct input *in)
{
    static uint8_t pkt[65535];
    struct xt_rx rx = {0};
    unsigned id = in_u8(in), shape = in_u8(in), words = shape & 1 ? in_u8(in) % 15 : 0;
    struct xt_ipv4 ip = {.id = (uint16_t)(id % IDS), .ttl = 64, .proto = XT_IPPROTO_UDP, .mf = shape & 2};
    ip.hdr_len = (uint8_t)(XT_IPV4_HDR_LEN + 4 * (words > 10 ? 10 : words));
    ip.frag_off = (uint16_t)((shape & 4 ? in_u8(in) * 8 : in_u16(in) * 8) & 0xfff8);
    uint32_t len = shape & 8 ? in_u16(in) : in_u8(in) * 8u;
    /* As xt_ipv4_parse() bounds it. */
    if (len > 65535u - ip.hdr_len)
        len = 65535u - ip.hdr_len;
    if (ip.frag_off + len > 65535)
        return;
    ip.total_len = (uint16_t)(ip.hdr_len + len);
    ip.src = htonl(0x0a000002);
    ip.dst = htonl(0x0a000001);
    xt_ipv4_emit(pkt, &ip);
    memset(pkt + XT_IPV4_HDR_LEN, 1, ip.hdr_len - XT_IPV4_HDR_LEN);
    pkt[0] = (uint8_t)(0x40 | ip.hdr_len / 4);
    for (uint32_t i = 0; i < len; i++)
        pkt[ip.hdr_len + i] = byte_at(ip.id, ip.frag_off + i);
    f->s->now++;
    size_t out_len = 0;
    bool whole = model(f, ip.id, ip.frag_off, ip.frag_off + len, ip.mf, ip.hdr_len);
    const uint8_t *p = xt_reass_input(f->s, &ip, pkt, &rx, &out_len);
    FUZZ_CHECK(whole == (p != NULL));
    if (whole)
        check_whole(f, ip.id, p, out_len);
}

/* A timer fires up to a tick late: the clock stops where none may have fired or not. */
static uint64_t clear_of_deadlines(const struct fuzz *f, uint64_t now)
{
    for (unsigned i = 0; i < IDS; i++) {
        uint64_t due = f->d[i].started + LIFETIME;
        if (f->d[i].used && due <= now && now < due + TICK) {
            now = due + TICK;
            i = UINT_MAX; /* from the beginning */
        }
    }
    return now;
}

static void wait(struct fuzz *f, uint64_t us)
{
    xt_stack_timers(f->s, clear_of_deadlines(f, f->s->now + us));
    for (unsigned i = 0; i < IDS; i++) {
        if (f->d[i].used && f->d[i].started + LIFETIME <= f->s->now) {
            f->late++;
            forget(&f->d[i]);
        }
    }
}

static void check(const struct fuzz *f)
{
    const struct xt_stack_stats *st = xt_stack_stats(f->s);
    FUZZ_CHECK(st->frags_done == f->done && st->drop_frag_dup == f->dup && st->drop_frag_overlap == f->overlap);
    FUZZ_CHECK(st->drop_frag_bad == f->bad && st->drop_frag_many == f->many && st->drop_frag_full == f->full);
    FUZZ_CHECK(st->drop_frag_timeout == f->late);
}

/* Nothing is told to anybody here: the sender of a fragment that timed out is not known. */
static int no_frames(void *arg, const struct virtio_net_hdr *vnet, const void *hdr, size_t hdrlen,
                     const struct iovec *iov, unsigned niov)
{
    return 0;
}

/* One host for all inputs: making one takes longer than most of them. */
static void begin(struct fuzz *f)
{
    static const uint8_t key[32];
    struct xt_stack_ops ops = {.tx = no_frames};
    struct xt_stack_cfg cfg = {
        .mac = {2}, .addr = htonl(0x0a000001), .prefix = 24, .mtu = 1500, .max_conns = MAX_CONNS};
    cfg.port_min = cfg.port_max = 60999;
    cfg.ttl = 64;
    xt_tcp_cfg_default(&cfg.tcp);
    void *state = calloc(1, xt_stack_state_size(MAX_CONNS));
    FUZZ_CHECK(state && xt_stack_new(&f->s, &cfg, &ops, state, key, 1000000) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz f;
    struct input in = {data, size};
    if (!f.s)
        begin(&f);
    for (int i = 0; i < 200 && in.left; i++) {
        uint8_t op = in_u8(&in);
        if (op < 240)
            fragment(&f, &in);
        else
            wait(&f, 1000ull * in_u16(&in));
        check(&f);
    }
    wait(&f, LIFETIME); /* and all is as before */
    check(&f);
    return 0;
}
