/* SPDX-License-Identifier: Apache-2.0
 * Waiters: what a thread, or an epoll set, sleeps on. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libclient/internal.h"

/* The waiter this thread used last, kept for it. */
struct cached {
    struct xtcp *x;
    uint32_t serial, epoch;
    struct xtcp_waiter *w;
    uint32_t jumps; /* when it became busy */
    bool busy;
};

static __thread struct cached cache __attribute__((tls_model("initial-exec")));
static pthread_key_t exit_key;
static pthread_once_t exit_once = PTHREAD_ONCE_INIT;
static _Atomic uint32_t live_serial[64]; /* contexts that exist, by serial % 64: a thread may outlive its context */

static void set_bit(_Atomic uint64_t *words, uint32_t i)
{
    atomic_fetch_or(&words[i / 64], 1ULL << (i % 64));
}

static bool clear_bit(_Atomic uint64_t *words, uint32_t i)
{
    return atomic_fetch_and(&words[i / 64], ~(1ULL << (i % 64))) & 1ULL << (i % 64);
}

/* Gives the exiting thread's waiter to the next one. */
static void on_thread_exit(void *unused)
{
    struct xtcp *x = cache.x;
    if (x && atomic_load(&live_serial[cache.serial % 64]) == cache.serial && x->epoch == cache.epoch)
        set_bit(x->idle, cache.w->local);
    cache.x = NULL;
}

static void make_exit_key(void)
{
    pthread_key_create(&exit_key, on_thread_exit);
}

void xtcp_waiters_begin(struct xtcp *x)
{
    static _Atomic uint32_t serials;
    pthread_once(&exit_once, make_exit_key);
    x->serial = atomic_fetch_add(&serials, 1) + 1;
    atomic_store(&live_serial[x->serial % 64], x->serial);
}

void xtcp_waiters_end(struct xtcp *x)
{
    uint32_t serial = x->serial;
    atomic_compare_exchange_strong(&live_serial[serial % 64], &serial, 0);
    for (uint32_t i = 0; i < XT_MAX_WAITERS; i++)
        if (atomic_load(&x->made[i / 64]) & 1ULL << (i % 64) && x->waiters[i].fd >= 0)
            close(x->waiters[i].fd);
}

uint64_t xtcp_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t xtcp_deadline(uint32_t timeout_ms)
{
    return timeout_ms ? xtcp_now_ns() + (uint64_t)timeout_ms * 1000000u : XTCP_FOREVER;
}

/* ---- making ---- */

static void subscribe(struct xtcp_waiter *w, uint32_t s)
{
    atomic_fetch_or(&w->x->slots[s].subs, 1ULL << (w->number % 64));
}

/* Asks the daemon for a waiter and fills `w`; a descriptor number that it had before stays. */
static int bring_up(struct xtcp *x, struct xtcp_waiter *w, bool again)
{
    XTCP_NO_CANCEL();
    uint32_t start = xtcp_start(x); /* before: a byte announced in vain costs little, one not announced much */
    int fd, number = xtcp_request(x, "waiter", "waiter", -1, &fd);
    if (number < 0)
        return number;
    if ((uint32_t)number >= XT_MAX_WAITERS || fd < 0) {
        close(fd);
        return -EPROTO;
    }
    if (again && dup3(fd, w->fd, O_CLOEXEC) >= 0)
        close(fd);
    else
        w->fd = xtcp_fd_high(fd);
    w->x = x;
    w->number = (uint32_t)number;
    w->sh = &x->boxes[number];
    w->ready = (xt_bitword *)(void *)(x->base + x->region->ready_off + (uint32_t)number * x->region->ready_stride);
    w->epoch = x->epoch;
    w->start = start;
    w->owed = 0;
    w->spin_score = w->call_score = 15;
    return 0;
}

struct xtcp_waiter *xtcp_waiter_blank(struct xtcp *x)
{
    for (uint32_t k = 0; k < XTCP_WAITER_WORDS; k++) {
        uint64_t v = atomic_load(&x->made[k]);
        while (~v) {
            uint32_t i = k * 64 + (uint32_t)__builtin_ctzll(~v);
            if (!atomic_compare_exchange_weak(&x->made[k], &v, v | 1ULL << (i % 64)))
                continue;
            _Atomic uint64_t *subs = x->known + xt_bitmap_words0(x->max_slots) * (i + 1);
            x->waiters[i] = (struct xtcp_waiter){.x = x, .local = i, .subs = subs, .fd = -1};
            return &x->waiters[i];
        }
    }
    return NULL;
}

void xtcp_waiter_drop(struct xtcp_waiter *w)
{
    if (w->fd >= 0)
        close(w->fd);
    for (uint32_t k = 0; k < xt_bitmap_words0(w->x->max_slots); k++)
        if (atomic_load(&w->subs[k]))
            atomic_store(&w->subs[k], 0);
    clear_bit(w->x->made, w->local);
}

static int make(struct xtcp *x, bool user, struct xtcp_waiter **out)
{
    struct xtcp_waiter *w = xtcp_waiter_blank(x);
    int rc = w ? bring_up(x, w, false) : -ENOBUFS;
    if (rc < 0 && w)
        clear_bit(x->made, w->local);
    if (rc == 0) {
        w->user = user;
        *out = w;
    }
    return rc;
}

static struct xtcp_waiter *take_idle(struct xtcp *x)
{
    for (uint32_t k = 0; k < XTCP_WAITER_WORDS; k++)
        for (uint64_t v = atomic_load(&x->idle[k]); v; v &= v - 1) {
            uint32_t i = k * 64 + (uint32_t)__builtin_ctzll(v);
            if (clear_bit(x->idle, i))
                return &x->waiters[i];
        }
    return NULL;
}

int xtcp_waiter_get(struct xtcp *x, struct xtcp_waiter **out)
{
    bool fits = cache.x == x && cache.serial == x->serial && cache.epoch == x->epoch;
    if (fits && cache.busy && cache.jumps != xtcp_jumps())
        xtcp_waiter_done(cache.w); /* its user was left by a jump */
    else if (fits)
        fits = !cache.busy;
    if (fits) {
        cache.busy = true;
        cache.jumps = xtcp_jumps();
        *out = cache.w;
        return 0;
    }
    if (!xtcp_alive(x))
        return -ECONNABORTED;
    int saved = errno, rc = 0;
    if (!(*out = take_idle(x)))
        rc = make(x, false, out);
    if (rc == 0 && !cache.busy) {
        if (cache.x)
            on_thread_exit(NULL);
        cache = (struct cached){x, x->serial, x->epoch, *out, xtcp_jumps(), true};
        pthread_setspecific(exit_key, &cache);
    }
    errno = saved;
    return rc;
}

void xtcp_waiter_put(struct xtcp_waiter *w)
{
    if (cache.w == w && cache.busy)
        cache.busy = false;
    else
        set_bit(w->x->idle, w->local);
}

void xtcp_waiters_after_fork(struct xtcp *x)
{
    memset(&cache, 0, sizeof cache);
    for (uint32_t i = 0; i < XT_MAX_WAITERS; i++) {
        uint64_t bit = 1ULL << (i % 64);
        if (!(atomic_load(&x->made[i / 64]) & bit) || (x->waiters[i].user && !x->waiters[i].async))
            continue; /* a user's waiter is brought up when it is used */
        close(x->waiters[i].fd);
        clear_bit(x->made, i);
    }
    memset((void *)x->idle, 0, sizeof x->idle);
}

/* A waiter that a fork has brought into this process gets a place of its own with the daemon, the same subscriptions, and
 * news of all of them. Without the daemon's help it stays as it is: its sockets are dead anyhow. */
void xtcp_waiter_adopt(struct xtcp_waiter *w)
{
    struct xtcp *x = w->x;
    int saved = errno;
    if (bring_up(x, w, true) == 0)
        for (uint32_t k = 0; k < xt_bitmap_words0(x->max_slots); k++)
            for (uint64_t v = atomic_load(&w->subs[k]); v; v &= v - 1) {
                uint32_t s = k * 64 + (uint32_t)__builtin_ctzll(v);
                subscribe(w, s);
                xt_bitmap_set(w->ready, s);
            }
    for (unsigned k = 0; k < XT_WAITER_EXCLUSIVE; k++)
        atomic_store(&w->sh->exclusive[k], w->exclusive[k]);
    w->epoch = x->epoch;
    errno = saved;
}

XTCP_API int xtcp_waiter_new(struct xtcp *x, struct xtcp_waiter **out)
{
    struct xtcp_waiter *w = take_idle(x);
    int rc = w ? 0 : make(x, true, &w);
    if (rc < 0)
        return rc;
    w->user = true;
    *out = w;
    return 0;
}

XTCP_API void xtcp_waiter_free(struct xtcp_waiter *w)
{
    struct xtcp *x = w->x;
    xtcp_waiter_fix(w);
    for (uint32_t k = 0; k < xt_bitmap_words0(x->max_slots); k++)
        for (uint64_t v = atomic_load(&w->subs[k]); v; v &= v - 1)
            xtcp_waiter_unsub(w, (int)(k * 64 + (uint32_t)__builtin_ctzll(v)));
    if (w->shared)
        w->owed = 1; /* a byte that another process has announced may come */
    w->user = w->shared = false;
    atomic_store(&w->sh->family, 0);
    set_bit(x->idle, w->local);
}

XTCP_API int xtcp_waiter_fd(const struct xtcp_waiter *w)
{
    xtcp_waiter_fix((struct xtcp_waiter *)w);
    return w->fd;
}

/* ---- news ---- */

XTCP_API void xtcp_waiter_sub(struct xtcp_waiter *w, int s)
{
    xtcp_waiter_fix(w);
    if ((uint32_t)s >= w->x->max_slots)
        return;
    set_bit(w->subs, (uint32_t)s);
    subscribe(w, (uint32_t)s);
}

/* Does another waiter share our bit of xt_slot.subs? */
static bool has_sibling(const struct xtcp_waiter *w)
{
    const struct xtcp *x = w->x;
    uint32_t high = atomic_load(&x->region->waiters_high);
    for (uint32_t i = w->number % 64; i < high && i < XT_MAX_WAITERS; i += 64)
        if (i != w->number && atomic_load(&x->boxes[i].live))
            return true;
    return false;
}

static bool exclusive_becomes(struct xtcp_waiter *w, uint32_t from, uint32_t to)
{
    unsigned k = 0;
    while (k < XT_WAITER_EXCLUSIVE && w->exclusive[k] != from)
        k++;
    if (k == XT_WAITER_EXCLUSIVE)
        return false;
    w->exclusive[k] = to;
    atomic_store(&w->sh->exclusive[k], to);
    return true;
}

XTCP_API void xtcp_waiter_exclusive(struct xtcp_waiter *w, int s, bool on)
{
    const struct xt_slot *sl = &w->x->slots[s];
    xtcp_waiter_fix(w);
    if ((uint32_t)s >= w->x->max_slots)
        return;
    bool was = exclusive_becomes(w, (uint32_t)s + 1, 0);
    if (on)
        exclusive_becomes(w, 0, (uint32_t)s + 1); /* there is no place: it is woken always */
    else if (was && atomic_load(&sl->acc_head) != atomic_load(&sl->acc_tail))
        xtcp_call(w->x, &(struct xtcp_cmd){.op = XT_OP_NEWS, .slot = s}); /* it may have been woken for that alone */
}

XTCP_API void xtcp_waiter_unsub(struct xtcp_waiter *w, int s)
{
    xtcp_waiter_fix(w);
    if ((uint32_t)s >= w->x->max_slots)
        return;
    xtcp_waiter_exclusive(w, s, false);
    clear_bit(w->subs, (uint32_t)s);
    if (has_sibling(w))
        return; /* news in vain for us rather than none for it */
    uint64_t bit = 1ULL << (w->number % 64);
    atomic_fetch_and(&w->x->slots[s].subs, ~bit);
    if (has_sibling(w)) /* made in between */
        atomic_fetch_or(&w->x->slots[s].subs, bit);
}

XTCP_API bool xtcp_waiter_pending(const struct xtcp_waiter *w)
{
    xtcp_waiter_fix((struct xtcp_waiter *)w);
    return xt_bitmap_any(w->ready);
}

XTCP_API bool xtcp_waiter_prepare(struct xtcp_waiter *w)
{
    xtcp_waiter_fix(w);
    atomic_store(&w->sh->sleeping, 1);
    atomic_thread_fence(memory_order_seq_cst); /* pairs with the daemon's, between the ready bitmap and `sleeping` */
    return xt_bitmap_any(w->ready) || !xtcp_alive(w->x);
}

XTCP_API void xtcp_waiter_done(struct xtcp_waiter *w)
{
    char buf[64];
    xtcp_waiter_fix(w);
    if (!atomic_exchange(&w->sh->sleeping, 0))
        w->owed++; /* whoever took the flag writes a byte, perhaps a moment later */
    uint32_t start = xtcp_start(w->x);
    if (w->start != start) {
        w->start = start;
        w->owed++;
    }
    if (!w->owed || w->fd < 0)
        return;
    int saved = errno;
    XTCP_NO_CANCEL();
    ssize_t n = read(w->fd, buf, sizeof buf);
    if (n > 0)
        w->owed -= (uint32_t)n < w->owed ? (uint32_t)n : w->owed;
    else if (w->shared)
        w->owed = 0; /* a byte that another process has announced may have been read instead */
    errno = saved;
}

XTCP_API unsigned xtcp_waiter_take(struct xtcp_waiter *w, void (*fn)(void *arg, uint32_t s), void *arg)
{
    xtcp_waiter_fix(w);
    xtcp_waiter_here(w->sh);
    return xt_bitmap_take(w->ready, w->x->max_slots, fn, arg);
}

/* ---- blocking ---- */

/* The time-out of ppoll(). */
static struct timespec *time_left(uint64_t deadline, struct timespec *ts)
{
    if (deadline == XTCP_FOREVER)
        return NULL;
    uint64_t now = xtcp_now_ns(), left = deadline > now ? deadline - now : 0;
    *ts = (struct timespec){(time_t)(left / 1000000000u), (long)(left % 1000000000u)};
    return ts;
}

int xtcp_waiter_sleep(struct xtcp_waiter *w, uint64_t deadline)
{
    struct xtcp *x = w->x;
    struct pollfd p[2] = {{.fd = w->fd, .events = POLLIN}, {.fd = x->ctl}};
    struct timespec ts, *timeout = time_left(deadline, &ts);
    int saved = errno, rc = 0;
    int n = ppoll(p, 2, timeout, NULL);
    if (n < 0 && errno == EINVAL) { /* RLIMIT_NOFILE is 1; the pipe tells of the daemon's end too, if later */
        n = ppoll(p, 1, timeout, NULL);
        p[1].revents = p[0].revents & POLLHUP;
    }
    if (n < 0)
        rc = errno == EINTR ? -EINTR : -errno;
    else if (n == 0)
        rc = -EAGAIN;
    else if (p[1].revents)
        atomic_store(&x->lost, true);
    if (n > 0 && p[0].revents && !w->owed && atomic_load(&w->sh->sleeping))
        w->owed = 1; /* nobody has announced it */
    errno = saved;
    return rc;
}

static void ignore(void *arg, uint32_t s)
{
}

/* Does every handler of this process want calls to go on after its signal? Which one has just run is not known. Where they differ
 * the call is interrupted: programs that leave SA_RESTART out mean it. */
XTCP_API bool xtcp_restarts(void)
{
    struct sigaction sa;
    for (int sig = 1; sig < NSIG; sig++)
        if (sig != SIGSEGV && sig != SIGBUS && sig != SIGFPE && sig != SIGILL && sig != SIGABRT &&
            sigaction(sig, NULL, &sa) == 0 && sa.sa_handler != SIG_DFL && sa.sa_handler != SIG_IGN &&
            !(sa.sa_flags & SA_RESTART))
            return false;
    return true;
}

int xtcp_pause(uint64_t deadline)
{
    struct timespec ts;
    int saved = errno, n;
    do
        n = ppoll(NULL, 0, time_left(deadline, &ts), NULL);
    while (n < 0 && errno == EINTR && deadline == XTCP_FOREVER && xtcp_restarts());
    errno = saved;
    return n < 0 ? -EINTR : -EAGAIN;
}

/* A thread that waits for news of a socket. */
struct wait {
    struct xtcp_waiter *w;
    int s;
};

static void stop_waiting(void *arg)
{
    const struct wait *wait = arg;
    xtcp_waiter_unsub(wait->w, wait->s);
    xtcp_waiter_put(wait->w);
}

static void give_up(void *arg)
{
    const struct wait *wait = arg;
    xtcp_waiter_done(wait->w);
    stop_waiting(arg);
}

static int sleep_cancellably(struct wait *wait, uint64_t deadline)
{
    int rc;
    pthread_cleanup_push(give_up, wait);
    rc = xtcp_waiter_sleep(wait->w, deadline);
    pthread_cleanup_pop(0);
    return rc;
}

int xtcp_wait(struct xtcp *x, int s, bool (*ready)(struct xt_slot *sl, void *arg), void *arg, uint64_t deadline)
{
    struct xtcp_waiter *w;
    struct xt_slot *sl = &x->slots[s];
    int rc = xtcp_waiter_get(x, &w);
    if (rc < 0)
        return rc;
    struct wait wait = {w, s};
    for (;;) {
        xtcp_waiter_sub(w, s); /* each time: a signal handler may have used the waiter too */
        if (ready(sl, arg) || rc != 0)
            break;
        if (!xtcp_alive(x)) {
            rc = -ECONNABORTED;
            break;
        }
        if (!xtcp_waiter_spin(w)) {
            if (!xtcp_waiter_prepare(w) && !ready(sl, arg))
                rc = sleep_cancellably(&wait, deadline);
            if (rc == -EINTR && deadline == XTCP_FOREVER && xtcp_restarts())
                rc = 0; /* with a time-out Linux does not go on either */
            xtcp_waiter_done(w);
        }
        xtcp_waiter_take(w, ignore, NULL);
    }
    if (rc < 0 && rc != -ECONNABORTED && ready(sl, arg))
        rc = 0;
    stop_waiting(&wait);
    return rc;
}
