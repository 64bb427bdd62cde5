/* SPDX-License-Identifier: Apache-2.0
 * Runs packet scripts; tests/packet/scripts/README.md has the language. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/packet/script/run.h"

static const char usage[] =
    "packet-script core SCRIPT|FOLDER...     against the pure core, in virtual time\n"
    "packet-script daemon SCRIPT|FOLDER...   against xtcpd on a veth ($XTCPD: its program); as root\n"
    "packet-script kernel SCRIPT|FOLDER...   against the kernel's TCP, likewise\n"
    "Exit status: 0 all passed, 1 some failed, 2 usage, 77 the network can't be made here.\n"
    "XT_PKT_MAX_S: in real time, scripts that last longer are left out (3).\n"
    "XT_PKT_JOBS: in real time, so many at once, each on a network of its own (1).\n"
    "XT_PKT_DIFFERS=1: those that say that Linux differs are run against the kernel, too.\n";

#define LIVE_TRIES 3
#define MAX_JOBS 8
#define SKIPPED 77

struct tally {
    const struct pkt_backend *be;
    unsigned jobs, job; /* this process takes every jobs-th script, beginning with number job */
    unsigned met;       /* scripts come across */
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
    if (t->met++ % t->jobs != t->job)
        return;
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
        t->failed += t->job == 0;
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

/* What one process has to do. Its exit status: 0, or 77 when there is no network for it. */
static int work(struct tally *t, char **paths, int npaths)
{
    if (t->be->prepare && !t->be->prepare())
        return SKIPPED;
    for (int i = 0; i < npaths; i++)
        run_path(t, paths[i]);
    return 0;
}

/* What job i found is in t[i]. A job that ended in the midst of it has failed. */
static int work_all(struct tally *t, unsigned jobs, char **paths, int npaths)
{
    int status, worst = 0;
    for (unsigned i = 0; i < jobs; i++) {
        t[i] = (struct tally){.be = t[0].be, .jobs = jobs, .job = i};
        pid_t pid = fork();
        if (pid == 0)
            exit(work(&t[i], paths, npaths));
        if (pid < 0)
            t[i].failed++;
    }
    while (wait(&status) > 0) {
        if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED)
            worst = SKIPPED;
        else if (status != 0)
            t[0].failed++;
    }
    for (unsigned i = 1; i < jobs; i++) {
        t[0].run += t[i].run;
        t[0].failed += t[i].failed;
        t[0].left_out += t[i].left_out;
    }
    return worst;
}

int main(int argc, char **argv)
{
    const struct pkt_backend *be = backend(argv[1]);
    if (argc < 3 || !be) {
        fputs(usage, stderr);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    const char *wanted = getenv("XT_PKT_JOBS");
    int jobs = be->sockets && wanted ? atoi(wanted) : 1;
    if (jobs < 1 || jobs > MAX_JOBS) {
        fprintf(stderr, "packet-script: XT_PKT_JOBS is from 1 to %d\n", MAX_JOBS);
        return 2;
    }
    struct tally *t = mmap(NULL, sizeof *t * MAX_JOBS, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (t == MAP_FAILED)
        abort();
    t->be = be;
    if (work_all(t, (unsigned)jobs, argv + 2, argc - 2) == SKIPPED)
        return SKIPPED;
    printf("%s: %u scripts, %u failed", be->name, t->run, t->failed);
    printf(t->left_out ? ", %u left out\n" : "\n", t->left_out);
    return t->failed > 0;
}
