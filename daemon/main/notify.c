/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/main/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/base/crash.h"

/* One for all messages: what is to be forgotten must be told when there are no descriptors left, too. */
static int keeper = -1;

/* A socket that leads to the keeper's. Returns it or a negative errno. */
static int dial(const char *path)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len >= sizeof sun.sun_path)
        return -ENAMETOOLONG;
    memcpy(sun.sun_path, path, len);
    if (path[0] == '@') /* systemd's way to write an abstract name */
        sun.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (path[0] != '@'));
    if (connect(fd, (const struct sockaddr *)&sun, size) == 0)
        return fd;
    int rc = -errno;
    close(fd);
    return rc;
}

static const char *socket_path(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    return path && *path ? path : NULL;
}

int xt_notify_open(void)
{
    if (keeper < 0 && socket_path())
        keeper = dial(socket_path());
    return socket_path() && keeper < 0 ? keeper : 0;
}

static int send_on(int sock, const char *text, const int *fds, unsigned nfds)
{
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(XT_NOTIFY_FDS * sizeof(int))];
    } control = {0};
    struct iovec iov = {(void *)text, strlen(text)};
    struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
    if (nfds > XT_NOTIFY_FDS)
        return -EINVAL;
    if (nfds) {
        mh.msg_control = control.buf;
        mh.msg_controllen = CMSG_SPACE(nfds * sizeof *fds);
        struct cmsghdr *cm = CMSG_FIRSTHDR(&mh);
        cm->cmsg_level = SOL_SOCKET;
        cm->cmsg_type = SCM_RIGHTS;
        cm->cmsg_len = CMSG_LEN(nfds * sizeof *fds);
        memcpy(CMSG_DATA(cm), fds, nfds * sizeof *fds);
    }
    return sendmsg(sock, &mh, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int xt_notify_send(const char *text, const int *fds, unsigned nfds)
{
    int rc = xt_notify_open();
    return rc < 0 || keeper < 0 ? rc : send_on(keeper, text, fds, nfds);
}

int xt_notify(const char *text)
{
    return xt_notify_send(text, NULL, 0);
}

int xt_notify_store(const char *name, int fd)
{
    char text[XT_FDSTORE_NAME_MAX + 32];
    if (!xt_fdstore_name_ok(name))
        return -EINVAL;
    /* systemd would drop what looks closed: a control connection may still hold a request, the packet socket comes back */
    snprintf(text, sizeof text, "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
    return xt_notify_send(text, &fd, 1);
}

int xt_notify_forget(const char *name)
{
    char text[XT_FDSTORE_NAME_MAX + 32];
    if (!xt_fdstore_name_ok(name))
        return -EINVAL;
    snprintf(text, sizeof text, "FDSTOREREMOVE=1\nFDNAME=%s", name);
    return xt_notify(text);
}

static void name_next(char out[XT_FDSTORE_NAME_MAX + sizeof XT_NOTIFY_NEXT], const char *name)
{
    snprintf(out, XT_FDSTORE_NAME_MAX + sizeof XT_NOTIFY_NEXT, "%s" XT_NOTIFY_NEXT, name);
}

/* Opened a second time: systemd keeps each open file but once, whatever the names. */
static int open_again(int fd)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int again = open(path, O_RDWR | O_CLOEXEC);
    return again < 0 ? -errno : again;
}

int xt_notify_replace(const char *name, int fd)
{
    char next[XT_FDSTORE_NAME_MAX + sizeof XT_NOTIFY_NEXT];
    name_next(next, name);
    int rc = xt_notify_store(next, fd);
    XT_CRASH_POINT();
    return rc < 0 ? rc : xt_notify_settle(name, fd);
}

int xt_notify_settle(const char *name, int fd)
{
    char next[XT_FDSTORE_NAME_MAX + sizeof XT_NOTIFY_NEXT];
    int again = open_again(fd);
    if (again < 0)
        return again;
    name_next(next, name);
    int rc = xt_notify_forget(name);
    XT_CRASH_POINT();
    if (rc == 0)
        rc = xt_notify_store(name, again);
    XT_CRASH_POINT();
    close(again);
    return rc < 0 ? rc : xt_notify_forget(next);
}

int xt_notify_barrier(int ms)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    int rc = xt_notify_send("BARRIER=1", &ends[1], 1);
    close(ends[1]);
    if (rc == 0) {
        struct pollfd p = {.fd = ends[0]};
        int n = poll(&p, 1, ms);
        rc = n < 0 ? -errno : n == 0 ? -ETIMEDOUT : 0;
    }
    close(ends[0]);
    return rc;
}

static long env_number(const char *name)
{
    const char *text = getenv(name);
    return text ? strtol(text, NULL, 10) : 0;
}

/* The names, ':' between them, fewer than descriptors when the keeper gives none. */
static int take_names(struct xt_handed *h, unsigned n, char *rest)
{
    for (unsigned i = 0; i < n; i++) {
        const char *name = strsep(&rest, ":");
        int fd = XT_FDSTORE_FIRST + (int)i;
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        int rc = xt_handed_add(h, name ? name : "unknown", fd);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int xt_handed_read(struct xt_handed *h)
{
    memset(h, 0, sizeof *h);
    int rc = 0;
    long n = env_number("LISTEN_FDS");
    if (env_number("LISTEN_PID") == getpid() && n > 0 && n <= XT_FDSTORE_MAX) {
        const char *env = getenv("LISTEN_FDNAMES");
        char *names = strdup(env ? env : "");
        rc = names ? take_names(h, (unsigned)n, names) : -ENOMEM;
        free(names);
    }
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDNAMES");
    if (rc < 0)
        xt_handed_free(h);
    return rc;
}

int xt_handed_add(struct xt_handed *h, const char *name, int fd)
{
    if (h->n == h->cap) {
        unsigned cap = h->cap ? 2 * h->cap : 64;
        struct xt_handed_fd *item = realloc(h->item, cap * sizeof *item);
        if (!item) {
            close(fd);
            return -ENOMEM;
        }
        h->item = item;
        h->cap = cap;
    }
    h->item[h->n].fd = fd;
    snprintf(h->item[h->n].name, sizeof h->item[0].name, "%s", name);
    h->n++;
    return 0;
}

void xt_handed_drop(struct xt_handed *h, const char *name)
{
    int fd;
    while ((fd = xt_handed_take(h, name)) >= 0)
        close(fd);
}

static struct xt_handed_fd *find(struct xt_handed *h, const char *name)
{
    for (unsigned k = 0; k < h->n; k++) { /* what belongs together was mostly stored together */
        unsigned i = (h->at + k) % h->n;
        if (h->item[i].fd >= 0 && strcmp(h->item[i].name, name) == 0) {
            h->at = i;
            return &h->item[i];
        }
    }
    return NULL;
}

int xt_handed_peek(struct xt_handed *h, const char *name)
{
    const struct xt_handed_fd *f = find(h, name);
    return f ? f->fd : -1;
}

int xt_handed_take(struct xt_handed *h, const char *name)
{
    struct xt_handed_fd *f = find(h, name);
    int fd = f ? f->fd : -1;
    if (f)
        f->fd = -1;
    return fd;
}

void xt_handed_replace(struct xt_handed *h, const char *name, int fd)
{
    struct xt_handed_fd *f = find(h, name);
    close(f->fd);
    f->fd = fd;
}

const char *xt_handed_next(const struct xt_handed *h, char first, unsigned *cursor)
{
    for (; *cursor < h->n; (*cursor)++)
        if (h->item[*cursor].fd >= 0 && h->item[*cursor].name[0] == first)
            return h->item[(*cursor)++].name;
    return NULL;
}

void xt_handed_free(struct xt_handed *h)
{
    for (unsigned i = 0; i < h->n; i++)
        if (h->item[i].fd >= 0)
            close(h->item[i].fd);
    free(h->item);
    memset(h, 0, sizeof *h);
}
