/* SPDX-License-Identifier: Apache-2.0
 * What of the options other files must know. */
#ifndef XTCP_OPTS_H
#define XTCP_OPTS_H

#include <stdbool.h>
#include <sys/socket.h>

#include "proto/xt_shm.h"

struct xtcp;

/* Bits of slot.misc. */
enum {
    MISC_REUSEPORT = 0x1,
    MISC_FREEBIND = 0x2,
    MISC_TRANSPARENT = 0x4,
    MISC_NO_PORT = 0x8,
    MISC_BROADCAST = 0x10,
    MISC_INQ = 0x20,
    /* 0x40 and 0x80: fastopen.h */
    MISC_RECVTOS = 0x100,
    MISC_RECVTTL = 0x200,
    MISC_PKTINFO = 0x400,
    MISC_RECVERR = 0x800,
    MISC_DONTROUTE = 0x1000,
    MISC_DEBUG = 0x2000, /* from here on: hints.c */
    MISC_NO_CHECK = 0x4000,
    MISC_RXQ_OVFL = 0x8000,
    MISC_WIFI_STATUS = 0x10000,
    MISC_NOFCS = 0x20000,
    MISC_ERR_QUEUE = 0x40000,
    MISC_PREFER_BUSY_POLL = 0x80000,
    MISC_NO_TXREHASH = 0x100000,
    MISC_THIN_LINEAR = 0x200000,
    MISC_RECVOPTS = 0x400000,
    MISC_RETOPTS = 0x800000,
    MISC_RECVORIGDSTADDR = 0x1000000,
    MISC_PASSSEC = 0x2000000,
    MISC_CHECKSUM = 0x4000000,
    MISC_NO_MULTICAST_LOOP = 0x8000000,
};

/* Bits of slot.more, beside XT_MORE_RARE. */
enum {
    MORE_ZEROCOPY = 0x2,
    MORE_STAMP = 0x4,      /* SO_TIMESTAMP, in one of its forms: */
    MORE_STAMP_NS = 0x8,   /* SO_TIMESTAMPNS */
    MORE_STAMP_NEW = 0x10, /* SO_TIMESTAMP_NEW, SO_TIMESTAMPNS_NEW */
    MORE_DEVICE = 0x20,    /* SO_BINDTODEVICE: the interface that xtcp has */
    MORE_REUSEADDR = 0x40,
    MORE_KEEPALIVE = 0x80,
    MORE_OOBINLINE = 0x100,
    MORE_NODELAY = 0x200,
    MORE_CORK = 0x400,
    MORE_NO_QUICKACK = 0x800,
};

/* What a bind asks of others at its port, as XT_OP_BIND has it. */
static inline uint32_t xtcp_port_claim(const struct xt_slot *sl)
{
    return (sl->more & MORE_REUSEADDR ? 1u : 0u) | (sl->misc & MISC_REUSEPORT ? 2u : 0u);
}

/* ---- opts.c ---- */

/* An option's value as it is kept. 0 means "never set", so values are kept plus one; UINT32_MAX is -1. */
uint32_t xtcp_opt_kept(const struct xtcp *x, const struct xt_slot *sl, uint32_t opt);
void xtcp_opt_keep(struct xtcp *x, struct xt_slot *sl, uint32_t opt, uint32_t kept);
int xtcp_opt_tell(struct xtcp *x, int s, uint32_t opt, int64_t value);
/* What getsockopt() answers, cut to the room there is. 0. */
int xtcp_opt_give(void *val, socklen_t *len, const void *from, size_t n);
int xtcp_opt_give_int(void *val, socklen_t *len, int v);

/* ---- opts_socket.c, opts_proto.c: those that are more than a number. Setting: false: it is none of them; else *rc is the answer.
 * Getting: -ENOPROTOOPT: none of them. ---- */

bool xtcp_socket_setopt(struct xtcp *x, int s, struct xt_slot *sl, int name, const void *val, socklen_t len, int *rc);
int xtcp_socket_getopt(struct xtcp *x, struct xt_slot *sl, int name, void *val, socklen_t *len);
bool xtcp_proto_setopt(struct xtcp *x, int s, struct xt_slot *sl, int level, int name, const void *val, socklen_t len,
                       int *rc);
int xtcp_proto_getopt(struct xtcp *x, int s, struct xt_slot *sl, int level, int name, void *val, socklen_t *len);

/* ---- stamp.c: SO_TIMESTAMP and its kin. false: it is none of them. ---- */

bool xtcp_stamp_setopt(struct xt_slot *sl, int name, int v);
int xtcp_stamp_getopt(const struct xt_slot *sl, int name); /* 0, 1 or -ENOPROTOOPT */

/* ---- hints.c ---- */

/* Options without an effect here. False: it is none of them; else *rc is the answer. */
bool xtcp_hint_set(struct xtcp *x, struct xt_slot *sl, int level, int name, int v, int *rc);
bool xtcp_hint_get(const struct xtcp *x, const struct xt_slot *sl, int level, int name, int *v, int *rc);

#endif
