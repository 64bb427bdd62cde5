/* SPDX-License-Identifier: Apache-2.0
 * xtcpctl: shows and steers xtcpd. */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/xt_ctl.h"
#include "tools/ctl/ctl.h"

/* Options that a command takes beside --socket and --help, and what else it heeds. */
enum {
    TAKES_JSON = 1,
    TAKES_ALL = 2,
    TAKES_LISTENING = 4,
    TAKES_STATE = 8,
    TAKES_COMMAND = 16,
    TAKES_RULES = 32,
    TAKES_UIDS = 64
};

static const struct command {
    const char *name;
    unsigned takes;
    int (*run)(const struct ctl_options *opt, int argc, char **argv);
    const char *arguments, *help;
} commands[] = {
    {"run", TAKES_COMMAND | TAKES_RULES, ctl_cmd_run, "[--] PROGRAM [ARGUMENT]...",
     "run a program with its TCP connections on xtcp"},
    {"status", TAKES_JSON, ctl_cmd_status, "", "the daemon, its address, neighbours and connections by state"},
    {"list", TAKES_JSON | TAKES_ALL | TAKES_LISTENING | TAKES_STATE | TAKES_UIDS, ctl_cmd_list, "",
     "connections: state, queues, end points, program, timer, rtt, cwnd"},
    {"show", TAKES_JSON, ctl_cmd_show, "ID", "everything about one connection"},
    {"stats", TAKES_JSON | TAKES_ALL, ctl_cmd_stats, "", "counters with their meaning, every reason to drop included"},
    {"close", TAKES_JSON, ctl_cmd_close, "ID", "end a connection with a reset"},
    {"config", TAKES_JSON, ctl_cmd_config, "[set SETTING VALUE]",
     "settings in effect; change one of those that may, until xtcpd stops or reads its file again"},
    {"rules", TAKES_JSON | TAKES_RULES, ctl_cmd_rules, "[test PROGRAM listen|connect ADDRESS:PORT]",
     "which sockets of programs xtcp takes; or who gets one, and by which rule"},
    {"upgrade", 0, ctl_cmd_upgrade, "[BINARY]",
     "move to another xtcpd, with all connections; without BINARY: as it lies on the disk now"},
    {"capture", 0, ctl_cmd_capture, "[FILE [FRAMES]]",
     "the first 256 bytes of what comes, leaves and passes between programs here, as a file for tcpdump (-: standard "
     "output)"},
    {"flush-time-wait", TAKES_JSON, ctl_cmd_flush, "", "end all connections in TIME_WAIT"},
};
#define NCOMMANDS (sizeof commands / sizeof commands[0])

static const struct {
    unsigned bit;
    const char *flag, *help;
} options[] = {
    {TAKES_JSON, "--json", "print JSON"},
    {TAKES_ALL, "-a, --all", "nothing left out: listeners and TIME_WAIT (list), counters at zero (stats)"},
    {TAKES_LISTENING, "-l, --listening", "listeners only"},
    {TAKES_STATE, "--state S[,S]...", "only connections in these states"},
    {TAKES_UIDS, "--uids", "what each user has, and how often it was refused more"},
};

static const struct {
    unsigned bit;
    const char *name, *help;
} environment[] = {
    {TAKES_RULES, "$XTCP_RULES", "rules of one program, before the daemon's (its setting rules): with commas between,"},
    {TAKES_RULES, "", "PLACE [listen|connect] [ADDRESS[/LENGTH]][:PORT[-PORT]] [by PROGRAM];"},
    {TAKES_RULES, "", "PLACE is kernel, xtcp or both; the first that fits decides"},
    {TAKES_COMMAND, "$XTCP_FALLBACK", "kernel: use the kernel's TCP when no daemon answers"},
    {TAKES_COMMAND, "$XTCP_LOG", "debug: say on standard error whose each socket is, and why"},
};

int ctl_fail(int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("xtcpctl: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    return code;
}

static void print_help(void)
{
    printf("Usage: xtcpctl [--socket PATH] COMMAND [OPTION]... [ARGUMENT]...\n"
           "Shows and steers xtcpd, and runs programs on it.\n\n");
    for (size_t i = 0; i < NCOMMANDS; i++)
        printf("  %-16s %s\n", commands[i].name, commands[i].help);
    printf("\n  --socket PATH    the daemon's control socket [$XTCP_SOCKET, " XT_CTL_PATH "]\n"
           "  --help           this, or with a command: its options\n"
           "  --version\n\n"
           "Exit codes: 0 done, 1 it failed, 2 wrong usage, 3 no daemon; run: 126 the program\n"
           "may not be executed, 127 there is none, else the program's own.\n");
}

static void print_command_help(const struct command *c)
{
    printf("Usage: xtcpctl %s%s%s%s\n%s.\n\n", c->name,
           c->takes & ~(unsigned)(TAKES_COMMAND | TAKES_RULES) ? " [OPTION]..." : "", *c->arguments ? " " : "",
           c->arguments, c->help);
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        if (c->takes & options[i].bit)
            printf("  %-18s %s\n", options[i].flag, options[i].help);
    printf("  %-18s %s\n", "--socket PATH", "the daemon's control socket [$XTCP_SOCKET, " XT_CTL_PATH "]");
    for (size_t i = 0; i < sizeof environment / sizeof environment[0]; i++)
        if (c->takes & environment[i].bit)
            printf("  %-18s %s\n", environment[i].name, environment[i].help);
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < NCOMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

/* The value of "--name=V" or "--name V"; NULL when argv[*i] is another option. */
static const char *option_value(const char *name, int argc, char **argv, int *i)
{
    const char *arg = argv[*i];
    size_t n = strlen(name);
    if (!arg || strncmp(arg, name, n) != 0)
        return NULL;
    if (arg[n] == '=')
        return arg + n + 1;
    return !arg[n] && *i + 1 < argc ? argv[++*i] : NULL;
}

static bool is(const char *arg, const char *s, const char *l)
{
    return strcmp(arg, s) == 0 || strcmp(arg, l) == 0;
}

/* Takes argv[*i] if it is an option that `takes` allows. */
static bool take_option(struct ctl_options *opt, unsigned takes, int argc, char **argv, int *i)
{
    const char *v, *arg = argv[*i];
    if ((v = option_value("--socket", argc, argv, i)))
        opt->socket = v;
    else if (takes & TAKES_STATE && (v = option_value("--state", argc, argv, i)))
        opt->state = v;
    else if (takes & TAKES_JSON && strcmp(arg, "--json") == 0)
        opt->json = true;
    else if (takes & TAKES_ALL && is(arg, "-a", "--all"))
        opt->all = true;
    else if (takes & TAKES_LISTENING && is(arg, "-l", "--listening"))
        opt->listening = true;
    else if (takes & TAKES_UIDS && strcmp(arg, "--uids") == 0)
        opt->uids = true;
    else
        return false;
    return true;
}

static int run_command(const struct command *c, struct ctl_options *opt, int argc, char **argv)
{
    int nargs = 0;
    for (int i = 0; i < argc; i++) {
        bool option = argv[i][0] == '-' && argv[i][1] && strcmp(argv[i], "--") != 0;
        if (!option && c->takes & TAKES_COMMAND) /* the rest is the program's own */
            return c->run(opt, argc - i, argv + i);
        if (is(argv[i], "-h", "--help")) {
            print_command_help(c);
            return CTL_OK;
        }
        if (!option)
            argv[nargs++] = argv[i];
        else if (!take_option(opt, c->takes, argc, argv, &i))
            return ctl_fail(CTL_USAGE, "%s has no option '%s', or it lacks its value: xtcpctl %s --help", c->name,
                            argv[i], c->name);
    }
    return c->run(opt, nargs, argv);
}

int main(int argc, char **argv)
{
    const char *env = getenv("XTCP_SOCKET");
    struct ctl_options opt = {.socket = env && *env ? env : XT_CTL_PATH};
    for (int i = 1; i < argc; i++) {
        if (is(argv[i], "-h", "--help")) {
            print_help();
            return CTL_OK;
        }
        if (strcmp(argv[i], "--version") == 0) {
            printf("xtcpctl " XT_VERSION "\n");
            return CTL_OK;
        }
        if (argv[i][0] == '-') {
            if (!take_option(&opt, TAKES_JSON, argc, argv, &i))
                return ctl_fail(CTL_USAGE, "there is no option '%s', or it lacks its value: xtcpctl --help", argv[i]);
            continue;
        }
        const struct command *c = find_command(argv[i]);
        if (!c)
            return ctl_fail(CTL_USAGE, "there is no command '%s': xtcpctl --help lists them", argv[i]);
        int rc = run_command(c, &opt, argc - i - 1, argv + i + 1);
        return fflush(stdout) == 0 ? rc : ctl_fail(CTL_FAILED, "cannot write the output");
    }
    print_help();
    return CTL_USAGE;
}
