/* SPDX-License-Identifier: Apache-2.0
 * Receiving by one io_uring request that completes once for each frame, into buffers that the kernel picks from a
 * provided ring. The copy happens in our own time when the ring is entered. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "daemon/pktio/internal.h"

/* Few, so that the buffers stay in the cache: what finds none waits on the socket's queue. */
#define FRAMES_DEFAULT 128
#define FRAMES_MAX 32768
#define GROUP 0x7874 /* "xt": the buffer group, ours alone on this ring */

/* Virtio header and frame; one that fills the buffer to the brim was cut off. */
#define BUF_SIZE (65536 + 128)
_Static_assert(sizeof(struct virtio_net_hdr) + XT_PKTIO_MAX_FRAME < BUF_SIZE, "a buffer takes the longest frame");

struct arrival {
    uint16_t bid;
    uint32_t len; /* virtio header included */
};

struct rx_multishot {
    struct io_uring_buf_ring *br;
    uint8_t *bufs;
    uint32_t n; /* buffers, a power of two */
    struct arrival *fifo;
    uint32_t head, tail, released; /* free-running: head counts arrivals, tail those taken, released those given back */
    bool armed, registered;
};

static uint8_t *buffer(const struct rx_multishot *r, uint16_t bid)
{
    return r->bufs + (size_t)bid * BUF_SIZE;
}

static void *map_pages(size_t len)
{
    void *m = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    return m == MAP_FAILED ? NULL : m;
}

static int multishot_setup(struct xt_pktio *p, uint32_t frames, char *err, size_t errlen)
{
    struct rx_multishot *r = calloc(1, sizeof *r);
    struct io_uring_buf_reg reg;
    int rc;

    if (r == NULL)
        return xt_pktio_fail(err, errlen, -ENOMEM, "no memory for the receive buffers");
    p->rx = r;
    for (r->n = 1; r->n < (frames == 0 ? FRAMES_DEFAULT : frames) && r->n < FRAMES_MAX;)
        r->n <<= 1;
    r->br = map_pages(r->n * sizeof(struct io_uring_buf));
    r->bufs = map_pages((size_t)r->n * BUF_SIZE);
    r->fifo = calloc(r->n, sizeof *r->fifo);
    if (r->br == NULL || r->bufs == NULL || r->fifo == NULL)
        return xt_pktio_fail(err, errlen, -ENOMEM, "no memory for the receive buffers (%zu MiB)",
                             (size_t)r->n * BUF_SIZE >> 20);
    io_uring_buf_ring_init(r->br);
    reg = (struct io_uring_buf_reg){.ring_addr = (uintptr_t)r->br, .ring_entries = r->n, .bgid = GROUP};
    rc = io_uring_register_buf_ring(p->ring, &reg, 0);
    if (rc != 0)
        return xt_pktio_fail(err, errlen, rc, "io_uring buffer ring: %s (Linux 6.0 or newer is needed)", strerror(-rc));
    r->registered = true;
    for (uint32_t i = 0; i < r->n; i++)
        io_uring_buf_ring_add(r->br, buffer(r, (uint16_t)i), BUF_SIZE, (uint16_t)i, (int)r->n - 1, (int)i);
    io_uring_buf_ring_advance(r->br, (int)r->n);
    return 0;
}

static void multishot_arm(struct xt_pktio *p)
{
    struct rx_multishot *r = p->rx;
    struct io_uring_sqe *sqe = xt_pktio_sqe(p);

    r->armed = sqe != NULL;
    if (sqe == NULL)
        return;
    io_uring_prep_recv_multishot(sqe, p->fd, NULL, 0, 0);
    io_uring_sqe_set_flags(sqe, IOSQE_BUFFER_SELECT);
    sqe->buf_group = GROUP;
    io_uring_sqe_set_data64(sqe, XT_PKTIO_UDATA | XT_PKTIO_UD_RX);
}

static unsigned multishot_rx(struct xt_pktio *p, struct xt_frame *frames, unsigned n)
{
    struct rx_multishot *r = p->rx;
    unsigned i;

    for (i = 0; i < n && r->tail != r->head; i++, r->tail++) {
        const struct arrival *a = &r->fifo[r->tail & (r->n - 1)];
        const uint8_t *b = buffer(r, a->bid);
        struct xt_frame *f = &frames[i];

        memcpy(&f->vnet, b, sizeof f->vnet);
        f->data = b + sizeof f->vnet;
        f->len = a->len - (uint32_t)sizeof f->vnet;
        f->wire_len = f->len + (a->len == BUF_SIZE);
        f->more = false;
        p->stats.rx_bytes += f->wire_len;
        p->stats.rx_truncated += f->wire_len > f->len;
    }
    p->stats.rx_frames += i;
    return i;
}

static void give_back(struct rx_multishot *r, uint16_t bid, int at)
{
    io_uring_buf_ring_add(r->br, buffer(r, bid), BUF_SIZE, bid, (int)r->n - 1, at);
}

static void multishot_release(struct xt_pktio *p)
{
    struct rx_multishot *r = p->rx;
    int n = 0;

    for (; r->released != r->tail; r->released++)
        give_back(r, r->fifo[r->released & (r->n - 1)].bid, n++);
    if (n > 0)
        io_uring_buf_ring_advance(r->br, n);
    /* It ended for want of buffers, or found no submission entry. */
    if (!r->armed)
        multishot_arm(p);
}

static bool multishot_pending(const struct xt_pktio *p)
{
    const struct rx_multishot *r = p->rx;

    return r->tail != r->head;
}

static void multishot_cqe(struct xt_pktio *p, const struct io_uring_cqe *cqe)
{
    struct rx_multishot *r = p->rx;
    const uint16_t bid = (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);

    if ((cqe->flags & IORING_CQE_F_BUFFER) != 0) {
        if (cqe->res >= (int)sizeof(struct virtio_net_hdr)) {
            r->fifo[r->head++ & (r->n - 1)] = (struct arrival){.bid = bid, .len = (uint32_t)cqe->res};
        } else {
            give_back(r, bid, 0);
            io_uring_buf_ring_advance(r->br, 1);
        }
    }
    if ((cqe->flags & IORING_CQE_F_MORE) != 0)
        return;
    r->armed = false;
    /* Any other end, as the link going down (ENETDOWN) or one frame that has no virtio header (EINVAL), is
     * passing. */
    if (cqe->res != -ENOBUFS && cqe->res != -ECANCELED && cqe->res != -EBADF)
        multishot_arm(p);
}

static void multishot_teardown(struct xt_pktio *p)
{
    struct rx_multishot *r = p->rx;

    if (r == NULL)
        return;
    if (r->registered)
        io_uring_unregister_buf_ring(p->ring, GROUP);
    if (r->br != NULL)
        munmap(r->br, r->n * sizeof(struct io_uring_buf));
    if (r->bufs != NULL)
        munmap(r->bufs, (size_t)r->n * BUF_SIZE);
    free(r->fifo);
    free(r);
    p->rx = NULL;
}

const struct xt_rx_backend xt_pktio_rx_multishot = {
    .setup = multishot_setup,
    .arm = multishot_arm,
    .rx = multishot_rx,
    .release = multishot_release,
    .pending = multishot_pending,
    .cqe = multishot_cqe,
    .teardown = multishot_teardown,
};
