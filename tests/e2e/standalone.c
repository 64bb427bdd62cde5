/* SPDX-License-Identifier: Apache-2.0
 * A program that nothing can be preloaded into: it is linked statically. Copies descriptor IN to OUT until end of file.
 *   standalone IN OUT */
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    static char buf[30000];
    int in, out;
    ssize_t n;
    if (argc != 3)
        return 2;
    in = atoi(argv[1]);
    out = atoi(argv[2]);
    while ((n = read(in, buf, sizeof buf)) > 0)
        for (ssize_t done = 0, w; done < n; done += w)
            if ((w = write(out, buf + done, (size_t)(n - done))) < 0)
                return 1;
    return n < 0;
}
