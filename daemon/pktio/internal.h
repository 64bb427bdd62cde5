/* SPDX-License-Identifier: Apache-2.0
 * What the files of the packet device share. */
#ifndef XT_PKTIO_INTERNAL_H
#define XT_PKTIO_INTERNAL_H

#include "daemon/pktio/pktio.h"

#define XT_PKTIO_ETH_HLEN 14
/* The longest frame that IPv4 allows: a super-frame's length field has 16 bits. */
#define XT_PKTIO_MAX_FRAME (XT_PKTIO_ETH_HLEN + 65535)

/* What a completion is about: the low bits of its user_data. */
enum { XT_PKTIO_UD_RX = 1, XT_PKTIO_UD_TX = 2 };

/* A way to receive. All state is behind `rx` of struct xt_pktio and belongs to the backend. */
struct xt_rx_backend {
    /* Before bind(): no frame can have come yet. Returns 0 or a negative errno, with a line in `err`. */
    int (*setup)(struct xt_pktio *p, uint32_t frames, char *err, size_t errlen);
    /* Goes on with the ring that cfg->fd has already, as cfg->place tells. NULL: cannot. */
    int (*resume)(struct xt_pktio *p, uint32_t frames);
    /* Queues the request that makes the ring tell about frames. */
    void (*arm)(struct xt_pktio *p);
    unsigned (*rx)(struct xt_pktio *p, struct xt_frame *frames, unsigned n);
    int (*fetch)(struct xt_pktio *p, struct xt_frame *f, uint32_t head, uint8_t *dst); /* NULL: frames are whole */
    void (*release)(struct xt_pktio *p);
    bool (*pending)(const struct xt_pktio *p);
    bool (*behind)(const struct xt_pktio *p);      /* NULL: cannot tell */
    uint32_t (*waiting)(const struct xt_pktio *p); /* frames; likewise */
    void (*cqe)(struct xt_pktio *p, const struct io_uring_cqe *cqe);
    /* After all requests were cancelled; also after a setup that failed half-way. */
    void (*teardown)(struct xt_pktio *p);
};

extern const struct xt_rx_backend xt_pktio_rx_ring, xt_pktio_rx_multishot;

struct xt_tx_slot;

struct xt_pktio {
    int fd;
    uint8_t mac[6];
    struct io_uring *ring; /* borrowed */
    const struct xt_rx_backend *backend;
    void *rx;
    struct xt_pktio_place *place; /* NULL: not kept */
    struct xt_tx_slot *slots;
    uint32_t nslots;           /* a power of two */
    uint32_t tx_head, tx_done; /* slots from tx_done to tx_head (free-running) wait in the submission queue */
    struct xt_pktio_stats stats;
};

/* Writes one line for people to `err` and returns `rc`. */
int xt_pktio_fail(char *err, size_t errlen, int rc, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* A submission entry; submits when the queue is full. NULL only when the kernel takes nothing. */
struct io_uring_sqe *xt_pktio_sqe(struct xt_pktio *p);

/* Finds the interface and checks that it is Ethernet and up. Returns its index or a negative errno. */
int xt_pktio_ifindex(const char *ifname, char *err, size_t errlen);
/* A raw packet socket that receives nothing yet: options and filter set. Takes over cfg->fd when it can still be
 * used. Returns the descriptor or a negative errno. */
int xt_pktio_socket(const struct xt_pktio_cfg *cfg, char *err, size_t errlen);
/* Lets frames in: binds to the interface and makes a NIC deliver what is sent to `mac`. Returns 0 or a negative
 * errno. */
/* Joins the fan-out group, unless the socket is in one. */
int xt_pktio_fanout(int fd, const struct xt_pktio_cfg *cfg, char *err, size_t errlen);
int xt_pktio_bind(int fd, int ifindex, const struct xt_pktio_cfg *cfg, char *err, size_t errlen);

/* Which frames the socket takes; `sieve`, unless NULL or open, says which SYNs. Returns 0 or a negative errno. */
int xt_pktio_filter(int fd, const uint8_t mac[6], const struct xt_sieve *sieve);

int xt_pktio_tx_init(struct xt_pktio *p, uint32_t slots);
void xt_pktio_tx_free(struct xt_pktio *p);
void xt_pktio_tx_cqe(struct xt_pktio *p, const struct io_uring_cqe *cqe);

#endif
