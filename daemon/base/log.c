/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "daemon/base/macros.h"
#include "daemon/base/time.h"

static const char *const level_names[] = {
    [XT_LOG_ERROR] = "error", [XT_LOG_WARN] = "warn", [XT_LOG_INFO] = "info", [XT_LOG_DEBUG] = "debug"};

/* Read on every call by every thread; relaxed, since nothing else is published with it. */
static int max_level = XT_LOG_INFO;

/* The numbers of syslog(3). */
static const char *const marks[] = {
    [XT_LOG_ERROR] = "<3>", [XT_LOG_WARN] = "<4>", [XT_LOG_INFO] = "<6>", [XT_LOG_DEBUG] = "<7>"};

static bool to_journal;

void xt_log_begin(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat st;
    char here[64] = "";
    if (stream && fstat(STDERR_FILENO, &st) == 0)
        snprintf(here, sizeof here, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    to_journal = stream && strcmp(stream, here) == 0;
}

const char *xt_log_mark(enum xt_log_level level)
{
    return to_journal ? marks[level] : "";
}

void xt_log_set_level(enum xt_log_level level)
{
    __atomic_store_n(&max_level, (int)level, __ATOMIC_RELAXED);
}

enum xt_log_level xt_log_get_level(void)
{
    return (enum xt_log_level)__atomic_load_n(&max_level, __ATOMIC_RELAXED);
}

static size_t put_prefix(char *line, size_t room, enum xt_log_level level)
{
    struct timespec ts;
    struct tm tm;
    size_t n;

    if (to_journal)
        return (size_t)snprintf(line, room, "%s", marks[level]);
    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    n = strftime(line, room, "%Y-%m-%d %H:%M:%S", &tm);
    return n + (size_t)snprintf(line + n, room - n, ".%03ldZ %-5s ", ts.tv_nsec / 1000000, level_names[level]);
}

/* What snprintf wrote into `room` bytes, terminator not counted, whether or not it was cut. */
static size_t written(int n, size_t room)
{
    return n < 0 ? 0 : XT_MIN((size_t)n, room - 1);
}

static void put_line(enum xt_log_level level, uint32_t suppressed, const char *fmt, va_list ap)
{
    char line[XT_LOG_LINE_MAX];
    size_t text = put_prefix(line, sizeof line, level);
    size_t n = text;
    ssize_t ignored;

    n += written(vsnprintf(line + n, sizeof line - n, fmt, ap), sizeof line - n);
    if (suppressed > 0)
        n += written(snprintf(line + n, sizeof line - n, " (%u more like this left out)", suppressed), sizeof line - n);
    for (size_t i = text; i < n; i++) {
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = '?';
    }
    /* The terminator's place takes the newline: a line is one write, so that threads' lines do not mix. */
    line[n++] = '\n';
    ignored = write(STDERR_FILENO, line, n);
    (void)ignored;
}

void xt_log(enum xt_log_level level, const char *fmt, ...)
{
    int saved = errno;
    va_list ap;

    if (level > xt_log_get_level())
        return;
    va_start(ap, fmt);
    put_line(level, 0, fmt, ap);
    va_end(ap);
    errno = saved;
}

void xt_log_no_memory(const char *what)
{
    xt_log_error("no memory for %s: this process ends, for another one to take over", what);
    _exit(EXIT_FAILURE);
}

bool xt_log_admit(struct xt_log_site *site, uint64_t now_us, uint32_t *suppressed)
{
    uint64_t next = __atomic_load_n(&site->next_us, __ATOMIC_RELAXED);

    /* The exchange decides between threads; the counter is only a figure for people, so no order is needed. */
    if (now_us < next || !__atomic_compare_exchange_n(&site->next_us, &next, now_us + XT_US_PER_S, false,
                                                      __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
        __atomic_fetch_add(&site->suppressed, 1, __ATOMIC_RELAXED);
        return false;
    }
    *suppressed = __atomic_exchange_n(&site->suppressed, 0, __ATOMIC_RELAXED);
    return true;
}

void xt_log_at_site(struct xt_log_site *site, enum xt_log_level level, const char *fmt, ...)
{
    int saved = errno;
    uint32_t suppressed;
    va_list ap;

    if (level > xt_log_get_level() || !xt_log_admit(site, xt_time_us(), &suppressed))
        return;
    va_start(ap, fmt);
    put_line(level, suppressed, fmt, ap);
    va_end(ap);
    errno = saved;
}
