/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/main/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/main/fdstore.h"

static int send_to(const char *path, const char *text, int fd)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {(void *)text, strlen(text)};
    size_t len = strlen(path);
    struct msghdr mh = {.msg_name = &sun, .msg_iov = &iov, .msg_iovlen = 1};
    if (len >= sizeof sun.sun_path)
        return -ENAMETOOLONG;
    memcpy(sun.sun_path, path, len);
    if (path[0] == '@') /* systemd's way to write an abstract name */
        sun.sun_path[0] = 0;
    mh.msg_namelen = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (path[0] != '@'));
    if (fd >= 0) {
        mh.msg_control = control.buf;
        mh.msg_controllen = sizeof control.buf;
        struct cmsghdr *cm = CMSG_FIRSTHDR(&mh);
        cm->cmsg_level = SOL_SOCKET;
        cm->cmsg_type = SCM_RIGHTS;
        cm->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(cm), &fd, sizeof fd);
    }
    int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (sock < 0)
        return -errno;
    int rc = sendmsg(sock, &mh, MSG_NOSIGNAL) < 0 ? -errno : 0;
    close(sock);
    return rc;
}

static int notify(const char *text, int fd)
{
    const char *path = getenv("NOTIFY_SOCKET");
    return path && *path ? send_to(path, text, fd) : 0;
}

int xt_notify(const char *text)
{
    return notify(text, -1);
}

int xt_notify_store(const char *name, int fd)
{
    char text[XT_FDSTORE_NAME_MAX + 32];
    if (!xt_fdstore_name_ok(name))
        return -EINVAL;
    snprintf(text, sizeof text, "FDSTORE=1\nFDNAME=%s", name);
    return notify(text, fd);
}

int xt_notify_forget(const char *name)
{
    char text[XT_FDSTORE_NAME_MAX + 32];
    if (!xt_fdstore_name_ok(name))
        return -EINVAL;
    snprintf(text, sizeof text, "FDSTOREREMOVE=1\nFDNAME=%s", name);
    return notify(text, -1);
}

static long env_number(const char *name)
{
    const char *text = getenv(name);
    return text ? strtol(text, NULL, 10) : 0;
}

/* The names, ':' between them, fewer than descriptors when the keeper gives none. */
static void split_names(struct xt_handed *h)
{
    char *rest = h->names;
    for (unsigned i = 0; i < h->n; i++) {
        char *name = strsep(&rest, ":");
        h->item[i].fd = XT_FDSTORE_FIRST + (int)i;
        h->item[i].name = name ? name : "unknown";
        fcntl(h->item[i].fd, F_SETFD, FD_CLOEXEC);
    }
}

int xt_handed_read(struct xt_handed *h)
{
    memset(h, 0, sizeof *h);
    long n = env_number("LISTEN_FDS");
    if (env_number("LISTEN_PID") == getpid() && n > 0 && n <= XT_FDSTORE_MAX) {
        const char *names = getenv("LISTEN_FDNAMES");
        h->names = strdup(names ? names : "");
        h->item = calloc((size_t)n, sizeof *h->item);
        if (!h->names || !h->item) {
            xt_handed_free(h);
            return -ENOMEM;
        }
        h->n = (unsigned)n;
        split_names(h);
    }
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDNAMES");
    return 0;
}

int xt_handed_take(struct xt_handed *h, const char *name)
{
    for (unsigned k = 0; k < h->n; k++) { /* what belongs together was mostly stored together */
        unsigned i = (h->at + k) % h->n;
        int fd = h->item[i].fd;
        if (fd >= 0 && strcmp(h->item[i].name, name) == 0) {
            h->item[i].fd = -1;
            h->at = i;
            return fd;
        }
    }
    return -1;
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
    for (unsigned i = 0; h->item && i < h->n; i++)
        if (h->item[i].fd >= 0)
            close(h->item[i].fd);
    free(h->item);
    free(h->names);
    memset(h, 0, sizeof *h);
}
