/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/ctl/foreign.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST_THREADS 16
#define STACK_SIZE (128u << 10)

struct xt_foreign {
    pthread_mutex_t lock;
    pthread_cond_t more;
    int *fd;
    unsigned n, cap;
    unsigned threads, idle;
    bool ended; /* the last one out frees it */
};

struct xt_foreign *xt_foreign_new(void)
{
    struct xt_foreign *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->more, NULL);
    return f;
}

static void destroy(struct xt_foreign *f)
{
    while (f->n)
        close(f->fd[--f->n]);
    pthread_cond_destroy(&f->more);
    pthread_mutex_destroy(&f->lock);
    free(f->fd);
    free(f);
}

static void *closer(void *arg)
{
    struct xt_foreign *f = arg;
    pthread_mutex_lock(&f->lock);
    while (!f->ended) {
        if (!f->n) {
            f->idle++;
            pthread_cond_wait(&f->more, &f->lock);
            f->idle--;
            continue;
        }
        int fd = f->fd[--f->n];
        pthread_mutex_unlock(&f->lock);
        close(fd);
        pthread_mutex_lock(&f->lock);
    }
    bool last = --f->threads == 0;
    pthread_mutex_unlock(&f->lock);
    if (last)
        destroy(f);
    return NULL;
}

static bool start_thread(struct xt_foreign *f)
{
    pthread_attr_t a;
    pthread_t t;
    sigset_t all, old;
    pthread_attr_init(&a);
    pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&a, STACK_SIZE);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    bool ok = pthread_create(&t, &a, closer, f) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&a);
    f->threads += ok;
    return ok;
}

static bool put(struct xt_foreign *f, int fd)
{
    if (f->n == f->cap) {
        unsigned cap = f->cap ? f->cap * 2 : 64;
        int *v = realloc(f->fd, cap * sizeof *v);
        if (!v)
            return false;
        f->fd = v;
        f->cap = cap;
    }
    f->fd[f->n++] = fd;
    return true;
}

static bool sock_int(int fd, int opt, int *v)
{
    socklen_t len = sizeof *v;
    return getsockopt(fd, SOL_SOCKET, opt, v, &len) == 0;
}

/* What honest programs send: a UNIX socket without messages, whose descriptors the kernel would close with it; a listener. Nobody may
 * see such a one stay after it was let go. */
static bool is_quick(int fd)
{
    int domain, listens;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (!sock_int(fd, SO_DOMAIN, &domain))
        return false;
    if (domain == AF_UNIX)
        return poll(&p, 1, 0) == 0 || !(p.revents & POLLIN);
    return sock_int(fd, SO_ACCEPTCONN, &listens) && listens;
}

void xt_foreign_close(struct xt_foreign *f, int fd)
{
    static const struct linger off;
    if (is_quick(fd)) {
        close(fd);
        return;
    }
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &off, sizeof off); /* its owner may set it again, but must be quick */
    pthread_mutex_lock(&f->lock);
    if (f->n >= f->idle && f->threads < MOST_THREADS)
        start_thread(f);
    bool kept = f->threads && put(f, fd);
    pthread_cond_signal(&f->more);
    pthread_mutex_unlock(&f->lock);
    if (!kept) /* no memory: better to wait, perhaps, than to keep it for ever */
        close(fd);
}

void xt_foreign_free(struct xt_foreign *f)
{
    pthread_mutex_lock(&f->lock);
    f->ended = true;
    bool none = f->threads == 0;
    pthread_cond_broadcast(&f->more);
    pthread_mutex_unlock(&f->lock);
    if (none)
        destroy(f);
}
