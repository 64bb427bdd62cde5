/* SPDX-License-Identifier: Apache-2.0
 * The packet device on a real veth pair. Skipped (77) where namespaces or packet sockets are not to be had. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/base/be.h"
#include "daemon/base/fanout.h"
#include "tests/packet/pktio_util.h"

#define BIG 65535 /* Linux segments what is longer before it is sent, unless told otherwise (set_gso_max()) */

static const enum xt_pktio_rx_mode modes[] = {XT_RX_RING, XT_RX_MULTISHOT};
static const size_t sizes[] = {60, 64, 1000, 1514, 1515, 9014, 64000, BIG};
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static uint8_t buf[100000], buf2[100000];

#define MODE_PARAMS(suite, name)                                                        \
    ParameterizedTestParameters(suite, name)                                            \
    {                                                                                   \
        return cr_make_param_array(enum xt_pktio_rx_mode, (void *)modes, COUNT(modes)); \
    }                                                                                   \
    ParameterizedTest(enum xt_pktio_rx_mode *mode, suite, name)

MODE_PARAMS(pktio, receives_every_size_byte_for_byte)
{
    struct bed b;
    struct xt_pktio_stats st;
    uint64_t frames = 0;

    bed_make(&b, *mode, 0);
    /* Twice around a default ring, so that slots are used again. */
    for (unsigned round = 0; round < 200; round++) {
        for (size_t i = 0; i < COUNT(sizes); i++) {
            const struct virtio_net_hdr v = frame_vnet(sizes[i]);

            frame_fill(buf, sizes[i], round * 16 + (unsigned)i);
            cr_assert_eq(peer_send(&b, &v, buf, sizes[i]), (ssize_t)(sizes[i] + sizeof v), "%s", strerror(errno));
            bed_expect(&b, buf, sizes[i]);
            frames++;
        }
    }
    xt_pktio_stats(b.p, &st);
    cr_assert_eq(st.rx_frames, frames);
    cr_assert_eq(st.rx_kernel_drops, 0);
    cr_assert_eq(st.rx_truncated, 0);
    bed_free(&b);
}

/* A TCP segment to `port`, or what `proto` and `frag_off` make of it. */
static void send_to_port(struct bed *b, uint16_t port, uint8_t proto, uint8_t frag_off)
{
    const struct virtio_net_hdr v = frame_vnet(100);

    frame_fill(buf, 100, port);
    buf[20] = 0;
    buf[21] = frag_off;
    buf[23] = proto;
    buf[36] = (uint8_t)(port >> 8);
    buf[37] = (uint8_t)port;
    cr_assert_gt(peer_send(b, &v, buf, 100), 0);
}

/* Each has its part, also the second time, with the sockets that a keeper has held; what is no TCP goes to the first. */
MODE_PARAMS(pktio, several_devices_share_the_frames)
{
    struct bed b[3];
    char err[256] = "";
    struct xt_pktio_cfg cfg = bed_cfg(*mode, 64);
    struct xt_pktio_place place[3] = {0};
    int kept[3] = {-1, -1, -1};

    bed_make(&b[0], *mode, 64);
    xt_pktio_close(b[0].p);
    cfg.devices = 3;
    for (unsigned round = 0; round < 2; round++) {
        unsigned seen = 0;
        for (unsigned i = 0; i < 3; i++) {
            if (i || round) {
                if (round)
                    io_uring_queue_exit(&b[i].ring);
                cr_assert_eq(
                    io_uring_queue_init(64, &b[i].ring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN), 0);
            }
            cfg.fd = kept[i];
            cfg.place = &place[i];
            cfg.group = i ? xt_pktio_fd(b[0].p) : kept[1];
            cr_assert_eq(xt_pktio_open(&cfg, &b[i].ring, &b[i].p, err, sizeof err), 0, "%s", err);
            io_uring_submit(&b[i].ring);
        }
        for (unsigned port = 1000; port < 1030; port++) {
            send_to_port(&b[0], (uint16_t)port, IPPROTO_TCP, 0);
            uint32_t k = xt_fanout(3, xt_be32_load(buf + 26), xt_be16_load(buf + 34), (uint16_t)port);
            seen |= 1u << k;
            bed_expect(&b[k], buf, 100);
        }
        cr_expect_eq(seen, 7);
        send_to_port(&b[0], 1000, IPPROTO_UDP, 0);
        bed_expect(&b[0], buf, 100);
        send_to_port(&b[0], 1000, IPPROTO_TCP, 3);
        bed_expect(&b[0], buf, 100);
        for (unsigned i = 0; i < 3; i++) {
            bed_expect_none(&b[i]);
            kept[i] = dup(xt_pktio_fd(b[i].p));
            xt_pktio_close(b[i].p);
        }
    }
    for (unsigned i = 0; i < 3; i++) {
        close(kept[i]);
        io_uring_queue_exit(&b[i].ring);
    }
    close(b[0].peer);
}

MODE_PARAMS(pktio, takes_a_burst_in_order)
{
    struct xt_frame f[64];
    unsigned got = 0, n;
    struct bed b;

    bed_make(&b, *mode, 128);
    for (unsigned i = 0; i < 100; i++) {
        const struct virtio_net_hdr v = frame_vnet(100);

        frame_fill(buf, 100, i);
        cr_assert_gt(peer_send(&b, &v, buf, 100), 0);
    }
    while (got < 100 && bed_wait(&b)) {
        n = xt_pktio_rx(b.p, f, 64);
        for (unsigned i = 0; i < n; i++) {
            frame_fill(buf, 100, got++);
            cr_assert_arr_eq(f[i].data, buf, 100);
        }
        xt_pktio_rx_release(b.p);
    }
    cr_assert_eq(got, 100);
    bed_free(&b);
}

MODE_PARAMS(pktio, takes_long_and_short_frames_mixed_in_order)
{
    static const size_t lens[] = {100, 30000, 1514, BIG, BIG, 60, 1600};
    struct xt_frame f[64];
    unsigned got = 0, n;
    struct bed b;

    bed_make(&b, *mode, 64);
    for (unsigned i = 0; i < 49; i++) {
        const size_t len = lens[i % COUNT(lens)];
        const struct virtio_net_hdr v = frame_vnet(len);

        frame_fill(buf, len, i);
        cr_assert_gt(peer_send(&b, &v, buf, len), 0);
    }
    while (got < 49 && bed_wait(&b)) {
        n = xt_pktio_rx(b.p, f, 64);
        for (unsigned i = 0; i < n; i++, got++) {
            const size_t len = lens[got % COUNT(lens)];

            frame_fill(buf, len, got);
            bed_whole(&b, &f[i]);
            cr_assert_eq(f[i].len, len);
            cr_assert_arr_eq(f[i].data, buf, len);
            cr_assert_eq(f[i].vnet.gso_size, len > 1514 ? 1460 : 0);
        }
        xt_pktio_rx_release(b.p);
    }
    cr_assert_eq(got, 49);
    bed_free(&b);
}

/* The body of a super-frame can go elsewhere than its head; a frame that is not the announced one comes whole. */
Test(pktio, the_rest_of_a_frame_goes_where_it_is_asked_to)
{
    static uint8_t body[BIG];
    const struct virtio_net_hdr v = frame_vnet(BIG);
    const uint32_t head = 66;
    struct xt_frame f[2];
    uint8_t other[66] = {0};
    struct bed b;

    bed_make(&b, XT_RX_RING, 64);
    for (unsigned i = 0; i < 2; i++) {
        frame_fill(buf, BIG, i);
        cr_assert_gt(peer_send(&b, &v, buf, BIG), 0);
    }
    for (unsigned n = 0; n < 2 && bed_wait(&b);)
        n += xt_pktio_rx(b.p, f + n, 2 - n);
    cr_assert(f[0].more && f[1].more);
    frame_fill(buf, BIG, 0);
    cr_assert_eq(xt_pktio_fetch(b.p, &f[0], head, body), 1);
    cr_assert_arr_eq(f[0].data, buf, head);
    cr_assert_arr_eq(body, buf + head, BIG - head);
    frame_fill(buf, BIG, 1);
    f[1].data = other; /* as if another frame had been announced */
    cr_assert_eq(xt_pktio_fetch(b.p, &f[1], head, body), 0);
    cr_assert_eq(f[1].len, BIG);
    cr_assert_arr_eq(f[1].data, buf, BIG);
    xt_pktio_rx_release(b.p);
    bed_free(&b);
}

/* A long frame whose bytes found no room on the socket's queue is known to be cut off; the next one is not
 * mistaken for it. */
Test(pktio, without_room_for_super_frames_they_are_cut_off_and_counted)
{
    const struct virtio_net_hdr v = frame_vnet(BIG), plain = {0};
    const int small = 1;
    struct xt_pktio_stats st;
    struct xt_frame f[8];
    struct bed b;
    unsigned whole = 0;

    bed_make(&b, XT_RX_RING, 64);
    cr_assert_eq(setsockopt(xt_pktio_fd(b.p), SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    for (unsigned i = 0; i < 4; i++) {
        frame_fill(buf, BIG, i);
        cr_assert_gt(peer_send(&b, &v, buf, BIG), 0);
    }
    cr_assert_gt(peer_send(&b, &plain, buf, 100), 0);
    cr_assert_eq(xt_pktio_rx(b.p, f, 8), 5);
    for (unsigned i = 0; i < 4; i++) {
        frame_fill(buf, BIG, i);
        cr_assert_eq(f[i].wire_len, BIG);
        bed_whole(&b, &f[i]);
        cr_assert_arr_eq(f[i].data, buf, f[i].len);
        whole += f[i].len == BIG;
    }
    cr_assert_eq(f[4].len, 100);
    cr_assert_eq(whole, 1);
    xt_pktio_rx_release(b.p);
    xt_pktio_stats(b.p, &st);
    cr_assert_eq(st.rx_truncated, 3);
    bed_free(&b);
}

MODE_PARAMS(pktio, shows_partial_checksums_and_segment_sizes)
{
    const struct virtio_net_hdr v = frame_vnet(30000), plain = {0};
    struct xt_frame f;
    struct bed b;

    bed_make(&b, *mode, 8);
    frame_fill(buf, 30000, 7);
    cr_assert_gt(peer_send(&b, &v, buf, 30000), 0);
    cr_assert(bed_recv(&b, &f));
    cr_assert_eq(f.vnet.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_F_NEEDS_CSUM);
    cr_assert_eq(f.vnet.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
    cr_assert_eq(f.vnet.gso_size, 1460);
    cr_assert_eq(f.vnet.csum_start, 34);
    cr_assert_eq(f.vnet.csum_offset, 16);
    xt_pktio_rx_release(b.p);

    cr_assert_gt(peer_send(&b, &plain, buf, 200), 0);
    cr_assert(bed_recv(&b, &f));
    cr_assert_eq(f.vnet.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM, 0);
    cr_assert_eq(f.vnet.gso_type, VIRTIO_NET_HDR_GSO_NONE);
    xt_pktio_rx_release(b.p);
    bed_free(&b);
}

/* Sends a frame whose first bytes are `head`. */
static void send_head(struct bed *b, const uint8_t *head, size_t n)
{
    const struct virtio_net_hdr v = {0};

    frame_fill(buf2, 100, 99);
    memcpy(buf2, head, n);
    cr_assert_gt(peer_send(b, &v, buf2, 100), 0);
}

MODE_PARAMS(pktio, lets_in_only_what_is_for_us)
{
    static const uint8_t foreign[] = {0x02, 0x78, 0x74, 0x00, 0x00, 0x02};
    static const uint8_t foreign_hi[] = {0x02, 0x79, 0x74, 0x00, 0x00, 0x01};
    static const uint8_t ipv6[] = {0x02, 0x78, 0x74, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x86, 0xdd};
    static const uint8_t vlan7[] = {0x02, 0x78, 0x74, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x81, 0, 0, 7, 8, 0};
    static const uint8_t priority[] = {0x02, 0x78, 0x74, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x81, 0, 0xa0, 0, 8, 0};
    static const uint8_t arp[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 2, 0x08, 0x06};
    static const uint8_t group[] = {0x01, 0x00, 0x5e, 0, 0, 1};
    struct xt_frame f;
    struct bed b;

    bed_make(&b, *mode, 8);
    send_head(&b, foreign, sizeof foreign);
    send_head(&b, foreign_hi, sizeof foreign_hi);
    send_head(&b, ipv6, sizeof ipv6);
    send_head(&b, vlan7, sizeof vlan7);
    send_head(&b, arp, sizeof arp);
    bed_expect(&b, buf2, 100);
    send_head(&b, group, sizeof group);
    bed_expect(&b, buf2, 100);
    send_head(&b, priority, sizeof priority); /* comes without its tag */
    cr_assert(bed_recv(&b, &f));
    cr_assert_eq(f.len, 96);
    cr_assert_arr_eq(f.data, buf2, 12);
    cr_assert_arr_eq(f.data + 12, buf2 + 16, 84);
    xt_pktio_rx_release(b.p);
    bed_expect_none(&b);
    bed_free(&b);
}

Test(pktio, a_full_ring_drops_and_counts)
{
    const struct virtio_net_hdr v = {0};
    struct xt_frame f[64];
    struct xt_pktio_stats st;
    struct bed b;
    unsigned n;

    bed_make(&b, XT_RX_RING, 8); /* rounded up to what fits whole pages */
    for (unsigned i = 0; i < 60; i++) {
        frame_fill(buf, 100, i);
        cr_assert_gt(peer_send(&b, &v, buf, 100), 0);
    }
    n = xt_pktio_rx(b.p, f, 64);
    cr_assert_geq(n, 8);
    cr_assert_leq(n, 10);
    cr_assert_eq(xt_pktio_rx(b.p, f, 64), 0, "read around the ring");
    for (unsigned i = 0; i < n; i++) {
        frame_fill(buf, 100, i);
        cr_assert_arr_eq(f[i].data, buf, 100);
    }
    xt_pktio_rx_release(b.p);
    xt_pktio_stats(b.p, &st);
    cr_assert_eq(st.rx_kernel_drops, 60 - n);
    frame_fill(buf, 100, 50);
    cr_assert_gt(peer_send(&b, &v, buf, 100), 0);
    bed_expect(&b, buf, 100);
    bed_free(&b);
}

Test(pktio, is_behind_with_more_than_an_eighth_of_the_ring)
{
    const struct virtio_net_hdr v = {0};
    struct xt_frame f;
    struct bed b;

    bed_make(&b, XT_RX_RING, 64);
    for (unsigned i = 0; i < 9; i++) {
        cr_assert_not(xt_pktio_rx_behind(b.p), "%u frames", i);
        frame_fill(buf, 100, i);
        cr_assert_gt(peer_send(&b, &v, buf, 100), 0);
    }
    cr_assert(xt_pktio_rx_behind(b.p));
    cr_assert_eq(xt_pktio_rx(b.p, &f, 1), 1);
    cr_assert_not(xt_pktio_rx_behind(b.p));
    xt_pktio_rx_release(b.p);
    bed_free(&b);
}

Test(pktio, multishot_goes_on_after_it_ran_out_of_buffers)
{
    const struct virtio_net_hdr v = {0};
    struct bed b;

    bed_make(&b, XT_RX_MULTISHOT, 8);
    for (unsigned i = 0; i < 50; i++) {
        frame_fill(buf, 100, i);
        cr_assert_gt(peer_send(&b, &v, buf, 100), 0);
    }
    for (unsigned i = 0; i < 50; i++) {
        frame_fill(buf, 100, i);
        bed_expect(&b, buf, 100);
    }
    bed_expect_none(&b);
    bed_free(&b);
}

/* Super-frames over 64 KiB came to IPv4 with Linux 6.3. */
static bool kernel_has_big_ipv4(void)
{
    struct utsname u;
    int major = 0, minor = 0;

    return uname(&u) == 0 && sscanf(u.release, "%d.%d", &major, &minor) == 2 &&
           (major > 6 || (major == 6 && minor >= 3));
}

/* What `ip link set gso_ipv4_max_size` does where iproute2 is new enough: super-frames longer than 64 KiB ("BIG
 * TCP"). */
static void set_gso_max(const char *ifname, uint32_t bytes)
{
    struct {
        struct nlmsghdr nh;
        struct ifinfomsg ifi;
        struct rtattr attr;
        uint32_t value;
    } req = {.nh = {.nlmsg_len = sizeof req, .nlmsg_type = RTM_NEWLINK, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
             .ifi = {.ifi_family = AF_UNSPEC, .ifi_index = (int)if_nametoindex(ifname)},
             .attr = {.rta_len = RTA_LENGTH(sizeof bytes), .rta_type = 63 /* IFLA_GSO_IPV4_MAX_SIZE, Linux 6.3 */},
             .value = bytes};
    struct {
        struct nlmsghdr nh;
        struct nlmsgerr e;
        uint8_t rest[256];
    } reply;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

    cr_assert_geq(fd, 0);
    cr_assert_eq(send(fd, &req, sizeof req, 0), (ssize_t)sizeof req);
    cr_assert_gt(recv(fd, &reply, sizeof reply, 0), 0);
    cr_assert_eq(reply.e.error, 0, "%s", strerror(-reply.e.error));
    close(fd);
}

MODE_PARAMS(pktio, a_frame_longer_than_a_slot_is_marked_and_counted)
{
    const size_t longest = 14 + 65535;
    struct virtio_net_hdr v = frame_vnet(longest);
    struct xt_pktio_stats st;
    struct xt_frame f;
    struct bed b;

    if (!kernel_has_big_ipv4())
        cr_skip_test("no IPv4 frames longer than 64 KiB before Linux 6.3");
    bed_make(&b, *mode, 8);
    cr_assert_eq(xt_netpair_enter(b.np.peer), 0);
    set_gso_max(XT_NETPAIR_PEER, 131072);
    cr_assert_eq(xt_netpair_enter(b.np.own), 0);
    frame_fill(buf, 70000, 3);
    cr_assert_gt(peer_send(&b, &v, buf, longest), 0);
    bed_expect(&b, buf, longest);
    cr_assert_gt(peer_send(&b, &v, buf, 70000), 0);
    cr_assert(bed_recv(&b, &f));
    cr_assert_gt(f.wire_len, f.len);
    cr_assert_arr_eq(f.data, buf, f.len);
    xt_pktio_rx_release(b.p);
    xt_pktio_stats(b.p, &st);
    cr_assert_eq(st.rx_truncated, 1);
    v = frame_vnet(500);
    cr_assert_gt(peer_send(&b, &v, buf, 500), 0);
    bed_expect(&b, buf, 500);
    bed_free(&b);
}

MODE_PARAMS(pktio, survives_the_interface_going_down)
{
    const struct virtio_net_hdr v = {0};
    struct xt_pktio_stats st;
    struct bed b;

    bed_make(&b, *mode, 8);
    cr_assert_eq(xt_netpair_set_up(XT_NETPAIR_OWN, false), 0);
    bed_reap(&b);
    frame_fill(buf, 100, 1);
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(xt_pktio_tx(b.p, &v, buf, 100, NULL, 0), 0);
    xt_pktio_flush(b.p);
    bed_reap(&b);
    xt_pktio_stats(b.p, &st);
    cr_assert_eq(st.tx_errors, 3, "%lu", (unsigned long)st.tx_errors);
    cr_assert_eq(st.tx_frames, 0);
    cr_assert_eq(xt_netpair_set_up(XT_NETPAIR_OWN, true), 0);
    cr_assert_gt(peer_send(&b, &v, buf, 100), 0);
    bed_expect(&b, buf, 100);
    cr_assert_eq(xt_pktio_tx(b.p, &v, buf, 100, NULL, 0), 0);
    xt_pktio_flush(b.p);
    cr_assert_eq(peer_recv(&b, &(struct virtio_net_hdr){0}, buf2, sizeof buf2), 100);
    bed_free(&b);
}

Test(pktio, a_removed_interface_does_no_harm)
{
    const struct virtio_net_hdr v = {0};
    struct xt_pktio_stats st;
    struct bed b;

    bed_make(&b, XT_RX_RING, 8);
    cr_assert_eq(xt_netpair_ip("link del " XT_NETPAIR_OWN), 0);
    frame_fill(buf, 100, 1);
    cr_assert_eq(xt_pktio_tx(b.p, &v, buf, 100, NULL, 0), 0);
    xt_pktio_flush(b.p);
    bed_reap(&b);
    xt_pktio_stats(b.p, &st);
    cr_assert_eq(st.tx_errors, 1);
    bed_expect_none(&b);
    bed_free(&b);
}

/* A head of up to 256 bytes and up to three pieces, as the stack sends them. */
static void send_pieces(struct bed *b, size_t len, unsigned npieces)
{
    const struct virtio_net_hdr v = frame_vnet(len);
    const size_t head = npieces == 0 ? len : 54;
    struct iovec iov[3];
    size_t off = head;

    for (unsigned i = 0; i < npieces; i++) {
        const size_t n = i + 1 == npieces ? len - off : (len - head) / npieces;

        iov[i] = (struct iovec){buf + off, n};
        off += n;
    }
    cr_assert_eq(xt_pktio_tx(b->p, &v, buf, head, iov, npieces), 0);
}

Test(pktio, sends_pieces_byte_for_byte)
{
    static const size_t lens[] = {60, 256, 1514, 20000, BIG};
    struct virtio_net_hdr v;
    struct bed b;

    bed_make(&b, XT_RX_RING, 8);
    for (size_t i = 0; i < COUNT(lens); i++) {
        for (unsigned np = lens[i] > 256; np <= 3; np++) {
            frame_fill(buf, lens[i], (unsigned)i * 4 + np);
            send_pieces(&b, lens[i], np);
            xt_pktio_flush(b.p);
            cr_assert_eq(peer_recv(&b, &v, buf2, sizeof buf2), (ssize_t)lens[i], "%zu bytes in %u pieces", lens[i], np);
            cr_assert_arr_eq(buf, buf2, lens[i]);
            cr_assert_eq(v.gso_size, lens[i] > 1514 ? 1460 : 0);
            cr_assert_eq(v.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM, lens[i] > 1514 ? VIRTIO_NET_HDR_F_NEEDS_CSUM : 0);
        }
    }
    bed_reap(&b); /* no completion but failures, and there were none */
    bed_free(&b);
}

Test(pktio, more_frames_than_slots_and_queue_entries_leave_in_order)
{
    const struct virtio_net_hdr v = {0};
    struct virtio_net_hdr seen;
    struct xt_pktio_stats st;
    struct bed b;

    bed_make(&b, XT_RX_RING, 8);
    for (unsigned i = 0; i < 1000; i++) {
        frame_fill(buf, 100, i);
        cr_assert_eq(xt_pktio_tx(b.p, &v, buf, 100, NULL, 0), 0);
    }
    xt_pktio_flush(b.p);
    cr_assert_eq(xt_pktio_tx_room(b.p), 256);
    for (unsigned i = 0; i < 1000; i++) {
        frame_fill(buf, 100, i);
        cr_assert_eq(peer_recv(&b, &seen, buf2, sizeof buf2), 100);
        cr_assert_arr_eq(buf, buf2, 100);
    }
    xt_pktio_stats(b.p, &st);
    cr_assert_eq(st.tx_frames, 1000);
    cr_assert_eq(st.tx_errors, 0);
    cr_assert_geq(st.tx_submits, 1000 / 64);
    cr_assert_leq(st.tx_submits, 1000 / 32);
    bed_free(&b);
}

Test(pktio, a_frame_over_the_mtu_is_an_error_that_is_counted)
{
    const struct virtio_net_hdr v = {0};
    struct iovec iov = {buf + 54, 1600 - 54};
    struct xt_pktio_stats st;
    struct bed b;

    bed_make(&b, XT_RX_RING, 8);
    frame_fill(buf, 1600, 1);
    cr_assert_eq(xt_pktio_tx(b.p, &v, buf, 54, &iov, 1), 0);
    xt_pktio_flush(b.p);
    bed_reap(&b);
    xt_pktio_stats(b.p, &st);
    cr_assert_eq(st.tx_errors, 1);
    cr_assert_eq(st.tx_frames, 0);
    bed_free(&b);
}

/* Opens the device on `fd` in a child that is then killed, as the stack process may be. */
static void use_and_die(int fd, enum xt_pktio_rx_mode mode)
{
    int pipefd[2], status;
    char c;
    pid_t pid;

    cr_assert_eq(pipe(pipefd), 0);
    pid = fork();
    if (pid == 0) {
        struct xt_pktio_cfg cfg = bed_cfg(mode, 16);
        struct io_uring ring;
        struct xt_pktio *p;
        char err[256];

        cfg.fd = fd;
        if (io_uring_queue_init(64, &ring, 0) == 0 && xt_pktio_open(&cfg, &ring, &p, err, sizeof err) == 0 &&
            xt_pktio_fd(p) == fd && io_uring_submit(&ring) == 1 && write(pipefd[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    close(pipefd[1]);
    cr_assert_eq(read(pipefd[0], &c, 1), 1);
    kill(pid, SIGKILL);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFSIGNALED(status));
    close(pipefd[0]);
}

MODE_PARAMS(pktio, takes_over_the_socket_of_a_killed_process)
{
    const struct virtio_net_hdr v = {0}, big = frame_vnet(BIG);
    struct xt_pktio_cfg cfg = bed_cfg(*mode, 8);
    char err[256] = "";
    struct bed b;
    int fd;

    bed_make(&b, *mode, 8);
    fd = dup(xt_pktio_fd(b.p)); /* as the keeper has it */
    xt_pktio_close(b.p);
    for (unsigned i = 0; i < 4; i++) {
        use_and_die(fd, modes[i % 2]);
        frame_fill(buf, BIG, 1);
        cr_assert_gt(peer_send(&b, &big, buf, BIG), 0); /* nobody there: lost or waiting */
        cfg.fd = fd;
        cr_assert_eq(xt_pktio_open(&cfg, &b.ring, &b.p, err, sizeof err), 0, "%s", err);
        cr_assert_eq(xt_pktio_fd(b.p), fd, "the socket was not taken");
        io_uring_submit(&b.ring);
        fd = dup(fd);
        do {
            struct xt_frame f;

            frame_fill(buf, 120, i + 2);
            cr_assert_gt(peer_send(&b, &v, buf, 120), 0);
            cr_assert(bed_recv(&b, &f));
            if (f.len == 120)
                break;
            xt_pktio_rx_release(b.p);
        } while (true);
        xt_pktio_rx_release(b.p);
        frame_fill(buf, BIG, i + 9);
        cr_assert_gt(peer_send(&b, &big, buf, BIG), 0);
        bed_expect(&b, buf, BIG);
        bed_expect_none(&b);
        xt_pktio_close(b.p);
    }
    cfg.fd = -1;
    cr_assert_eq(xt_pktio_open(&cfg, &b.ring, &b.p, err, sizeof err), 0, "%s", err);
    bed_free(&b);
}

Test(pktio, a_ring_that_someone_still_maps_is_replaced_by_a_new_socket)
{
    const struct virtio_net_hdr v = {0};
    struct xt_pktio_cfg cfg = bed_cfg(XT_RX_RING, 8);
    struct xt_pktio *second;
    struct xt_frame f;
    struct bed b;
    char err[256] = "";

    bed_make(&b, XT_RX_RING, 8);
    cfg.fd = dup(xt_pktio_fd(b.p));
    cr_assert_eq(xt_pktio_open(&cfg, &b.ring, &second, err, sizeof err), 0, "%s", err);
    frame_fill(buf, 100, 1);
    cr_assert_gt(peer_send(&b, &v, buf, 100), 0);
    cr_assert_eq(xt_pktio_rx(second, &f, 1), 1);
    cr_assert_arr_eq(f.data, buf, 100);
    xt_pktio_rx_release(second);
    xt_pktio_close(second);
    bed_free(&b);
}

static void expect_error(const struct xt_pktio_cfg *cfg, struct io_uring *ring, int rc, const char *words)
{
    struct xt_pktio *p;
    char err[256] = "";

    cr_assert_eq(xt_pktio_open(cfg, ring, &p, err, sizeof err), rc);
    cr_assert_not_null(strstr(err, words), "'%s' does not say '%s'", err, words);
    cr_assert_null(strchr(err, '\n'));
}

Test(pktio, says_in_words_what_is_wrong)
{
    struct xt_pktio_cfg cfg = bed_cfg(XT_RX_RING, 8);
    struct bed b;
    int status;
    pid_t pid;

    bed_make(&b, XT_RX_RING, 8);
    cfg.ifname = "nosuch0";
    expect_error(&cfg, &b.ring, -ENODEV, "no interface 'nosuch0'");
    cfg.ifname = "a-name-much-too-long";
    expect_error(&cfg, &b.ring, -EINVAL, "longer than 15");
    cfg.ifname = "lo";
    expect_error(&cfg, &b.ring, -EOPNOTSUPP, "'lo' is not Ethernet");
    cfg.ifname = XT_NETPAIR_OWN;
    cfg.fd = 0;
    expect_error(&cfg, &b.ring, -EINVAL, "no raw packet socket");
    cfg.fd = -1;
    pid = fork();
    if (pid == 0) {
        if (setresuid(65534, 65534, 65534) != 0)
            _exit(1);
        expect_error(&cfg, &b.ring, -EPERM, "CAP_NET_RAW");
        _exit(0);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 0);
    cr_assert_eq(xt_netpair_set_up(XT_NETPAIR_OWN, false), 0);
    expect_error(&cfg, &b.ring, -ENETDOWN, "'xt0' is not up");
    bed_free(&b);
}

/* Namespaces and packet sockets need privileges that a test machine may not give. */
static int can_run(void)
{
    struct xt_netpair np;
    char err[256];
    int rc, status;
    pid_t pid = fork();

    if (pid == 0) {
        rc = xt_netpair_make(&np, 1500, err, sizeof err);
        if (rc == 0 && socket(AF_PACKET, SOCK_RAW, 0) < 0)
            rc = -errno;
        if (rc == -EPERM)
            printf("SKIP: needs CAP_SYS_ADMIN, CAP_NET_ADMIN and CAP_NET_RAW\n");
        fflush(stdout);
        _exit(rc == -EPERM);
    }
    return waitpid(pid, &status, 0) == pid && status == 0;
}

/* Visible: Criterion finds it by name in its workers. */
__attribute__((visibility("default"))) int main(int argc, char **argv)
{
    struct criterion_test_set *tests;
    int rc = 0;

    if (!can_run())
        return 77;
    tests = criterion_initialize();
    if (criterion_handle_args(argc, argv, true))
        rc = !criterion_run_all_tests(tests);
    criterion_finalize(tests);
    return rc;
}
