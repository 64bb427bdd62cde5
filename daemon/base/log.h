/* SPDX-License-Identifier: Apache-2.0
 * The daemon's log: one line to standard error for each message, `DATE TIME LEVEL text`. Thread-safe: a line is one
 * write. Control characters in a message are shown as '?', so that what a client or the network names cannot forge lines.
 * errno is left as it was. */
#ifndef XT_BASE_LOG_H
#define XT_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum xt_log_level { XT_LOG_ERROR, XT_LOG_WARN, XT_LOG_INFO, XT_LOG_DEBUG };

#define XT_LOG_LINE_MAX 1024 /* bytes, newline included; longer messages are cut */

/* Messages above `level` are dropped. The initial level is XT_LOG_INFO. */
void xt_log_set_level(enum xt_log_level level);
enum xt_log_level xt_log_get_level(void);

/* Where standard error is the journal ($JOURNAL_STREAM, see systemd.exec(5)), which has times of its own, lines begin with a priority
 * that it understands instead. To be called once, before the first message. */
void xt_log_begin(void);

/* What a line of that level begins with that is written past this log: "" but for the journal. */
const char *xt_log_mark(enum xt_log_level level);

/* Writes one message when the level admits it. No newline at the end of `fmt`. */
void xt_log(enum xt_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define xt_log_error(...) xt_log(XT_LOG_ERROR, __VA_ARGS__)
#define xt_log_warn(...) xt_log(XT_LOG_WARN, __VA_ARGS__)
#define xt_log_info(...) xt_log(XT_LOG_INFO, __VA_ARGS__)
#define xt_log_debug(...) xt_log(XT_LOG_DEBUG, __VA_ARGS__)

/* Says that there is no memory for `what`, and ends the process: its keeper starts another one, which takes over. For where to go on
 * would cost programs their connections, or have them wait for ever. */
_Noreturn void xt_log_no_memory(const char *what);

/* A call site that may speak once in a second. */
struct xt_log_site {
    uint64_t next_us;    /* silent before this time */
    uint32_t suppressed; /* messages dropped since the last one written */
};

/* True when `site` may speak at `now_us`; `*suppressed` is then what was dropped before. One of several threads wins. */
bool xt_log_admit(struct xt_log_site *site, uint64_t now_us, uint32_t *suppressed);

void xt_log_at_site(struct xt_log_site *site, enum xt_log_level level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* xt_log() for what the network or a client can provoke: at most one line in a second from each place in the code, with
 * the number of messages left out before it. */
#define xt_log_limited(level, ...)                           \
    do {                                                     \
        static struct xt_log_site xt_log_site_;              \
        xt_log_at_site(&xt_log_site_, (level), __VA_ARGS__); \
    } while (0)

#endif
