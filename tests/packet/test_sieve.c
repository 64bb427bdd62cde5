/* SPDX-License-Identifier: Apache-2.0
 * The device with a sieve: which SYNs the kernel keeps out, and that it keeps out nothing else. */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/be.h"
#include "tests/packet/pktio_util.h"

#define LEN 100u
#define FRIEND 0xc6336401u
#define NOBODY 0xcb007105u

static uint8_t buf[LEN];
static struct bed b;
static struct xt_sieve sieve;

static void setup(void)
{
    bed_make(&b, XT_RX_RING, 64);
    sieve = (struct xt_sieve){.pass = {0, XT_SIEVE_ALL}, .factor = 0x9e3779b1};
    xt_sieve_learn(&sieve, FRIEND);
    cr_assert_eq(xt_sieve_class(&sieve, NOBODY), XT_SIEVE_STRANGER);
}

static void teardown(void)
{
    bed_free(&b);
}

TestSuite(sieve, .init = setup, .fini = teardown);

static void send_ip(uint32_t from, uint8_t proto, uint16_t frag, uint8_t flags)
{
    static unsigned seed;
    const struct virtio_net_hdr v = {0};

    frame_fill(buf, LEN, seed++);
    xt_be16_store(buf + 20, frag);
    buf[23] = proto;
    xt_be32_store(buf + 26, from);
    buf[47] = flags;
    cr_assert_gt(peer_send(&b, &v, buf, LEN), 0);
}

static void send_tcp(uint32_t from, uint8_t flags)
{
    send_ip(from, IPPROTO_TCP, 0, flags);
}

static unsigned come(void)
{
    struct xt_frame f[64];
    unsigned n;

    bed_reap(&b);
    n = xt_pktio_rx(b.p, f, 64);
    xt_pktio_rx_release(b.p);
    return n;
}

/* More SYNs than the ring holds, and then a segment. */
Test(sieve, syns_cost_no_other_segment_its_place)
{
    struct xt_pktio_stats st;

    xt_pktio_sieve(b.p, &sieve);
    for (unsigned i = 0; i < 200; i++)
        send_tcp(NOBODY, i % 2 ? TH_SYN : TH_SYN | 0xc0);
    send_tcp(NOBODY, TH_ACK);
    bed_expect(&b, buf, LEN);
    bed_expect_none(&b);
    xt_pktio_stats(b.p, &st);
    cr_assert_eq(st.rx_kernel_drops, 0);
    cr_assert_eq(st.filter_errors, 0);
}

Test(sieve, all_else_is_let_in)
{
    const uint8_t flags[] = {0, TH_ACK, TH_SYN | TH_ACK, TH_RST, TH_SYN | TH_RST, TH_FIN | TH_ACK, TH_PUSH | TH_ACK};

    xt_pktio_sieve(b.p, &sieve);
    for (size_t i = 0; i < sizeof flags; i++) {
        send_tcp(NOBODY, flags[i]);
        bed_expect(&b, buf, LEN);
    }
    send_tcp(FRIEND, TH_SYN);
    bed_expect(&b, buf, LEN);
    send_ip(NOBODY, IPPROTO_TCP, 0x2000, TH_SYN);
    bed_expect(&b, buf, LEN);
    send_ip(NOBODY, IPPROTO_TCP, 1, TH_SYN);
    bed_expect(&b, buf, LEN);
    send_ip(NOBODY, IPPROTO_UDP, 0, TH_SYN);
    bed_expect(&b, buf, LEN);
    frame_fill(buf, LEN, 1);
    buf[13] = 6; /* ARP */
    cr_assert_gt(peer_send(&b, &(struct virtio_net_hdr){0}, buf, LEN), 0);
    bed_expect(&b, buf, LEN);
    send_tcp(NOBODY, TH_SYN);
    bed_expect_none(&b);
}

/* The flags are behind the options. */
Test(sieve, ip_options_make_no_difference)
{
    xt_pktio_sieve(b.p, &sieve);
    for (unsigned words = 5; words <= 15; words++) {
        for (unsigned syn = 0; syn < 2; syn++) {
            frame_fill(buf, LEN, words);
            buf[14] = (uint8_t)(0x40 | words);
            xt_be16_store(buf + 20, 0);
            xt_be32_store(buf + 26, NOBODY);
            buf[14 + 4 * words + 13] = syn ? TH_SYN : TH_ACK;
            cr_assert_gt(peer_send(&b, &(struct virtio_net_hdr){0}, buf, LEN), 0);
            cr_assert_eq(come(), !syn, "%u words, SYN %u", words, syn);
        }
    }
}

Test(sieve, the_kernel_knows_whom_the_stack_knows)
{
    for (unsigned learned = 0; learned <= 4096; learned = learned * 8 + 1) {
        unsigned known = 0;
        memset(sieve.known, 0, sizeof sieve.known);
        for (unsigned i = 0; i < learned; i++)
            xt_sieve_learn(&sieve, i * 0x10dcd27fu);
        xt_pktio_sieve(b.p, &sieve);
        for (unsigned i = 0; i < 1000; i++) {
            uint32_t addr = i % 2 ? i * 0x10dcd27fu : i * 0x85ebca6bu;
            unsigned want = xt_sieve_class(&sieve, addr) == XT_SIEVE_KNOWN;
            send_tcp(addr, TH_SYN);
            cr_assert_eq(come(), want, "%08x of %u", addr, learned);
            known += want;
        }
        cr_assert_eq(known > 0, learned > 0);
    }
}

Test(sieve, a_part_comes_through)
{
    unsigned n = 0;

    sieve.pass[XT_SIEVE_STRANGER] = UINT32_C(1) << 30;
    xt_pktio_sieve(b.p, &sieve);
    for (unsigned i = 0; i < 4000; i++) {
        send_tcp(NOBODY, TH_SYN);
        n += come();
    }
    cr_assert(n > 750 && n < 1250, "%u of 4000", n); /* nine standard deviations */
    sieve.pass[XT_SIEVE_STRANGER] = XT_SIEVE_ALL;
    xt_pktio_sieve(b.p, &sieve);
    for (unsigned i = 0; i < 50; i++)
        send_tcp(NOBODY, TH_SYN);
    cr_assert_eq(come(), 50);
}

Test(sieve, what_waits_has_come_through_the_one_before)
{
    cr_assert_eq(xt_pktio_sieve(b.p, &sieve), 0);
    send_tcp(NOBODY, TH_SYN);
    for (int i = 1; i <= 70; i++) {
        send_tcp(NOBODY, TH_ACK);
        cr_assert_eq(xt_pktio_sieve(b.p, &sieve), i < 64 ? i : 64, "%d frames", i);
    }
    cr_assert_eq(come(), 64);
    cr_assert_eq(xt_pktio_sieve(b.p, &sieve), 0);
}

/* Whoever was killed has left the sieve in the kernel. */
Test(sieve, a_successor_begins_without)
{
    struct xt_pktio_place place = {0};
    struct xt_pktio_cfg cfg = bed_cfg(XT_RX_RING, 64);
    char err[256] = "";

    cfg.place = &place;
    for (unsigned round = 0; round < 3; round++) {
        int kept = round ? dup(xt_pktio_fd(b.p)) : -1;
        xt_pktio_close(b.p);
        cfg.fd = kept;
        cr_assert_eq(xt_pktio_open(&cfg, &b.ring, &b.p, err, sizeof err), 0, "%s", err);
        cr_assert(round == 0 || xt_pktio_fd(b.p) == kept);
        send_tcp(NOBODY, TH_SYN);
        bed_expect(&b, buf, LEN);
        xt_pktio_sieve(b.p, &sieve);
        send_tcp(NOBODY, TH_SYN);
        bed_expect_none(&b);
    }
}
