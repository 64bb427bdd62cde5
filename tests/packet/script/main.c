/* SPDX-License-Identifier: Apache-2.0
 * Runs packet scripts; tests/packet/scripts/README.md has the language. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/packet/script/run.h"

static const char usage[] =
    "packet-script core SCRIPT|FOLDER...     against the pure core, in virtual time\n"
    "packet-script daemon SCRIPT|FOLDER...   against xtcpd on a veth ($XTCPD: its program); as root\n"
    "packet-script kernel SCRIPT|FOLDER...   against the kernel's TCP, likewise\n"
    "Exit status: 0 all passed, 1 some failed, 2 usage, 77 the network can't be made here.\n"
    "XT_PKT_MAX_S: in real time, scripts that last longer are left out (3).\n"
    "XT_PKT_DIFFERS=1: those that say that Linux differs are run against the kernel, too.\n";

#define LIVE_TRIES 3

struct tally {
    const struct pkt_backend *be;
    unsigned run, failed, left_out;
};

static double duration(const struct pkt_script *s)
{
    uint64_t t = 0;
    for (int i = 0; i < s->nevents; i++) {
        const struct pkt_event *e = &s->events[i];
        t = (e->relative ? t + e->at : e->at) + (e->kind == PKT_NOTHING ? e->result.lo : 0);
    }
    return (double)t / 1e6;
}

static bool fits(const struct pkt_script *s, const struct pkt_backend *be)
{
    const char *max = getenv("XT_PKT_MAX_S");
    const char *why = be->unfit ? be->unfit(s) : NULL;
    if (why)
        printf("%s: left out: %s\n", s->path, why);
    if (why || !be->sockets)
        return !why && !s->daemon_only[0];
    return !s->core_only[0] && duration(s) <= (max ? atof(max) : 3.0);
}

/* With small sequence numbers, and with ones that wrap in the midst of it. */
static bool run_core(const struct pkt_script *s)
{
    return pkt_run(s, &pkt_core, 1000, 5000000) &&
           (s->isn_set || pkt_run(s, &pkt_core, UINT32_MAX - 700, UINT32_MAX - 500));
}

/* Real time is at the mercy of whatever else the machine does: a script gets another chance, and says so. */
static bool run_live(const struct pkt_script *s, const struct pkt_backend *be)
{
    for (int left = LIVE_TRIES; left > 0; left--) {
        if (pkt_run(s, be, 0, 5000000))
            return true;
        if (left > 1)
            printf("%s: once more\n", s->path);
    }
    return false;
}

static void run_script(struct tally *t, const char *path)
{
    struct pkt_script s;
    if (!pkt_script_load(&s, path)) {
        t->run++;
        t->failed++;
    } else if (!fits(&s, t->be)) {
        t->left_out++;
    } else {
        t->run++;
        t->failed += !(t->be->sockets ? run_live(&s, t->be) : run_core(&s));
    }
    pkt_script_free(&s);
}

static int is_script(const struct dirent *d)
{
    size_t n = strlen(d->d_name);
    return d->d_name[0] != '.' && (!strchr(d->d_name, '.') || (n > 4 && strcmp(d->d_name + n - 4, ".pkt") == 0));
}

static void run_path(struct tally *t, const char *path)
{
    struct stat st;
    struct dirent **list;
    if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode)) {
        run_script(t, path);
        return;
    }
    int n = scandir(path, &list, is_script, alphasort);
    if (n <= 0) {
        printf("%s: no scripts\n", path);
        t->failed++;
        return;
    }
    for (int i = 0; i < n; i++) {
        char child[2048];
        snprintf(child, sizeof child, "%s/%s", path, list[i]->d_name);
        run_path(t, child);
        free(list[i]);
    }
    free(list);
}

static const struct pkt_backend *backend(const char *name)
{
    static const struct pkt_backend *const all[] = {&pkt_core, &pkt_daemon, &pkt_kernel};
    for (size_t i = 0; name && i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i]->name, name) == 0)
            return all[i];
    return NULL;
}

int main(int argc, char **argv)
{
    struct tally t = {.be = backend(argv[1])};
    if (argc < 3 || !t.be) {
        fputs(usage, stderr);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (t.be->prepare && !t.be->prepare())
        return 77;
    for (int i = 2; i < argc; i++)
        run_path(&t, argv[i]);
    printf("%s: %u scripts, %u failed", t.be->name, t.run, t.failed);
    printf(t.left_out ? ", %u left out\n" : "\n", t.left_out);
    return t.failed > 0;
}
