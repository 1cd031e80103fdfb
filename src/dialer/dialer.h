/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DIALER_DIALER_H
#define DIALER_DIALER_H

#include "ipc/child.h"

struct dialer;

struct dialer *dialer_new(struct loop *loop, struct err *err); /* before confinement */
void dialer_free(struct dialer *dialer);
const struct child_events *dialer_events(void); /* with the dialer as their context */

int dialer_main(int argc, char **argv);

#endif
