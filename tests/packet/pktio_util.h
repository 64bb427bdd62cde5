/* SPDX-License-Identifier: Apache-2.0
 * One end of a veth pair with the packet device on it, the other with a plain raw socket. */
#ifndef XT_TESTS_PKTIO_UTIL_H
#define XT_TESTS_PKTIO_UTIL_H

#include "daemon/pktio/pktio.h"
#include "tests/lib/netpair.h"

struct bed {
    struct xt_netpair np;
    struct io_uring ring;
    struct xt_pktio *p;
    int peer; /* raw socket with PACKET_VNET_HDR on the other end */
};

extern const uint8_t bed_mac[6];

/* Makes namespaces, pair, ring and sockets, and opens the device. Each failure fails the test. */
void bed_make(struct bed *b, enum xt_pktio_rx_mode mode, uint32_t rx_frames);
/* The configuration that bed_make() uses. */
struct xt_pktio_cfg bed_cfg(enum xt_pktio_rx_mode mode, uint32_t rx_frames);
void bed_free(struct bed *b);

/* Fills `f` (len bytes) with an IPv4 Ethernet frame to bed_mac and a body that depends on `seed`. */
void frame_fill(uint8_t *f, size_t len, unsigned seed);
/* The header of a super-frame of TCP over IPv4 with a partial checksum, or of a plain frame up to `mtu` + 14
 * bytes. */
struct virtio_net_hdr frame_vnet(size_t len);

/* Sends from the peer's end; returns what sendmsg() did. */
ssize_t peer_send(struct bed *b, const struct virtio_net_hdr *v, const void *f, size_t len);
/* Receives at the peer's end (up to 5 s); returns the frame's length, or -1. */
ssize_t peer_recv(struct bed *b, struct virtio_net_hdr *v, void *f, size_t max);

/* Hands every completion there is to the device. */
void bed_reap(struct bed *b);
/* Waits until a frame is there (up to 5 s); false when none came. */
bool bed_wait(struct bed *b);
/* As bed_wait(), and takes the frame, to be released by the caller. */
bool bed_recv(struct bed *b, struct xt_frame *f);
/* Brings in what a long frame lacks. */
void bed_whole(struct bed *b, struct xt_frame *f);
/* As bed_recv(), compares with `want` and releases. */
void bed_expect(struct bed *b, const void *want, size_t len);
/* Nothing is there, now that a frame sent later was seen. */
void bed_expect_none(struct bed *b);

#endif
