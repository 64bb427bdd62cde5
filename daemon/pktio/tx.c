/* SPDX-License-Identifier: Apache-2.0
 * Sending: io_uring requests from a pool of slots, submitted in batches. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/pktio/internal.h"

#define HDR_MAX 256
#define IOV_MAX_TX 3
#define SLOTS_DEFAULT 256

/* The kernel reads it when it takes the submission entry, not before. */
struct xt_tx_slot {
    struct msghdr msg;
    struct iovec iov[1 + IOV_MAX_TX];
    unsigned sqpos; /* place of the request in the submission queue, free-running */
    uint8_t head[sizeof(struct virtio_net_hdr) + HDR_MAX];
};

int xt_pktio_tx_init(struct xt_pktio *p, uint32_t slots)
{
    uint32_t n = 1;

    while (n < (slots == 0 ? SLOTS_DEFAULT : slots) && n < 1U << 16)
        n <<= 1;
    p->slots = calloc(n, sizeof *p->slots);
    p->nslots = n;
    return p->slots == NULL ? -ENOMEM : 0;
}

void xt_pktio_tx_free(struct xt_pktio *p)
{
    free(p->slots);
    p->slots = NULL;
}

/* A send never waits (MSG_DONTWAIT), so it is over, and the frame copied, when io_uring_enter() has taken its entry;
 * no completion is needed to know. The queue's head is only written inside that call, by this thread. */
static uint32_t done(const struct xt_pktio *p)
{
    const unsigned khead = *p->ring->sq.khead;
    uint32_t i = p->tx_done;

    while (i != p->tx_head && (int)(khead - p->slots[i & (p->nslots - 1)].sqpos) > 0)
        i++;
    return i;
}

static void reap(struct xt_pktio *p)
{
    const uint32_t now = done(p);

    if (now != p->tx_done)
        p->stats.tx_submits++;
    p->tx_done = now;
}

void xt_pktio_flush(struct xt_pktio *p)
{
    reap(p);
    if (p->tx_head == p->tx_done)
        return;
    io_uring_submit(p->ring);
    reap(p);
}

static struct xt_tx_slot *free_slot(struct xt_pktio *p)
{
    reap(p);
    if (p->tx_head - p->tx_done == p->nslots)
        xt_pktio_flush(p);
    return p->tx_head - p->tx_done == p->nslots ? NULL : &p->slots[p->tx_head & (p->nslots - 1)];
}

static void prepare(struct xt_pktio *p, struct io_uring_sqe *sqe, struct xt_tx_slot *s, size_t headlen, unsigned niov)
{
    if (niov == 0) {
        io_uring_prep_send(sqe, p->fd, s->head, headlen, MSG_DONTWAIT);
    } else {
        s->iov[0] = (struct iovec){.iov_base = s->head, .iov_len = headlen};
        s->msg = (struct msghdr){.msg_iov = s->iov, .msg_iovlen = 1 + niov};
        io_uring_prep_sendmsg(sqe, p->fd, &s->msg, MSG_DONTWAIT);
    }
    io_uring_sqe_set_flags(sqe, IOSQE_CQE_SKIP_SUCCESS); /* only failures complete */
    io_uring_sqe_set_data64(sqe, XT_PKTIO_UDATA | XT_PKTIO_UD_TX);
    s->sqpos = p->ring->sq.sqe_tail - 1;
}

int xt_pktio_tx(struct xt_pktio *p, const struct virtio_net_hdr *vnet, const void *hdr, size_t hdrlen,
                const struct iovec *iov, unsigned niov)
{
    struct xt_tx_slot *s;
    struct io_uring_sqe *sqe;
    size_t bytes = hdrlen;

    assert(hdrlen <= HDR_MAX && niov <= IOV_MAX_TX);
    if (io_uring_sq_space_left(p->ring) == 0)
        xt_pktio_flush(p);
    s = free_slot(p);
    sqe = s == NULL ? NULL : io_uring_get_sqe(p->ring);
    if (sqe == NULL) {
        p->stats.tx_full++;
        return -ENOBUFS;
    }
    memcpy(s->head, vnet, sizeof *vnet);
    memcpy(s->head + sizeof *vnet, hdr, hdrlen);
    for (unsigned i = 0; i < niov; i++) {
        s->iov[1 + i] = iov[i];
        bytes += iov[i].iov_len;
    }
    prepare(p, sqe, s, sizeof *vnet + hdrlen, niov);
    p->tx_head++;
    p->stats.tx_frames++;
    p->stats.tx_bytes += bytes;
    return 0;
}

unsigned xt_pktio_tx_room(const struct xt_pktio *p)
{
    return p->nslots - (p->tx_head - done(p));
}

/* A frame that did not leave (link down, queue full, too long) is to TCP a lost packet. */
void xt_pktio_tx_cqe(struct xt_pktio *p, const struct io_uring_cqe *cqe)
{
    if (cqe->res >= 0)
        return;
    p->stats.tx_errors++;
    p->stats.tx_frames--;
}
