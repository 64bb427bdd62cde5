/* SPDX-License-Identifier: Apache-2.0
 * Receiving through a mapped ring (TPACKET_V2): the softirq copies each frame into a slot and sets the slot's status
 * word; taking frames is reading memory. V2, not V3, since V3 hands over whole blocks, when full or after a time-out
 * of at least a millisecond.
 *
 * Slots take MTU-sized frames, so that many fit into little memory. Of a super-frame the slot has the first bytes
 * only; the kernel also queues the whole of it on the socket without a copy (PACKET_COPY_THRESH, TP_STATUS_COPY), and
 * one recvmmsg() takes all of a burst into buffers that stay in the cache. */
#include <errno.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/base/crash.h"
#include "daemon/base/macros.h"
#include "daemon/pktio/internal.h"

#define FRAMES_DEFAULT 5040
#define FRAMES_MAX 64260
#define BLOCK_FRAMES 630 /* in 1 MiB, which the page allocator often has in one piece */

/* A slot: status header and address, then tp_reserve, then the virtio header, then the frame. With 6 bytes of
 * reserve the IP header is 16-byte aligned. Slots are no power of two, so that their headers fall into all sets of
 * the cache. */
#define RESERVE 6
#define SLOT_SIZE 1664
#define SLOT_IP (TPACKET_ALIGN(TPACKET2_HDRLEN + 16) + RESERVE + sizeof(struct virtio_net_hdr))
_Static_assert(SLOT_IP + 1500 <= SLOT_SIZE, "a slot takes a frame of the usual MTU");
_Static_assert(SLOT_SIZE % TPACKET_ALIGNMENT == 0 && SLOT_SIZE * BLOCK_FRAMES <= 1 << 20, "slot size");

#define BIG_SIZE (65536 + 128)
_Static_assert(sizeof(struct virtio_net_hdr) + XT_PKTIO_MAX_FRAME < BIG_SIZE, "the buffer takes the longest frame");

struct rx_ring {
    uint8_t *map;
    size_t map_len;
    uint32_t block_size, block_frames, blocks;
    uint32_t block, frame; /* next slot to look at */
    uint32_t taken;        /* slots before that one which are not given back yet */
    uint32_t rel_block, rel_frame;
    uint8_t *big;        /* BIG_SIZE bytes: virtio header and frame */
    struct iovec iov[3]; /* head, elsewhere, rest */
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
    /* The kernel wants no room for one more slot left in a block. */
    r->block_size = ((frames < BLOCK_FRAMES ? frames : BLOCK_FRAMES) * SLOT_SIZE + page - 1) / page * page;
    r->block_frames = r->block_size / SLOT_SIZE;
    r->blocks = (frames + r->block_frames - 1) / r->block_frames;
    r->map_len = (size_t)r->blocks * r->block_size;
}

static uint32_t slot_number(const struct rx_ring *r, uint32_t block, uint32_t frame)
{
    return block * r->block_frames + frame;
}

static int map_ring(struct xt_pktio *p)
{
    struct rx_ring *r = p->rx;

    r->map = mmap(NULL, r->map_len, PROT_READ | PROT_WRITE, MAP_SHARED, p->fd, 0);
    if (r->map == MAP_FAILED) {
        r->map = NULL;
        return -errno;
    }
    return 0;
}

static int ring_setup(struct xt_pktio *p, uint32_t frames, char *err, size_t errlen)
{
    const int version = TPACKET_V2, reserve = RESERVE, copy = 1;
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
    r->big = aligned_alloc(64, BIG_SIZE);
    if (r->big == NULL)
        return xt_pktio_fail(err, errlen, -ENOMEM, "no memory for the receive buffers");
    if (setsockopt(p->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) != 0 ||
        setsockopt(p->fd, SOL_PACKET, PACKET_COPY_THRESH, &copy, sizeof copy) != 0 ||
        setsockopt(p->fd, SOL_PACKET, PACKET_RESERVE, &reserve, sizeof reserve) != 0 ||
        setsockopt(p->fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof req) != 0)
        return xt_pktio_fail(err, errlen, -errno, "a receive ring of %zu KiB: %s", r->map_len >> 10, strerror(errno));
    const int rc = map_ring(p);
    if (rc != 0)
        return xt_pktio_fail(err, errlen, rc, "mapping the receive ring of %zu KiB: %s", r->map_len >> 10,
                             strerror(-rc));
    if (p->place != NULL) {
        p->place->block_frames = r->block_frames;
        p->place->slots = r->blocks * r->block_frames;
    }
    return 0;
}

/* Each frame wakes the poll; the kernel then looks whether a slot is still taken, so a frame that was read
 * meanwhile makes no completion. On a ring with IORING_SETUP_DEFER_TASKRUN frames that come while the loop works
 * cost nothing. */
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
    f->more = (h->tp_status & TP_STATUS_COPY) != 0;
    memcpy(&f->vnet, f->data - sizeof f->vnet, sizeof f->vnet);
    /* The kernel tells of a checksum that was verified on the way in both, or only here. */
    if ((h->tp_status & TP_STATUS_CSUM_VALID) != 0 && (f->vnet.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) == 0)
        f->vnet.flags |= VIRTIO_NET_HDR_F_DATA_VALID;
}

/* Takes the next frame off the socket's queue into `r->iov`; its length, or -ENODATA when there is none. MSG_TRUNC: the
 * length is the frame's own. An error that waited, as of a link that went down, is reported once and before the frames. */
static int receive(struct xt_pktio *p)
{
    struct rx_ring *r = p->rx;
    struct msghdr m = {.msg_iov = r->iov, .msg_iovlen = XT_ARRAY_LEN(r->iov)};

    for (unsigned errors = 0; errors < 4; errors++) {
        const ssize_t got = recvmsg(p->fd, &m, MSG_DONTWAIT | MSG_TRUNC);

        if (got >= 0)
            return (int)got;
        if (errno == EAGAIN)
            break;
    }
    p->stats.rx_truncated++;
    return -ENODATA;
}

/* The queue has one frame for each slot that was too small, but where two CPUs receive at once the order may be another: then
 * what was written to `dst` goes back into the buffer, and the frame counts as it is, with its own headers. */
static int ring_fetch(struct xt_pktio *p, struct xt_frame *f, uint32_t head, uint8_t *dst)
{
    struct rx_ring *r = p->rx;
    const uint32_t vlen = sizeof(struct virtio_net_hdr), body = dst != NULL ? f->wire_len - head : 0;
    uint8_t *frame = r->big + vlen;

    if (dst == NULL)
        head = 0;
    r->iov[0] = (struct iovec){r->big, vlen + head};
    r->iov[1] = (struct iovec){dst, body};
    r->iov[2] = (struct iovec){frame + head + body, BIG_SIZE - vlen - head - body};
    const int got = receive(p);
    if (got < 0)
        return got;
    const uint32_t len = (uint32_t)got - vlen;
    if (dst != NULL && len == f->wire_len && memcmp(frame, f->data, head) == 0)
        return 1;
    if (dst != NULL)
        memcpy(frame + head, dst, body);
    memcpy(&f->vnet, r->big, vlen);
    f->data = frame;
    f->wire_len = len;
    f->len = XT_MIN(len, BIG_SIZE - vlen);
    p->stats.rx_truncated += f->len < len;
    return 0;
}

/* The process before may have died while it gave slots back, in their order: the first that is still full comes next. */
static int ring_resume(struct xt_pktio *p, uint32_t frames)
{
    struct rx_ring *r = calloc(1, sizeof *r);
    int version = 0;
    socklen_t len = sizeof version;

    if (r == NULL)
        return -ENOMEM;
    p->rx = r;
    size_ring(r, frames);
    const uint32_t slots = r->blocks * r->block_frames, to = p->place->to;
    uint32_t at = p->place->from;
    if (p->place->slots != slots || p->place->block_frames != r->block_frames || at >= slots || to >= slots ||
        getsockopt(p->fd, SOL_PACKET, PACKET_VERSION, &version, &len) != 0 || version != TPACKET_V2)
        return -EINVAL;
    r->big = aligned_alloc(64, BIG_SIZE);
    const int rc = r->big == NULL ? -ENOMEM : map_ring(p);
    if (rc != 0)
        return rc;
    while (at != to && !filled(slot(r, at / r->block_frames, at % r->block_frames)))
        at = (at + 1) % slots;
    r->block = r->rel_block = at / r->block_frames;
    r->frame = r->rel_frame = at % r->block_frames;
    return 0;
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
        p->stats.rx_truncated += frames[i].wire_len > frames[i].len && !frames[i].more;
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
    const uint32_t to = slot_number(r, r->block, r->frame);

    if (r->taken == 0)
        return;
    if (p->place != NULL)
        __atomic_store_n(&p->place->to, to, __ATOMIC_RELEASE);
    for (; r->taken > 0; r->taken--) {
        /* All reads of the slot come before the kernel may write to it again. */
        __atomic_store_n(&slot(r, r->rel_block, r->rel_frame)->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
        XT_CRASH_POINT();
        advance(r, &r->rel_block, &r->rel_frame);
    }
    if (p->place != NULL)
        __atomic_store_n(&p->place->from, to, __ATOMIC_RELEASE);
}

static bool ring_pending(const struct xt_pktio *p)
{
    const struct rx_ring *r = p->rx;

    return filled(slot(r, r->block, r->frame));
}

static bool filled_ahead(const struct rx_ring *r, uint32_t n)
{
    const uint32_t at = (slot_number(r, r->block, r->frame) + n) % (r->blocks * r->block_frames);

    return filled(slot(r, at / r->block_frames, at % r->block_frames));
}

/* The kernel fills slots in their order. */
static bool ring_behind(const struct xt_pktio *p)
{
    const struct rx_ring *r = p->rx;

    return filled_ahead(r, r->blocks * r->block_frames / 8);
}

static uint32_t ring_waiting(const struct xt_pktio *p)
{
    const struct rx_ring *r = p->rx;
    uint32_t least = 0, most = r->blocks * r->block_frames - r->taken;

    while (least < most) {
        const uint32_t middle = (least + most) / 2;

        if (filled_ahead(r, middle))
            least = middle + 1;
        else
            most = middle;
    }
    return least;
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
    if (r != NULL)
        free(r->big);
    free(r);
    p->rx = NULL;
}

const struct xt_rx_backend xt_pktio_rx_ring = {
    .setup = ring_setup,
    .resume = ring_resume,
    .arm = ring_arm,
    .rx = ring_rx,
    .fetch = ring_fetch,
    .release = ring_release,
    .pending = ring_pending,
    .behind = ring_behind,
    .waiting = ring_waiting,
    .cqe = ring_cqe,
    .teardown = ring_teardown,
};
