/* SPDX-License-Identifier: Apache-2.0 */
#include "pack/builtin.h"

#include "packs.inc"

const struct builtin builtins[] = {EMBEDDED};
const size_t builtin_count = sizeof(builtins) / sizeof(builtins[0]);
