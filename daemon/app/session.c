/* SPDX-License-Identifier: Apache-2.0
 * Sessions as the control thread makes them: the region, its layout, processes and waiters. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/app/internal.h"
#include "daemon/base/macros.h"

#define PAGE UINT64_C(4096)

struct layout {
    uint64_t procs, waiters, cmd, dirty, slots, hold, ready, arena, size;
    uint64_t hold_stride, ready_stride;
};

/* Everything per-proc and per-waiter begins on a page of its own, so that what is not used is not populated. */
static struct layout lay_out(uint32_t max_slots, uint64_t arena)
{
    struct layout l;
    l.hold_stride = XT_ALIGN_UP((uint64_t)xt_bitmap_words0(max_slots) * 8, PAGE);
    l.ready_stride = XT_ALIGN_UP((uint64_t)xt_bitmap_size(max_slots), PAGE);
    l.procs = PAGE;
    l.waiters = XT_ALIGN_UP(l.procs + XT_MAX_PROCS * sizeof(struct xt_proc), PAGE);
    l.cmd = XT_ALIGN_UP(l.waiters + XT_MAX_WAITERS * sizeof(struct xt_waiter), PAGE);
    l.dirty = XT_ALIGN_UP(l.cmd + xt_bitmap_size(XT_MAX_WAITERS), PAGE);
    l.slots = XT_ALIGN_UP(l.dirty + xt_bitmap_size(max_slots), PAGE);
    l.hold = XT_ALIGN_UP(l.slots + (uint64_t)max_slots * sizeof(struct xt_slot), PAGE);
    l.ready = l.hold + XT_MAX_PROCS * l.hold_stride;
    l.arena = XT_ALIGN_UP(l.ready + XT_MAX_WAITERS * l.ready_stride, UINT64_C(2) << 20);
    l.size = l.arena + XT_ALIGN_UP(arena, PAGE);
    return l;
}

static void fill_header(struct xt_session *s, const struct layout *l)
{
    struct xt_region *r = s->region;
    r->magic = XT_REGION_MAGIC;
    r->abi = XT_ABI_VERSION;
    r->max_slots = s->max_slots;
    r->max_procs = XT_MAX_PROCS;
    r->max_waiters = XT_MAX_WAITERS;
    r->procs_off = l->procs;
    r->waiters_off = l->waiters;
    r->cmd_off = l->cmd;
    r->dirty_off = l->dirty;
    r->slots_off = l->slots;
    r->hold_off = l->hold;
    r->ready_off = l->ready;
    r->arena_off = l->arena;
    r->hold_stride = l->hold_stride;
    r->ready_stride = l->ready_stride;
    r->size = l->size;
    r->sndbuf = s->app->cfg.sndbuf;
    r->rcvbuf = s->app->cfg.rcvbuf;
}

static void set_pointers(struct xt_session *s, const struct layout *l)
{
    s->region = (void *)s->base;
    s->procs = (void *)(s->base + l->procs);
    s->waiters = (void *)(s->base + l->waiters);
    s->slots = (void *)(s->base + l->slots);
    s->cmd = (void *)(s->base + l->cmd);
    s->dirty = (void *)(s->base + l->dirty);
    s->hold_off = l->hold;
    s->hold_stride = l->hold_stride;
    s->ready_off = l->ready;
    s->ready_stride = l->ready_stride;
}

/* The daemon's private tables, sparse: a page costs memory once a slot in it was used. */
static int make_tables(struct xt_session *s)
{
    size_t len = s->max_slots * sizeof *s->ps;
    void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    s->ps = p == MAP_FAILED ? NULL : p;
    s->used = calloc(xt_bitmap_words0(s->max_slots), sizeof *s->used);
    s->pw = calloc(XT_MAX_WAITERS, sizeof *s->pw);
    return s->ps && s->used && s->pw ? 0 : -ENOMEM;
}

static int make_region(struct xt_session *s, const struct layout *l)
{
    s->memfd = memfd_create("xtcp-client", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (s->memfd < 0)
        return -errno;
    if (ftruncate(s->memfd, (off_t)l->size) < 0 ||
        fcntl(s->memfd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        return -errno;
    void *p = mmap(NULL, l->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, s->memfd, 0);
    if (p == MAP_FAILED)
        return -ENOMEM;
    s->base = p;
    s->size = l->size;
    madvise(p, l->size, MADV_DONTDUMP);
    return 0;
}

int xt_session_new(struct xt_app *a, pid_t pid, uid_t uid, const char *comm, struct xt_session **out)
{
    uint32_t index = 0;
    while (index < a->cfg.max_sessions && a->index_used[index])
        index++;
    if (index == a->cfg.max_sessions)
        return -ENOBUFS;
    struct xt_session *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    a->index_used[index] = true;
    s->app = a;
    s->index = index;
    s->id = (++a->next_gen & 0xffff) << 16 | (index + 1); /* never 0: that means "no session" in a connection record */
    s->pid = pid;
    s->uid = uid;
    snprintf(s->comm, sizeof s->comm, "%s", comm ? comm : "");
    s->max_slots = a->cfg.max_slots;
    s->listeners = XT_NO_PSLOT;
    s->memfd = s->doorbell = -1;
    struct layout l = lay_out(s->max_slots, a->cfg.arena);
    int rc = make_tables(s);
    if (rc == 0)
        rc = make_region(s, &l);
    if (rc == 0 && (s->doorbell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
        rc = -errno;
    if (rc < 0) {
        xt_session_free(s);
        return rc == -ENFILE ? -EMFILE : rc;
    }
    set_pointers(s, &l);
    fill_header(s, &l);
    xt_arena_init(&s->arena, s->memfd, l.arena, l.size - l.arena, &a->stats.bytes_mapped);
    *out = s;
    return 0;
}

void xt_session_free(struct xt_session *s)
{
    for (unsigned w = 0; s->pw && w < XT_MAX_WAITERS; w++)
        if (atomic_load(&s->pw[w].state) == XT_WAITER_LIVE) {
            close(s->pw[w].rfd);
            close(s->pw[w].wfd);
        }
    xt_arena_fini(&s->arena);
    if (s->base)
        munmap(s->base, s->size);
    if (s->ps)
        munmap(s->ps, s->max_slots * sizeof *s->ps);
    if (s->memfd >= 0)
        close(s->memfd);
    if (s->doorbell >= 0)
        close(s->doorbell);
    free(s->used);
    free(s->pw);
    s->app->index_used[s->index] = false;
    free(s);
}

uint32_t xt_session_id(const struct xt_session *s)
{
    return s->id;
}

uid_t xt_session_uid(const struct xt_session *s)
{
    return s->uid;
}

int xt_session_memfd(const struct xt_session *s)
{
    return s->memfd;
}

int xt_session_doorbell(const struct xt_session *s)
{
    return s->doorbell;
}

int xt_session_add_proc(struct xt_session *s, pid_t pid)
{
    uint64_t used = atomic_load_explicit(&s->procs_used, memory_order_acquire);
    if (~used == 0)
        return -ENOBUFS;
    uint32_t i = (uint32_t)__builtin_ctzll(~used);
    struct xt_proc *p = &s->procs[i];
    p->pid = (uint32_t)pid;
    memset(p->comm, 0, sizeof p->comm);
    atomic_fetch_or(&s->procs_used, 1ULL << i);
    atomic_fetch_or(&s->procs_live, 1ULL << i);
    atomic_store_explicit(&p->state, used ? XT_PROC_RESERVED : XT_PROC_LIVE, memory_order_release);
    return (int)i;
}

int xt_session_add_waiter(struct xt_session *s, uint32_t proc, int *fd)
{
    uint32_t w = 0;
    while (w < XT_MAX_WAITERS && atomic_load_explicit(&s->pw[w].state, memory_order_acquire) != XT_WAITER_FREE)
        w++;
    if (w == XT_MAX_WAITERS)
        return -ENOBUFS;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return errno == ENFILE ? -EMFILE : -errno;
    fcntl(ends[1], F_SETPIPE_SZ, 4096);
    struct xt_pwaiter *pw = &s->pw[w];
    struct xt_waiter *sw = &s->waiters[w];
    pw->rfd = ends[0];
    pw->wfd = ends[1];
    pw->proc = proc;
    pw->cmd_seen = atomic_load(&sw->cmd_seq);
    atomic_store(&sw->sleeping, 0);
    atomic_store(&sw->done_seq, pw->cmd_seen);
    sw->proc = proc;
    atomic_store(&sw->live, 1);
    if (atomic_load(&s->waiters_high) <= w) {
        atomic_store(&s->waiters_high, w + 1);
        atomic_store(&s->region->waiters_high, w + 1);
    }
    atomic_store_explicit(&pw->state, XT_WAITER_LIVE, memory_order_release);
    *fd = pw->rfd;
    return (int)w;
}
