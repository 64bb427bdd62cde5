/* SPDX-License-Identifier: Apache-2.0
 * What xt-relay does to frames, in virtual time. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/relay/impair.h"

#define FRAMES 20000
#define LEN 100

struct out {
    uint32_t id;
    uint64_t at;
    bool damaged;
};

static struct out outs[3 * FRAMES];
static size_t nout;

static void put(struct impair *im, uint32_t id, uint64_t now, uint8_t ethertype_low)
{
    const struct virtio_net_hdr v = {0};
    uint8_t f[LEN] = {0};

    f[12] = 0x08;
    f[13] = ethertype_low;
    memcpy(f + 20, &id, sizeof id);
    memcpy(f + 60, &id, sizeof id);
    impair_in(im, &v, f, sizeof f, now);
}

/* Takes all that is due until `now`, each at its time. */
static void drain(struct impair *im, uint64_t now)
{
    while (impair_deadline(im) <= now) {
        const uint64_t at = impair_deadline(im);
        struct impair_frame *f = impair_out(im, at);
        struct out *o = &outs[nout++];

        cr_assert_not_null(f);
        memcpy(&o->id, f->data + 20, sizeof o->id);
        o->damaged = memcmp(f->data + 20, f->data + 60, sizeof o->id) != 0;
        for (size_t i = 14; i < f->len; i++)
            o->damaged |= f->data[i] != 0 && !(i >= 20 && i < 24) && !(i >= 60 && i < 64);
        o->at = at;
        free(f);
    }
}

/* A frame each 10 us. */
static struct impair_stats pass(const struct impair_cfg *cfg, uint8_t ethertype_low)
{
    struct impair_stats st;
    struct impair im;

    nout = 0;
    impair_init(&im, cfg, 0);
    for (uint32_t i = 0; i < FRAMES; i++) {
        drain(&im, i * 10);
        put(&im, i, i * 10, ethertype_low);
    }
    drain(&im, UINT64_MAX - 1);
    st = im.stats;
    impair_free(&im);
    cr_assert_eq(st.in, FRAMES);
    cr_assert_eq(st.out, nout);
    cr_assert_eq(st.out, st.in - st.lost - st.overflow + st.duplicated);
    return st;
}

static unsigned out_of_order(void)
{
    unsigned n = 0;

    for (size_t i = 1; i < nout; i++)
        n += outs[i].id < outs[i - 1].id;
    return n;
}

static unsigned damaged(void)
{
    unsigned n = 0;

    for (size_t i = 0; i < nout; i++)
        n += outs[i].damaged;
    return n;
}

/* Three standard deviations of 20,000 draws at 20 of 1000 are 60; the seed is fixed. */
#define EXPECT_20_PERMILLE(n) cr_assert((n) > 340 && (n) < 460, "%lu", (unsigned long)(n))

Test(impair, a_good_line_passes_all_in_order_at_once)
{
    const struct impair_cfg cfg = {.seed = 1};

    pass(&cfg, 0);
    cr_assert_eq(nout, FRAMES);
    cr_assert_eq(out_of_order() + damaged(), 0);
    for (uint32_t i = 0; i < FRAMES; i++)
        cr_assert_eq(outs[i].at, i * 10);
}

Test(impair, loses_as_many_as_asked_for)
{
    const struct impair_cfg cfg = {.loss = 20, .seed = 1};

    EXPECT_20_PERMILLE(pass(&cfg, 0).lost);
    cr_assert_eq(out_of_order() + damaged(), 0);
}

Test(impair, duplicates_side_by_side)
{
    const struct impair_cfg cfg = {.dup = 20, .seed = 1};

    EXPECT_20_PERMILLE(pass(&cfg, 0).duplicated);
    cr_assert_eq(out_of_order() + damaged(), 0);
}

Test(impair, corrupts_one_bit_of_each)
{
    const struct impair_cfg cfg = {.corrupt = 20, .seed = 1};
    const struct impair_stats st = pass(&cfg, 0);

    EXPECT_20_PERMILLE(st.corrupted);
    cr_assert_eq(damaged(), st.corrupted);
}

Test(impair, a_frame_with_an_unfinished_checksum_is_lost_rather_than_corrupted)
{
    const struct impair_cfg cfg = {.corrupt = 1000, .seed = 1};
    const struct virtio_net_hdr v = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM};
    uint8_t f[LEN] = {[12] = 0x08};
    struct impair im;

    impair_init(&im, &cfg, 0);
    impair_in(&im, &v, f, sizeof f, 0);
    cr_assert_eq(im.stats.corrupted, 1);
    cr_assert_eq(impair_deadline(&im), UINT64_MAX);
    impair_free(&im);
}

Test(impair, reorders_by_at_most_four_places)
{
    const struct impair_cfg cfg = {.reorder = 20, .seed = 1};

    EXPECT_20_PERMILLE(pass(&cfg, 0).reordered);
    cr_assert_eq(nout, FRAMES);
    cr_assert_gt(out_of_order(), 300);
    for (size_t i = 0; i < nout; i++)
        cr_assert_leq(llabs((long long)outs[i].id - (long long)i), 8, "frame %u at place %zu", outs[i].id, i);
}

Test(impair, a_held_frame_leaves_when_nothing_follows)
{
    const struct impair_cfg cfg = {.reorder = 1000, .seed = 1};
    struct impair im;

    nout = 0;
    impair_init(&im, &cfg, 0);
    put(&im, 1, 100, 0);
    cr_assert_null(impair_out(&im, 100));
    cr_assert_gt(impair_deadline(&im), 100);
    drain(&im, 100000);
    cr_assert_eq(nout, 1);
    impair_free(&im);
}

Test(impair, delays_with_jitter_but_in_order)
{
    const struct impair_cfg cfg = {.delay_us = 5000, .jitter_us = 1000, .seed = 1};
    uint64_t least = UINT64_MAX, most = 0;

    pass(&cfg, 0);
    cr_assert_eq(out_of_order(), 0);
    for (uint32_t i = 0; i < FRAMES; i++) {
        const uint64_t d = outs[i].at - i * 10;

        least = d < least ? d : least;
        most = d > most ? d : most;
    }
    cr_assert_geq(least, 5000);
    cr_assert_leq(most, 6000);
    cr_assert_gt(most - least, 100);
}

Test(impair, keeps_the_rate_and_drops_what_the_queue_has_no_room_for)
{
    /* A frame takes 20 us at this rate and comes each 10 us. */
    const struct impair_cfg cfg = {.rate = LEN * 8 * 1000000 / 20, .queue = 50 * LEN, .seed = 1};
    const struct impair_stats st = pass(&cfg, 0);

    cr_assert_gt(st.overflow, FRAMES / 2 - 60);
    cr_assert_lt(st.overflow, FRAMES / 2 + 60);
    for (size_t i = 1; i < nout; i++)
        cr_assert_geq(outs[i].at - outs[i - 1].at, 20);
}

Test(impair, arp_goes_through_unless_all_is_asked_for)
{
    struct impair_cfg cfg = {.loss = 1000, .seed = 1};

    cr_assert_eq(pass(&cfg, 0x06).lost, 0);
    cfg.all = true;
    cr_assert_eq(pass(&cfg, 0x06).lost, FRAMES);
}

Test(impair, the_seed_decides)
{
    struct impair_cfg cfg = {.loss = 20, .reorder = 20, .dup = 20, .seed = 5};
    static struct out first[3 * FRAMES];
    size_t n;

    pass(&cfg, 0);
    memcpy(first, outs, sizeof outs[0] * nout);
    n = nout;
    pass(&cfg, 0);
    cr_assert_eq(nout, n);
    for (size_t i = 0; i < n; i++)
        cr_assert_eq(outs[i].id, first[i].id);
    cfg.seed = 6;
    pass(&cfg, 0);
    for (size_t i = 0; i < n && i < nout; i++)
        if (outs[i].id != first[i].id)
            return;
    cr_assert_fail("two seeds, the same line");
}
