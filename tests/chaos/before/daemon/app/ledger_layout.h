/* SPDX-License-Identifier: Apache-2.0
 * In the place of daemon/app/ledger_layout.h. */
#include "tests/chaos/before/names.h"
