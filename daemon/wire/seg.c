/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/wire/seg.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "daemon/base/be.h"
#include "daemon/base/macros.h"

/* Option kinds and their lengths (RFC 9293 section 3.1, RFC 7323, RFC 2018). */
enum {
    KIND_END = 0,
    KIND_NOP = 1,
    KIND_MSS = 2,
    KIND_WSCALE = 3,
    KIND_SACK_OK = 4,
    KIND_SACK = 5,
    KIND_TS = 8,
    KIND_FO = 34
};
enum {
    LEN_MSS = 4,
    LEN_WSCALE = 3,
    LEN_SACK_OK = 2,
    LEN_TS = 10,
    LEN_SACK_HDR = 2,
    LEN_SACK_BLOCK = 8,
    LEN_FO_MIN = 6,
    LEN_FO_HDR = 2
};

/* nop, nop, timestamps: all the options that most segments have. */
#define TS_ALIGNED 0x0101080aU
#define TS_ALIGNED_LEN 12

static void take_ts(struct xt_tcp_opts *opt, const uint8_t *val)
{
    opt->present |= XT_OPT_TS;
    opt->tsval = xt_be32_load(val);
    opt->tsecr = xt_be32_load(val + 4);
}

static void take_sack(struct xt_tcp_opts *opt, const uint8_t *val, size_t len)
{
    opt->nsack = (uint8_t)(len / LEN_SACK_BLOCK);
    for (unsigned i = 0; i < opt->nsack; i++, val += LEN_SACK_BLOCK)
        opt->sack[i] = (struct xt_sack_block){.left = xt_be32_load(val), .right = xt_be32_load(val + 4)};
}

/* A cookie of an impossible length is ignored (RFC 7413 section 4.1.1). */
static void take_fast_open(struct xt_tcp_opts *opt, const uint8_t *val, size_t len)
{
    if (len != LEN_FO_HDR && (len < LEN_FO_MIN || len > LEN_FO_HDR + XT_FO_COOKIE_MAX || len % 2 != 0))
        return;
    opt->present |= XT_OPT_FO;
    opt->ncookie = (uint8_t)(len - LEN_FO_HDR);
    opt->cookie = opt->ncookie ? val : NULL;
}

/* One option of `len` bytes, kind and length included. A known one with another length than its own is skipped. */
static void take_option(struct xt_tcp_opts *opt, const uint8_t *p, size_t len)
{
    const uint8_t *val = p + 2;

    if (p[0] == KIND_MSS && len == LEN_MSS) {
        opt->present |= XT_OPT_MSS;
        opt->mss = xt_be16_load(val);
    } else if (p[0] == KIND_WSCALE && len == LEN_WSCALE) {
        opt->present |= XT_OPT_WSCALE;
        opt->wscale = val[0];
    } else if (p[0] == KIND_SACK_OK && len == LEN_SACK_OK) {
        opt->present |= XT_OPT_SACK_OK;
    } else if (p[0] == KIND_TS && len == LEN_TS) {
        take_ts(opt, val);
    } else if (p[0] == KIND_SACK && len > LEN_SACK_HDR && (len - LEN_SACK_HDR) % LEN_SACK_BLOCK == 0) {
        take_sack(opt, val, len - LEN_SACK_HDR);
    } else if (p[0] == KIND_FO) {
        take_fast_open(opt, val, len);
    }
}

static void parse_options(struct xt_tcp_opts *opt, const uint8_t *p, size_t len)
{
    if (len == TS_ALIGNED_LEN && xt_be32_load(p) == TS_ALIGNED) {
        take_ts(opt, p + 4);
        return;
    }
    while (len > 0 && p[0] != KIND_END) {
        size_t n = 1;

        if (p[0] != KIND_NOP) {
            /* MUST-7: no trust in a length that does not cover itself or leaves the header. */
            if (len < 2 || p[1] < 2 || p[1] > len)
                return;
            n = p[1];
            take_option(opt, p, n);
        }
        p += n;
        len -= n;
    }
}

int xt_seg_parse(const uint8_t *p, size_t len, struct xt_seg *seg)
{
    size_t hdr_len;

    if (len < XT_TCP_HDR_MIN || len > UINT32_MAX)
        return -EBADMSG;
    hdr_len = (size_t)(p[12] >> 4) * 4;
    if (hdr_len < XT_TCP_HDR_MIN || hdr_len > len)
        return -EBADMSG;
    *seg = (struct xt_seg){
        .sport = xt_be16_load(p),
        .dport = xt_be16_load(p + 2),
        .seq = xt_be32_load(p + 4),
        .ack = xt_be32_load(p + 8),
        .flags = p[13],
        .wnd = xt_be16_load(p + 14),
        .urp = xt_be16_load(p + 18),
        .payload = p + hdr_len,
        .len = (uint32_t)(len - hdr_len),
    };
    parse_options(&seg->opt, p + XT_TCP_HDR_MIN, hdr_len - XT_TCP_HDR_MIN);
    if (!(seg->flags & XT_TH_SYN))
        seg->opt.present &= (uint8_t)~XT_OPT_FO; /* it says nothing elsewhere (RFC 7413 section 4.1.1) */
    return 0;
}

static uint8_t *put_option(uint8_t *p, uint8_t kind, uint8_t len)
{
    p[0] = kind;
    p[1] = len;
    return p + 2;
}

static uint8_t *put_nops(uint8_t *p, size_t n)
{
    memset(p, KIND_NOP, n);
    return p + n;
}

/* The two bytes before the timestamps are no-operations, or SACK-permitted when it is to be sent. */
static uint8_t *put_sack_ok_and_ts(uint8_t *p, const struct xt_tcp_opts *opt)
{
    bool ts = (opt->present & XT_OPT_TS) != 0;
    bool sack_ok = (opt->present & XT_OPT_SACK_OK) != 0;

    if (ts != sack_ok)
        p = put_nops(p, 2);
    if (sack_ok)
        p = put_option(p, KIND_SACK_OK, LEN_SACK_OK);
    if (ts) {
        p = put_option(p, KIND_TS, LEN_TS);
        xt_be32_store(p, opt->tsval);
        xt_be32_store(p + 4, opt->tsecr);
        p += 8;
    }
    return p;
}

static uint8_t *put_fast_open(uint8_t *p, const struct xt_tcp_opts *opt)
{
    size_t len = LEN_FO_HDR + (size_t)opt->ncookie;

    p = put_option(p, KIND_FO, (uint8_t)len);
    if (opt->ncookie)
        memcpy(p, opt->cookie, opt->ncookie);
    return put_nops(p + opt->ncookie, (4 - len % 4) % 4);
}

static uint8_t *put_sack(uint8_t *p, const struct xt_tcp_opts *opt, size_t room)
{
    size_t n = room < 4 ? 0 : XT_MIN((room - 4) / LEN_SACK_BLOCK, (size_t)XT_MIN(opt->nsack, XT_SACK_MAX));

    if (n == 0)
        return p;
    p = put_nops(p, 2);
    p = put_option(p, KIND_SACK, (uint8_t)(LEN_SACK_HDR + n * LEN_SACK_BLOCK));
    for (size_t i = 0; i < n; i++, p += LEN_SACK_BLOCK) {
        xt_be32_store(p, opt->sack[i].left);
        xt_be32_store(p + 4, opt->sack[i].right);
    }
    return p;
}

/* Every option comes with the no-operations that make it a multiple of four bytes, so there is never padding at the end
 * (MUST-69 asks for zeros there). All but the SACK blocks always fit. */
static uint8_t *put_options(uint8_t *p, const struct xt_tcp_opts *opt)
{
    const uint8_t *end = p + (XT_TCP_HDR_MAX - XT_TCP_HDR_MIN);

    if (opt->present & XT_OPT_MSS) {
        p = put_option(p, KIND_MSS, LEN_MSS);
        xt_be16_store(p, opt->mss);
        p += 2;
    }
    p = put_sack_ok_and_ts(p, opt);
    if (opt->present & XT_OPT_WSCALE) {
        p = put_nops(p, 1);
        p = put_option(p, KIND_WSCALE, LEN_WSCALE);
        *p++ = opt->wscale;
    }
    if (opt->present & XT_OPT_FO)
        p = put_fast_open(p, opt);
    return put_sack(p, opt, (size_t)(end - p));
}

size_t xt_seg_emit(uint8_t *p, const struct xt_seg *seg)
{
    size_t hdr_len = (size_t)(put_options(p + XT_TCP_HDR_MIN, &seg->opt) - p);

    xt_be16_store(p, seg->sport);
    xt_be16_store(p + 2, seg->dport);
    xt_be32_store(p + 4, seg->seq);
    xt_be32_store(p + 8, seg->ack);
    p[12] = (uint8_t)(hdr_len / 4 << 4);
    p[13] = seg->flags;
    xt_be16_store(p + 14, seg->wnd);
    xt_be16_store(p + 16, 0);
    xt_be16_store(p + 18, seg->urp);
    return hdr_len;
}
