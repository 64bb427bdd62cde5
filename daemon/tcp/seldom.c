/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tcp/seldom.h"

const struct xt_seldom xt_seldom_none;
