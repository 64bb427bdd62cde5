/* SPDX-License-Identifier: Apache-2.0
 * The packet device: an AF_PACKET socket with PACKET_VNET_HDR on one interface, driven by the shard's io_uring.
 * One object belongs to one thread. */
#ifndef XT_PKTIO_H
#define XT_PKTIO_H

#include <liburing.h>
#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "daemon/base/sieve.h"

struct xt_pktio;

enum xt_pktio_rx_mode { XT_RX_RING, XT_RX_MULTISHOT };

/* Where the receive ring was read to: in memory that outlives the process, so that the next one goes on in the same ring with the
 * same socket, and what came in between is not lost. Zeros: no ring yet. */
struct xt_pktio_place {
    uint32_t slots, block_frames; /* the ring's geometry */
    uint32_t ifindex;
    uint8_t mac[6], rsv[2];
    uint32_t from, to; /* slots from `from` up to `to` are being given back */
};

struct xt_pktio_cfg {
    const char *ifname;
    uint8_t mac[6]; /* only frames to this address or to broadcast/multicast are let in (BPF filter) */
    enum xt_pktio_rx_mode rx_mode;
    uint32_t rx_frames; /* receive slots, rounded up; a super-frame takes one; 0: default */
    uint32_t tx_frames; /* sends in flight; 0: default */
    /* An AF_PACKET socket handed over by the keeper, or -1: open one. Belongs to the device once open succeeded.
     * With `place` its ring goes on as it is. Else that is released and set up anew; when another process still has it
     * mapped, a new socket takes its place. */
    int fd;
    struct xt_pktio_place *place; /* NULL: not kept */
    /* Of several devices on one interface each gets a part of the frames: TCP by the local port, modulo `devices`, and all else goes to
     * the first. 0 or 1: it is alone. The sockets of all are one fan-out group. */
    uint32_t devices;
    int group; /* socket of another of them, -1: this is the first */
};

/* A received frame. Valid until the next xt_pktio_rx_release(). */
struct xt_frame {
    const uint8_t *data; /* Ethernet header on */
    uint32_t len;        /* bytes captured */
    uint32_t wire_len;   /* bytes on the wire; more than len: truncated, to be dropped and counted */
    struct virtio_net_hdr vnet;
    bool more; /* `data` has only the first bytes, at least all headers: xt_pktio_fetch() brings the rest */
};

struct xt_pktio_stats {
    uint64_t rx_frames, rx_bytes, tx_frames, tx_bytes;
    uint64_t rx_kernel_drops; /* PACKET_STATISTICS: the ring was full */
    uint64_t rx_truncated, tx_errors, tx_full;
    uint64_t tx_submits;    /* io_uring_enter calls that carried sends */
    uint64_t filter_errors; /* xt_pktio_sieve() that changed nothing */
};

/* user_data of every completion that belongs to pktio has this bit; the loop hands those to xt_pktio_cqe(). */
#define XT_PKTIO_UDATA (1ULL << 63)

/* Opens the device and arms its receive side on `ring` (borrowed until close; not one with IORING_SETUP_SQPOLL;
 * best with IORING_SETUP_DEFER_TASKRUN, where frames that come while the loop works make no completions). The
 * request for that is only queued: it goes out with the ring's first submit, so the thread that opens need not be
 * the one that runs the loop. On failure returns a negative errno and writes one line for people to `err`. */
int xt_pktio_open(const struct xt_pktio_cfg *cfg, struct io_uring *ring, struct xt_pktio **out, char *err,
                  size_t errlen);
/* Queued frames still leave. Completions with XT_PKTIO_UDATA that come after this are to be ignored. NULL is
 * allowed. */
void xt_pktio_close(struct xt_pktio *p);

/* The socket, for the keeper. */
int xt_pktio_fd(const struct xt_pktio *p);

/* Up to `n` received frames; 0 when there are none, fewer than `n` also when there are more. The ring needs no
 * system call for frames of up to about 1,580 bytes and one for a burst of longer ones; multishot needs none here,
 * but the loop must enter the ring. The frames stay valid until xt_pktio_rx_release(), which must be called before
 * the next xt_pktio_rx(). */
unsigned xt_pktio_rx(struct xt_pktio *p, struct xt_frame *frames, unsigned n);
void xt_pktio_rx_release(struct xt_pktio *p);

/* Brings in a frame that has `more`; must be called once for each such frame, in their order. With `dst`, the bytes from `head` on (at most
 * the headers) go straight there, wire_len - head of them, and `data` keeps the head; without, all go to a buffer of the
 * device that lasts until the next call.
 * Returns 1: done as asked. 0: all is in `data` (no `dst`; or frames came in another order and this is another one than announced: what
 * was written to `dst` is to be disregarded). -ENODATA: the frame is lost (counted as truncated). */
int xt_pktio_fetch(struct xt_pktio *p, struct xt_frame *f, uint32_t head, uint8_t *dst);

/* True when an eighth of the receive ring or more waits. */
bool xt_pktio_rx_behind(const struct xt_pktio *p);

/* True when frames are waiting: for use between "about to sleep" and the wait. */
bool xt_pktio_rx_pending(const struct xt_pktio *p);

/* From now on the kernel lets in SYNs without ACK as `sieve` says, and all else as ever. A device begins with an open one. Returns how
 * many frames wait that it has let in before, or a negative errno: it goes on as before. */
int xt_pktio_sieve(struct xt_pktio *p, const struct xt_sieve *sieve);

/* Queues one frame: `hdr` (Ethernet to TCP header, copied, at most 256 bytes) then `niov` (0 to 3) pieces of
 * payload, which are borrowed until the send completes (at the latest shortly after the next submit). `vnet` as
 * PACKET_VNET_HDR wants it. Returns 0, or -ENOBUFS when no slot is free: try again after completions. */
int xt_pktio_tx(struct xt_pktio *p, const struct virtio_net_hdr *vnet, const void *hdr, size_t hdrlen,
                const struct iovec *iov, unsigned niov);

/* Submits what xt_pktio_tx() queued (with all else in the submission queue); the loop's own io_uring_submit() does as
 * well. */
void xt_pktio_flush(struct xt_pktio *p);

/* Free transmit slots now. */
unsigned xt_pktio_tx_room(const struct xt_pktio *p);

/* Handles one completion whose user_data has XT_PKTIO_UDATA. */
void xt_pktio_cqe(struct xt_pktio *p, const struct io_uring_cqe *cqe);

void xt_pktio_stats(struct xt_pktio *p, struct xt_pktio_stats *out);

#endif
