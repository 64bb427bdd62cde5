/* SPDX-License-Identifier: Apache-2.0
 * The control plane with the real application layer and stack, but no device and no second thread: the test takes turns between the
 * control loop and the data plane until the answer is there. */
#ifndef XT_TEST_CTL_SERVER_H
#define XT_TEST_CTL_SERVER_H

#include "daemon/app/internal.h"
#include "daemon/ctl/internal.h"

#define TURNS 10000 /* without an answer by then, there will be none */
#define NOBODY 65534

extern struct xt_ctl *ctl;
extern struct xt_app *app;
extern struct xt_stack *stack;
extern struct xt_config config;
extern uint8_t reply_buf[XT_CTL_MAX];
extern struct xt_msg_in in;
extern struct xt_msg_anc anc;

void server_setup(void);
void server_teardown(void);
/* Lets control plane and data plane do what they have to do now. */
void turn(void);

/* A connection to the control socket. */
int dial(void);
/* The next reply on `fd`, in `in` and `anc`: its length, 0 at end of file, -EAGAIN when none comes. */
ssize_t answer(int fd);
void begin(struct xt_msg_out *o, const char *op);
ssize_t ask_with(int fd, struct xt_msg_out *o, const int *fds, unsigned nfds);
ssize_t ask(int fd, const char *op);
/* Of the last reply. */
bool ok(void);
uint64_t num(const char *key);
/* Nested replies are xtcpctl's to read; in tests the text in them, which is `n` bytes long, will do. */
bool says(ssize_t n, const char *text);

/* A connection that has asked to attach. */
int attach(uint64_t abi);
uint64_t sessions(void);
/* No session is left, as soon as what clients have sent is closed: other threads do that. */
bool none_left(void);

/* A client's own view of its region, to lie in. */
struct liar {
    int fd;
    uint8_t *base;
    size_t size;
    struct xt_slot *slots;
};

void liar_start(struct liar *l);
void liar_stop(struct liar *l);
void claim_to_hold(struct liar *l, uint32_t slot);
void claim_to_be_over(struct liar *l, uint32_t slot);
/* The end that stands for the slot, or -1. */
int export(int fd, uint64_t slot, bool now);
bool hangs_up(int fd);
/* The errno of the answer, 0: none. */
uint64_t ask_with_end(int fd, const char *op, int end);

#endif
