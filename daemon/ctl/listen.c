/* SPDX-License-Identifier: Apache-2.0
 * The control socket's place in the file system. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/ctl/ctl.h"

int xt_ctl_make_parents(const char *path)
{
    char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];
    if (strlen(path) >= sizeof dir)
        return -ENAMETOOLONG;
    strcpy(dir, path);
    for (char *p = dir + 1; (p = strchr(p, '/')); *p++ = '/') {
        *p = 0;
        mode_t old = umask(0022);
        int rc = mkdir(dir, 0755) < 0 && errno != EEXIST ? -errno : 0;
        umask(old);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int open_at(const struct sockaddr_un *sun)
{
    struct stat st;
    int rc = xt_ctl_make_parents(sun->sun_path);
    if (rc < 0)
        return rc;
    if (lstat(sun->sun_path, &st) == 0 && !S_ISSOCK(st.st_mode))
        return -EEXIST;
    unlink(sun->sun_path);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (bind(fd, (const struct sockaddr *)sun, sizeof *sun) < 0 || chmod(sun->sun_path, 0666) < 0 ||
        listen(fd, SOMAXCONN) < 0) {
        rc = -errno;
        close(fd);
        return rc;
    }
    return fd;
}

int xt_ctl_listen(const char *path, char *err, size_t errlen)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    int fd = path[0] != '/' ? -EINVAL : -ENAMETOOLONG;
    if (path[0] == '/' && strlen(path) < sizeof sun.sun_path) {
        strcpy(sun.sun_path, path);
        fd = open_at(&sun);
    }
    if (fd == -EEXIST)
        snprintf(err, errlen, "cannot make the control socket %s: something else is there", path);
    else if (fd == -EINVAL)
        snprintf(err, errlen, "cannot make the control socket %s: the path must begin with '/'", path);
    else if (fd < 0)
        snprintf(err, errlen, "cannot make the control socket %s: %s (set another with --socket)", path, strerror(-fd));
    return fd;
}

bool xt_ctl_listens_at(int fd, const char *path)
{
    struct sockaddr_un sun = {0};
    socklen_t len = sizeof sun;
    struct stat st;
    int listening = 0;
    socklen_t n = sizeof listening;
    return getsockname(fd, (struct sockaddr *)&sun, &len) == 0 && sun.sun_family == AF_UNIX &&
           strncmp(sun.sun_path, path, sizeof sun.sun_path) == 0 &&
           getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &n) == 0 && listening && stat(path, &st) == 0 &&
           S_ISSOCK(st.st_mode);
}
