/* SPDX-License-Identifier: Apache-2.0
 * The state memfd: what outlives the stack process. One page of its own comes first, then a region for each stack. */
#ifndef XT_MAIN_KEPT_H
#define XT_MAIN_KEPT_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/pktio/pktio.h"
#include "daemon/stack/crew.h"

#define XT_KEPT_PAGE 4096

/* The first page. */
struct xt_kept_page {
    uint32_t magic, version;
    uint64_t size;    /* of the whole memfd */
    uint32_t epoch;   /* counts starts of the stack process */
    uint32_t running; /* 1 while a stack process uses it: still 1 at start means that the last one died */
    uint8_t key[32];  /* of all keyed hashes: flows, ISNs, ports */
    struct xt_pktio_place place[XT_CREW_MAX]; /* of each packet socket's ring */
};

struct xt_kept {
    int fd;
    struct xt_kept_page *page;
    void *stack; /* the regions, one after the other */
};

/* A new, zeroed region with a fresh key. Returns 0 or a negative errno. */
int xt_kept_new(struct xt_kept *st, size_t stack_size);

/* Can it be mapped? Returns 0, or -EPROTO with words in `err`. */
int xt_kept_check(int fd, size_t stack_size, char *err, size_t errlen);

/* Maps a kept one. Takes `fd` over, also on failure. Returns 0; -EPROTO with words in `err` when its layout is another; or a negative
 * errno. */
int xt_kept_open(struct xt_kept *st, int fd, size_t stack_size, char *err, size_t errlen);

void xt_kept_close(struct xt_kept *st);

#endif
