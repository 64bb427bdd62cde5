/* SPDX-License-Identifier: Apache-2.0
 * The library's data path under ThreadSanitizer: rings, bitmaps, locks and doorbells, several threads at each end of a stream, a
 * plain model of the daemon in the middle, which changes the rings all the time. The region is ordinary memory at one address, so that the sanitizer sees both sides
 * of every hand-over; the real daemon maps it at another. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "libclient/internal.h"

#define RING 4096u
#define RING_MAX 65536u
#define STEP 1000u       /* bytes moved at a time */
#define AREAS (3u << 20) /* of the region: a place of RING_MAX bytes for each ring that is in use at a time */
#define SLOTS 64u
#define WRITERS 2u
#define READERS 2u
#define ITEMS 40000u /* of each writer; 8 bytes each */

static struct xtcp *x;
static struct xt_global global;
static int wake_fd[XT_MAX_WAITERS], made;
static pthread_mutex_t make_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic bool stop;
static _Atomic unsigned received;
static unsigned rx_changes, tx_changes; /* the daemon's; read when it has ended */

/* ---- what attach.c does in a real client ---- */

int xtcp_request(struct xtcp *ctx, const char *op, const char *key, int send_fd, int *got_fd)
{
    int ends[2];
    pthread_mutex_lock(&make_lock);
    int n = made;
    if (pipe(ends) == 0) {
        wake_fd[n] = ends[1];
        *got_fd = ends[0];
        atomic_store(&x->boxes[n].live, 1);
        atomic_store(&x->region->waiters_high, (uint32_t)n + 1);
        made++;
    } else {
        n = -errno;
    }
    pthread_mutex_unlock(&make_lock);
    return n;
}

int xtcp_fd_high(int fd)
{
    return fd;
}

bool xtcp_alive(const struct xtcp *ctx)
{
    return true;
}

/* ---- the model of the daemon ---- */

static uint8_t *ring(uint64_t off)
{
    return x->base + off;
}

static void wake(uint32_t w)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_exchange(&x->boxes[w].sleeping, 0) && write(wake_fd[w], "", 1) != 1)
        abort();
}

static void tell(uint32_t s)
{
    uint64_t subs = atomic_load(&x->slots[s].subs);
    for (; subs; subs &= subs - 1) {
        uint32_t w = (uint32_t)__builtin_ctzll(subs);
        xt_bitword *ready = (void *)(x->base + x->region->ready_off + w * x->region->ready_stride);
        xt_bitmap_set(ready, s);
        wake(w);
    }
}

/* Changes the receive ring of socket 1 whenever the one before has been read: by daemon/app/rings.c's order of
 * stores. Larger or smaller is the same to a reader. */
static void change_rx(struct xt_slot *b, uint64_t head, uint64_t tail)
{
    static unsigned place;
    uint32_t old = atomic_load(&b->rx_size), size = RING << (place % 3);
    if (tail < atomic_load(&b->rx_switch) || head - tail > size)
        return;
    place++;
    rx_changes++;
    atomic_store_explicit(&b->rx_old, xt_page_off(b->rx_page) | (unsigned)__builtin_ctz(old), memory_order_release);
    atomic_store_explicit(&b->rx_switch, head, memory_order_release);
    atomic_store_explicit(&b->rx_page, (AREAS + (4 + place % 2) * RING_MAX) >> 12, memory_order_release);
    atomic_store_explicit(&b->rx_size, size, memory_order_release);
}

/* Moves what socket 0 has sent to socket 1, as far as there is room. */
static void move(void)
{
    struct xt_slot *a = &x->slots[0], *b = &x->slots[1];
    uint64_t head = atomic_load_explicit(&a->tx_head, memory_order_acquire), tail = atomic_load(&a->tx_tail);
    uint64_t to = atomic_load(&b->rx_head), read = atomic_load_explicit(&b->rx_tail, memory_order_acquire);
    change_rx(b, to, read);
    uint32_t rx_size = atomic_load(&b->rx_size), tx_size = atomic_load(&a->tx_size);
    uint64_t room = rx_size - (to - read), n = head - tail < room ? head - tail : room;
    if (n > STEP) { /* the rest later, so that there are many changes */
        n = STEP;
        xt_bitmap_set(x->dirty, 0);
    }
    for (uint64_t i = 0; i < n; i++)
        ring(xt_page_off(b->rx_page))[(to + i) % rx_size] = ring(xt_page_off(a->tx_page))[(tail + i) % tx_size];
    atomic_store_explicit(&b->rx_head, to + n, memory_order_release);
    atomic_store_explicit(&a->tx_tail, tail + n, memory_order_release);
    atomic_thread_fence(memory_order_seq_cst);
    if (n)
        tell(1);
    uint64_t used = head - tail - n;
    if (atomic_load(&a->want) & XT_WANT_SPACE && tx_size - used >= used / 2) {
        atomic_fetch_and(&a->want, ~(uint32_t)XT_WANT_SPACE);
        tell(0);
    }
}

static void on_dirty(void *arg, uint32_t s)
{
    move();
}

/* XT_OP_GROW_TX of socket 0, the only command there is. */
static void on_cmd(void *arg, uint32_t w)
{
    struct xt_waiter *box = &x->boxes[w];
    struct xt_slot *a = &x->slots[0];
    uint32_t seq = atomic_load_explicit(&box->cmd_seq, memory_order_acquire), size = atomic_load(&a->tx_size);
    if (box->op != XT_OP_GROW_TX || box->slot != 0)
        abort();
    uint64_t head = atomic_load_explicit(&a->tx_head, memory_order_acquire), tail = atomic_load(&a->tx_tail);
    uint64_t off = AREAS + tx_changes++ % 2 * RING_MAX;
    if (size == RING_MAX)
        abort();
    for (; tail < head; tail++)
        ring(off)[tail % (2 * size)] = ring(xt_page_off(a->tx_page))[tail % size];
    atomic_store_explicit(&a->tx_page, (uint32_t)(off >> 12), memory_order_relaxed);
    atomic_store_explicit(&a->tx_size, 2 * size, memory_order_relaxed);
    atomic_store_explicit(&a->tx_goal, 4 * size > RING_MAX ? 0 : 4 * size, memory_order_relaxed);
    box->result = 0;
    atomic_store_explicit(&box->done_seq, seq, memory_order_release);
    wake(w);
}

static void *daemon_main(void *unused)
{
    while (!atomic_load(&stop)) {
        if (xt_bitmap_take_some(x->cmd, XT_MAX_WAITERS, 1, on_cmd, NULL) +
            xt_bitmap_take_some(x->dirty, SLOTS, 1, on_dirty, NULL))
            continue;
        atomic_store(&global.sleeping, 1);
        atomic_thread_fence(memory_order_seq_cst);
        uint64_t count;
        if (!xt_bitmap_any(x->dirty) && !xt_bitmap_any(x->cmd) && !atomic_load(&stop) &&
            read(x->doorbell, &count, sizeof count) < 0)
            abort();
        atomic_store(&global.sleeping, 0);
    }
    return NULL;
}

/* ---- the ends ---- */

static void *writer(void *arg)
{
    uint64_t who = (uint64_t)(uintptr_t)arg;
    for (uint64_t i = 0; i < ITEMS; i++) {
        uint64_t item = who << 32 | i;
        if (xtcp_send(x, 0, &item, sizeof item, 0) != sizeof item)
            return "send";
    }
    return NULL;
}

/* Each reader must see each writer's items in order; together they see all of them. */
static void *reader(void *unused)
{
    uint64_t item, next[WRITERS] = {0};
    for (;;) {
        ssize_t n = xtcp_recv(x, 1, &item, sizeof item, MSG_WAITALL);
        if (n == 0)
            return NULL;
        uint64_t who = item >> 32, i = item & 0xffffffff;
        if (n != sizeof item || who >= WRITERS || i < next[who])
            return "order";
        next[who] = i + 1;
        if (atomic_fetch_add(&received, 1) + 1 == WRITERS * ITEMS) { /* end of file for the others */
            atomic_fetch_or(&x->slots[1].cond, (uint32_t)XT_COND_RDHUP);
            tell(1);
        }
    }
}

static void set_up(void)
{
    size_t words = xt_bitmap_words0(SLOTS) * (XT_MAX_WAITERS + 1) * sizeof(uint64_t);
    size_t ready = xt_bitmap_size(SLOTS), at = 4096;
    x = calloc(1, sizeof *x + words);
    x->base = aligned_alloc(4096, 4 << 20);
    memset(x->base, 0, 4 << 20);
    x->known = (void *)(x + 1);
    x->region = (void *)x->base;
    x->global = &global;
    x->max_slots = SLOTS;
    x->doorbell = eventfd(0, 0);
    x->ctl = -1;
    x->boxes = (void *)(x->base + at);
    at += XT_MAX_WAITERS * sizeof(struct xt_waiter);
    x->slots = (void *)(x->base + at);
    at += SLOTS * sizeof(struct xt_slot);
    x->dirty = (void *)(x->base + at);
    x->cmd = (void *)(x->base + at + 4096);
    x->hold = (void *)(x->base + at + 8192);
    x->region->ready_off = at + 12288;
    x->region->ready_stride = ready;
    atomic_store(&x->hold[0], 3);
    for (unsigned s = 0; s < 2; s++) {
        struct xt_slot *sl = &x->slots[s];
        sl->tx_page = (AREAS + (s + 2) * RING_MAX) >> 12;
        sl->rx_page = (AREAS + (s + 6) * RING_MAX) >> 12;
        sl->tx_size = sl->rx_size = RING;
        atomic_store(&sl->tx_goal, 2 * RING);
        atomic_store(&sl->cond, XT_COND_CONNECTED);
    }
    xtcp_waiters_begin(x);
}

int main(void)
{
    pthread_t t[WRITERS + READERS], d;
    int failed = 0;
    set_up();
    pthread_create(&d, NULL, daemon_main, NULL);
    for (uintptr_t i = 0; i < WRITERS + READERS; i++)
        pthread_create(&t[i], NULL, i < WRITERS ? writer : reader, (void *)i);
    for (unsigned i = 0; i < WRITERS + READERS; i++) {
        void *wrong;
        pthread_join(t[i], &wrong);
        if (wrong)
            fprintf(stderr, "thread %u: %s\n", i, (char *)wrong);
        failed |= wrong != NULL;
    }
    uint64_t one = 1;
    atomic_store(&stop, true);
    failed |= write(x->doorbell, &one, sizeof one) != sizeof one;
    pthread_join(d, NULL);
    failed |= atomic_load(&received) != WRITERS * ITEMS;
    failed |= rx_changes < 50 || tx_changes < 1; /* how often the send ring fills depends on who runs when */
    printf("%u items, %u and %u changes of rings\n", atomic_load(&received), rx_changes, tx_changes);
    return failed;
}
