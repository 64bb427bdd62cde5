/* SPDX-License-Identifier: Apache-2.0
 * epoll sets of several processes: what one changes, takes or adds, the others see. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/e2e/apiprobe_shared.h"

int ctl(int ep, int op, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event ev = {.events = events, .data.u64 = data};
    return epoll_ctl(ep, op, fd, &ev);
}

void say_wait(const char *name, int ep, int timeout)
{
    struct epoll_event evs[8] = {0};
    int r = epoll_wait(ep, evs, 8, timeout);
    if (r <= 0)
        say_ret(name, r);
    else
        say("%s: %d, %#x of %d", name, r, evs[0].events, (int)evs[0].data.u64);
}

void take_all(int fd)
{
    char buf[256];
    while (recv(fd, buf, sizeof buf, MSG_DONTWAIT) > 0)
        ;
}

void step(const struct child *c)
{
    char x = 0;
    if (write(c->to, &x, 1) != 1 || read(c->from, &x, 1) != 1)
        say("(the child is gone)");
}

void done(int fd[2])
{
    char x;
    if (write(fd[1], "", 1) != 1 || read(fd[0], &x, 1) != 1)
        _exit(0);
}

struct child begin(void (*steps)(void *arg, int fd[2]), void *arg)
{
    int to[2], from[2];
    char x;
    if (pipe(to) < 0 || pipe(from) < 0)
        return (struct child){-1, -1, -1};
    pid_t pid = fork();
    if (pid == 0) {
        int mine[2] = {to[0], from[1]};
        close(to[1]);
        close(from[0]);
        if (read(mine[0], &x, 1) == 1)
            steps(arg, mine);
        done(mine);
        _exit(0);
    }
    close(to[0]);
    close(from[1]);
    return (struct child){pid, to[1], from[0]};
}

void end(const struct child *c, bool kill_it)
{
    if (kill_it)
        kill(c->pid, SIGKILL);
    close(c->to);
    close(c->from);
    waitpid(c->pid, NULL, 0);
}

struct scene {
    int ep, fd, n, other, m;
};

static struct scene scene(uint32_t events)
{
    struct scene s;
    s.ep = epoll_create1(0);
    s.fd = dial(&s.n);
    s.other = dial(&s.m);
    if (events)
        ctl(s.ep, EPOLL_CTL_ADD, s.fd, events, 1);
    return s;
}

static void leave(const struct scene *s)
{
    close(s->ep);
    close(s->fd);
    close(s->other);
}

/* ---- edges and EPOLLONESHOT ---- */

static void child_takes(void *arg, int fd[2])
{
    const struct scene *s = arg;
    for (;;) {
        say_wait("  the child waits", s->ep, PATIENCE_MS);
        done(fd);
    }
}

static void edges(uint32_t flag)
{
    struct scene s = scene(EPOLLIN | flag);
    say("the child takes %s", flag == EPOLLET ? "an edge" : flag ? "the one shot" : "nothing away");
    struct child c = begin(child_takes, &s);
    peer("send %d 1", s.n);
    step(&c);
    say_wait("  the parent after it", s.ep, flag ? 0 : PATIENCE_MS);
    peer("send %d 1", s.n);
    settle();
    say_wait("  the parent, more data", s.ep, flag & EPOLLONESHOT ? 0 : PATIENCE_MS);
    ctl(s.ep, EPOLL_CTL_MOD, s.fd, EPOLLIN | flag, 2);
    step(&c);
    say_wait("  the parent after MOD and the child", s.ep, flag ? 0 : PATIENCE_MS);
    take_all(s.fd);
    say_wait("  read", s.ep, 0);
    end(&c, false);
    say_wait("  the child is gone", s.ep, 0);
    peer("send %d 1", s.n);
    say_wait("  and data again", s.ep, flag & EPOLLONESHOT ? 0 : PATIENCE_MS);
    leave(&s);
}

/* ---- changes by either ---- */

static void child_changes(void *arg, int fd[2])
{
    const struct scene *s = arg;
    say_ret("  child: ADD again", ctl(s->ep, EPOLL_CTL_ADD, s->fd, EPOLLOUT, 3));
    say_ret("  child: MOD", ctl(s->ep, EPOLL_CTL_MOD, s->fd, EPOLLOUT, 4));
    done(fd);
    say_ret("  child: DEL", ctl(s->ep, EPOLL_CTL_DEL, s->fd, 0, 0));
    say_ret("  child: ADD of the other", ctl(s->ep, EPOLL_CTL_ADD, s->other, EPOLLOUT | EPOLLIN, 5));
    done(fd);
    say_wait("  child: what the parent has changed", s->ep, 0);
    say_ret("  child: ADD", ctl(s->ep, EPOLL_CTL_ADD, s->other, EPOLLOUT, 6));
}

static void changes(bool late)
{
    struct scene s = scene(late ? 0 : EPOLLIN);
    say("parent and child change a set%s", late ? ", empty at first" : "");
    struct child c = begin(child_changes, &s);
    if (late)
        say_ret("  ADD", ctl(s.ep, EPOLL_CTL_ADD, s.fd, EPOLLIN, 1));
    step(&c);
    say_wait("  after MOD", s.ep, PATIENCE_MS);
    step(&c);
    say_wait("  after DEL and ADD", s.ep, PATIENCE_MS);
    say_ret("  DEL of what is deleted", ctl(s.ep, EPOLL_CTL_DEL, s.fd, 0, 0));
    say_ret("  ADD of what is added", ctl(s.ep, EPOLL_CTL_ADD, s.other, EPOLLIN, 0));
    say_ret("  DEL of what is added", ctl(s.ep, EPOLL_CTL_DEL, s.other, 0, 0));
    step(&c);
    say_wait("  added once more", s.ep, PATIENCE_MS);
    end(&c, true);
    say_wait("  the child killed", s.ep, PATIENCE_MS);
    peer("send %d 1", s.m);
    say_ret("  MOD", ctl(s.ep, EPOLL_CTL_MOD, s.other, EPOLLIN, 7));
    say_wait("  data", s.ep, PATIENCE_MS);
    leave(&s);
}

/* ---- sockets that only the child has ---- */

static void child_dials(void *arg, int fd[2])
{
    const struct scene *s = arg;
    int n, sock = dial(&n), ev = eventfd(1, EFD_NONBLOCK);
    say_ret("  child: ADD of its own", ctl(s->ep, EPOLL_CTL_ADD, sock, EPOLLIN | EPOLLRDHUP, 70));
    done(fd);
    peer("send %d 4", n);
    done(fd);
    take_all(sock);
    say_ret("  child: ADD of an eventfd", ctl(s->ep, EPOLL_CTL_ADD, ev, EPOLLIN | EPOLLET, 71));
    done(fd);
    peer("send %d 4", n);
}

static void of_the_child(bool killed)
{
    struct scene s = scene(killed ? EPOLLIN : 0);
    say("a socket that only the child has, %s", killed ? "which is killed" : "which ends");
    struct child c = begin(child_dials, &s);
    step(&c);
    say_wait("  idle", s.ep, 0);
    step(&c);
    say_wait("  data", s.ep, PATIENCE_MS);
    say_wait("  still", s.ep, PATIENCE_MS);
    step(&c);
    say_wait("  an eventfd", s.ep, PATIENCE_MS);
    say_wait("  read", s.ep, 0);
    step(&c);
    say_wait("  data again", s.ep, PATIENCE_MS);
    end(&c, killed);
    settle();
    say_wait("  after its end", s.ep, 0);
    peer("send %d 1", s.n);
    ctl(s.ep, killed ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, s.fd, EPOLLIN, 8);
    say_wait("  the parent's own", s.ep, PATIENCE_MS);
    leave(&s);
}

/* The other way about: the parent's new socket, in a set that was shared before. */
static void child_waits(void *arg, int fd[2])
{
    const struct scene *s = arg;
    struct pollfd p = {.fd = s->ep, .events = POLLIN};
    say_ret("  child: poll", poll(&p, 1, PATIENCE_MS));
    say_wait("  child", s->ep, PATIENCE_MS);
    done(fd);
    say_wait("  child, closed", s->ep, 0);
}

static void of_the_parent(void)
{
    struct scene s = scene(EPOLLIN);
    say("a socket that only the parent has");
    struct child c = begin(child_waits, &s);
    int n, sock = dial(&n);
    say_ret("  ADD", ctl(s.ep, EPOLL_CTL_ADD, sock, EPOLLIN, 9));
    peer("send %d 1", n);
    step(&c);
    close(sock);
    step(&c);
    end(&c, true);
    leave(&s);
}

/* ---- the process that was to be woken for all goes ---- */

static void child_adds_and_takes(void *arg, int fd[2])
{
    const struct scene *s = arg;
    say_ret("  child: ADD", ctl(s->ep, EPOLL_CTL_ADD, s->fd, EPOLLIN | EPOLLET, 14));
    say_ret("  child: ADD of the other", ctl(s->ep, EPOLL_CTL_ADD, s->other, EPOLLIN | EPOLLOUT | EPOLLET, 15));
    say_wait("  child: idle", s->ep, PATIENCE_MS);
    done(fd);
    say_wait("  child: an edge", s->ep, PATIENCE_MS);
    done(fd);
}

static void taken_before(bool killed)
{
    struct scene s = scene(0);
    say("edges taken by a child which %s", killed ? "is killed" : "ends");
    struct child c = begin(child_adds_and_takes, &s);
    step(&c);
    peer("send %d 1", s.n);
    step(&c);
    end(&c, killed);
    say_wait("  taken", s.ep, 0);
    peer("send %d 1", s.m);
    say_wait("  another's", s.ep, PATIENCE_MS);
    peer("send %d 1", s.n);
    say_wait("  one more", s.ep, PATIENCE_MS);
    say_wait("  taken", s.ep, 0);
    leave(&s);
}

/* ---- closed here and there ---- */

static void child_closes(void *arg, int fd[2])
{
    const struct scene *s = arg;
    close(s->fd);
    say_wait("  child: closed there", s->ep, PATIENCE_MS);
    done(fd);
    say_wait("  child: closed everywhere", s->ep, 0);
    close(s->ep);
}

static void closed(void)
{
    struct scene s = scene(EPOLLIN);
    say("a socket that is closed in one process after the other");
    struct child c = begin(child_closes, &s);
    peer("send %d 1", s.n);
    step(&c);
    say_wait("  the parent", s.ep, PATIENCE_MS);
    close(s.fd);
    say_wait("  closed", s.ep, 0);
    step(&c);
    ctl(s.ep, EPOLL_CTL_ADD, s.other, EPOLLIN, 10);
    peer("send %d 1", s.m);
    say_wait("  the child has closed the set", s.ep, PATIENCE_MS);
    end(&c, false);
    leave(&s);
}

/* No socket is in the set: what wakes the parent is its own event and nothing else. */
static void closed_by_the_child(void)
{
    int ep = epoll_create1(0), ev = eventfd(0, 0);
    _Atomic pid_t parent = getpid();
    say("a set without sockets, closed by the child while the parent waits");
    ctl(ep, EPOLL_CTL_ADD, ev, EPOLLIN, 16);
    pid_t pid = fork();
    if (pid == 0) {
        until_asleep(&parent);
        close(ep);
        _exit(eventfd_write(ev, 1));
    }
    say_wait("  the parent", ep, PATIENCE_MS);
    waitpid(pid, NULL, 0);
    close(ev);
    close(ep);
}

/* ---- who waits is woken ---- */

/* The child waits while the parent brings about what it waits for. */
static void woken(const char *name, bool later, bool both)
{
    struct scene s = scene(later ? 0 : EPOLLIN);
    int status = 0;
    pid_t pid[3];
    say("children that wait, %s", name);
    for (int i = 0; i < 3; i++) {
        pid[i] = fork();
        if (pid[i] == 0) {
            struct epoll_event ev = {0};
            int r = epoll_wait(s.ep, &ev, 1, PATIENCE_MS);
            _exit(r == 1 && ev.events == EPOLLIN ? 7 : 1);
        }
    }
    for (int i = 0; i < 3; i++) {
        _Atomic pid_t sleeper = pid[i];
        until_asleep(&sleeper);
    }
    if (later)
        ctl(s.ep, EPOLL_CTL_ADD, s.fd, EPOLLIN, 11);
    peer("send %d 1", s.n);
    if (both)
        say_wait("  the parent", s.ep, PATIENCE_MS);
    for (int i = 0; i < 3; i++) {
        waitpid(pid[i], &status, 0);
        say("  a child: %d", WEXITSTATUS(status));
    }
    leave(&s);
}

/* A child goes on alone, and so does its own child. */
static void daemonised(void)
{
    struct scene s = scene(EPOLLIN | EPOLLET);
    int status = 0;
    say("a set whose parent is gone");
    pid_t pid = fork();
    if (pid == 0) {
        struct epoll_event ev = {0};
        int r;
        pid = fork();
        if (pid == 0) {
            peer("send %d 1", s.n);
            r = epoll_wait(s.ep, &ev, 1, PATIENCE_MS);
            _exit(r == 1 && ev.data.u64 == 1 ? 7 : 1);
        }
        waitpid(pid, &status, 0);
        peer("send %d 1", s.n);
        r = epoll_wait(s.ep, &ev, 1, PATIENCE_MS);
        _exit(WEXITSTATUS(status) == 7 && r == 1 && ev.data.u64 == 1 ? 7 : 1);
    }
    close(s.fd);
    close(s.ep);
    waitpid(pid, &status, 0);
    say("  the children: %d", WEXITSTATUS(status));
    close(s.other);
}

/* ---- in another set ---- */

static void child_adds(void *arg, int fd[2])
{
    const struct scene *s = arg;
    say_ret("  child: ADD to the inner set", ctl(s->ep, EPOLL_CTL_ADD, s->other, EPOLLIN, 12));
}

static void nested(bool before)
{
    struct scene s = scene(before ? EPOLLIN : 0);
    int outer = epoll_create1(0);
    say("a set in a set over fork%s", before ? "" : ", empty at first");
    ctl(outer, EPOLL_CTL_ADD, s.ep, EPOLLIN, 13);
    struct child c = begin(child_adds, &s);
    step(&c);
    say_wait("  idle, outer", outer, 0);
    peer("send %d 1", s.m);
    say_wait("  data, outer", outer, PATIENCE_MS);
    say_wait("  data, inner", s.ep, PATIENCE_MS);
    take_all(s.other);
    say_wait("  read, outer", outer, 0);
    end(&c, true);
    peer("send %d 1", s.m);
    say_wait("  the child killed, outer", outer, PATIENCE_MS);
    close(outer);
    leave(&s);
}

void probe_shared(void)
{
    edges(0);
    edges(EPOLLET);
    edges(EPOLLONESHOT);
    changes(false);
    changes(true);
    of_the_child(false);
    of_the_child(true);
    of_the_parent();
    taken_before(false);
    taken_before(true);
    closed();
    closed_by_the_child();
    woken("data", false, false);
    woken("data for the parent too", false, true);
    woken("a socket, then data", true, true);
    daemonised();
    nested(true);
    nested(false);
    probe_passed();
}
