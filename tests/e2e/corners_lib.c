/* SPDX-License-Identifier: Apache-2.0
 * A library that uses sockets before the program's first line and after its last; and when asked to. It is linked, so its
 * constructor runs before that of a preloaded library, its destructor after. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/e2e/corners.h"
#include "tests/e2e/corners_lib.h"

static int kept = -1;

int corners_talk(const char *name)
{
    char command[64] = "note ", text[] = "from the library";
    strcat(command, name);
    int s = try_dial(command);
    if (s < 0 || write(s, text, sizeof text - 1) < 0)
        return -1;
    return close(s);
}

__attribute__((constructor)) static void begin(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "start") == 0 && parse_peer(argv[2], argv[3]) == 0 &&
        (kept = try_dial("note library")) >= 0 && write(kept, "first ", 6) < 0)
        abort();
}

__attribute__((destructor)) static void end(void)
{
    if (kept >= 0 && (write(kept, "last", 4) < 0 || corners_talk("destructor") < 0))
        _exit(9);
}
