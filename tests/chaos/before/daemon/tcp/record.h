/* SPDX-License-Identifier: Apache-2.0
 * In the place of daemon/tcp/record.h. */
#include "tests/chaos/before/names.h"
