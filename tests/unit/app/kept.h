/* SPDX-License-Identifier: Apache-2.0
 * A stack process without threads or device, in virtual time, whose memory a successor can take up: two connected sockets of one
 * client, and the client's side of them. */
#ifndef XT_TEST_KEPT_H
#define XT_TEST_KEPT_H

#include <stdio.h>
#include <stdlib.h>

#include "daemon/app/internal.h"

/* As an assertion, also in processes that the test's runner knows nothing of. */
#define MUST(cond)                                                               \
    do {                                                                         \
        if (!(cond)) {                                                           \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #cond); \
            abort();                                                             \
        }                                                                        \
    } while (0)

#define KEPT_PORT 7000  /* the listener's */
#define KEPT_RING 4096u /* bytes of each ring; they do not tune themselves as far as receiving goes */

struct kept {
    struct xt_app *app;
    struct xt_stack *stack;
    struct xt_session *s;
    void *state;
    size_t state_size;
    uint64_t now;
    uint32_t waiter;
    uint32_t l, a, b; /* slots: listener, and the two ends of a connection */
    /* What must live on. */
    uint8_t *saved;
};

/* The byte at stream offset `at` from a to b. */
uint8_t kept_byte(uint64_t at);

void kept_start(struct kept *k);
/* The client is that user's. */
void kept_start_as(struct kept *k, uid_t uid);
void kept_end(struct kept *k);
/* A process that takes up what `old` has left, which is never used again. */
void kept_take_up(struct kept *k, const struct kept *old);
/* Lets everything happen that happens within `us` microseconds. */
void kept_run(struct kept *k, uint64_t us);

/* Socket a connects to the listener; what that accepts is b. */
void kept_connect(struct kept *k);

/* Puts a command into the mailbox. It is run by kept_run(). */
void kept_ask(struct kept *k, uint32_t op, uint32_t slot, uint16_t port, uint64_t arg);
/* Its answer, or INT_MIN: there is none yet. */
int kept_answer(const struct kept *k);

/* As the client: writes up to `n` bytes at `a`, as the send ring has room; reads up to `n` bytes at `b`, which must be right. Both
 * return how many bytes. */
uint32_t kept_write(struct kept *k, uint32_t n);
uint64_t kept_read(struct kept *k, uint64_t n);

/* The memory that outlives the process, as it is now, is kept aside; put back; compared. */
void kept_save(struct kept *k);
void kept_restore(const struct kept *k);
bool kept_changed(const struct kept *k);

#endif
