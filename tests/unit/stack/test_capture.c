/* SPDX-License-Identifier: Apache-2.0
 * What a capture shows: frames of the wire as they are, segments between own sockets as frames. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/macros.h"
#include "daemon/wire/eth.h"
#include "daemon/wire/ipv4.h"
#include "proto/xt_ctl.h"
#include "tests/unit/stack/net.h"

#define S 1000000ull
#define ME 7

static struct host h;
static uint64_t now, lost;
static uint8_t buf[49152];

static void setup(void)
{
    now = S;
    host_begin(&h, now);
}

static void teardown(void)
{
    host_stop(&h);
}

TestSuite(capture, .init = setup, .fini = teardown);

static int ask(uint64_t who)
{
    return xt_stack_capture(h.s, who, buf, sizeof buf, &lost, now);
}

/* The next TCP segment of what was taken, whatever else there is. */
static bool next(const uint8_t **p, const uint8_t *end, struct xt_ipv4 *ip, struct xt_seg *seg, uint32_t *len)
{
    while (*p < end) {
        struct xt_capture_rec rec;
        struct xt_eth eth;
        memcpy(&rec, *p, sizeof rec);
        const uint8_t *f = *p + sizeof rec;
        *p = f + rec.have;
        cr_assert_leq(rec.have, rec.len);
        cr_assert_leq(*p, end);
        cr_assert_eq(rec.us, now);
        *len = rec.len;
        if (xt_eth_parse(f, rec.have, &eth) == 0 && eth.type == XT_ETH_TYPE_IPV4 &&
            xt_ipv4_parse(f + XT_ETH_HDR_LEN, rec.len - XT_ETH_HDR_LEN, ip) == 0 &&
            xt_seg_parse(f + XT_ETH_HDR_LEN + ip->hdr_len, ip->total_len - (size_t)ip->hdr_len, seg) == 0)
            return true;
    }
    return false;
}

Test(capture, shows_segments_between_own_sockets)
{
    static const uint8_t flags[] = {XT_TH_SYN, XT_TH_SYN | XT_TH_ACK, XT_TH_ACK, XT_TH_ACK | XT_TH_PSH};
    struct xt_ipv4 ip4;
    struct xt_seg seg;
    uint32_t len;
    cr_assert_eq(ask(ME), 0);
    cr_assert(host_listen(&h, 80, true, now));
    struct xt_conn *c = host_connect(&h, 1, 80, now, NULL);
    host_settle(&h, now);
    host_write(&h, c, "hello", 5, now);
    host_settle(&h, now);
    int n = ask(ME);
    const uint8_t *p = buf;
    for (unsigned i = 0; i < 4; i++) {
        cr_assert(next(&p, buf + n, &ip4, &seg, &len), "frame %u", i);
        cr_assert_eq(seg.flags, flags[i]);
        cr_assert_eq(ip4.src, h.cfg.addr);
        cr_assert_eq(ip4.dst, h.cfg.addr);
        cr_assert_eq(seg.dport, i == 1 ? c->local.port : 80);
        cr_assert_eq(len, XT_ETH_HDR_LEN + ip4.total_len);
    }
    cr_assert_eq(seg.len, 5);
    cr_assert_arr_eq(seg.payload, "hello", 5);
    cr_assert_eq(lost, 0);
    cr_assert_eq(ask(ME), 0, "taken is taken");
}

Test(capture, ends_when_its_owner_says_so)
{
    cr_assert_eq(ask(ME), 0);
    xt_stack_capture_end(h.s, ME + 1);
    cr_assert_eq(ask(ME + 1), -EBUSY, "a stranger does not end it");
    xt_stack_capture_end(h.s, ME);
    cr_assert_eq(ask(ME + 1), 0);
}

/* An IPv4 header can say no more than 64 KiB. */
Test(capture, cuts_what_is_longer_than_a_packet_can_be)
{
    enum { BIG = 65300 };
    static uint8_t big[BIG];
    struct xt_ipv4 ip4;
    struct xt_seg seg;
    uint32_t len, sum = 0, segs = 0;
    cr_assert(host_listen(&h, 80, true, now));
    struct xt_conn *c = host_connect(&h, 1, 80, now, NULL);
    host_settle(&h, now);
    ask(ME);
    host_write(&h, c, big, BIG, now);
    xt_stack_shutdown(h.s, c, now);
    host_settle(&h, now);
    int n = ask(ME);
    uint32_t seq = c->iss + 1;
    for (const uint8_t *p = buf; next(&p, buf + n, &ip4, &seg, &len);) {
        if (seg.sport == 80 || (seg.len == 0 && !(seg.flags & XT_TH_FIN)))
            continue;
        cr_assert_eq(seg.seq, seq);
        seq += seg.len;
        sum += seg.len;
        segs++;
        cr_assert_eq(!(seg.flags & XT_TH_FIN), sum < BIG, "FIN comes with the last");
    }
    cr_assert_eq(sum, BIG);
    cr_assert_eq(segs, 2);
}

Test(capture, shows_what_leaves_and_what_comes)
{
    struct xt_ipv4 ip4;
    struct xt_seg seg, syn = {.sport = 1234, .dport = 81, .seq = 1, .flags = XT_TH_SYN};
    uint8_t frame[128];
    uint32_t len;
    ask(ME);
    inject(&h, frame, make_tcp(frame, &h, 2, &syn, NULL), now);
    host_settle(&h, now);
    const uint8_t *p = buf, *end = buf + ask(ME);
    cr_assert(next(&p, end, &ip4, &seg, &len));
    cr_assert_eq(ip4.src, ip(2));
    cr_assert_eq(seg.flags, XT_TH_SYN);
    cr_assert(next(&p, end, &ip4, &seg, &len));
    cr_assert_eq(ip4.dst, ip(2));
    cr_assert(seg.flags & XT_TH_RST);
}

Test(capture, is_one_at_a_time_and_ends_when_nobody_asks)
{
    cr_assert_eq(ask(ME), 0);
    cr_assert_eq(ask(ME + 1), -EBUSY);
    now += 3 * S;
    host_connect(&h, 1, 80, now, NULL);
    host_settle(&h, now);
    cr_assert_eq(ask(ME), 0, "nothing was kept");
    now += 3 * S;
    cr_assert_eq(ask(ME + 1), 0, "a new one, where nothing has happened since");
    cr_assert_eq(ask(ME), -EBUSY);
}

Test(capture, counts_what_finds_no_room)
{
    uint64_t frames;
    ask(ME);
    for (unsigned i = 0; i < 20000; i++) {
        host_connect(&h, 1, 80, now, NULL);
        host_settle(&h, now);
    }
    int n = ask(ME);
    cr_assert_gt(n, 40000);
    cr_assert_leq(n, (int)sizeof buf);
    cr_assert_gt(lost, 0);
    for (frames = 0; n > 0; n = ask(ME)) {
        struct xt_ipv4 ip4;
        struct xt_seg seg;
        uint32_t len;
        for (const uint8_t *p = buf; next(&p, buf + n, &ip4, &seg, &len);)
            frames++;
    }
    cr_assert_eq(frames + lost, xt_stack_stats(h.s)->local_segs + xt_stack_stats(h.s)->frames_out);
}
