/* SPDX-License-Identifier: Apache-2.0
 * A context: the handshake on the control socket (proto/xt_ctl.h), the mappings, and their end. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "libclient/internal.h"
#include "proto/xt_ctl.h"
#include "proto/xt_msg.h"

#define TRIES 10

static __thread char last_error[256];

static int fail(int rc, const char *fmt, const char *what)
{
    snprintf(last_error, sizeof last_error, fmt, what, strerror(-rc));
    return rc;
}

XTCP_API const char *xtcp_strerror_attach(void)
{
    return last_error;
}

int xtcp_fd_high(int fd)
{
    struct rlimit rl;
    int from = 1 << 14; /* the kernel's table grows with the highest number, so not at the very end of a large limit */
    if (getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur < (rlim_t)from + 64)
        from = rl.rlim_cur > 128 ? (int)rl.rlim_cur - 64 : 0;
    if (fd < 0 || fd >= from)
        return fd;
    int high = fcntl(fd, F_DUPFD_CLOEXEC, from);
    if (high < 0)
        return fd;
    close(fd);
    return high;
}

void xtcp_comm(char out[24])
{
    char name[16] = "";
    prctl(PR_GET_NAME, name);
    memset(out, 0, 24);
    memcpy(out, name, sizeof name);
}

/* ---- requests ---- */

/* An answer that was given twice, because the stack process died right after it had given it once. */
static void drain(int ctl, uint8_t *buf, size_t size)
{
    struct xt_msg_anc anc;
    while (xt_msg_recv(ctl, buf, size, &anc, MSG_DONTWAIT) > 0)
        xt_msg_anc_close(&anc);
}

/* The reply to request `n`: one that a dying stack process has given already, and its successor once more, may come before. */
static ssize_t reply_to(int ctl, uint64_t n, uint8_t *buf, size_t size, struct xt_msg_in *in, struct xt_msg_anc *anc)
{
    for (;;) {
        uint64_t of = n;
        ssize_t len = xt_msg_recv(ctl, buf, size, anc, 0);
        if (len <= 0)
            return len < 0 ? len : -ECONNRESET;
        if (xt_msg_parse(in, buf, (size_t)len) < 0)
            return len;
        xt_msg_get_uint(in, "n", &of);
        if (of == n)
            return len;
        xt_msg_anc_close(anc);
    }
}

/* Ends the request in `out`, sends it and reads its reply. Returns 0 with `*in` over `buf`, or a negative errno; words of a refusal go to
 * last_error. */
static int exchange(int ctl, struct xt_msg_out *out, int send_fd, uint8_t *buf, size_t size, struct xt_msg_in *in,
                    struct xt_msg_anc *anc)
{
    static _Atomic uint32_t numbers;
    uint64_t number = atomic_fetch_add(&numbers, 1);
    memset(anc, 0, sizeof *anc);
    drain(ctl, buf, size);
    xt_msg_uint(out, "n", number);
    if (xt_msg_end(out) < 0)
        return -EMSGSIZE;
    int rc = xt_msg_send(ctl, out->buf, out->len, &send_fd, send_fd >= 0, 0);
    if (rc < 0)
        return rc;
    ssize_t n = reply_to(ctl, number, buf, size, in, anc);
    if (n < 0)
        return (int)n;
    if (anc->cut)
        return -EMFILE;
    bool ok = false;
    uint64_t err = EPROTO;
    if (xt_msg_parse(in, buf, (size_t)n) < 0 || xt_msg_get_bool(in, "ok", &ok) < 0)
        rc = -EPROTO;
    if (rc == 0 && !ok) {
        char words[200] = "refused";
        xt_msg_get_uint(in, "errno", &err);
        xt_msg_get_str(in, "error", words, sizeof words);
        rc = err && err < 4096 ? -(int)err : -EPROTO;
        fail(rc, "%s", words);
    }
    if (rc < 0)
        xt_msg_anc_close(anc);
    return rc;
}

/* A descriptor more would fit. Who asked for one without room for it would leave the daemon with what nobody has. */
static bool has_room(int ctl)
{
    int fd = fcntl(ctl, F_DUPFD_CLOEXEC, 0);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static int request(struct xtcp *x, struct xt_msg_out *out, const char *key, int send_fd, int *got_fd)
{
    uint8_t buf[1024];
    struct xt_msg_in in;
    struct xt_msg_anc anc;
    uint64_t v = 0;
    if (got_fd && !has_room(x->ctl))
        return -EMFILE;
    int rc = exchange(x->ctl, out, send_fd, buf, sizeof buf, &in, &anc);
    if (rc == -ECONNRESET || rc == -EPIPE || rc == -ENOTCONN) {
        atomic_store(&x->lost, true);
        return -ECONNABORTED;
    }
    if (rc < 0)
        return rc;
    if (xt_msg_get_uint(&in, key, &v) < 0 || v > INT32_MAX || (got_fd && anc.nfds > 1)) {
        xt_msg_anc_close(&anc);
        return -EPROTO;
    }
    if (got_fd)
        *got_fd = anc.nfds ? anc.fd[0] : -1;
    else
        xt_msg_anc_close(&anc);
    return (int)v;
}

int xtcp_request(struct xtcp *x, const char *op, const char *key, int send_fd, int *got_fd)
{
    uint8_t buf[64];
    struct xt_msg_out out;
    xt_msg_begin(&out, buf, sizeof buf);
    xt_msg_str(&out, "op", op);
    return xtcp_request_msg(x, &out, key, send_fd, got_fd);
}

int xtcp_request_msg(struct xtcp *x, struct xt_msg_out *out, const char *key, int send_fd, int *got_fd)
{
    /* A signal handler that makes a request while this thread is in one would wait for ever. */
    sigset_t all, old;
    XTCP_NO_CANCEL();
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = xtcp_lock(x, &x->ctl_lock);
    if (rc == 0) {
        rc = request(x, out, key, send_fd, got_fd);
        xtcp_unlock(&x->ctl_lock);
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc;
}

/* ---- attach ---- */

static int open_control(const char *path, int *out)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof un.sun_path)
        return -ENAMETOOLONG;
    strcpy(un.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    while (connect(fd, (const struct sockaddr *)&un, sizeof un) < 0) {
        if (errno == EINTR)
            continue;
        int rc = -errno;
        close(fd);
        return rc;
    }
    *out = xtcp_fd_high(fd);
    return 0;
}

/* Whether what is mapped is populated at once: mlockall(MCL_FUTURE). */
static bool maps_populated(void)
{
    unsigned char in = 0;
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return true;
    mincore(page, 4096, &in);
    munmap(page, 4096);
    return in & 1;
}

/* Maps a sparse region, which is not to be populated: if it were, it is made inaccessible first, which is never populated, then unlocked,
 * then opened. Only then, for valgrind looks at each byte of what is opened so. */
static void *map_sparse(size_t size, int prot, int flags, int fd)
{
    bool populated = maps_populated();
    void *p = mmap(NULL, size, populated ? PROT_NONE : prot, flags | MAP_NORESERVE, fd, 0);
    if (p == MAP_FAILED)
        return NULL;
    munlock(p, size);
    if (populated && mprotect(p, size, prot) < 0) {
        munmap(p, size);
        return NULL;
    }
    madvise(p, size, MADV_DONTDUMP);
    return p;
}

static size_t own_size(uint32_t max_slots)
{
    return sizeof(struct xtcp) + (XT_MAX_WAITERS + 1) * xt_bitmap_words0(max_slots) * sizeof(uint64_t);
}

static bool header_is_sane(const struct xt_region *r, uint64_t size)
{
    return r->magic == XT_REGION_MAGIC && r->abi == XT_ABI_VERSION && r->size == size && r->max_slots > 0 &&
           r->max_slots <= XT_BITMAP_MAX && r->max_procs <= XT_MAX_PROCS && r->max_waiters <= XT_MAX_WAITERS &&
           r->arena_off <= size;
}

static int map_region(int region_fd, int global_fd, struct xtcp **out)
{
    off_t size = lseek(region_fd, 0, SEEK_END);
    if (size < (off_t)sizeof(struct xt_region))
        return -EPROTO;
    uint8_t *base = map_sparse((size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, region_fd);
    if (!base)
        return -ENOMEM;
    const struct xt_region *r = (void *)base;
    void *global = mmap(NULL, 4096, PROT_READ, MAP_SHARED, global_fd, 0);
    struct xtcp *x = NULL;
    int rc = global == MAP_FAILED ? -ENOMEM : -EPROTO;
    if (global != MAP_FAILED && header_is_sane(r, (uint64_t)size)) {
        size_t own = own_size(r->max_slots);
        x = map_sparse(own, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
        rc = x ? 0 : -ENOMEM;
    }
    if (rc < 0) {
        munmap(base, (size_t)size);
        if (global != MAP_FAILED)
            munmap(global, 4096);
        return rc;
    }
    x->base = base;
    x->size = (size_t)size;
    x->own_size = own_size(r->max_slots);
    x->region = (void *)base;
    x->global = global;
    x->slots = (void *)(base + r->slots_off);
    x->rares = (void *)(base + r->rares_off);
    x->boxes = (void *)(base + r->waiters_off);
    x->cmd = (void *)(base + r->cmd_off);
    x->dirty = (void *)(base + r->dirty_off);
    x->max_slots = r->max_slots;
    x->known = (void *)(x + 1);
    x->child_ctl = -1;
    *out = x;
    return 0;
}

static void name_proc(struct xtcp *x)
{
    struct xt_proc *p = (struct xt_proc *)(void *)(x->base + x->region->procs_off) + x->proc;
    p->pid = (uint32_t)getpid();
    xtcp_comm(p->comm);
    x->hold = (void *)(x->base + x->region->hold_off + x->proc * x->region->hold_stride);
}

/* Attaches; with `end` (an exported end, not -1) to the family that it comes from. */
static int send_attach(int ctl, int end, uint8_t *buf, size_t size, struct xt_msg_in *in, struct xt_msg_anc *anc)
{
    uint8_t text[128];
    char comm[24];
    struct xt_msg_out out;
    xtcp_comm(comm);
    xt_msg_begin(&out, text, sizeof text);
    xt_msg_str(&out, "op", end < 0 ? "attach" : "join");
    xt_msg_uint(&out, "abi", XT_ABI_VERSION);
    xt_msg_str(&out, "comm", comm);
    last_error[0] = 0;
    int rc = exchange(ctl, &out, end, buf, size, in, anc);
    if (rc < 0 && !last_error[0])
        return fail(rc, "%s: %s", "the daemon does not answer the attach request");
    return rc;
}

/* What is asked of an attach beside the context: to which family, and what a join tells. */
struct joining {
    int end; /* an exported end, or -1 */
    uint64_t slot;
    int beside;
};

static int handshake(int ctl, struct joining *j, struct xtcp **out)
{
    uint8_t buf[1024];
    struct xt_msg_in in;
    struct xt_msg_anc anc;
    uint64_t session = 0, proc = 0;
    int rc = send_attach(ctl, j->end, buf, sizeof buf, &in, &anc);
    if (rc < 0)
        return rc;
    rc = -EPROTO;
    if (xt_msg_get_uint(&in, "session", &session) == 0 && xt_msg_get_uint(&in, "proc", &proc) == 0 &&
        proc < XT_MAX_PROCS && (anc.nfds == 3 || (anc.nfds == 4 && j->end >= 0)) &&
        (j->end < 0 || xt_msg_get_uint(&in, "slot", &j->slot) == 0))
        rc = map_region(anc.fd[0], anc.fd[2], out);
    if (rc < 0) {
        xt_msg_anc_close(&anc);
        return fail(rc, "%s: %s", "cannot map the shared memory (is address space limited, by ulimit -v?)");
    }
    struct xtcp *x = *out;
    x->doorbell = xtcp_fd_high(anc.fd[1]);
    anc.fd[1] = -1;
    if (anc.nfds == 4) {
        j->beside = anc.fd[3];
        anc.fd[3] = -1;
    }
    xt_msg_anc_close(&anc);
    xt_msg_get_str(&in, "rules", x->rules, sizeof x->rules);
    xt_msg_get_str(&in, "interface", x->interface, sizeof x->interface);
    uint64_t shards = 1, shard = 0;
    xt_msg_get_uint(&in, "shards", &shards);
    xt_msg_get_uint(&in, "shard", &shard);
    x->shards = (uint32_t)shards;
    x->shard = (uint32_t)shard;
    x->ctl = ctl;
    x->session = (uint32_t)session;
    x->proc = (uint32_t)proc;
    name_proc(x);
    xtcp_waiters_begin(x);
    return 0;
}

static const char *socket_path(const char *path)
{
    const char *env = secure_getenv("XTCP_SOCKET");
    return path ? path : env && *env ? env : XT_CTL_PATH;
}

static int attach_once(struct xtcp **out, const char *path, struct joining *j)
{
    int ctl = -1;
    int rc = open_control(path, &ctl);
    if (rc < 0)
        return fail(rc, "no xtcpd at %s: %s", path);
    rc = handshake(ctl, j, out);
    if (rc < 0)
        close(ctl);
    return rc;
}

/* A stack process that dies before it has answered takes a new connection with it; the control socket itself stays, and its
 * successor answers there. */
static bool died_first(int rc)
{
    return rc == -ECONNRESET || rc == -EPIPE;
}

static int attach(struct xtcp **out, const char *path, struct joining *j)
{
    int rc = -ECONNRESET;
    path = socket_path(path);
    for (unsigned n = 0; n < TRIES && died_first(rc); n++)
        rc = attach_once(out, path, j);
    return rc;
}

XTCP_API int xtcp_attach(struct xtcp **out, const char *path)
{
    struct joining none = {.end = -1};
    XTCP_NO_CANCEL();
    return attach(out, path, &none);
}

XTCP_API uint32_t xtcp_shards(const struct xtcp *x, uint32_t *shard)
{
    *shard = x->shard;
    return x->shards;
}

/* A control connection that the daemon knows to be of the same family. */
static int open_beside(struct xtcp *x, uint32_t shard, int *out)
{
    uint8_t buf[64];
    struct xt_msg_out msg;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    xt_msg_begin(&msg, buf, sizeof buf);
    xt_msg_str(&msg, "op", "beside");
    xt_msg_uint(&msg, "shard", shard);
    int rc = xtcp_request_msg(x, &msg, "shard", pair[1], NULL);
    close(pair[1]);
    if (rc < 0)
        close(pair[0]);
    else
        *out = xtcp_fd_high(pair[0]);
    return rc < 0 ? rc : 0;
}

XTCP_API int xtcp_attach_beside(struct xtcp *x, uint32_t shard, struct xtcp **out)
{
    struct joining none = {.end = -1};
    int ctl = -1;
    XTCP_NO_CANCEL();
    int rc = shard < x->shards ? open_beside(x, shard, &ctl) : -EINVAL;
    if (rc < 0)
        return rc;
    rc = handshake(ctl, &none, out);
    if (rc < 0)
        close(ctl);
    return rc;
}

/* The daemon has made this process a holder of the slot. */
static int joined(struct xtcp *x, uint64_t slot)
{
    if (slot >= x->max_slots)
        return -EPROTO;
    atomic_fetch_or(&x->known[slot / 64], 1ULL << (slot % 64));
    return (int)slot;
}

XTCP_API int xtcp_join(struct xtcp **x, const char *path, int fd, int *beside)
{
    struct joining j = {.end = fd, .beside = -1};
    int rc;
    XTCP_NO_CANCEL();
    if (*x) {
        rc = xtcp_request(*x, "join", "slot", fd, &j.beside);
        j.slot = (uint64_t)rc;
    } else {
        rc = attach(x, path, &j);
    }
    if (rc >= 0)
        rc = joined(*x, j.slot);
    *beside = j.beside;
    return rc;
}

static int claim_once(const char *path, int fd)
{
    uint8_t text[32], buf[1024];
    struct xt_msg_in in;
    struct xt_msg_anc anc;
    struct xt_msg_out out;
    int ctl = -1, rc = open_control(path, &ctl);
    if (rc < 0)
        return rc;
    xt_msg_begin(&out, text, sizeof text);
    xt_msg_str(&out, "op", "claim");
    rc = exchange(ctl, &out, fd, buf, sizeof buf, &in, &anc);
    if (rc == 0)
        xt_msg_anc_close(&anc);
    close(ctl);
    return rc;
}

XTCP_API int xtcp_claim(const char *path, int fd)
{
    int rc = -ECONNRESET;
    XTCP_NO_CANCEL();
    path = socket_path(path);
    for (unsigned n = 0; n < TRIES && died_first(rc); n++)
        rc = claim_once(path, fd);
    return rc;
}

static void unmap(struct xtcp *x)
{
    munmap((void *)x->global, 4096);
    munmap(x->base, x->size);
    munmap(x, x->own_size);
}

XTCP_API void xtcp_detach(struct xtcp *x)
{
    XTCP_NO_CANCEL();
    xtcp_waiters_end(x);
    close(x->doorbell);
    close(x->ctl); /* the daemon takes it for the end of this process: all its holds end */
    unmap(x);
}

XTCP_API bool xtcp_alive(const struct xtcp *x)
{
    return !atomic_load_explicit((_Atomic bool *)&x->lost, memory_order_relaxed) &&
           !atomic_load_explicit((_Atomic uint32_t *)&x->region->dead, memory_order_relaxed);
}

XTCP_API int xtcp_control_fd(const struct xtcp *x)
{
    return x->ctl;
}

XTCP_API size_t xtcp_footprint(const struct xtcp *x)
{
    return x->size + x->own_size + 4096;
}

XTCP_API void xtcp_own_addr(const struct xtcp *x, struct sockaddr_in *out)
{
    *out = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = x->global->addr_be};
}

XTCP_API const char *xtcp_interface(const struct xtcp *x)
{
    return x->interface;
}

XTCP_API const char *xtcp_rules(const struct xtcp *x)
{
    return x->rules;
}

/* ---- fork ---- */

int xtcp_become(struct xtcp *x, int ctl, uint32_t proc)
{
    uint8_t buf[64];
    char comm[24];
    struct xt_msg_out out;
    close(x->ctl);
    x->ctl = ctl;
    x->proc = proc;
    x->epoch++;
    atomic_store(&x->ctl_lock, 0);
    name_proc(x);
    xtcp_comm(comm);
    xt_msg_begin(&out, buf, sizeof buf);
    xt_msg_str(&out, "op", "hello");
    xt_msg_str(&out, "comm", comm);
    xt_msg_end(&out);
    return xt_msg_send(ctl, buf, out.len, NULL, 0, 0);
}
