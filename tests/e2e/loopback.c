/* SPDX-License-Identifier: Apache-2.0
 * Preloaded before libxtcp-preload.so: to the program, the address in $XT_LOOPBACK is 127.0.0.1, for IPv4 TCP sockets. So
 * test suites that keep to the loopback address can run over any TCP: what they bind and connect goes to that address, and
 * they read back the one they know. There is no IPv6 TCP, so that "localhost" means 127.0.0.1. */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define NEXT(name) ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))

static struct in_addr stand_in;

__attribute__((constructor)) static void read_address(void)
{
    const char *text = getenv("XT_LOOPBACK");
    if (!text || inet_pton(AF_INET, text, &stand_in) != 1)
        stand_in.s_addr = htonl(INADDR_LOOPBACK);
}

static bool is_tcp(int fd)
{
    int type = 0;
    socklen_t len = sizeof type;
    return NEXT(getsockopt)(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM;
}

/* What to give to the next library instead of `addr`; `any` says whether the wildcard address means this host. */
static const struct sockaddr *outward(int fd, const struct sockaddr *addr, socklen_t len, bool any,
                                      struct sockaddr_in *in)
{
    if (!addr || len < sizeof *in || addr->sa_family != AF_INET || !is_tcp(fd))
        return addr;
    memcpy(in, addr, sizeof *in);
    if (in->sin_addr.s_addr != htonl(INADDR_LOOPBACK) && !(any && in->sin_addr.s_addr == INADDR_ANY))
        return addr;
    in->sin_addr = stand_in;
    return (const struct sockaddr *)in;
}

static int inward(int rc, struct sockaddr *addr, const socklen_t *len, socklen_t room)
{
    struct sockaddr_in in;
    if (rc < 0 || !addr || !len || room < sizeof in || *len < sizeof in || addr->sa_family != AF_INET)
        return rc;
    memcpy(&in, addr, sizeof in);
    if (in.sin_addr.s_addr == stand_in.s_addr) {
        in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        memcpy(addr, &in, sizeof in);
    }
    return rc;
}

int socket(int domain, int type, int protocol)
{
    if (domain == AF_INET6 && (type & 0xf) == SOCK_STREAM) {
        errno = EAFNOSUPPORT;
        return -1;
    }
    return NEXT(socket)(domain, type, protocol);
}

int bind(int fd, const struct sockaddr *addr, socklen_t len)
{
    struct sockaddr_in in;
    return NEXT(bind)(fd, outward(fd, addr, len, false, &in), len);
}

int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    struct sockaddr_in in;
    return NEXT(connect)(fd, outward(fd, addr, len, true, &in), len);
}

ssize_t sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *addr, socklen_t len)
{
    struct sockaddr_in in;
    return NEXT(sendto)(fd, buf, n, flags, outward(fd, addr, len, true, &in), len);
}

int accept(int fd, struct sockaddr *addr, socklen_t *len)
{
    socklen_t room = len ? *len : 0;
    return inward(NEXT(accept)(fd, addr, len), addr, len, room);
}

int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    socklen_t room = len ? *len : 0;
    return inward(NEXT(accept4)(fd, addr, len, flags), addr, len, room);
}

int getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
    socklen_t room = len ? *len : 0;
    return inward(NEXT(getsockname)(fd, addr, len), addr, len, room);
}

int getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
    socklen_t room = len ? *len : 0;
    return inward(NEXT(getpeername)(fd, addr, len), addr, len, room);
}
