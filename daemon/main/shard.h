/* SPDX-License-Identifier: Apache-2.0
 * A data-plane shard: the thread that owns a packet device, a stack and the clients' sockets, around one io_uring. */
#ifndef XT_SHARD_H
#define XT_SHARD_H

#include "daemon/app/app.h"
#include "daemon/pktio/pktio.h"
#include "daemon/stack/stack.h"

struct xt_shard;

struct xt_shard_cfg {
    struct xt_pktio_cfg pktio;
    struct xt_stack_cfg stack;
    uint32_t spin_us; /* how long the data plane spins for work before it sleeps; 0: never */
    bool follow;      /* goes to the processor of the program that waits for it most: follow.h */
    uint8_t key[32];
    void *state;          /* state region, xt_stack_state_size() bytes */
    struct xt_crew *crew; /* NULL: there are no other shards */
    uint32_t shard;
};

/* Opens the device, makes stack and thread, takes over what is kept; no frame is taken or sent before xt_shard_run(). Returns 0, or a negative errno with one line for people in `err`. */
int xt_shard_start(struct xt_shard **out, const struct xt_shard_cfg *cfg, struct xt_app *app, char *err, size_t errlen);
void xt_shard_run(struct xt_shard *s);
/* Ends the loop after a whole pass and closes the device; what was sent has left, and all else is as a successor wants it. */
void xt_shard_quiet(struct xt_shard *s);
/* Ends the thread and closes the device; frees all the rest, when no other shard runs any more. */
void xt_shard_stop(struct xt_shard *s);
void xt_shard_free(struct xt_shard *s);
int xt_shard_packet_fd(const struct xt_shard *s);

/* Only from functions that run on the data plane (XT_MSG_CALL). */
struct xt_stack *xt_shard_stack(struct xt_shard *s);
void xt_shard_pktio_stats(struct xt_shard *s, struct xt_pktio_stats *out);

struct xt_shard_stats {
    uint64_t loops, sleeps, spins_paid, spins_vain, moves;
};
void xt_shard_stats(const struct xt_shard *s, struct xt_shard_stats *out);

#endif
