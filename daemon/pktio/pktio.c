/* SPDX-License-Identifier: Apache-2.0
 * Opening, closing and dispatch of the packet device. */
#include "daemon/pktio/pktio.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/pktio/internal.h"

int xt_pktio_fail(char *err, size_t errlen, int rc, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(err, errlen, fmt, ap);
    va_end(ap);
    return rc;
}

struct io_uring_sqe *xt_pktio_sqe(struct xt_pktio *p)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(p->ring);

    if (sqe == NULL && io_uring_submit(p->ring) > 0)
        sqe = io_uring_get_sqe(p->ring);
    return sqe;
}

/* The socket of the process before, ring and all: true when it goes on as it was. */
static bool resume(struct xt_pktio *p, const struct xt_pktio_cfg *cfg, int ifindex)
{
    const struct xt_pktio_place *at = cfg->place;

    if (cfg->fd < 0 || at == NULL || at->slots == 0 || p->backend->resume == NULL || at->ifindex != (uint32_t)ifindex ||
        memcmp(at->mac, cfg->mac, sizeof at->mac) != 0)
        return false;
    p->fd = cfg->fd;
    if (p->backend->resume(p, cfg->rx_frames) == 0 && xt_pktio_filter(p->fd, p->mac, NULL) == 0)
        return true;
    p->backend->teardown(p);
    p->fd = -1;
    return false;
}

static int set_up(struct xt_pktio *p, const struct xt_pktio_cfg *cfg, char *err, size_t errlen)
{
    int ifindex, rc;

    /* Sends count as done when the kernel took their entry, which a polling kernel thread does ahead of the send. */
    if ((p->ring->flags & IORING_SETUP_SQPOLL) != 0)
        return xt_pktio_fail(err, errlen, -EINVAL, "the packet device can't work on an SQPOLL ring");
    ifindex = xt_pktio_ifindex(cfg->ifname, err, errlen);
    if (ifindex < 0)
        return ifindex;
    rc = xt_pktio_tx_init(p, cfg->tx_frames);
    if (rc != 0)
        return xt_pktio_fail(err, errlen, rc, "no memory for the transmit slots");
    p->place = cfg->place;
    if (resume(p, cfg, ifindex))
        return 0;
    if (p->place != NULL) {
        memset(p->place, 0, sizeof *p->place);
        p->place->ifindex = (uint32_t)ifindex;
        memcpy(p->place->mac, cfg->mac, sizeof p->place->mac);
    }
    p->fd = xt_pktio_socket(cfg, err, errlen);
    if (p->fd < 0)
        return p->fd;
    rc = p->backend->setup(p, cfg->rx_frames, err, errlen);
    if (rc == 0)
        rc = xt_pktio_bind(p->fd, ifindex, cfg, err, errlen);
    return rc == 0 && cfg->devices > 1 ? xt_pktio_fanout(p->fd, cfg, err, errlen) : rc;
}

int xt_pktio_open(const struct xt_pktio_cfg *cfg, struct io_uring *ring, struct xt_pktio **out, char *err,
                  size_t errlen)
{
    struct xt_pktio *p = calloc(1, sizeof *p);
    int rc;

    if (p == NULL)
        return xt_pktio_fail(err, errlen, -ENOMEM, "no memory for the packet device");
    p->fd = -1;
    p->ring = ring;
    memcpy(p->mac, cfg->mac, sizeof p->mac);
    p->backend = cfg->rx_mode == XT_RX_MULTISHOT ? &xt_pktio_rx_multishot : &xt_pktio_rx_ring;
    rc = set_up(p, cfg, err, errlen);
    if (rc != 0) {
        p->backend->teardown(p);
        xt_pktio_tx_free(p);
        if (p->fd >= 0 && p->fd != cfg->fd)
            close(p->fd);
        free(p);
        return rc;
    }
    if (cfg->fd >= 0 && cfg->fd != p->fd)
        close(cfg->fd);
    p->backend->arm(p);
    *out = p;
    return 0;
}

void xt_pktio_close(struct xt_pktio *p)
{
    struct io_uring_sync_cancel_reg reg = {
        .addr = XT_PKTIO_UDATA | XT_PKTIO_UD_RX,
        .fd = -1,
        .flags = IORING_ASYNC_CANCEL_ALL,
        .timeout = {.tv_sec = -1, .tv_nsec = -1},
    };

    if (p == NULL)
        return;
    io_uring_submit(p->ring); /* queued frames still leave; their slots go below */
    io_uring_register_sync_cancel(p->ring, &reg);
    p->backend->teardown(p);
    xt_pktio_tx_free(p);
    close(p->fd);
    free(p);
}

int xt_pktio_fd(const struct xt_pktio *p)
{
    return p->fd;
}

unsigned xt_pktio_rx(struct xt_pktio *p, struct xt_frame *frames, unsigned n)
{
    return p->backend->rx(p, frames, n);
}

int xt_pktio_fetch(struct xt_pktio *p, struct xt_frame *f, uint32_t head, uint8_t *dst)
{
    return p->backend->fetch(p, f, head, dst);
}

void xt_pktio_rx_release(struct xt_pktio *p)
{
    p->backend->release(p);
}

bool xt_pktio_rx_behind(const struct xt_pktio *p)
{
    return p->backend->behind != NULL && p->backend->behind(p);
}

bool xt_pktio_rx_pending(const struct xt_pktio *p)
{
    return p->backend->pending(p);
}

int xt_pktio_sieve(struct xt_pktio *p, const struct xt_sieve *sieve)
{
    int rc = xt_pktio_filter(p->fd, p->mac, sieve);

    p->stats.filter_errors += rc != 0;
    return rc == 0 && p->backend->waiting != NULL ? (int)p->backend->waiting(p) : rc;
}

void xt_pktio_cqe(struct xt_pktio *p, const struct io_uring_cqe *cqe)
{
    if ((cqe->user_data & ~XT_PKTIO_UDATA) == XT_PKTIO_UD_TX)
        xt_pktio_tx_cqe(p, cqe);
    else
        p->backend->cqe(p, cqe);
}

void xt_pktio_stats(struct xt_pktio *p, struct xt_pktio_stats *out)
{
    struct tpacket_stats st;
    socklen_t len = sizeof st;

    /* The kernel's counters start anew with each look. */
    if (getsockopt(p->fd, SOL_PACKET, PACKET_STATISTICS, &st, &len) == 0)
        p->stats.rx_kernel_drops += st.tp_drops;
    *out = p->stats;
}
