/* SPDX-License-Identifier: Apache-2.0
 * Receiving through a mapped ring (TPACKET_V2): the softirq copies each frame into a slot and sets the slot's status
 * word; taking frames is reading memory. V2, not V3, since V3 hands over whole blocks, when full or after a time-out
 * of at least a millisecond. */
#include <errno.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/pktio/internal.h"

#define FRAMES_DEFAULT 504
#define FRAMES_MAX 65520
/* Blocks are asked for in one piece: 4 MiB is the most the page allocator has. */
#define BLOCK_FRAMES 63

/* A slot: status header and address, then tp_reserve, then the virtio header, then the frame. With 6 bytes of reserve
 * the IP header is 16-byte aligned. The odd 128 bytes keep the slots' headers out of one another's cache sets. */
#define RESERVE 6
#define SLOT_SIZE (65536 + 128)
_Static_assert(TPACKET_ALIGN(TPACKET2_HDRLEN + 16) + RESERVE + sizeof(struct virtio_net_hdr) + XT_PKTIO_MAX_FRAME -
                       XT_PKTIO_ETH_HLEN <=
                   SLOT_SIZE,
               "a slot takes the longest frame");
_Static_assert(SLOT_SIZE % TPACKET_ALIGNMENT == 0 && SLOT_SIZE * (size_t)BLOCK_FRAMES <= 4U << 20, "slot size");

struct rx_ring {
    uint8_t *map;
    size_t map_len;
    uint32_t block_size, block_frames, blocks;
    uint32_t block, frame; /* next slot to look at */
    uint32_t taken;        /* slots before that one which are not given back yet */
    uint32_t rel_block, rel_frame;
};

static struct tpacket2_hdr *slot(const struct rx_ring *r, uint32_t block, uint32_t frame)
{
    return (struct tpacket2_hdr *)(r->map + (size_t)block * r->block_size + (size_t)frame * SLOT_SIZE);
}

static void advance(const struct rx_ring *r, uint32_t *block, uint32_t *frame)
{
    if (++*frame < r->block_frames)
        return;
    *frame = 0;
    if (++*block == r->blocks)
        *block = 0;
}

static void size_ring(struct rx_ring *r, uint32_t frames)
{
    const uint32_t page = (uint32_t)sysconf(_SC_PAGESIZE);

    if (frames == 0)
        frames = FRAMES_DEFAULT;
    if (frames > FRAMES_MAX)
        frames = FRAMES_MAX;
    r->block_frames = frames < BLOCK_FRAMES ? frames : BLOCK_FRAMES;
    r->blocks = (frames + r->block_frames - 1) / r->block_frames;
    r->block_size = (r->block_frames * SLOT_SIZE + page - 1) / page * page;
    r->map_len = (size_t)r->blocks * r->block_size;
}

static int ring_setup(struct xt_pktio *p, uint32_t frames, char *err, size_t errlen)
{
    const int version = TPACKET_V2, reserve = RESERVE;
    struct rx_ring *r = calloc(1, sizeof *r);
    struct tpacket_req req;

    if (r == NULL)
        return xt_pktio_fail(err, errlen, -ENOMEM, "no memory for the receive ring");
    p->rx = r;
    size_ring(r, frames);
    req = (struct tpacket_req){.tp_block_size = r->block_size,
                               .tp_block_nr = r->blocks,
                               .tp_frame_size = SLOT_SIZE,
                               .tp_frame_nr = r->blocks * r->block_frames};
    if (setsockopt(p->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) != 0 ||
        setsockopt(p->fd, SOL_PACKET, PACKET_RESERVE, &reserve, sizeof reserve) != 0 ||
        setsockopt(p->fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof req) != 0)
        return xt_pktio_fail(err, errlen, -errno, "a receive ring of %zu MiB: %s", r->map_len >> 20, strerror(errno));
    r->map = mmap(NULL, r->map_len, PROT_READ | PROT_WRITE, MAP_SHARED, p->fd, 0);
    if (r->map == MAP_FAILED) {
        r->map = NULL;
        return xt_pktio_fail(err, errlen, -errno, "mapping the receive ring of %zu MiB: %s", r->map_len >> 20,
                             strerror(errno));
    }
    return 0;
}

/* Each frame wakes the poll; the kernel then looks whether a slot is still taken, so a frame that was read meanwhile
 * makes no completion. On a ring with IORING_SETUP_DEFER_TASKRUN frames that come while the loop works cost nothing. */
static void ring_arm(struct xt_pktio *p)
{
    struct io_uring_sqe *sqe = xt_pktio_sqe(p);

    if (sqe == NULL)
        return;
    io_uring_prep_poll_multishot(sqe, p->fd, POLLIN);
    io_uring_sqe_set_data64(sqe, XT_PKTIO_UDATA | XT_PKTIO_UD_RX);
}

static bool filled(const struct tpacket2_hdr *h)
{
    /* Pairs with the kernel's barrier between copying the frame and writing the status. */
    return (__atomic_load_n(&h->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER) != 0;
}

static void fill(struct xt_frame *f, const struct tpacket2_hdr *h)
{
    f->data = (const uint8_t *)h + h->tp_mac;
    f->len = h->tp_snaplen;
    f->wire_len = h->tp_len;
    memcpy(&f->vnet, f->data - sizeof f->vnet, sizeof f->vnet);
    /* The kernel tells of a checksum that was verified on the way in both, or only here. */
    if ((h->tp_status & TP_STATUS_CSUM_VALID) != 0 && (f->vnet.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) == 0)
        f->vnet.flags |= VIRTIO_NET_HDR_F_DATA_VALID;
}

static unsigned ring_rx(struct xt_pktio *p, struct xt_frame *frames, unsigned n)
{
    struct rx_ring *r = p->rx;
    const struct tpacket2_hdr *h = slot(r, r->block, r->frame);
    unsigned i;

    /* The limit keeps a full ring from being read around its end. */
    for (i = 0; i < n && r->taken < r->blocks * r->block_frames && filled(h); i++) {
        fill(&frames[i], h);
        p->stats.rx_bytes += frames[i].wire_len;
        p->stats.rx_truncated += frames[i].wire_len > frames[i].len;
        advance(r, &r->block, &r->frame);
        r->taken++;
        h = slot(r, r->block, r->frame);
        __builtin_prefetch(h);
    }
    p->stats.rx_frames += i;
    return i;
}

static void ring_release(struct xt_pktio *p)
{
    struct rx_ring *r = p->rx;

    for (; r->taken > 0; r->taken--) {
        /* All reads of the slot come before the kernel may write to it again. */
        __atomic_store_n(&slot(r, r->rel_block, r->rel_frame)->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
        advance(r, &r->rel_block, &r->rel_frame);
    }
}

static bool ring_pending(const struct xt_pktio *p)
{
    const struct rx_ring *r = p->rx;

    return filled(slot(r, r->block, r->frame));
}

static void ring_cqe(struct xt_pktio *p, const struct io_uring_cqe *cqe)
{
    int e;
    socklen_t len = sizeof e;

    /* The link went down: reading the error clears it, or the next send would fail for it. */
    if (cqe->res > 0 && (cqe->res & POLLERR) != 0)
        getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &e, &len);
    if ((cqe->flags & IORING_CQE_F_MORE) == 0 && cqe->res != -ECANCELED && cqe->res != -EBADF)
        ring_arm(p);
}

static void ring_teardown(struct xt_pktio *p)
{
    struct rx_ring *r = p->rx;

    if (r != NULL && r->map != NULL)
        munmap(r->map, r->map_len);
    free(r);
    p->rx = NULL;
}

const struct xt_rx_backend xt_pktio_rx_ring = {
    .setup = ring_setup,
    .arm = ring_arm,
    .rx = ring_rx,
    .release = ring_release,
    .pending = ring_pending,
    .cqe = ring_cqe,
    .teardown = ring_teardown,
};
