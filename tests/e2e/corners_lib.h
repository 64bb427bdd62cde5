/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORNERS_LIB_H
#define CORNERS_LIB_H

/* Has the peer note a text. */
int corners_talk(const char *name);

#endif
