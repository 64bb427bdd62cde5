/* SPDX-License-Identifier: Apache-2.0
 * Segments as scripts write them: text to template, template to bytes for the peer to send, and template against the bytes
 * that the stack sent. Sequence numbers are relative to each side's SYN, our time stamps to the first that was seen. */
#ifndef PKT_SEGTEXT_H
#define PKT_SEGTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PKT_OPTS 12
#define PKT_SEG_MAX 66000 /* TCP header and payload of a super-segment */

/* A value to be sent (lo) or expected: anything, or in [lo, hi]. */
struct pkt_range {
    bool any;
    uint32_t lo, hi;
};

enum pkt_opt_kind {
    PKT_OPT_NOP,
    PKT_OPT_EOL,
    PKT_OPT_MSS,
    PKT_OPT_WSCALE,
    PKT_OPT_SACKOK,
    PKT_OPT_SACK,
    PKT_OPT_TS,
    PKT_OPT_FO,
    PKT_OPT_RAW
};

/* Which Fast Open cookie: those bytes, any of eight, the last that the stack gave, or that with a wrong bit. */
enum pkt_cookie { PKT_COOKIE_BYTES, PKT_COOKIE_ANY, PKT_COOKIE_GOOD, PKT_COOKIE_BAD };

struct pkt_opt {
    enum pkt_opt_kind kind;
    struct pkt_range a, b; /* MSS or shift; of TS the value and the echo */
    uint32_t block[4][2];  /* SACK, relative to the SYN of whom it is about */
    uint8_t n, raw[40];    /* number of blocks or of raw bytes */
    enum pkt_cookie cookie;
};

struct pkt_tmpl {
    uint8_t flags; /* XT_TH_* */
    uint8_t ecn;   /* the IP header's bits */
    bool ecn_given, ack_given, win_given, urg_given;
    struct pkt_range seq, ack, win, urg;
    uint32_t len; /* of payload */
    uint32_t by;  /* not 0: it stands for segments of that many bytes each */
    bool opts_given;
    uint8_t nopts;
    struct pkt_opt opts[PKT_OPTS];
};

/* What relative numbers are relative to. */
struct pkt_base {
    uint32_t own_isn, peer_isn, own_ts;
    bool own_isn_known, own_ts_known;
    uint16_t own_port, peer_port;
    uint8_t cookie[8]; /* the last that our side gave */
    uint32_t ts_slack; /* ms by which our time stamps may differ from what the script says */
};

/* Parses a segment behind its '<' or '>'. Returns NULL or what is wrong with it. */
const char *pkt_tmpl_parse(char *text, struct pkt_tmpl *t);

/* The peer's segment: header and payload to `out` (PKT_SEG_MAX bytes), checksum zero. Returns the length. */
size_t pkt_tmpl_build(const struct pkt_tmpl *t, const struct pkt_base *b, uint8_t *out);

/* Compares what the stack sent. On a mismatch `why` names the first field that differs. The first SYN and the first time stamp
 * seen become the base. */
bool pkt_tmpl_match(const struct pkt_tmpl *t, struct pkt_base *b, const uint8_t *p, size_t len, char *why, size_t size);

/* Writes what the stack sent as a script would. */
void pkt_seg_print(const uint8_t *p, size_t len, const struct pkt_base *b, char *out, size_t size);

/* The byte at an offset of the peer's stream, and of our own. */
uint8_t pkt_peer_byte(uint64_t off);
uint8_t pkt_own_byte(uint64_t off);

#endif
