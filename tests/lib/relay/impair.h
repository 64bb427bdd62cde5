/* SPDX-License-Identifier: Apache-2.0
 * What a bad line does to frames, one direction of it: loss, duplication, corruption, reordering, delay, jitter and a
 * rate limit. Decisions depend only on the seed and on the order of the frames. Times are microseconds, given by the
 * caller. */
#ifndef XT_TESTS_RELAY_IMPAIR_H
#define XT_TESTS_RELAY_IMPAIR_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct impair_cfg {
    uint32_t loss, reorder, dup, corrupt; /* of 1000 frames, 0 to 1000 */
    uint64_t delay_us, jitter_us;         /* each frame: delay and 0 to jitter; jitter alone does not reorder */
    uint64_t rate;                        /* bits for each second, 0: no limit */
    uint32_t queue;                       /* bytes that wait for the rate before frames are dropped */
    uint64_t seed;
    bool all; /* false: only IPv4 suffers; ARP and the rest go through */
};

struct impair_stats {
    uint64_t in, out, lost, reordered, duplicated, corrupted, overflow;
    uint64_t longest; /* bytes of the longest frame that came in */
};

struct impair_frame {
    uint64_t due;  /* when it leaves; while it is held back: at the latest */
    uint64_t seq;  /* order of frames due at once */
    uint32_t wait; /* held back until so many later frames went ahead */
    uint32_t len;
    struct virtio_net_hdr vnet;
    uint8_t data[];
};

struct impair_heap {
    struct impair_frame **f;
    size_t n, room;
};

struct impair {
    struct impair_cfg cfg;
    struct impair_stats stats;
    uint64_t rng, seq, last_due, line_free;
    struct impair_heap due, held;
};

void impair_init(struct impair *im, const struct impair_cfg *cfg, unsigned direction);
/* Frees frames that are still inside. */
void impair_free(struct impair *im);

/* A frame came; it is copied. */
void impair_in(struct impair *im, const struct virtio_net_hdr *vnet, const void *data, size_t len, uint64_t now);

/* The next frame that is due, to be freed by the caller, or NULL. */
struct impair_frame *impair_out(struct impair *im, uint64_t now);

/* When impair_out() next has one, UINT64_MAX for never. */
uint64_t impair_deadline(const struct impair *im);

#endif
