/* SPDX-License-Identifier: Apache-2.0
 * What goes from shard to shard (crew.c) and who may have which port (ports.c), under ThreadSanitizer: threads that take, pass on, wake
 * each other and sleep as main/shard.c does. Of the rest of a stack there is nothing here: what a packet says is looked at, no more. */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "daemon/stack/internal.h"

#define N 3u
/* Packets of each to each other, answered by as many; and after them, without any answer, to those of a higher number: several times
 * what a queue holds. */
#define TURNS 3000u
#define ONE_WAY 5000u
#define PORTS 2u

struct shard {
    struct xt_stack s;
    pthread_t thread;
    _Atomic uint32_t sleeping;
    int bell;
    uint32_t sent[N], got[N];
    unsigned binds;
};

struct packet {
    uint32_t from, to, number, len;
    uint8_t rest[];
};

static struct shard *shard[N];
static _Atomic uint32_t holders[PORTS];

static void fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}

/* ---- the rest of the stack ---- */

static void look_at(const void *data, size_t len, uint32_t to)
{
    const struct packet *p = data;
    if (p->to != to || p->len != len)
        fail("another packet than was passed on");
    for (size_t i = 0; i < len - sizeof *p; i++)
        if (p->rest[i] != (uint8_t)(p->number + i))
            fail("wrong bytes");
}

void xt_ip_input(struct xt_stack *s, const uint8_t *data, size_t len, const struct xt_rx *rx)
{
    const struct packet *p = (const void *)data;
    look_at(data, len, s->ops.shard);
    if (p->number != shard[s->ops.shard]->got[p->from]++)
        fail("not in order");
    if (rx->mac && rx->mac[0] != (uint8_t)p->number)
        fail("wrong address");
}

void xt_arp_overheard(struct xt_stack *s, const uint8_t *data, size_t len)
{
    look_at(data, len, N);
}

bool xt_conn_may_recycle(const struct xt_stack *s, uint32_t i)
{
    return false;
}

/* ---- passing on ---- */

static uint32_t all_of(uint32_t from, uint32_t to)
{
    return from == to ? 0 : from < to ? TURNS + ONE_WAY : TURNS;
}

static struct packet *fill(uint8_t *buf, uint32_t from, uint32_t to, uint32_t number)
{
    struct packet *p = (void *)buf;
    *p = (struct packet){from, to, number, (uint32_t)sizeof *p + number * 7919 % (number % 100 ? 200 : 60000)};
    for (size_t i = 0; i < p->len - sizeof *p; i++)
        p->rest[i] = (uint8_t)(number + i);
    return p;
}

/* The next packet to `to`, whole or in pieces. False: the queue is full. */
static bool pass(struct shard *me, uint32_t to)
{
    static _Thread_local uint8_t buf[65536];
    const struct packet *p = fill(buf, me->s.ops.shard, to, me->sent[to]);
    uint64_t before = me->s.stats.crew_out;
    const uint8_t mac[6] = {(uint8_t)p->number};
    const struct iovec pieces[2] = {{buf, sizeof *p}, {buf + sizeof *p, p->len - sizeof *p}};
    const struct xt_visit v = {0};
    if (p->number % 2)
        xt_crew_pass(&me->s, to, &v, buf, p->len, &(struct xt_rx){.mac = mac});
    else
        xt_crew_pass_pieces(&me->s, to, &v, pieces, 2);
    return me->s.stats.crew_out != before;
}

/* In the first part one or some packets may be without an answer: so both often have nothing to do but to wait. */
static bool may_pass(const struct shard *me, uint32_t to)
{
    uint32_t n = me->sent[to], most = n / 500 % 2 ? 20 : 1;
    return n < all_of(me->s.ops.shard, to) && (n >= TURNS || n < me->got[to] + most);
}

static bool pass_some(struct shard *me)
{
    static _Thread_local uint8_t buf[65536];
    bool any = false;
    for (uint32_t to = 0; to < N; to++)
        for (unsigned n = 0; n < 50 && may_pass(me, to); n++) {
            any = true;
            if (!pass(me, to)) {
                sched_yield();
                break;
            }
            if (me->sent[to]++ % 100 == 0 && me->sent[to] < TURNS)
                xt_crew_tell_arp(&me->s, buf, fill(buf, me->s.ops.shard, N, n)->len);
        }
    return any;
}

/* ---- ports ---- */

/* A port that nobody may have beside its holder; and connections there, which others look for. */
static void use_port(struct shard *me)
{
    uint32_t k = me->binds++ % PORTS;
    struct xt_endpoint at = {.port = (uint16_t)(1000 + k)};
    struct xt_conn c = {.local = at};
    struct xt_visit v = {0};
    const struct xt_flow flow = {.lport = at.port};
    if (xt_crew_whose(&me->s, &flow, XT_FLOW_NONE, &v) >= N)
        fail("nobody's");
    if (xt_stack_bind(&me->s, &at, 0) != 0)
        return;
    if (atomic_fetch_add_explicit(&holders[k], 1, memory_order_relaxed) != 0)
        fail("two have a port");
    xt_ports_conn_add(&me->s, &c);
    xt_ports_conn_remove(&me->s, &c);
    atomic_fetch_sub_explicit(&holders[k], 1, memory_order_relaxed);
    xt_stack_unbind(&me->s, &at, 0);
}

/* ---- a shard ---- */

static void wake(struct shard *other)
{
    uint64_t one = 1;
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&other->sleeping, memory_order_relaxed) && write(other->bell, &one, sizeof one) < 0)
        fail("write");
}

static void sleep_until_work(struct shard *me)
{
    uint64_t count;
    atomic_store(&me->sleeping, 1);
    atomic_thread_fence(memory_order_seq_cst);
    if (!xt_stack_passed_any(&me->s) && read(me->bell, &count, sizeof count) < 0)
        fail("read");
    atomic_store_explicit(&me->sleeping, 0, memory_order_relaxed);
}

static bool is_done(const struct shard *me)
{
    for (uint32_t k = 0; k < N; k++)
        if (me->sent[k] < all_of(me->s.ops.shard, k) || me->got[k] < all_of(k, me->s.ops.shard))
            return false;
    return true;
}

static void *work(void *arg)
{
    struct shard *me = arg;
    while (!is_done(me)) {
        bool some = xt_stack_passed(&me->s, 1);
        some |= pass_some(me);
        /* Not in the second part, where the lock would order what the queues alone have to. */
        if (me->sent[(me->s.ops.shard + 1) % N] < TURNS / 2)
            for (unsigned n = 0; n < 20; n++)
                use_port(me);
        for (uint32_t kicks = xt_stack_kicks(&me->s); kicks; kicks &= kicks - 1)
            wake(shard[__builtin_ctz(kicks)]);
        if (!some)
            sleep_until_work(me);
    }
    return NULL;
}

int main(void)
{
    struct xt_crew *crew;
    uint64_t out = 0, in = 0;
    unsigned binds = 0;
    if (xt_crew_new(&crew, N) != 0)
        fail("no memory");
    for (uint32_t k = 0; k < N; k++) {
        struct shard *sh = shard[k] = calloc(1, sizeof *sh);
        sh->bell = eventfd(0, 0);
        sh->s.ports = calloc(65536, sizeof *sh->s.ports);
        sh->s.ops.crew = crew;
        sh->s.ops.shard = k;
        xt_crew_join(&sh->s);
    }
    for (uint32_t k = 0; k < N; k++)
        pthread_create(&shard[k]->thread, NULL, work, shard[k]);
    for (uint32_t k = 0; k < N; k++)
        pthread_join(shard[k]->thread, NULL);
    for (uint32_t k = 0; k < N; k++) {
        while (xt_stack_passed(&shard[k]->s, 1)) /* ARP, which nobody waits for */
            ;
        in += shard[k]->s.stats.crew_in;
    }
    for (uint32_t k = 0; k < N; k++) {
        out += shard[k]->s.stats.crew_out;
        binds += shard[k]->binds;
        free(shard[k]->s.ports);
        free(shard[k]);
    }
    xt_crew_free(crew);
    printf("%lu packets passed on, %lu taken, %u ports asked for\n", (unsigned long)out, (unsigned long)in, binds);
    return in != out;
}
