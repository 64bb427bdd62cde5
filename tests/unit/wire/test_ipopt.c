/* SPDX-License-Identifier: Apache-2.0
 * IP options: what an application may send, how it leaves, and the way back of a source-routed packet. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "daemon/wire/ipopt.h"

#define A 10, 0, 0, 1
#define B 10, 0, 0, 2
#define C 10, 0, 0, 3
#define D 10, 0, 0, 4
#define BYTES(...) ((const uint8_t[]){__VA_ARGS__}), sizeof((const uint8_t[]){__VA_ARGS__})

static uint32_t addr(unsigned a, unsigned b, unsigned c, unsigned d)
{
    uint8_t o[4] = {(uint8_t)a, (uint8_t)b, (uint8_t)c, (uint8_t)d};
    uint32_t v;
    memcpy(&v, o, 4);
    return v;
}
#define ADDR(x) addr(x)

static int check(const uint8_t *p, size_t len)
{
    struct xt_ipopt o;
    return xt_ipopt_read(&o, p, len, false);
}

Test(ipopt, padded_and_ended_with_zeros)
{
    struct xt_ipopt o;
    cr_assert_eq(xt_ipopt_read(&o, BYTES(1, 1, 0, 9, 9), false), 0);
    cr_assert_eq(o.len, 8);
    cr_assert_arr_eq(o.data, BYTES(1, 1, 0, 0, 0, 0, 0, 0));
    cr_assert_eq(xt_ipopt_read(&o, NULL, 0, false), 0);
    cr_assert_eq(o.len, 0);
    cr_assert_eq(xt_ipopt_first_hop(&o, ADDR(D)), ADDR(D));
    cr_assert_eq(xt_ipopt_first_hop(NULL, ADDR(D)), ADDR(D));
}

Test(ipopt, malformed_ones_are_refused)
{
    static const uint8_t nops[44] = {[0 ... 43] = 1};
    cr_expect_eq(check(nops, 40), 0);
    cr_expect_eq(check(nops, 41), -EINVAL, "too long");
    cr_expect_eq(check(BYTES(131)), -EINVAL, "no length");
    cr_expect_eq(check(BYTES(131, 1, 4, 0)), -EINVAL, "less than its head");
    cr_expect_eq(check(BYTES(131, 11, 4, B)), -EINVAL, "longer than the list");
    cr_expect_eq(check(BYTES(131, 3, 4, 0)), -EINVAL, "a route without a hop");
    cr_expect_eq(check(BYTES(131, 8, 4, B, 0)), -EINVAL, "a piece of a hop");
    cr_expect_eq(check(BYTES(131, 7, 8, B)), -EINVAL, "a hop behind us");
    cr_expect_eq(check(BYTES(131, 7, 4, B, 137, 7, 4, C)), -EINVAL, "two routes");
    cr_expect_eq(check(BYTES(7, 7, 4, A, 7, 7, 4, A)), -EINVAL, "recorded twice");
    cr_expect_eq(check(BYTES(7, 7, 3, A)), -EINVAL, "record into its own head");
    cr_expect_eq(check(BYTES(7, 7, 6, A)), -EINVAL, "record beyond its end");
    cr_expect_eq(check(BYTES(68, 8, 4, 0, A)), -EINVAL, "stamp into its own head");
    cr_expect_eq(check(BYTES(68, 8, 5, 1, A)), -EINVAL, "no room for address and time");
    cr_expect_eq(check(BYTES(68, 8, 9, 0xf0, A)), -EINVAL, "overflow counter is full");
    cr_expect_eq(check(BYTES(68, 8, 5, 2, A)), -EINVAL, "no such kind of stamp");
    cr_expect_eq(check(BYTES(148, 3, 0)), -EINVAL, "router alert without a value");
    cr_expect_eq(check(BYTES(148, 4, 0, 0)), 0);
}

Test(ipopt, others_need_privilege)
{
    struct xt_ipopt o;
    cr_expect_eq(xt_ipopt_read(&o, BYTES(0x9e, 4, 1, 2), false), -EINVAL);
    cr_expect_eq(xt_ipopt_read(&o, BYTES(0x9e, 4, 1, 2), true), 0);
    cr_expect_eq(xt_ipopt_read(&o, BYTES(131, 3, 4, 0), true), -EINVAL, "no right to nonsense");
}

/* RFC 791: the destination field has the first hop, the list the rest and the destination. */
Test(ipopt, route_leaves)
{
    struct xt_ipopt o;
    uint8_t out[12];
    cr_assert_eq(xt_ipopt_read(&o, BYTES(1, 131, 11, 4, B, C), false), 0);
    cr_assert_eq(xt_ipopt_first_hop(&o, ADDR(D)), ADDR(B));
    cr_assert_not(xt_ipopt_is_strict(&o));
    xt_ipopt_emit(out, &o, ADDR(A), ADDR(D), 0);
    cr_assert_arr_eq(out, BYTES(1, 131, 11, 4, C, D));
    cr_assert_eq(xt_ipopt_read(&o, BYTES(137, 7, 4, B), false), 0);
    cr_assert(xt_ipopt_is_strict(&o));
}

/* Req MAY-11: a route that is recorded begins with us; a full one stays as it is. */
Test(ipopt, record_route_leaves)
{
    struct xt_ipopt o;
    uint8_t out[12];
    cr_assert_eq(xt_ipopt_read(&o, BYTES(7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0), false), 0);
    xt_ipopt_emit(out, &o, ADDR(A), ADDR(D), 0);
    cr_assert_arr_eq(out, BYTES(7, 11, 8, A, 0, 0, 0, 0, 0));
    cr_assert_eq(xt_ipopt_read(&o, BYTES(7, 7, 8, B, 0), false), 0);
    xt_ipopt_emit(out, &o, ADDR(A), ADDR(D), 0);
    cr_assert_arr_eq(out, BYTES(7, 7, 8, B, 0));
}

/* Req MAY-10: a time stamp option carries our time, as one of another clock; with our address where that is asked for. */
Test(ipopt, time_stamp_leaves)
{
    struct xt_ipopt o;
    uint8_t out[12];
    cr_assert_eq(xt_ipopt_read(&o, BYTES(68, 8, 5, 0, 0, 0, 0, 0), false), 0);
    xt_ipopt_emit(out, &o, ADDR(A), ADDR(D), 0x010203);
    cr_assert_arr_eq(out, BYTES(68, 8, 9, 0, 0x80, 1, 2, 3));
    cr_assert_eq(xt_ipopt_read(&o, BYTES(68, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0), false), 0);
    xt_ipopt_emit(out, &o, ADDR(A), ADDR(D), 5);
    cr_assert_arr_eq(out, BYTES(68, 12, 13, 1, A, 0x80, 0, 0, 5));
    cr_assert_eq(xt_ipopt_read(&o, BYTES(68, 12, 5, 3, A, 0, 0, 0, 0), false), 0);
    xt_ipopt_emit(out, &o, ADDR(A), ADDR(D), 5);
    cr_assert_arr_eq(out, BYTES(68, 12, 13, 3, A, 0x80, 0, 0, 5));
    cr_assert_eq(xt_ipopt_read(&o, BYTES(68, 12, 5, 3, B, 0, 0, 0, 0), false), 0);
    xt_ipopt_emit(out, &o, ADDR(A), ADDR(D), 5);
    cr_assert_arr_eq(out, BYTES(68, 12, 5, 3, B, 0, 0, 0, 0), "asked of another");
}

/* A header from A to D with these options behind it. */
static size_t header(uint8_t *h, const uint8_t *opt, size_t n)
{
    memset(h, 0, 60);
    memcpy(h + 12, (const uint8_t[]){A, D}, 8);
    memcpy(h + 20, opt, n);
    return 20 + (n + 3) / 4 * 4;
}

Test(ipopt, way_back)
{
    struct xt_ipopt back;
    uint8_t h[60];
    cr_assert_eq(xt_ipopt_route_back(&back, h, header(h, BYTES(131, 11, 12, B, C))), XT_ROUTE_DONE);
    cr_assert_eq(back.len, 12);
    cr_assert_arr_eq(back.data, BYTES(131, 11, 4, C, B, 0));
    cr_assert_eq(xt_ipopt_first_hop(&back, ADDR(A)), ADDR(C));
    cr_assert_eq(xt_ipopt_route_back(&back, h, header(h, BYTES(1, 137, 11, 12, A, B))), XT_ROUTE_DONE);
    cr_assert_arr_eq(back.data, BYTES(137, 7, 4, B, 0), "the source is no hop of its own");
    cr_assert_eq(xt_ipopt_route_back(&back, h, header(h, BYTES(131, 7, 8, A))), XT_ROUTE_DONE);
    cr_assert_eq(back.len, 0, "the direct way");
    cr_assert_eq(xt_ipopt_route_back(&back, h, header(h, BYTES(131, 3, 4))), XT_ROUTE_DONE);
    cr_assert_eq(back.len, 0);
    cr_assert_eq(xt_ipopt_route_back(&back, h, header(h, BYTES(131, 39, 40, A, B, C, B, C, B, C, B, C))),
                 XT_ROUTE_DONE);
    cr_assert_eq(back.len, 36);
    cr_assert_eq(back.data[1], 35);
}

Test(ipopt, not_done_or_no_route)
{
    struct xt_ipopt back;
    uint8_t h[60];
    size_t n = header(h, BYTES(131, 11, 8, B, C));
    cr_assert_eq(xt_ipopt_route_back(&back, h, n), XT_ROUTE_PASSING);
    cr_assert_eq(xt_ipopt_final_dst(h, n), ADDR(C));
    n = header(h, BYTES(131, 11, 12, B, C));
    cr_assert_eq(xt_ipopt_final_dst(h, n), ADDR(D));
    cr_assert_eq(xt_ipopt_route_back(&back, h, header(h, BYTES(7, 7, 8, B))), XT_ROUTE_NONE);
    cr_assert_eq(xt_ipopt_route_back(&back, h, header(h, BYTES(0, 131, 7, 8, B))), XT_ROUTE_NONE, "after the end");
    cr_assert_eq(xt_ipopt_route_back(&back, h, header(h, BYTES(5, 40, 131, 7, 8, B))), XT_ROUTE_NONE, "malformed");
    cr_assert_eq(xt_ipopt_route_back(&back, h, header(h, BYTES(131, 7, 2, B))), XT_ROUTE_NONE, "malformed");
    cr_assert_eq(xt_ipopt_route_back(&back, h, 20), XT_ROUTE_NONE);
}
