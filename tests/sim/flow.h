/* SPDX-License-Identifier: Apache-2.0
 * Bulk transfers over one shared bottleneck in virtual time: for fairness and for goodput, where what the bytes are
 * does not matter. Segments are handed over as they are, super-segments cut up; only data meets loss and reordering. */
#ifndef XT_TEST_FLOW_H
#define XT_TEST_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/tcp/board.h"
#include "daemon/tcp/seldom.h"
#include "daemon/tcp/tcp.h"
#include "tests/sim/bottleneck.h"
#include "tests/sim/rng.h"

#define FLOWS_MAX 50
#define FLOW_WIRE_OVERHEAD 66 /* Ethernet, IPv4, TCP and time stamps */

/* Times in microseconds, probabilities in millionths. */
struct path_cfg {
    uint64_t rate;          /* bits per second, of the bottleneck towards the receivers */
    uint64_t rtt;           /* without queueing */
    uint32_t queue;         /* bytes that wait at the bottleneck; more are dropped */
    uint32_t mark;          /* bytes waiting from which on the bottleneck marks instead; 0: it never does, no ECN */
    uint32_t loss, reorder; /* of data segments; a reordered one comes up to `late` later */
    uint64_t late;
    uint32_t ring; /* bytes of the send and receive buffers */
};

struct flow {
    struct xt_conn c[2]; /* 0 sends, 1 receives */
    struct xt_seldom seldom[2];
    struct xt_board board[2];
    struct xt_tcp_cfg cfg;
    struct xt_tcp_stats stats[2];
    uint8_t *rx;
    uint64_t start;      /* when it connects */
    uint64_t write_rate; /* bytes per second that the application writes, 0: as much as fits */
    uint64_t wrote_at;
    uint64_t mark; /* bytes received when flow_mark() was called */
};

struct flow_packet;

struct flows {
    struct path_cfg path;
    struct rng rng;
    struct bottleneck neck;
    uint64_t now;
    struct flow f[FLOWS_MAX];
    unsigned n;
    struct flow_packet **heap;
    unsigned len, cap;
    uint64_t order, lost, sent;
    void (*on_ack)(struct flows *s, unsigned i); /* after each segment that the sender of flow `i` got; may be NULL */
    void *arg;
};

void flows_init(struct flows *s, const struct path_cfg *path, uint64_t seed);

/* Adds a transfer with a congestion control (enum xt_cc_id) that connects at `start`; returns it. */
struct flow *flows_add(struct flows *s, uint8_t cc, uint64_t start);

/* Runs until the clock shows `until`. */
void flows_run(struct flows *s, uint64_t until);

/* Bytes received since the last flows_mark(), or ever. */
uint64_t flow_received(const struct flow *f);
void flows_mark(struct flows *s);

/* Jain's fairness index of what the flows received since the mark: 1 is a fair share, 1/n the worst. */
double flows_jain(const struct flows *s);

void flows_free(struct flows *s);

#endif
