/* SPDX-License-Identifier: Apache-2.0
 * What each user has in all its programs together, and may have: one user must not take what all need. Root is counted, not limited. */
#include <errno.h>
#include <stdlib.h>

#include "daemon/app/internal.h"
#include "daemon/base/log.h"
#include "daemon/base/time.h"

#define LOAD(x) atomic_load_explicit(&(x), memory_order_relaxed)
#define STORE(x, v) atomic_store_explicit(&(x), v, memory_order_relaxed)

/* ---- [ctl] ---- */

static struct xt_user *find(const struct xt_app *a, uid_t uid)
{
    struct xt_user *u;
    LIST_FOREACH(u, &a->common->users, link)
    if (u->uid == uid)
        return u;
    return NULL;
}

static void limit_memory(const struct xt_app *a, struct xt_user *u)
{
    STORE(u->memory.limit, u->uid ? LOAD(a->common->quota.memory) : 0);
}

struct xt_user *xt_user_join(struct xt_app *a, uid_t uid)
{
    struct xt_user *u = find(a, uid);
    if (!u && (u = calloc(1, sizeof *u))) {
        u->uid = uid;
        limit_memory(a, u);
        LIST_INSERT_HEAD(&a->common->users, u, link);
    }
    if (u)
        u->clients++;
    return u;
}

void xt_user_leave(struct xt_user *u)
{
    if (--u->clients)
        return;
    LIST_REMOVE(u, link);
    free(u);
}

bool xt_user_may_attach(struct xt_app *a, uid_t uid)
{
    struct xt_user *u = find(a, uid);
    uint32_t limit = LOAD(a->common->quota.clients);
    if (!uid || !limit || !u || u->clients < limit)
        return true;
    atomic_fetch_add(&u->refused, 1);
    __atomic_fetch_add(&a->stats.quota_clients, 1, __ATOMIC_RELAXED);
    xt_log_limited(XT_LOG_WARN, "uid %u may not attach another program: it has %u (user-clients)", uid, u->clients);
    return false;
}

void xt_app_set_quota(struct xt_app *a, const struct xt_quota *q)
{
    struct xt_user *u;
    STORE(a->common->quota.clients, q->clients);
    STORE(a->common->quota.sockets, q->sockets);
    STORE(a->common->quota.connects, q->connects);
    STORE(a->common->quota.memory, q->memory);
    LIST_FOREACH(u, &a->common->users, link)
    limit_memory(a, u);
}

unsigned xt_app_users(const struct xt_app *a, struct xt_user_info *out, unsigned max)
{
    unsigned n = 0;
    const struct xt_user *u;
    LIST_FOREACH(u, &a->common->users, link)
    if (n++ < max)
        out[n - 1] = (struct xt_user_info){.uid = u->uid,
                                           .clients = u->clients,
                                           .sockets = LOAD(u->sockets),
                                           .memory = LOAD(u->memory.used),
                                           .refused = LOAD(u->refused)};
    return n;
}

/* ---- [data] ---- */

bool xt_user_has_socket(const struct xt_session *s)
{
    uint32_t limit = LOAD(s->app->common->quota.sockets);
    return !s->uid || !limit || LOAD(s->user->sockets) < limit;
}

bool xt_user_has_memory(const struct xt_session *s)
{
    return xt_budget_has(&s->user->memory, XT_RING_MIN);
}

void xt_user_count_sockets(struct xt_session *s, int32_t n)
{
    atomic_fetch_add_explicit(&s->user->sockets, (uint32_t)n, memory_order_relaxed);
}

static void count_refused(struct xt_session *s, uint64_t *counter)
{
    (*counter)++;
    atomic_fetch_add_explicit(&s->user->refused, 1, memory_order_relaxed);
}

/* Each of the three speaks once in a second. */
#define SAY_REFUSED(s, what, setting)                                                                                 \
    xt_log_limited(XT_LOG_WARN, "uid %u has all the %s that it may have: refused to pid %d (%s), see the setting %s", \
                   (s)->uid, what, (s)->pid, (s)->comm, setting)

void xt_user_refused_socket(struct xt_session *s)
{
    count_refused(s, &s->app->stats.quota_sockets);
    SAY_REFUSED(s, "sockets", "user-sockets");
}

void xt_user_refused_memory(struct xt_session *s)
{
    count_refused(s, &s->app->stats.quota_memory);
    SAY_REFUSED(s, "buffers", "user-memory");
}

bool xt_user_take_connect(struct xt_session *s)
{
    struct xt_user *u = s->user;
    uint64_t now = s->app->now_us, limit = LOAD(s->app->common->quota.connects);
    if (!s->uid || !limit)
        return true;
    uint64_t each = limit < XT_US_PER_S ? XT_US_PER_S / limit : 1;
    uint64_t until = LOAD(u->connects_us), from = until > now ? until : now;
    if (from + each > now + XT_US_PER_S) {
        count_refused(s, &s->app->stats.quota_connects);
        SAY_REFUSED(s, "connects in a second", "user-connects");
        return false;
    }
    STORE(u->connects_us, from + each); /* two shards at once: one of the connects is not counted */
    return true;
}
