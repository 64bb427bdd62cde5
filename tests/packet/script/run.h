/* SPDX-License-Identifier: Apache-2.0
 * Runs a script against a backend: the core in virtual time, the daemon, or the kernel's TCP. */
#ifndef PKT_RUN_H
#define PKT_RUN_H

#include "tests/packet/script/script.h"

struct pkt_run;

/* A segment that the stack sent: header and payload. */
struct pkt_sent {
    uint64_t at; /* microseconds since the start of the script */
    size_t len;
    uint8_t ecn; /* the IP header's bits */
    uint8_t bytes[PKT_SEG_MAX];
};

/* Times are microseconds since the start of the script. Calls return what the socket call would, errors as negative errno. */
struct pkt_backend {
    const char *name;
    bool sockets; /* it has a socket layer; without one, assertions about it are not for it */
    /* Once, before all scripts; NULL: nothing to do. False: it can't be done here, the reason was printed. */
    bool (*prepare)(void);
    bool (*start)(struct pkt_run *r);
    void (*stop)(struct pkt_run *r);
    /* Goes on to `at`. */
    void (*advance)(struct pkt_run *r, uint64_t at);
    /* The next segment that the stack sends, at the latest at `until`. */
    bool (*next)(struct pkt_run *r, struct pkt_sent *out, uint64_t until);
    /* Whatever the stack had to say to all that came so far has been said when this returns. */
    void (*settle)(struct pkt_run *r);
    void (*inject)(struct pkt_run *r, const uint8_t *p, size_t len, uint8_t ecn);
    /* An ICMP error of `type` and `code` about a segment with sequence number `seq` of ours. */
    void (*icmp)(struct pkt_run *r, uint8_t type, uint8_t code, uint32_t mtu, uint32_t seq);
    /* The event's args; `want` is what the script expects, so that a backend in real time knows whether to wait. */
    long (*call)(struct pkt_run *r, const struct pkt_event *e, const struct pkt_range *want);
    /* Name of the state; NULL when the backend can't tell. */
    const char *(*state)(struct pkt_run *r, const char *want);
    /* A figure of struct xt_tcp_info; false when the backend can't tell, or there is no such figure. */
    bool (*info)(struct pkt_run *r, const char *name, uint32_t *value);
    /* Why a script is not for it, NULL when it is; as a function pointer NULL: all are. */
    const char *(*unfit)(const struct pkt_script *s);
    uint64_t early, late;   /* tolerance of times, microseconds */
    uint32_t late_permille; /* and of the time itself: rounding in a first measurement doubles with each back-off */
};

extern const struct pkt_backend pkt_core, pkt_daemon, pkt_kernel;

struct pkt_run {
    const struct pkt_script *s;
    const struct pkt_backend *be;
    void *impl; /* the backend's */
    struct pkt_base base;
    uint64_t t;            /* script time of the last event */
    uint64_t wrote, nread; /* bytes that calls have moved, for their content */
    struct pkt_sent sent;
    bool failed;
    char why[400];
};

/* Runs it. On failure prints the line of the script, what was expected, and what came. */
bool pkt_run(const struct pkt_script *s, const struct pkt_backend *be, uint32_t own_isn, uint32_t peer_isn);

/* Is a result what the script wants? */
bool pkt_result_ok(const struct pkt_range *want, long got);

#endif
