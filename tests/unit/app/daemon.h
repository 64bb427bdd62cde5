/* SPDX-License-Identifier: Apache-2.0
 * A daemon inside the test process: application layer and stack on a thread of their own, a plain server of the control protocol
 * on another. Its sockets talk to each other through the stack's own address, so no device is needed. */
#ifndef XT_TEST_DAEMON_H
#define XT_TEST_DAEMON_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "daemon/app/app.h"

#define DAEMON_CLIENTS 640

struct daemon_client {
    int fd; /* -1: free */
    struct xt_session *session;
    uint32_t proc;
};

struct daemon {
    struct xt_app *app;
    struct xt_stack *stack;
    void *state;
    size_t state_size;
    char path[108];
    int listen_fd, stop_fd, epoll_fd;
    pthread_t data, ctl;
    pthread_mutex_t post_lock;
    _Atomic bool stop;
    struct daemon_client client[DAEMON_CLIENTS];
    _Atomic unsigned ended; /* sessions given back */
    _Atomic uint64_t longest_round_us;
};

/* Starts one; the test fails when that fails, and also when it still runs after 200 s. */
void daemon_start(struct daemon *d, const struct xt_app_cfg *cfg);
/* As if the daemon died: the data plane stops, then every connection to it ends. */
void daemon_stop(struct daemon *d);
void daemon_free(struct daemon *d);

/* Runs fn(arg) on the data plane and waits for it. */
void daemon_call(struct daemon *d, void (*fn)(void *arg), void *arg);
/* A copy of the counters, taken on the data plane. */
struct xt_app_stats daemon_stats(struct daemon *d);
/* Connection records in use, of the states in `mask` (1 << state). */
unsigned daemon_conns(struct daemon *d, unsigned mask);

/* Waits (at most 20 s, without regard to how long) until cond(arg) holds; false: it never did. */
bool daemon_until(bool (*cond)(void *arg), void *arg);

/* 10.9.0.1, the stack's own address. */
struct sockaddr_in daemon_addr(uint16_t port);

#endif
