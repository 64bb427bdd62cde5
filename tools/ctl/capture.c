/* SPDX-License-Identifier: Apache-2.0
 * xtcpctl: capture. Writes what the daemon shows as a file that tcpdump and wireshark read. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/xt_ctl.h"
#include "tools/ctl/ctl.h"

#define PAUSE_MS 10 /* when there was nothing */

struct pcap_file {
    uint32_t magic;
    uint16_t major, minor;
    uint32_t zone, accuracy, snaplen, linktype;
};

struct pcap_rec {
    uint32_t s, us, have, len;
};

static volatile sig_atomic_t stopped;

static void on_signal(int signal)
{
    (void)signal;
    stopped = 1;
}

/* Returns how many were written, at most `most`. */
static uint64_t write_frames(FILE *f, const char *p, size_t n, uint64_t offset_us, uint64_t most)
{
    uint64_t count = 0;
    struct xt_capture_rec rec;
    for (size_t at = 0; count < most && at + sizeof rec <= n; at += sizeof rec + rec.have, count++) {
        memcpy(&rec, p + at, sizeof rec);
        if (rec.have > n - at - sizeof rec)
            break;
        uint64_t us = rec.us + offset_us;
        struct pcap_rec r = {(uint32_t)(us / 1000000), (uint32_t)(us % 1000000), rec.have, rec.len};
        fwrite(&r, sizeof r, 1, f);
        fwrite(p + at + sizeof rec, 1, rec.have, f);
    }
    return count;
}

static int ask(int fd, bool end, json_object **reply)
{
    char request[64];
    struct xt_msg_out o;
    xt_msg_begin(&o, request, sizeof request);
    xt_msg_str(&o, "op", "capture");
    xt_msg_uint(&o, "id", (uint64_t)getpid());
    xt_msg_bool(&o, "end", end);
    return ctl_ask(fd, &o, reply);
}

/* The next capture need not wait until the daemon finds that nobody asks any more. */
static int finish(int fd, int rc)
{
    json_object *reply;
    if (ask(fd, true, &reply) == CTL_OK)
        json_object_put(reply);
    return rc;
}

/* Until `left` frames have come, a signal (with what came before it), or the reader of a pipe has enough. */
static int capture(int fd, FILE *f, uint64_t left)
{
    const struct pcap_file head = {0xa1b2c3d4, 2, 4, 0, 0, 262144, 1 /* Ethernet */};
    uint64_t total = 0, lost = 0;
    bool begun = false, last = false;
    while (left && !last) {
        json_object *reply, *frames;
        last = stopped;
        int rc = ask(fd, last, &reply);
        if (rc != CTL_OK)
            return rc;
        if (!begun) {
            if (f != stdout) /* not before it is known that we may capture; a pipe has nothing to lose */
                (void)!ftruncate(fileno(f), 0);
            fwrite(&head, sizeof head, 1, f);
            begun = true;
        }
        lost = ctl_num(reply, "lost");
        uint64_t n = 0;
        if (json_object_object_get_ex(reply, "frames", &frames))
            n = write_frames(f, json_object_get_string(frames), (size_t)json_object_get_string_len(frames),
                             ctl_num(reply, "offset_us"), left);
        json_object_put(reply);
        left -= n;
        total += n;
        if (fflush(f) != 0 && errno == EPIPE)
            break;
        if (ferror(f))
            return finish(fd, ctl_fail(CTL_FAILED, "cannot write the capture: %s", strerror(errno)));
        if (n == 0 && !last)
            poll(NULL, 0, PAUSE_MS);
    }
    if (!last)
        finish(fd, CTL_OK);
    fprintf(stderr, "%llu frames captured, %llu lost\n", (unsigned long long)total, (unsigned long long)lost);
    return CTL_OK;
}

static bool read_count(const char *text, uint64_t *count)
{
    char *end;
    errno = 0;
    *count = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && errno == 0 && *count > 0;
}

int ctl_cmd_capture(const struct ctl_options *opt, int argc, char **argv)
{
    uint64_t count = UINT64_MAX;
    struct sigaction stop = {.sa_handler = on_signal};
    bool to_file = argc > 0 && strcmp(argv[0], "-") != 0;
    if (argc > 2 || (argc == 2 && !read_count(argv[1], &count)))
        return ctl_fail(CTL_USAGE, "capture takes a file and a number of frames");
    if (!to_file && isatty(STDOUT_FILENO))
        return ctl_fail(CTL_USAGE, "name a file, or pipe the capture into 'tcpdump -n -r -'");
    int fd = ctl_connect(opt);
    if (fd < 0)
        return CTL_NO_DAEMON;
    bool there = to_file && access(argv[0], F_OK) == 0;
    FILE *f = to_file ? fopen(argv[0], "ae") : stdout;
    if (!f) {
        close(fd);
        return ctl_fail(CTL_FAILED, "cannot write %s: %s", argv[0], strerror(errno));
    }
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    signal(SIGPIPE, SIG_IGN);
    int rc = capture(fd, f, count);
    if (to_file && rc != CTL_OK && !there && ftell(f) == 0)
        unlink(argv[0]);
    if (to_file)
        fclose(f);
    close(fd);
    return rc;
}
