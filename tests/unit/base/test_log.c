/* SPDX-License-Identifier: Apache-2.0
 * Each test runs in a process of its own, so standard error can be taken over. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/base/log.h"
#include "daemon/base/time.h"

static char text[8192];
static int capture_fd, saved_stderr;

static void capture(void)
{
    capture_fd = memfd_create("log", 0);
    saved_stderr = dup(STDERR_FILENO);
    cr_assert(capture_fd >= 0 && saved_stderr >= 0);
    cr_assert(dup2(capture_fd, STDERR_FILENO) >= 0);
}

/* Gives standard error back to the test's reports and returns what was logged. */
static const char *captured(void)
{
    ssize_t n = pread(capture_fd, text, sizeof text - 1, 0);

    dup2(saved_stderr, STDERR_FILENO);
    cr_assert_geq(n, 0);
    text[n] = '\0';
    return text;
}

static bool matches(const char *s, const char *pattern)
{
    regex_t re;
    bool hit;

    cr_assert_eq(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
    hit = regexec(&re, s, 0, NULL, 0) == 0;
    regfree(&re);
    return hit;
}

Test(log, a_line_has_time_level_and_text, .init = capture)
{
    xt_log_warn("port %d is taken", 80);
    cr_expect(matches(captured(), "^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z warn  port 80 is "
                                  "taken\n$"),
              "%s", text);
}

static void log_to_stream(const char *format, uintmax_t dev, uintmax_t ino)
{
    char stream[64];
    snprintf(stream, sizeof stream, format, dev, ino);
    setenv("JOURNAL_STREAM", stream, 1);
    xt_log_begin();
    xt_log_warn("port %d is taken", 80);
}

Test(log, the_journal_is_told_priorities, .init = capture)
{
    struct stat st;
    cr_assert_eq(fstat(STDERR_FILENO, &st), 0);
    log_to_stream("%ju:%ju", st.st_dev, st.st_ino);
    cr_expect_str_eq(captured(), "<4>port 80 is taken\n");
}

Test(log, another_stream_is_no_journal, .init = capture)
{
    struct stat st;
    cr_assert_eq(fstat(STDERR_FILENO, &st), 0);
    log_to_stream("%ju:%ju0", st.st_dev, st.st_ino);
    cr_expect(matches(captured(), "^[0-9]{4}-.* warn  port 80 is taken\n$"), "%s", text);
}

Test(log, messages_above_the_level_are_dropped, .init = capture)
{
    cr_expect_eq(xt_log_get_level(), XT_LOG_INFO);
    xt_log_debug("no");
    xt_log_info("yes");
    xt_log_set_level(XT_LOG_ERROR);
    xt_log_warn("no");
    xt_log_error("yes");
    xt_log_set_level(XT_LOG_DEBUG);
    xt_log_debug("yes");
    cr_expect(matches(captured(), "^[^\n]*info  yes\n[^\n]*error yes\n[^\n]*debug yes\n$"), "%s", text);
}

Test(log, control_characters_cannot_forge_a_line, .init = capture)
{
    xt_log_info("name=%s", "x\n2026-01-01 error\x1b[2J\x7f");
    cr_expect(matches(captured(), "^[^\n]*name=x\\?2026-01-01 error\\?\\[2J\\?\n$"), "%s", text);
}

Test(log, a_long_message_is_cut_to_one_line, .init = capture)
{
    char longer[2 * XT_LOG_LINE_MAX];

    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    xt_log_info("%s", longer);
    cr_expect_eq(strlen(captured()), XT_LOG_LINE_MAX);
    cr_expect_eq(strchr(text, '\n'), text + XT_LOG_LINE_MAX - 1);
}

Test(log, errno_is_kept)
{
    int dead[2];

    cr_assert_eq(pipe2(dead, O_NONBLOCK), 0);
    close(dead[1]);
    dup2(dead[0], STDERR_FILENO); /* not writable: write fails */
    errno = ENOENT;
    xt_log_error("lost");
    cr_expect_eq(errno, ENOENT);
}

Test(log, a_site_speaks_once_in_a_second)
{
    struct xt_log_site site = {0};
    uint32_t suppressed = 99;

    cr_expect(xt_log_admit(&site, 5, &suppressed));
    cr_expect_eq(suppressed, 0);
    cr_expect_not(xt_log_admit(&site, 6, &suppressed));
    cr_expect_not(xt_log_admit(&site, 5 + XT_US_PER_S - 1, &suppressed));
    cr_expect(xt_log_admit(&site, 5 + XT_US_PER_S, &suppressed));
    cr_expect_eq(suppressed, 2);
    cr_expect(xt_log_admit(&site, 5 + 2 * XT_US_PER_S, &suppressed));
    cr_expect_eq(suppressed, 0, "the count starts anew");
}

Test(log, a_limited_message_tells_what_was_left_out, .init = capture)
{
    struct xt_log_site site = {.suppressed = 41};

    xt_log_at_site(&site, XT_LOG_WARN, "flood from %s", "a");
    cr_expect(matches(captured(), "^[^\n]*warn  flood from a \\(41 more like this left out\\)\n$"), "%s", text);
}

Test(log, each_place_in_the_code_is_limited_by_itself, .init = capture)
{
    for (int i = 0; i < 3; i++)
        xt_log_limited(XT_LOG_WARN, "first");
    xt_log_limited(XT_LOG_WARN, "second");
    cr_expect(matches(captured(), "^[^\n]*first\n([^\n]*first[^\n]*\n)?[^\n]*second\n$"), "%s", text);
}
