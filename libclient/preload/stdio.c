/* SPDX-License-Identifier: Apache-2.0
 * stdio on xtcp sockets: libc reads and writes behind its streams with calls that cannot be interposed, so fdopen() gives
 * a stream of our own instead. */
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>

#include "libclient/preload/preload.h"

struct cookie {
    struct cookie *next;
    FILE *file;
    int fd;
};

static struct cookie *cookies;
static pthread_mutex_t cookies_lock = PTHREAD_MUTEX_INITIALIZER;

static ssize_t stream_read(void *arg, char *buf, size_t len)
{
    return xp_call_read(((struct cookie *)arg)->fd, buf, len);
}

/* stdio wants everything written, or 0 for an error. */
static ssize_t stream_write(void *arg, const char *buf, size_t len)
{
    size_t done = 0;
    while (done < len) {
        ssize_t r = xp_call_write(((struct cookie *)arg)->fd, buf + done, len - done);
        if (r < 0)
            break;
        done += (size_t)r;
    }
    return (ssize_t)done;
}

static int stream_close(void *arg)
{
    struct cookie *c = arg;
    int rc;
    pthread_mutex_lock(&cookies_lock);
    for (struct cookie **p = &cookies; *p; p = &(*p)->next)
        if (*p == c) {
            *p = c->next;
            break;
        }
    pthread_mutex_unlock(&cookies_lock);
    rc = xp_call_close(c->fd);
    free(c);
    return rc;
}

XP_EXPORT FILE *fdopen(int fd, const char *mode)
{
    static const cookie_io_functions_t io = {.read = stream_read, .write = stream_write, .close = stream_close};
    uint64_t w;
    struct cookie *c;
    if (!xp_is_xtcp(fd, &w))
        return xp_real.fdopen(fd, mode);
    c = malloc(sizeof *c);
    if (!c)
        return NULL;
    c->fd = fd;
    c->file = fopencookie(c, mode, io);
    if (!c->file) {
        free(c);
        return NULL;
    }
    pthread_mutex_lock(&cookies_lock);
    c->next = cookies;
    cookies = c;
    pthread_mutex_unlock(&cookies_lock);
    xp_set_flags(fd, XP_F_STREAM);
    return c->file;
}

static int cookie_fd(FILE *f)
{
    int fd = -1;
    pthread_mutex_lock(&cookies_lock);
    for (struct cookie *c = cookies; c; c = c->next)
        if (c->file == f)
            fd = c->fd;
    pthread_mutex_unlock(&cookies_lock);
    return fd;
}

XP_EXPORT int fileno(FILE *f)
{
    int fd = cookies ? cookie_fd(f) : -1;
    return fd >= 0 ? fd : xp_real.fileno(f);
}

XP_EXPORT int fileno_unlocked(FILE *f)
{
    return fileno(f);
}

/* libc closes the descriptor of an ordinary stream where we do not see it. Returns it when the table must be told. */
static int hidden_close(FILE *f)
{
    int saved = errno, fd = cookies && cookie_fd(f) >= 0 ? -1 : xp_real.fileno(f);
    errno = saved;
    if (fd >= 0)
        xp_kept_close(fd);
    return fd >= 0 && xp_get(fd) && xp_kind(xp_get(fd)) != XP_OWN ? fd : -1;
}

XP_EXPORT int fclose(FILE *f)
{
    int fd = hidden_close(f);
    if (fd >= 0) {
        fflush(f);
        xp_release(fd);
    }
    return xp_real.fclose(f);
}

XP_EXPORT FILE *freopen(const char *path, const char *mode, FILE *f)
{
    int fd = hidden_close(f);
    if (fd >= 0) {
        fflush(f);
        xp_release(fd);
    }
    return xp_real.freopen(path, mode, f);
}

XP_EXPORT FILE *freopen64(const char *path, const char *mode, FILE *f) __attribute__((alias("freopen")));

/* ---- dprintf: libc's writes by calls of its own ---- */

XP_EXPORT int __vdprintf_chk(int fd, int flag, const char *fmt, va_list ap);
XP_EXPORT int __dprintf_chk(int fd, int flag, const char *fmt, ...);

XP_EXPORT int vdprintf(int fd, const char *fmt, va_list ap)
{
    uint64_t w;
    char *text = NULL;
    int n;
    if (!xp_is_xtcp(fd, &w))
        return xp_real.vdprintf(fd, fmt, ap);
    n = vasprintf(&text, fmt, ap);
    if (n < 0)
        return n; /* `text` is not defined */
    for (int done = 0; n > 0 && done < n;) {
        ssize_t r = xp_call_write(fd, text + done, (size_t)(n - done));
        if (r < 0) {
            n = -1;
            break;
        }
        done += (int)r;
    }
    free(text);
    return n;
}

XP_EXPORT int dprintf(int fd, const char *fmt, ...)
{
    va_list ap;
    int n;
    va_start(ap, fmt);
    n = vdprintf(fd, fmt, ap);
    va_end(ap);
    return n;
}

/* What the fortified ones add is a check of %n. */
XP_EXPORT int __vdprintf_chk(int fd, int flag, const char *fmt, va_list ap)
{
    return vdprintf(fd, fmt, ap);
}

XP_EXPORT int __dprintf_chk(int fd, int flag, const char *fmt, ...)
{
    va_list ap;
    int n;
    va_start(ap, fmt);
    n = vdprintf(fd, fmt, ap);
    va_end(ap);
    return n;
}
