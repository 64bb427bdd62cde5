/* SPDX-License-Identifier: Apache-2.0
 * The data-plane loop. One pass: take frames, take what clients asked for, run timers, send, publish. All waiting is one
 * io_uring wait that ends on a frame, a doorbell, a message of the control thread or the next timer. */
#include "daemon/main/shard.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/time.h"
#include "daemon/main/confine.h"
#include "daemon/main/follow.h"
#include "daemon/main/spin.h"
#include "daemon/main/uring.h"

#define RX_BURST 32
#define URING_ENTRIES 1024
#define UDATA_MESSAGE 1ULL          /* the control thread's eventfd */
#define UDATA_IGNORE 2ULL           /* completion of a poll removal */
#define UDATA_DOORBELL (1ULL << 62) /* | (fd << 32) | session */

struct xt_shard {
    struct xt_shard_cfg cfg;
    struct xt_app *app;
    struct xt_stack_ops app_ops; /* what the stack tells the application layer, passed on */
    struct xt_pktio *pktio;
    struct xt_stack *stack;
    struct io_uring ring;
    struct xt_spin spin;
    struct xt_follow follow;
    struct xt_shard_stats stats;
    pthread_t thread;
    sem_t started, run, ended; /* run: the loop may begin; ended: it has, and the device is closed */
    int start_rc;
    char *err;
    size_t errlen;
    _Atomic bool stop;
};

static struct io_uring_sqe *get_sqe(struct xt_shard *s)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);
    while (!sqe) {
        io_uring_submit(&s->ring);
        sqe = io_uring_get_sqe(&s->ring);
    }
    return sqe;
}

/* Wakes for every write to an eventfd; the counter is never read, so a client that reads it steals nothing but from itself. */
static void arm_poll(struct xt_shard *s, int fd, uint64_t udata)
{
    struct io_uring_sqe *sqe = get_sqe(s);
    io_uring_prep_poll_multishot(sqe, fd, POLLIN);
    io_uring_sqe_set_data64(sqe, udata);
}

static uint64_t doorbell_udata(int fd, uint32_t session)
{
    return UDATA_DOORBELL | ((uint64_t)fd << 32) | session;
}

static void doorbell_add(void *arg, int fd, uint32_t session)
{
    arm_poll(arg, fd, doorbell_udata(fd, session));
}

static void doorbell_remove(void *arg, int fd, uint32_t session)
{
    struct xt_shard *s = arg;
    struct io_uring_sqe *sqe = get_sqe(s);
    io_uring_prep_poll_remove(sqe, doorbell_udata(fd, session));
    io_uring_sqe_set_data64(sqe, UDATA_IGNORE);
    io_uring_submit(&s->ring); /* before the caller closes fd */
}

static int tx(void *arg, const struct virtio_net_hdr *vnet, const void *hdr, size_t hdrlen, const struct iovec *iov,
              unsigned niov)
{
    struct xt_shard *s = arg;
    return xt_pktio_tx(s->pktio, vnet, hdr, hdrlen, iov, niov);
}

static unsigned tx_room(void *arg)
{
    struct xt_shard *s = arg;
    return xt_pktio_tx_room(s->pktio);
}

static int sieve(void *arg, const struct xt_sieve *v)
{
    struct xt_shard *s = arg;
    return xt_pktio_sieve(s->pktio, v);
}

static void on_event(void *arg, struct xt_conn *c, uint32_t events)
{
    struct xt_shard *s = arg;
    s->app_ops.event(s->app_ops.arg, c, events);
}

static bool admit(void *arg, const struct xt_conn *listener)
{
    struct xt_shard *s = arg;
    return s->app_ops.admit(s->app_ops.arg, listener);
}

static bool admit_open(void *arg, const struct xt_conn *listener)
{
    struct xt_shard *s = arg;
    return s->app_ops.admit_open(s->app_ops.arg, listener);
}

static bool need_bufs(void *arg, struct xt_conn *c)
{
    struct xt_shard *s = arg;
    return s->app_ops.need_bufs(s->app_ops.arg, c);
}

static bool reap(struct xt_shard *s)
{
    struct io_uring_cqe *cqe;
    unsigned head, n = 0;
    io_uring_for_each_cqe(&s->ring, head, cqe)
    {
        n++;
        if (cqe->user_data & XT_PKTIO_UDATA) {
            xt_pktio_cqe(s->pktio, cqe);
        } else if (cqe->user_data != UDATA_IGNORE && !(cqe->flags & IORING_CQE_F_MORE) && cqe->res >= 0) {
            int fd =
                cqe->user_data == UDATA_MESSAGE ? xt_app_data_fd(s->app) : (int)(cqe->user_data >> 32 & 0x3fffffff);
            arm_poll(s, fd, cqe->user_data);
        }
    }
    io_uring_cq_advance(&s->ring, n);
    return n > 0;
}

/* A super-frame's payload goes straight to its receive ring when the headers tell which; else the frame is had whole. */
static void take_frame(struct xt_shard *s, struct xt_frame *f, uint64_t now)
{
    if (f->more) {
        uint32_t head = 0;
        uint8_t *dst = xt_stack_place(s->stack, f->data, f->len, f->wire_len, &f->vnet, &head);
        int rc = xt_pktio_fetch(s->pktio, f, head, dst);
        if (rc > 0)
            xt_stack_input_placed(s->stack, now);
        if (rc != 0)
            return;
    }
    if (f->len == f->wire_len) /* the device has counted the others */
        xt_stack_input(s->stack, f->data, f->len, &f->vnet, now);
}

static bool receive(struct xt_shard *s, uint64_t now)
{
    struct xt_frame frames[RX_BURST];
    unsigned n = xt_pktio_rx(s->pktio, frames, RX_BURST);
    if (n == RX_BURST && xt_pktio_rx_behind(s->pktio))
        xt_stack_overloaded(s->stack, now);
    for (unsigned i = 0; i < n; i++)
        take_frame(s, &frames[i], now);
    xt_pktio_rx_release(s->pktio);
    return n > 0;
}

/* One pass over all sources of work. True when there was any. */
static bool pass(struct xt_shard *s, uint64_t now)
{
    bool work = receive(s, now);
    work |= xt_stack_passed(s->stack, now);
    work |= xt_app_poll(s->app, now);
    if (xt_stack_deadline(s->stack) <= now) {
        xt_stack_timers(s->stack, now);
        work = true;
    }
    bool blocked = xt_stack_output(s->stack, now);
    xt_app_flush(s->app);
    for (uint32_t kicks = xt_stack_kicks(s->stack); kicks; kicks &= kicks - 1)
        xt_app_wake(xt_app_shard(s->app, (uint32_t)__builtin_ctz(kicks)));
    if (io_uring_sq_ready(&s->ring))
        io_uring_submit(&s->ring);
    else if (blocked || io_uring_cq_has_overflow(&s->ring) || (*s->ring.sq.kflags & IORING_SQ_TASKRUN))
        io_uring_get_events(&s->ring);
    work |= reap(s);
    return work | blocked;
}

static void sleep_until_work(struct xt_shard *s, uint64_t now)
{
    if (!xt_app_prepare_sleep(s->app) && !xt_pktio_rx_pending(s->pktio) && !xt_stack_passed_any(s->stack)) {
        uint64_t deadline = xt_stack_deadline(s->stack);
        uint64_t wait = deadline == UINT64_MAX ? 1000000 : deadline > now ? deadline - now : 0;
        if (wait > 1000000)
            wait = 1000000;
        struct __kernel_timespec ts = {.tv_sec = (long long)(wait / 1000000),
                                       .tv_nsec = (long long)(wait % 1000000) * 1000};
        struct io_uring_cqe *cqe;
        s->stats.sleeps++;
        io_uring_submit_and_wait_timeout(&s->ring, &cqe, 1, &ts, NULL);
        reap(s);
    }
    xt_app_awake(s->app);
}

static void loop(struct xt_shard *s)
{
    while (!atomic_load_explicit(&s->stop, memory_order_relaxed)) {
        uint64_t now = xt_time_us();
        s->stats.loops++;
        xt_follow(&s->follow, s->app, now);
        if (pass(s, now))
            xt_spin_work(&s->spin, now);
        else if (!xt_hog_near(&s->follow.hog, now) && xt_spin_again(&s->spin, now))
            xt_follow_yield(&s->follow, now);
        else
            sleep_until_work(s, now);
    }
}

static int open_all(struct xt_shard *s)
{
    int rc = xt_uring_open(&s->ring, URING_ENTRIES);
    if (rc < 0) {
        snprintf(s->err, s->errlen, "io_uring is not available: %s (is kernel.io_uring_disabled set?)", strerror(-rc));
        return rc;
    }
    rc = xt_pktio_open(&s->cfg.pktio, &s->ring, &s->pktio, s->err, s->errlen);
    if (rc < 0)
        goto no_pktio;
    xt_app_stack_ops(s->app, &s->app_ops);
    struct xt_stack_ops ops = {.tx = tx,
                               .tx_room = tx_room,
                               .sieve = sieve,
                               .event = on_event,
                               .admit = admit,
                               .admit_open = admit_open,
                               .need_bufs = need_bufs,
                               .arg = s,
                               .crew = s->cfg.crew,
                               .shard = s->cfg.shard};
    rc = xt_stack_new(&s->stack, &s->cfg.stack, &ops, s->cfg.state, s->cfg.key, xt_time_us());
    if (rc < 0) {
        snprintf(s->err, s->errlen, "cannot make the stack: %s", strerror(-rc));
        goto no_stack;
    }
    xt_app_set_stack(s->app, s->stack);
    xt_app_on_doorbell(s->app, doorbell_add, doorbell_remove, s);
    arm_poll(s, xt_app_data_fd(s->app), UDATA_MESSAGE);
    xt_spin_init(&s->spin, s->cfg.spin_us);
    xt_follow_init(&s->follow, s->cfg.follow);
    xt_app_revive(s->app, xt_time_us());
    return 0;
no_stack:
    xt_pktio_close(s->pktio);
no_pktio:
    io_uring_queue_exit(&s->ring);
    return rc;
}

static void wait_for(sem_t *sem)
{
    while (sem_wait(sem) < 0 && errno == EINTR)
        ;
}

static void *thread_main(void *arg)
{
    struct xt_shard *s = arg;
    s->start_rc = open_all(s); /* here, for the ring has a single issuer: this thread */
    bool ok = s->start_rc == 0;
    xt_confine_thread();
    sem_post(&s->started);
    if (!ok)
        return NULL;
    wait_for(&s->run);
    loop(s);
    xt_pktio_close(s->pktio);
    io_uring_queue_exit(&s->ring);
    sem_post(&s->ended);
    return NULL;
}

static void destroy(struct xt_shard *s)
{
    sem_destroy(&s->started);
    sem_destroy(&s->run);
    sem_destroy(&s->ended);
    free(s);
}

int xt_shard_start(struct xt_shard **out, const struct xt_shard_cfg *cfg, struct xt_app *app, char *err, size_t errlen)
{
    struct xt_shard *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    s->cfg = *cfg;
    s->app = app;
    s->err = err;
    s->errlen = errlen;
    sem_init(&s->started, 0, 0);
    sem_init(&s->run, 0, 0);
    sem_init(&s->ended, 0, 0);

    sigset_t all, old; /* signals are the control thread's */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = -pthread_create(&s->thread, NULL, thread_main, s);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc == 0) {
        wait_for(&s->started);
        rc = s->start_rc;
        if (rc < 0)
            pthread_join(s->thread, NULL);
    }
    s->err = NULL;
    if (rc < 0) {
        destroy(s);
        return rc;
    }
    *out = s;
    return 0;
}

void xt_shard_run(struct xt_shard *s)
{
    sem_post(&s->run);
}

static void wake(void *unused)
{
    (void)unused;
}

static void end_loop(struct xt_shard *s)
{
    struct xt_msg m = {.type = XT_MSG_CALL, .fn = wake, .done = wake};
    atomic_store(&s->stop, true);
    sem_post(&s->run);
    xt_app_post(s->app, &m);
}

void xt_shard_quiet(struct xt_shard *s)
{
    end_loop(s);
    wait_for(&s->ended);
}

void xt_shard_stop(struct xt_shard *s)
{
    end_loop(s);
    pthread_join(s->thread, NULL);
}

void xt_shard_free(struct xt_shard *s)
{
    xt_stack_free(s->stack);
    destroy(s);
}

int xt_shard_packet_fd(const struct xt_shard *s)
{
    return xt_pktio_fd(s->pktio);
}

struct xt_stack *xt_shard_stack(struct xt_shard *s)
{
    return s->stack;
}

void xt_shard_pktio_stats(struct xt_shard *s, struct xt_pktio_stats *out)
{
    xt_pktio_stats(s->pktio, out);
}

void xt_shard_stats(const struct xt_shard *s, struct xt_shard_stats *out)
{
    *out = s->stats;
    out->spins_paid = s->spin.paid;
    out->spins_vain = s->spin.vain;
    out->moves = s->follow.moves;
}
