/* SPDX-License-Identifier: Apache-2.0
 * A TCP segment in host byte order: what parsing yields and emitting takes (RFC 9293 section 3.1). */
#ifndef XT_WIRE_SEG_H
#define XT_WIRE_SEG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    XT_TH_FIN = 0x01,
    XT_TH_SYN = 0x02,
    XT_TH_RST = 0x04,
    XT_TH_PSH = 0x08,
    XT_TH_ACK = 0x10,
    XT_TH_URG = 0x20,
    XT_TH_ECE = 0x40,
    XT_TH_CWR = 0x80,
};

/* Which members of struct xt_tcp_opts are valid. */
enum {
    XT_OPT_MSS = 0x01,
    XT_OPT_WSCALE = 0x02,  /* RFC 7323 section 2 */
    XT_OPT_SACK_OK = 0x04, /* RFC 2018 section 2 */
    XT_OPT_TS = 0x08,      /* RFC 7323 section 3 */
    XT_OPT_FO = 0x10,      /* Fast Open, RFC 7413 section 4.1.1; only with SYN */
};

#define XT_FO_COOKIE_MAX 16 /* bytes of a Fast Open cookie; at least 4, and an even number */
#define XT_SACK_MAX 4       /* SACK blocks that fit a header (RFC 2018 section 3) */
#define XT_TCP_HDR_MIN 20   /* bytes, without options */
#define XT_TCP_HDR_MAX 60   /* bytes, with 40 of options */

struct xt_sack_block {
    uint32_t left, right; /* [left, right) */
};

struct xt_tcp_opts {
    uint8_t present; /* XT_OPT_* */
    uint8_t wscale;  /* shift as received, not clamped */
    uint8_t nsack;   /* valid entries of sack[] */
    uint8_t ncookie; /* bytes of the Fast Open cookie; 0: one is asked for */
    uint16_t mss;
    uint32_t tsval, tsecr;
    const uint8_t *cookie; /* input: into the frame; output: borrowed from the connection */
    struct xt_sack_block sack[XT_SACK_MAX];
};

struct xt_seg {
    uint16_t sport, dport;
    uint32_t seq, ack;
    uint16_t wnd; /* as on the wire, not scaled */
    uint16_t urp; /* urgent pointer, valid with XT_TH_URG */
    uint8_t flags;
    uint8_t ecn; /* the two ECN bits of the IP header */
    uint8_t ttl; /* input: of the IP header */
    struct xt_tcp_opts opt;
    const uint8_t *payload; /* input: into the frame; output: NULL (see tx_off) */
    const uint8_t *more;    /* input, of a payload in two pieces: the second, after `part` bytes of the first */
    uint32_t part;          /* 0: it is in one */
    uint32_t len;           /* payload bytes; more than an MSS for coalesced or to-be-segmented segments */
    bool may_fragment;      /* output: routers may cut it up */
    uint16_t gso_size;      /* 0, or the bytes for each on-wire segment of a super-segment */
    uint64_t tx_off;        /* output: stream offset of the first payload byte in the send ring */
};

/* Bytes of sequence space that the segment occupies (SEG.LEN of RFC 9293: payload, SYN and FIN). */
static inline uint32_t xt_seg_seqlen(const struct xt_seg *s)
{
    return s->len + ((s->flags & XT_TH_SYN) != 0) + ((s->flags & XT_TH_FIN) != 0);
}

/* Parses the TCP header and options at `p` (`len` bytes, header and payload), without verifying the checksum.
 * Unknown options, and known ones of a length that is not theirs, are skipped (MUST-6); a length that is less than 2 or leaves
 * the header ends option parsing with what was found so far (MUST-7). Of an option given twice the last counts. Members
 * that the segment does not have are 0, `ecn`, `ttl`, `gso_size` and `tx_off` too: the caller sets them.
 * Returns 0; -EBADMSG when the header is truncated or its data offset is out of bounds.
 * `seg->payload` points into `p`. */
int xt_seg_parse(const uint8_t *p, size_t len, struct xt_seg *seg);

/* Writes the header and options of `seg` to `p` (at least XT_TCP_HDR_MAX bytes) with a zero checksum, options in the
 * order Linux sends them. Returns the header's length in bytes, a multiple of 4. Never fails: options that do not fit
 * (SACK blocks) are left out from the end. */
size_t xt_seg_emit(uint8_t *p, const struct xt_seg *seg);

#endif
