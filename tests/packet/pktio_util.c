/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/packet/pktio_util.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAIT_MS 5000

const uint8_t bed_mac[6] = {0x02, 0x78, 0x74, 0x00, 0x00, 0x01};

static int raw_socket(const char *ifname)
{
    struct sockaddr_ll sll = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    const int on = 1, size = 64 << 20;
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

    cr_assert_geq(fd, 0);
    sll.sll_ifindex = (int)if_nametoindex(ifname);
    cr_assert_eq(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on), 0);
    cr_assert_eq(setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on), 0);
    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size), 0);
    cr_assert_eq(bind(fd, (const struct sockaddr *)&sll, sizeof sll), 0);
    return fd;
}

struct xt_pktio_cfg bed_cfg(enum xt_pktio_rx_mode mode, uint32_t rx_frames)
{
    struct xt_pktio_cfg cfg = {.ifname = XT_NETPAIR_OWN, .rx_mode = mode, .rx_frames = rx_frames, .fd = -1};

    memcpy(cfg.mac, bed_mac, sizeof bed_mac);
    return cfg;
}

void bed_make(struct bed *b, enum xt_pktio_rx_mode mode, uint32_t rx_frames)
{
    const struct xt_pktio_cfg cfg = bed_cfg(mode, rx_frames);
    char err[256] = "";

    cr_assert_eq(xt_netpair_make(&b->np, 1500, err, sizeof err), 0, "%s", err);
    cr_assert_eq(xt_netpair_enter(b->np.peer), 0);
    b->peer = raw_socket(XT_NETPAIR_PEER);
    cr_assert_eq(xt_netpair_enter(b->np.own), 0);
    cr_assert_eq(io_uring_queue_init(64, &b->ring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN), 0);
    cr_assert_eq(xt_pktio_open(&cfg, &b->ring, &b->p, err, sizeof err), 0, "%s", err);
    io_uring_submit(&b->ring);
}

void bed_free(struct bed *b)
{
    xt_pktio_close(b->p);
    io_uring_queue_exit(&b->ring);
    close(b->peer);
}

void frame_fill(uint8_t *f, size_t len, unsigned seed)
{
    static const uint8_t src[6] = {0x02, 0, 0, 0, 0, 2};
    uint32_t x = seed * 2654435761U + 1;

    for (size_t i = 0; i < len; i++) {
        x = x * 1664525 + 1013904223;
        f[i] = (uint8_t)(x >> 24);
    }
    memcpy(f, bed_mac, 6);
    memcpy(f + 6, src, 6);
    f[12] = 0x08;
    f[13] = 0x00;
    f[14] = 0x45; /* the kernel looks at the IP header of a super-frame */
    f[23] = IPPROTO_TCP;
    if (len >= 54)
        f[46] = 0x50;
}

struct virtio_net_hdr frame_vnet(size_t len)
{
    struct virtio_net_hdr v = {0};

    if (len <= 1514)
        return v;
    v.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    v.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
    v.hdr_len = 54;
    v.gso_size = 1460;
    v.csum_start = 34;
    v.csum_offset = 16;
    return v;
}

ssize_t peer_send(struct bed *b, const struct virtio_net_hdr *v, const void *f, size_t len)
{
    struct iovec iov[2] = {{(void *)v, sizeof *v}, {(void *)f, len}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};

    return sendmsg(b->peer, &m, 0);
}

ssize_t peer_recv(struct bed *b, struct virtio_net_hdr *v, void *f, size_t max)
{
    struct iovec iov[2] = {{v, sizeof *v}, {f, max}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
    struct pollfd pfd = {.fd = b->peer, .events = POLLIN};
    ssize_t n;

    if (poll(&pfd, 1, WAIT_MS) != 1)
        return -1;
    n = recvmsg(b->peer, &m, 0);
    return n < (ssize_t)sizeof *v ? -1 : n - (ssize_t)sizeof *v;
}

void bed_reap(struct bed *b)
{
    struct io_uring_cqe *cqe;

    io_uring_get_events(&b->ring);
    while (io_uring_peek_cqe(&b->ring, &cqe) == 0) {
        cr_assert_neq(cqe->user_data & XT_PKTIO_UDATA, 0);
        xt_pktio_cqe(b->p, cqe);
        io_uring_cqe_seen(&b->ring, cqe);
    }
    io_uring_submit(&b->ring);
}

bool bed_wait(struct bed *b)
{
    struct __kernel_timespec ts = {.tv_sec = WAIT_MS / 1000};
    struct io_uring_cqe *cqe;

    bed_reap(b);
    while (!xt_pktio_rx_pending(b->p)) {
        if (io_uring_submit_and_wait_timeout(&b->ring, &cqe, 1, &ts, NULL) == -ETIME)
            return false;
        bed_reap(b);
    }
    return true;
}

void bed_whole(struct bed *b, struct xt_frame *f)
{
    if (f->more)
        cr_assert_eq(xt_pktio_fetch(b->p, f, 0, NULL), 0);
}

bool bed_recv(struct bed *b, struct xt_frame *f)
{
    if (!bed_wait(b) || xt_pktio_rx(b->p, f, 1) != 1)
        return false;
    bed_whole(b, f);
    return true;
}

void bed_expect(struct bed *b, const void *want, size_t len)
{
    struct xt_frame f;

    cr_assert(bed_recv(b, &f), "no frame of %zu bytes came", len);
    cr_assert_eq(f.len, len, "%u bytes, not %zu", f.len, len);
    cr_assert_eq(f.wire_len, len);
    cr_assert_arr_eq(f.data, want, len);
    xt_pktio_rx_release(b->p);
}

void bed_expect_none(struct bed *b)
{
    struct xt_frame f;

    bed_reap(b);
    cr_assert_not(xt_pktio_rx_pending(b->p));
    cr_assert_eq(xt_pktio_rx(b->p, &f, 1), 0);
}
