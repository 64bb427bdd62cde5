/* SPDX-License-Identifier: Apache-2.0
 * Before main(), after it, and how a program can end. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/e2e/corners.h"
#include "tests/e2e/corners_lib.h"

/* Before any constructor. */
static void preinit(int argc, char **argv, char **envp)
{
    if (argc != 4 || strcmp(argv[1], "start") != 0 || parse_peer(argv[2], argv[3]) < 0)
        return;
    int s = try_dial("note preinit");
    if (s >= 0 && write(s, "early", 5) == 5)
        close(s);
}
__attribute__((section(".preinit_array"), used)) static void (*const entry)(int, char **, char **) = preinit;

static void at_exit(void)
{
    int s = try_dial("note atexit");
    if (s >= 0 && write(s, "late", 4) == 4)
        close(s);
}

void corner_start(void)
{
    atexit(at_exit);
    check("library", corners_talk("main") == 0);
}

/* What stdio still holds goes when the program ends, by a stream of its own and by the standard output. */
void corner_stdio(void)
{
    FILE *f = fdopen(dial("note stream"), "w");
    int s = dial("note stdout"), err = dial("note stderr");
    if (!f)
        fail("fdopen");
    fprintf(f, "%0*d\n", 100000, 7);
    say("stdio: ok");
    dup2(s, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    close(s);
    close(err);
    printf("written to what is a socket now\n");
    fprintf(stderr, "at once\n");
}

/* ---- exit() while threads are in calls ---- */

static int lines[8];

static void *in_call(void *arg)
{
    size_t i = (size_t)arg;
    char buf[4096];
    for (;;)
        if (i % 2 == 0 ? recv(lines[i], buf, sizeof buf, 0) <= 0 : send(lines[i], buf, sizeof buf, MSG_NOSIGNAL) < 0)
            return NULL;
}

void corner_exit(void)
{
    int s = dial("note exit");
    for (size_t i = 0; i < 8; i++) {
        pthread_t t;
        lines[i] = dial(i % 2 == 0 ? "echo" : "sum");
        if (pthread_create(&t, NULL, in_call, (void *)i) != 0)
            fail("pthread_create");
    }
    send_all(s, "all of it", 9);
    say("exit: ok");
    quick_exit(0);
}
