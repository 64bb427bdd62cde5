/* SPDX-License-Identifier: Apache-2.0
 * TCP options against a parser that does one option at a time, in the words of RFC 9293 section 3.1, and emitting against
 * what fits: an input is the option bytes of a header, or, when its first byte is odd, the options to emit. */
#include <stdbool.h>
#include <string.h>

#include "daemon/base/be.h"
#include "daemon/wire/seg.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/input.h"

#define ROOM (XT_TCP_HDR_MAX - XT_TCP_HDR_MIN)

/* The value of the last option of `kind` that is `len` bytes long, or, where `len` is 0, of a list of SACK blocks; NULL:
 * there is none. `*got` becomes its length. */
static const uint8_t *last_of(const uint8_t *opts, size_t n, uint8_t kind, uint8_t len, uint8_t *got)
{
    const uint8_t *found = NULL;
    size_t at = 0;
    while (at < n && opts[at] != 0) {
        if (opts[at] == 1) {
            at++;
            continue;
        }
        if (at + 1 == n || opts[at + 1] < 2 || at + opts[at + 1] > n)
            break;
        uint8_t l = opts[at + 1];
        if (opts[at] == kind && (len ? l == len : l > 2 && (l - 2) % 8 == 0)) {
            found = opts + at + 2;
            *got = l;
        }
        at += l;
    }
    return found;
}

static void same_as_reference(const struct xt_tcp_opts *o, const uint8_t *opts, size_t n)
{
    uint8_t len = 2;
    const uint8_t *v = last_of(opts, n, 2, 4, &len);
    FUZZ_CHECK(!(o->present & XT_OPT_MSS) == !v && o->mss == (v ? xt_be16_load(v) : 0));
    v = last_of(opts, n, 3, 3, &len);
    FUZZ_CHECK(!(o->present & XT_OPT_WSCALE) == !v && o->wscale == (v ? *v : 0));
    v = last_of(opts, n, 4, 2, &len);
    FUZZ_CHECK(!(o->present & XT_OPT_SACK_OK) == !v);
    v = last_of(opts, n, 8, 10, &len);
    FUZZ_CHECK(!(o->present & XT_OPT_TS) == !v);
    FUZZ_CHECK(o->tsval == (v ? xt_be32_load(v) : 0) && o->tsecr == (v ? xt_be32_load(v + 4) : 0));
    v = last_of(opts, n, 5, 0, &len);
    FUZZ_CHECK(o->nsack == (v ? (len - 2) / 8 : 0));
    for (int i = 0; i < o->nsack; i++) {
        FUZZ_CHECK(o->sack[i].left == xt_be32_load(v + i * 8));
        FUZZ_CHECK(o->sack[i].right == xt_be32_load(v + i * 8 + 4));
    }
}

static void parse(const uint8_t *data, size_t size)
{
    uint8_t hdr[XT_TCP_HDR_MAX] = {0};
    size_t n = size < ROOM ? size / 4 * 4 : ROOM;
    struct xt_seg seg;
    if (n > 0)
        memcpy(hdr + XT_TCP_HDR_MIN, data, n);
    hdr[12] = (uint8_t)((XT_TCP_HDR_MIN + n) / 4 << 4);
    FUZZ_CHECK(xt_seg_parse(hdr, XT_TCP_HDR_MIN + n, &seg) == 0);
    same_as_reference(&seg.opt, hdr + XT_TCP_HDR_MIN, n);
}

/* Bytes that the options take, each with its no-operations (Linux's order needs no more). */
static size_t space(const struct xt_tcp_opts *o)
{
    bool ts = o->present & XT_OPT_TS, sack_ok = o->present & XT_OPT_SACK_OK;
    return (o->present & XT_OPT_MSS ? 4 : 0) + (ts ? 12 : sack_ok ? 4 : 0) + (o->present & XT_OPT_WSCALE ? 4 : 0);
}

/* All that is emitted is found again, and no SACK block is left out for which there is room. */
static void emit(struct input *in)
{
    uint8_t hdr[XT_TCP_HDR_MAX];
    struct xt_seg seg = {.flags = XT_TH_ACK}, back;
    struct xt_tcp_opts *o = &seg.opt;
    o->present = in_u8(in) & 15;
    o->mss = o->present & XT_OPT_MSS ? in_u16(in) : 0;
    o->wscale = o->present & XT_OPT_WSCALE ? in_u8(in) : 0;
    o->tsval = o->present & XT_OPT_TS ? in_u32(in) : 0;
    o->tsecr = o->present & XT_OPT_TS ? in_u32(in) : 0;
    o->nsack = in_u8(in) % (XT_SACK_MAX + 1);
    for (int i = 0; i < o->nsack; i++)
        o->sack[i] = (struct xt_sack_block){.left = in_u32(in), .right = in_u32(in)};
    size_t len = xt_seg_emit(hdr, &seg), left = ROOM - space(o), blocks = left < 12 ? 0 : (left - 4) / 8;
    blocks = blocks < o->nsack ? blocks : o->nsack;
    FUZZ_CHECK(len == XT_TCP_HDR_MIN + space(o) + (blocks ? 4 + 8 * blocks : 0));
    FUZZ_CHECK(xt_seg_parse(hdr, len, &back) == 0 && back.len == 0);
    FUZZ_CHECK(back.opt.present == o->present && back.opt.mss == o->mss && back.opt.wscale == o->wscale);
    FUZZ_CHECK(back.opt.tsval == o->tsval && back.opt.tsecr == o->tsecr && back.opt.nsack == blocks);
    FUZZ_CHECK(memcmp(back.opt.sack, o->sack, blocks * sizeof o->sack[0]) == 0);
    same_as_reference(&back.opt, hdr + XT_TCP_HDR_MIN, len - XT_TCP_HDR_MIN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    if (in_u8(&in) & 1)
        emit(&in);
    else
        parse(in.p, in.left);
    return 0;
}
