/* SPDX-License-Identifier: Apache-2.0
 * One run of each kind of the packet device's bench. */
#ifndef XT_BENCH_PKTIO_RUN_H
#define XT_BENCH_PKTIO_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/pktio/pktio.h"
#include "tests/lib/netpair.h"

/* What one run found. Times in ns. */
struct run {
    double per_s;     /* frames each second */
    double cpu;       /* for a frame: user and system time of the measured thread */
    double peer;      /* ... of the process at the other end; for receiving this has the softirq that feeds the ring */
    double softirq;   /* ... of the whole machine */
    double enters;    /* system calls for 1000 frames */
    double lost;      /* of 1000 frames sent: before the device (the kernel's backlog) or in it */
    double ring_lost; /* ... in it */
    double p50, p99;
};

enum tx_how { TX_URING, TX_MMSG, TX_MMSG_BYPASS };

/* A sender floods for `ms`, the device receives `len`-byte frames (more than 1514: super-frames); the receiver
 * looks for more for `spin_us` before it sleeps. */
void run_rx(struct run *r, const struct xt_netpair *np, enum xt_pktio_rx_mode mode, unsigned spin_us, uint32_t len,
            unsigned ms);
/* Sends for `ms` with `batch` frames in each system call; the other end drops them. */
void run_tx(struct run *r, const struct xt_netpair *np, enum tx_how how, unsigned batch, uint32_t len, unsigned ms);
/* One small frame to and fro for `ms`, both sides asleep in between. */
void run_latency(struct run *r, const struct xt_netpair *np, enum xt_pktio_rx_mode mode, unsigned ms);

#endif
