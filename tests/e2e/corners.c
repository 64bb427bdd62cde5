/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/e2e/corners.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int dial(const char *command)
{
    int s = try_dial(command);
    if (s < 0)
        fail(command);
    return s;
}

noreturn void fail(const char *what)
{
    printf("%s failed: %s\n", what, strerror(errno));
    fflush(stdout);
    _exit(1);
}

void send_all(int s, const void *data, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = send(s, (const char *)data + done, len - done, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            fail("send");
        done += (size_t)n;
    }
}

void recv_all(int s, void *data, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = recv(s, (char *)data + done, len - done, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            fail("recv");
        done += (size_t)n;
    }
}

void check(const char *what, int ok)
{
    say("%s: %s", what, ok ? "ok" : "WRONG");
}

void say_sum(const char *what, int s)
{
    char text[64] = "";
    size_t len = 0;
    shutdown(s, SHUT_WR);
    while (len < sizeof text - 1 && !strchr(text, '\n')) {
        ssize_t n = recv(s, text + len, sizeof text - 1 - len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    say("%s: %.*s", what, (int)strcspn(text, "\n"), text);
    close(s);
}

int end_of(int pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static const struct {
    const char *name;
    void (*run)(void);
} corners[] = {
    {"start", corner_start},     {"stdio", corner_stdio},   {"storm", corner_storm},     {"same", corner_same},
    {"close", corner_close},     {"jump", corner_jump},     {"spawn", corner_spawn},     {"accept", corner_accept},
    {"symbols", corner_symbols}, {"stacks", corner_stacks}, {"numbers", corner_numbers}, {"atfork", corner_atfork},
    {"strict", corner_strict},   {"exit", corner_exit},
};

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "list") == 0) {
        for (size_t i = 0; i < sizeof corners / sizeof corners[0]; i++)
            say("%s", corners[i].name);
        return 0;
    }
    if (argc != 4 || parse_peer(argv[2], argv[3]) < 0)
        return 2;
    for (size_t i = 0; i < sizeof corners / sizeof corners[0]; i++)
        if (strcmp(argv[1], corners[i].name) == 0) {
            corners[i].run();
            return 0;
        }
    return 2;
}
