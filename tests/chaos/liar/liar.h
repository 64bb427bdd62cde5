/* SPDX-License-Identifier: Apache-2.0
 * A client that lies, and one that does not: see main.c. */
#ifndef XT_TEST_LIAR_H
#define XT_TEST_LIAR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

/* What all roles are told. */
struct liar_cfg {
    const char *path; /* of the control socket */
    struct sockaddr_in peer;
};

/* ---- random numbers: the same for the same seed ---- */

static inline uint64_t liar_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static inline uint32_t liar_below(uint64_t *state, uint32_t n)
{
    return (uint32_t)(liar_random(state) >> 32) % n;
}

/* A number that is likely to hurt: a limit, a neighbour of one, `old` or a neighbour of it, or anything. */
uint64_t liar_value(uint64_t *rng, uint64_t old);

/* ---- episodes: each runs in a process of its own, which may end in any way ---- */

/* memory.c: scribbles over the region of a client with connections and traffic, while another thread uses them. */
void liar_scribble(const struct liar_cfg *c, uint64_t seed);
/* One lie that cannot be overlooked. Exits 1 when the client is not dropped for it. */
void liar_caught(const struct liar_cfg *c, uint64_t seed);
/* Commands whose socket goes away, changes its holder and comes again meanwhile. */
void liar_commands(const struct liar_cfg *c, uint64_t seed);

/* control.c */
void liar_messages(const struct liar_cfg *c, uint64_t seed); /* malformed, unknown, with all kinds of descriptors */
void liar_flood(const struct liar_cfg *c, uint64_t seed);    /* requests whose answers nobody reads */
void liar_abandon(const struct liar_cfg *c, uint64_t seed);  /* attaches, forks, sockets: begun and left */
void liar_silent(const struct liar_cfg *c, uint64_t seed);   /* connections on which nothing is said */

/* descriptors.c: a descriptor of a random kind, the caller's to close. `ctl` is the connection that it is going to be sent on. */
int liar_descriptor(uint64_t *rng, int ctl);

#endif
