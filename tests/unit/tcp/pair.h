/* SPDX-License-Identifier: Apache-2.0
 * Two cores back to back with virtual time, and one core that a test talks to segment by segment. */
#ifndef PAIR_H
#define PAIR_H

#include "daemon/tcp/board.h"
#include "daemon/tcp/seldom.h"
#include "daemon/tcp/tcp.h"

#define RING 65536u
#define WIRE_MAX 1024

struct end {
    struct xt_conn c;
    struct xt_seldom seldom;
    struct xt_board board; /* lent for good */
    uint8_t rx[RING], tx[RING];
    struct xt_tcp_cfg cfg;
    struct xt_tcp_stats stats;
    uint32_t ev;        /* events so far */
    unsigned sent;      /* segments so far */
    struct xt_seg last; /* the last of them */
    enum xt_state path[16];
    unsigned npath; /* states entered */
};

struct packet {
    uint64_t due;
    int to;
    struct xt_seg seg;
    uint8_t *data;
};

struct pair {
    struct end e[2];
    uint64_t now, delay;
    struct packet wire[WIRE_MAX];
    unsigned nwire;
    /* Asked for each segment that end `from` sends; true: it is lost. */
    bool (*drop)(struct pair *p, int from, const struct xt_seg *seg);
    unsigned count; /* for the drop function's use */
};

/* Two CLOSED ends with default configuration, rings, a clock at 1 s and 1 ms of delay each way. */
struct pair *pair_new(void);
void pair_free(struct pair *p);

struct xt_tcp_ctx pair_ctx(struct pair *p, int end);

/* Takes all output of an end to the wire. */
void pair_flush(struct pair *p, int end);

/* Runs until nothing is on the wire; timers do not fire. */
void pair_settle(struct pair *p);

/* Runs, timers included, until `until` (absolute microseconds). */
void pair_run(struct pair *p, uint64_t until);

/* Opens: end 0 connects, end 1 accepts, both reach ESTABLISHED. */
void pair_open(struct pair *p);

/* The passive side's child is made from this SYN by deliver when end 1 is CLOSED. */
void pair_write(struct pair *p, int end, uint32_t n, bool urgent);
/* Consumes all that is readable; checks that it is the pattern; returns its length. */
uint32_t pair_read(struct pair *p, int end);

uint32_t pair_call(struct pair *p, int end, uint32_t (*fn)(struct xt_conn *, const struct xt_tcp_ctx *));

/* --- one core and a script --- */

/* End 1 ESTABLISHED with a scripted peer of the given options (XT_OPT_*): peer ISS 1000, our ISS 5000. */
void script_establish(struct pair *p, uint8_t opts);
/* A segment from the scripted peer to end 1; its reset answer, if any, is in p->e[1].last and counted in `sent`.
 * `seq` and `ack` are relative: 0 is the first byte of data. Returns the events. */
uint32_t script_in(struct pair *p, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len);
uint32_t script_seg(struct pair *p, struct xt_seg *seg);
struct xt_seg script_make(struct pair *p, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len);
/* The next segment from end 1; false when there is none. */
bool script_out(struct pair *p, struct xt_seg *seg);

uint8_t pattern(uint64_t off, int end);

#endif
