/* SPDX-License-Identifier: Apache-2.0
 * Signal handlers that send on the socket whose send they interrupt. The source of that send is made to fault, so that they run in the
 * middle of its copy into the ring. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/unit/libclient/pair.h"

enum { PIECE = 32768, PAGE = 4096 };
static struct pair *pp;
static char *source;
static size_t handler_len;
static ssize_t handler_sent[2];

static void send_in_between(int sig)
{
    static char more[2 * 65536];
    memset(more, 'h', sizeof more);
    mprotect(source, PIECE, PROT_READ);
    for (int i = 0; i < 2; i++)
        handler_sent[i] = xtcp_send(pp->x, pp->a, more, handler_len, 0);
}

static void *drain(void *arg)
{
    static char got[4 * 65536];
    ssize_t n;
    for (size_t at = 0; (n = xtcp_recv(pp->x, pp->b, got + at, sizeof got - at, 0)) > 0; at += (size_t)n)
        *(size_t *)arg += (size_t)n;
    return got;
}

/* The source faults at its first byte or in its middle; the handler sends `len` twice, and gets `first` and `second`. */
static void interrupt_copy(size_t fault, size_t len, ssize_t first, ssize_t second)
{
    struct pair p;
    pthread_t t;
    size_t total = 0;
    void *bytes;
    struct sigaction sa = {.sa_handler = send_in_between};
    pair_start(&p, NULL);
    pair_connect(&p);
    pp = &p;
    handler_len = len;
    source = mmap(NULL, PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(source, 's', PIECE);
    mprotect(source + fault, PAGE, PROT_NONE);
    sigaction(SIGSEGV, &sa, NULL);
    pthread_create(&t, NULL, drain, &total);
    cr_assert_eq(xtcp_send(p.x, p.a, source, PIECE, 0), PIECE);
    cr_assert_eq(handler_sent[0], first, "%zd", handler_sent[0]);
    cr_assert_eq(handler_sent[1], second, "%zd", handler_sent[1]);
    cr_assert_eq(xtcp_shutdown(p.x, p.a, SHUT_WR), 0);
    pthread_join(t, &bytes);
    cr_assert_eq(total, (size_t)PIECE + (size_t)first + (second > 0 ? (size_t)second : 0));
    for (size_t i = 0; i < total; i++)
        cr_assert_eq(((char *)bytes)[i], i < PIECE ? 's' : 'h', "at %zu", i);
    munmap(source, PIECE);
    pair_stop(&p);
}

Test(handlers, sends_in_the_middle_of_a_copy)
{
    interrupt_copy(0, 1, 1, 1);
    interrupt_copy(PIECE / 2, 1000, 1000, 1000);
}

/* Beside a copy that can't go on before the handler has returned there is the other half of the ring, and no more. */
Test(handlers, sends_more_than_there_is_beside_the_copy)
{
    interrupt_copy(0, 2 * 65536, 32768, -EAGAIN);
    interrupt_copy(PAGE, 20000, 20000, 12768);
}
