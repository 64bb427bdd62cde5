/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/ctl/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/base/crash.h"
#include "daemon/base/log.h"

#define MAGIC UINT64_C(0x3153544553435458) /* "XTCSETS1" */
#define SIDE (64u << 10)                   /* bytes of one text */

/* Two texts follow it, each "name=value" and so on with a NUL after each and one more at the end. */
struct header {
    uint64_t magic; /* written last of all at first */
    uint32_t current;
    uint32_t rsv;
};

static off_t side_at(uint32_t side)
{
    return (off_t)sizeof(struct header) + (off_t)side * SIDE;
}

int xt_settings_new(void)
{
    int fd = memfd_create("xtcp-settings", MFD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int put(int fd, const void *p, size_t n, off_t at)
{
    ssize_t done = pwrite(fd, p, n, at);
    if (done < 0)
        return -errno;
    return (size_t)done == n ? 0 : -ENOSPC;
}

static bool read_header(int fd, struct header *h)
{
    return pread(fd, h, sizeof *h, 0) == (ssize_t)sizeof *h && h->magic == MAGIC && h->current <= 1;
}

/* Returns the length. */
static size_t compose(const struct xt_config *c, char *text)
{
    size_t n, at = 0;
    const struct xt_setting *k = xt_config_keys(&n);
    char value[XT_CONFIG_TEXT_MAX];
    for (; n--; k++) {
        xt_config_get(c, k, value, sizeof value);
        if (at + strlen(k->name) + strlen(value) + 3 <= SIDE)
            at += (size_t)sprintf(text + at, "%s=%s", k->name, value) + 1;
    }
    text[at++] = 0;
    return at;
}

int xt_settings_write(int fd, const struct xt_config *c)
{
    struct header h;
    uint32_t side = read_header(fd, &h) ? !h.current : 0;
    char *text = malloc(SIDE);
    if (!text)
        return -ENOMEM;
    int rc = put(fd, text, compose(c, text), side_at(side));
    free(text);
    XT_CRASH_POINT();
    h = (struct header){.magic = MAGIC, .current = side};
    return rc < 0 ? rc : put(fd, &h, sizeof h, 0);
}

static void take(struct xt_config *c, char *line)
{
    char err[512];
    char *value = strchr(line, '=');
    if (!value)
        return;
    *value++ = 0;
    if (xt_config_set(c, line, value, err, sizeof err) < 0)
        xt_log_warn("a kept setting is left out: %s", err);
}

int xt_settings_read(int fd, struct xt_config *c)
{
    struct header h;
    if (!read_header(fd, &h))
        return -EPROTO;
    char *text = calloc(1, SIDE + 1);
    if (!text)
        return -ENOMEM;
    xt_config_default(c);
    ssize_t n = pread(fd, text, SIDE, side_at(h.current));
    for (char *line = text; n > 0 && line < text + n && *line;) {
        char *next = line + strlen(line) + 1;
        take(c, line);
        line = next;
    }
    free(text);
    return n > 0 ? 0 : -EPROTO;
}
