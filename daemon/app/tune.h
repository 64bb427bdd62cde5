/* SPDX-License-Identifier: Apache-2.0
 * How large a ring should be (Dynamic Right-Sizing, Fisk and Feng 2001). Plain arithmetic on what the caller has seen. */
#ifndef XT_APP_TUNE_H
#define XT_APP_TUNE_H

#include <stdint.h>

#include "daemon/app/ring_parts.h"

/* To this size a ring grows with what goes through it in one go. Beyond it, only the path's own delay counts: between programs
 * of one host or LAN, what takes long is waiting for a processor, and larger rings only fall out of its caches. */
#define XT_TUNE_EASY (1u << 20)

/* The reader is at stream offset `tail` now, and `head` was received; `rtt_us` is the path's round-trip time, 0: not known. Returns
 * the receive ring that suits, in bytes: a sender whose rate doubles each round trip must find a window twice what came and was
 * consumed in the last one. 0: no news, the round goes on. */
uint64_t xt_tune_consumed(struct xt_tune *t, uint64_t now_us, uint64_t tail, uint64_t head, uint32_t rtt_us);

/* The send ring that suits a congestion window of `cwnd` bytes while there is one of `size`: one window in flight, another to be sent
 * when its ACKs come. Of a window that the ring cannot fill, only so much as it can was seen to work. `min_rtt` and `srtt` in
 * microseconds, 0: not known. */
uint64_t xt_tune_send(uint32_t size, uint32_t cwnd, uint32_t min_rtt, uint32_t srtt);

/* The most that a path of so little delay can use, at 40 Gbit/s and with room for a second window; XT_TUNE_EASY at least. `min_rtt`
 * in microseconds, 0: not known. */
uint64_t xt_tune_most(uint32_t min_rtt);

/* The smallest power of two from `size` (a power of two) on that holds `want`, at most the power of two `max`, at least `size`. */
uint32_t xt_tune_round(uint32_t size, uint64_t want, uint32_t max);

#endif
