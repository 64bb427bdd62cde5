/* SPDX-License-Identifier: Apache-2.0
 * xtcpctl: shared by its files. */
#ifndef XT_TOOLS_CTL_H
#define XT_TOOLS_CTL_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

#include "proto/xt_msg.h"

/* Exit codes. */
enum {
    CTL_OK,
    CTL_FAILED,
    CTL_USAGE,
    CTL_NO_DAEMON,
    CTL_NOT_RUN = 126,
    CTL_NO_PROGRAM
}; /* the last two as of a shell */

struct ctl_options {
    const char *socket; /* path */
    bool json, all, listening, uids;
    const char *state;
};

/* One line on standard error, "xtcpctl: ..."; returns `code`. */
int ctl_fail(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- client.c ---- */

/* Connects to the daemon. Returns the descriptor, or -1 after a line on standard error. */
int ctl_connect(const struct ctl_options *opt);

/* Sends the request in `o`, with descriptors, and reads the reply. Returns an exit code; on CTL_OK `*reply` is the caller's (json_object_put()). */
int ctl_ask_with(int fd, struct xt_msg_out *o, const int *fds, unsigned nfds, json_object **reply);
int ctl_ask(int fd, struct xt_msg_out *o, json_object **reply);

/* Connects, asks with `o` and disconnects. */
int ctl_ask_once(const struct ctl_options *opt, struct xt_msg_out *o, json_object **reply);

/* ---- convert.c ---- */

/* A msgpack message as JSON, or NULL when it is none. */
json_object *ctl_from_msgpack(const void *buf, size_t len);

/* ---- table.c ---- */

/* Rows of text cells, columns as wide as their widest cell. Cells are copied. */
struct ctl_table {
    unsigned cols, rows, cap;
    const char *right; /* one letter for each column: 'r' aligns right */
    char **cell;
};
void ctl_table_row(struct ctl_table *t, const char *const *cells);
void ctl_table_print(const struct ctl_table *t);
void ctl_table_free(struct ctl_table *t);

/* Members of JSON objects; "" and 0 when absent. */
const char *ctl_str(json_object *o, const char *key);
uint64_t ctl_num(json_object *o, const char *key);
void ctl_print_json(json_object *o);

/* "1.5ms", "20s", "2m05s" from microseconds. */
void ctl_duration(uint64_t us, char *out, size_t size);

/* ---- elf.c ---- */

enum ctl_elf {
    CTL_ELF_DYNAMIC,
    CTL_ELF_STATIC,
    CTL_ELF_SETID,
    CTL_ELF_CAPS,
    CTL_ELF_GO,
    CTL_ELF_FOREIGN,
    CTL_ELF_OTHER
};

/* Whether the dynamic linker will take a preload into the program at `path`. A script is followed to its interpreter (whose path
 * then is in `what`). CTL_ELF_OTHER: not to be read, or neither. */
enum ctl_elf ctl_elf_look(const char *path, char *what, size_t size);

/* ---- users.c ---- */

/* Returns an exit code. */
int ctl_list_users(const struct ctl_options *opt);

/* ---- commands: `argv` begins after the command's own options; each returns an exit code ---- */

int ctl_cmd_run(const struct ctl_options *opt, int argc, char **argv);
int ctl_cmd_status(const struct ctl_options *opt, int argc, char **argv);
int ctl_cmd_list(const struct ctl_options *opt, int argc, char **argv);
int ctl_cmd_show(const struct ctl_options *opt, int argc, char **argv);
int ctl_cmd_stats(const struct ctl_options *opt, int argc, char **argv);
int ctl_cmd_close(const struct ctl_options *opt, int argc, char **argv);
int ctl_cmd_config(const struct ctl_options *opt, int argc, char **argv);
int ctl_cmd_rules(const struct ctl_options *opt, int argc, char **argv);
int ctl_cmd_flush(const struct ctl_options *opt, int argc, char **argv);
int ctl_cmd_capture(const struct ctl_options *opt, int argc, char **argv);
int ctl_cmd_upgrade(const struct ctl_options *opt, int argc, char **argv);

#endif
