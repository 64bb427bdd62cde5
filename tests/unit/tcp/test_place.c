/* SPDX-License-Identifier: Apache-2.0
 * Payload that is put into the receive ring before the segment is looked at: only where nothing can be harmed by it. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/tcp/pair.h"

#define ALL (XT_OPT_MSS | XT_OPT_SACK_OK | XT_OPT_TS)

static struct pair *p;

static void setup(void)
{
    p = pair_new();
    script_establish(p, ALL);
}

static void teardown(void)
{
    pair_free(p);
}

TestSuite(place, .init = setup, .fini = teardown);

static uint8_t *placed(struct xt_seg *seg)
{
    return xt_tcp_place(&p->e[1].c, p->e[1].rx, seg);
}

/* Puts the payload where it belongs, as a device would, and lets the core take it from there. */
static void take(uint32_t seq, uint32_t len)
{
    struct xt_seg seg = script_make(p, XT_TH_ACK, seq, 0, len);
    uint8_t *at = placed(&seg);
    cr_assert_eq(at, p->e[1].rx + (p->e[1].c.rx_head & (RING - 1)));
    memcpy(at, seg.payload, len);
    seg.payload = at;
    cr_assert(script_seg(p, &seg) & XT_EV_READABLE);
}

Test(place, the_next_in_order_lies_there_already)
{
    take(0, 1000);
    take(1000, 4000);
    cr_assert_eq(p->e[1].c.rx_head, 5000);
    cr_assert_eq(pair_read(p, 1), 5000);
}

Test(place, a_placed_segment_that_is_dropped_leaves_no_trace)
{
    struct xt_seg seg = script_make(p, XT_TH_ACK, 0, 100000, 500);
    uint8_t *at = placed(&seg);
    memset(at, 0xee, 500);
    seg.payload = at;
    script_seg(p, &seg);
    cr_assert_eq(p->e[1].c.rx_head, 0, "it acknowledges what was never sent");
    take(0, 500);
    cr_assert_eq(pair_read(p, 1), 500);
}

Test(place, nothing_out_of_order_or_beside_what_came_out_of_order)
{
    struct xt_seg ahead = script_make(p, XT_TH_ACK, 1, 0, 100), behind, next;
    cr_assert_null(placed(&ahead));
    script_in(p, XT_TH_ACK, 0, 0, 100);
    behind = script_make(p, XT_TH_ACK, 99, 0, 100);
    cr_assert_null(placed(&behind));
    next = script_make(p, XT_TH_ACK, 100, 0, 100);
    cr_assert_not_null(placed(&next));
    script_in(p, XT_TH_ACK, 150, 0, 100);
    cr_assert_null(placed(&next), "it would lie over what came out of order, before anybody has looked at it");
}

Test(place, only_plain_text_of_an_open_connection)
{
    static const uint8_t more[] = {XT_TH_SYN, XT_TH_FIN, XT_TH_RST, XT_TH_URG};
    struct xt_seg seg = script_make(p, XT_TH_ACK | XT_TH_PSH, 0, 0, 100);
    cr_assert_not_null(placed(&seg));
    for (unsigned i = 0; i < sizeof more; i++) {
        seg.flags = XT_TH_ACK | more[i];
        cr_assert_null(placed(&seg), "flags %x", seg.flags);
    }
    seg.flags = 0;
    cr_assert_null(placed(&seg));
    seg.flags = XT_TH_ACK;
    cr_assert_null(xt_tcp_place(&p->e[1].c, NULL, &seg));
    pair_call(p, 1, xt_tcp_shutdown);
    cr_assert_null(placed(&seg));
}

Test(place, no_more_than_there_is_room_for_in_one_piece)
{
    take(0, 40000);
    struct xt_seg room = script_make(p, XT_TH_ACK, 40000, 0, RING - 40000), over = room;
    over.len++;
    cr_assert_not_null(placed(&room));
    cr_assert_null(placed(&over), "the ring has no room");
    cr_assert_eq(pair_read(p, 1), 40000);
    cr_assert_null(placed(&over), "it has, but not in one piece");
    cr_assert_not_null(placed(&room));
}
