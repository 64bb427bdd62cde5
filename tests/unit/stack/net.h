/* SPDX-License-Identifier: Apache-2.0
 * Two stacks joined by queues of frames in memory, in virtual time, and the smallest of applications on top. */
#ifndef XT_TEST_NET_H
#define XT_TEST_NET_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/stack/stack.h"

#define MAX_CONNS 256
#define QUEUE_MAX 512
#define RING 65536u

struct packet {
    struct virtio_net_hdr vnet;
    uint8_t *data;
    size_t len;
};

/* One host; what the callbacks note. */
struct host {
    struct xt_stack *s;
    void *state;
    struct xt_stack_cfg cfg;
    struct xt_crew *crew; /* with others for its address, as number `shard`; NULL: it is alone */
    uint32_t shard;
    struct packet queue[QUEUE_MAX]; /* frames sent, not yet taken */
    unsigned count;
    unsigned room;            /* what tx_room says; UINT32_MAX: no end */
    bool admit, full;         /* what `admit` says; the opposite of what `admit_open` says */
    uint8_t fo;               /* what connects ask of Fast Open: XT_FO_OPTION, XT_FO_DATA, or nothing */
    bool no_bufs;             /* there is no memory for rings */
    unsigned backlog;         /* connections in SYN_RECV after which `admit` says no; 0: no limit */
    struct xt_conn *accepted; /* the last child that opened */
    unsigned naccepted;
    uint32_t events[MAX_CONNS]; /* ORed, by index */
    int err[MAX_CONNS];         /* c->err at XT_EV_ERROR */
    unsigned closed;            /* XT_EV_CLOSED seen */
    uint8_t *rx[MAX_CONNS], *tx[MAX_CONNS];
};

struct net {
    struct host h[2];
    uint64_t now;
    bool drop; /* frames vanish */
    bool mark; /* ECN-capable packets get a congestion mark */
    bool bad;  /* one of ten IPv4 frames vanishes, one comes twice, one changes place with the next */
    unsigned seed;
};

extern const uint8_t test_key[32];

/* 10.0.0.1 and 10.0.0.2 on a /24, MTU 1500. */
void net_init(struct net *n);
void net_fini(struct net *n);
/* One host alone with `cfg` changed by the caller between these two. */
void host_cfg(struct host *h, unsigned last_octet);
void host_start(struct host *h, uint64_t now);
/* Both, for the first host. */
void host_begin(struct host *h, uint64_t now);
void host_stop(struct host *h);
/* Until nothing is left to be sent. */
void host_settle(struct host *h, uint64_t now);

/* The oldest frame that `h` has sent; false when there is none. The caller frees p->data. */
bool host_take(struct host *h, struct packet *p);
void host_drain(struct host *h);
/* Lets `h` send, then takes all frames and returns how many. */
unsigned host_output(struct host *h, uint64_t now);

/* Hands frames to and fro until nothing moves. */
void net_pump(struct net *n);
/* Lets `us` of virtual time pass, from deadline to deadline. */
void net_run(struct net *n, uint64_t us);

struct xt_endpoint ep(unsigned last_octet, uint16_t port);
uint32_t ip(unsigned last_octet);

/* Opens a listener on `port` of `h` with a reservation. */
struct xt_conn *host_listen(struct host *h, uint16_t port, bool reuse, uint64_t now);
struct xt_conn *host_connect(struct host *h, unsigned to, uint16_t port, uint64_t now, int *err);
/* Copies `len` bytes into the send ring and tells the stack; at most what fits. Returns what was taken. */
uint32_t host_write(struct host *h, struct xt_conn *c, const void *p, uint32_t len, uint64_t now);
/* Takes what is there. */
uint32_t host_read(struct host *h, struct xt_conn *c, void *p, uint32_t len, uint64_t now);

/* Builds frames by hand: Ethernet from `mac_last` of 02:00:00:00:00:xx to host `h`. Returns the length. */
size_t make_ip(uint8_t *f, const struct host *h, unsigned from, uint8_t proto, uint16_t id, unsigned frag_off, bool mf,
               const void *p, size_t len);
size_t make_arp(uint8_t *f, const struct host *h, uint16_t op, unsigned from, unsigned spa, unsigned tpa);
size_t make_tcp(uint8_t *f, const struct host *h, unsigned from, const struct xt_seg *seg, const void *payload);
void inject(struct host *h, const uint8_t *f, size_t len, uint64_t now);

#endif
