/* SPDX-License-Identifier: Apache-2.0
 * Two hosts, two links, one virtual clock: everything in a run follows from its seed. */
#ifndef XT_TEST_NET_H
#define XT_TEST_NET_H

#include "tests/sim/endpoint.h"
#include "tests/sim/link.h"
#include "tests/sim/middlebox.h"
#include "tests/sim/rng.h"
#include "tests/sim/trace.h"

#define NEVER UINT64_MAX
#define STREAM_MAX (1u << 19) /* most bytes that an application sends */

/* How an application ends a connection. The last two lose data on purpose. */
enum ending {
    END_SHUTDOWN,    /* half-close after the last write, close after the peer's end of file */
    END_AFTER_EOF,   /* close after the peer's end of file */
    END_CLOSE,       /* close once all is written and all that the peer sends is read */
    END_ABORT,       /* abort in the middle */
    END_CLOSE_EARLY, /* close in the middle, with data unread or still to come */
};

struct app_cfg {
    enum ending ending;
    uint32_t to_send;             /* bytes */
    uint32_t write_max, read_max; /* bytes in one call */
    uint64_t think;               /* at most, between two calls */
    unsigned pauses;              /* of the reader, */
    unsigned silences;            /* of the writer, between bursts, */
    uint64_t pause;               /* each at most this long */
    uint32_t urgent;              /* writes that move the urgent mark, in millionths */
    uint32_t quit_after;          /* END_ABORT, END_CLOSE_EARLY: bytes read or written before it happens */
    struct xt_tcp_sockopt opt;
};

struct host_cfg {
    struct xt_tcp_cfg tcp;
    uint32_t rx_size, tx_size;
    bool batch;          /* output after a batch of packets, not after each */
    uint32_t gro;        /* packets coalesced with the one before where possible, in millionths */
    bool no_board;       /* the stack has none to lend */
    uint32_t isn_secret; /* the constant part of RFC 6528's sum */
    struct app_cfg app;
};

struct params {
    uint64_t seed;
    bool clean;            /* the network does no harm: nothing may be sent twice */
    uint32_t grow;         /* how often a ring is made larger, parts per million of reads */
    bool simultaneous;     /* both connect, nobody listens */
    unsigned rounds;       /* connections one after the other between the same ports */
    uint64_t second_start; /* when host 1 connects in a simultaneous open, after host 0 */
    bool may_break;        /* outages, crashes or time limits may end connections, as TCP does it */
    unsigned crashes;      /* 0 or 1: a host forgets its connection, and comes back later */
    unsigned crash_host;
    uint64_t crash_at; /* after the start */
    uint64_t reboot;   /* time until the host is back */
    bool echoes;       /* sequence numbers of one connection are those of the next, whose packets are still about */
    bool reorders;     /* the network reorders a little and does nothing else: next to nothing is sent twice */
    bool merge;        /* segments coalesced on their way look like larger ones, not like a device's work */
    struct middlebox box;
    struct link_cfg link[2];
    struct host_cfg host[2];
};

/* What the wire says about one connection, kept apart from the record of the core. */
struct watch {
    uint32_t max_sent; /* highest sequence number sent, plus one */
    bool sent_any, acked_any, edge_known;
    uint32_t last_ack;    /* highest ACK sent */
    uint32_t adv_edge;    /* highest right edge of the window offered */
    uint32_t peer_edge;   /* highest right edge that came from the peer */
    bool peer_fin;        /* a FIN was delivered, */
    uint32_t peer_fin_at; /* at this stream offset */
    uint8_t *delivered;   /* one byte for each byte of the peer's stream: did it ever arrive? */
    uint32_t in_order;    /* delivered without a gap */
    uint64_t bytes_again; /* sent more than once */
};

struct net;

struct app {
    struct app_cfg cfg;
    bool attached, connected, eof, shut, closed, quit;
    uint32_t read_total;
    unsigned pauses_left, silences_left;
    uint64_t next_read, next_write;
};

struct sim_conn {
    struct ep ep;
    struct net *net;
    unsigned host;
    unsigned round;
    bool used; /* not CLOSED, or not read to its end yet */
    bool app;  /* the host's application owns it */
    struct watch w;
};

/* A router's word to a host that a packet was too big. */
struct icmp_event {
    uint64_t at;
    uint32_t seq, len, mtu; /* of the packet that it quotes: sequence number and length */
};

#define ICMP_MAX 32 /* on their way; more are not sent */

struct host {
    struct host_cfg cfg;
    struct xt_endpoint addr;
    struct ep listener;
    struct sim_conn conn; /* there is one pair of ports, so one connection at a time */
    struct app app;
    struct icmp_event icmp[ICMP_MAX]; /* in order of arrival */
    unsigned n_icmp;
    uint64_t down_until; /* after a crash */
};

struct net {
    struct params p;
    struct rng rng;
    uint64_t now;
    struct host host[2];
    struct link link[2]; /* link[h]: from host h */
    unsigned round;      /* the present one, from 0 */
    uint64_t start[2];   /* when the host connects; NEVER when it does not */
    unsigned steps, stuck;
    bool syn_may_repeat; /* SYNs that cross, or that meet TIME_WAIT, may have to be sent again on a clean link too */
    uint64_t crash;      /* when it happens; NEVER */
    uint64_t began;      /* when the run did */
    struct trace *trace; /* NULL: none */
    unsigned id;         /* of several runs that share a bottleneck */
    char failure[200];   /* empty: none */
    uint64_t segs_sent, bytes_moved, too_big, crashed;
    uint64_t lent, overfull;   /* as in struct ep, of all connections of the run */
    struct xt_tcp_stats stats; /* of all connections of the run */
};

/* params.c, params_net.c: what a seed means. */
void params_from_seed(struct params *p, uint64_t seed);
void params_net(struct params *p, struct rng *r);
/* params_print.c */
void params_print(const struct params *p);

/* net.c: one run. net_begin() makes it ready to start at `now`; while net_next() tells of a time, net_step() moves
 * the clock there and does what is due. net_end() frees what it holds; true when nothing failed: n->failure says
 * what did. */
void net_begin(struct net *n, const struct params *p, uint64_t now, struct trace *trace);
uint64_t net_next(struct net *n);
void net_step(struct net *n, uint64_t now);
bool net_end(struct net *n);

/* All of these for one seed. */
bool net_run(struct net *n, uint64_t seed, struct trace *trace);

/* Records the first failure. */
void net_fail(struct net *n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void net_log(struct net *n, unsigned host, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* host.c: a host's connection, from its begin on. host_after() comes after each call on it: events, invariants, its
 * end. */
void host_conn_begin(struct net *n, unsigned host);
void host_after(struct net *n, struct sim_conn *c);
uint32_t host_new_isn(const struct net *n, unsigned host);
/* Takes what has arrived, as one batch. */
void host_deliver(struct net *n, unsigned to);
void host_icmp(struct net *n, unsigned host);
void host_crash(struct net *n, unsigned host);

/* app.c: the application of a host. app_bytes is the byte at `off` of what host `from` sends in this round. */
uint8_t app_byte(const struct net *n, unsigned from, uint64_t off);
void app_attach(struct net *n, struct sim_conn *c);
void app_events(struct net *n, struct sim_conn *c, uint32_t events);
void app_run(struct net *n, unsigned host);
uint64_t app_next(const struct net *n, unsigned host);
bool app_lossy(const struct net *n);
struct sim_conn *app_conn(struct net *n, unsigned host);

/* watch.c: checks on what is sent and delivered. */
void watch_begin(struct sim_conn *c);
void watch_end(struct sim_conn *c);
void watch_sent(struct sim_conn *c, const struct xt_seg *s);
void watch_delivered(struct sim_conn *c, const struct xt_seg *s);

/* fastopen.c: RFC 7413. Before and after ep_connect(); after ep_accept(), whose output has to wait. */
bool sim_fo_on(const struct net *n);
void sim_fo_prepare(struct net *n, struct sim_conn *c);
void sim_fo_start(struct net *n, struct sim_conn *c);
void sim_fo_accept(struct net *n, struct sim_conn *c, struct ep *listener, const struct xt_seg *syn);

/* wire.c: segments to packets and back. wire_mss() is the MSS that `from` is told. */
uint16_t wire_mss(const struct net *n, unsigned from);
void wire_send(struct net *n, unsigned from, const struct ep *e, const struct xt_seg *s);
bool wire_parse(struct net *n, unsigned to, const struct packet *p, struct xt_seg *s);

#endif
