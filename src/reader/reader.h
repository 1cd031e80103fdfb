/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reader: the process that reads bodies: request and answer bytes in, facts out.
 *
 * Holds nothing between two bodies, meets untrusted bytes, and has no descriptor but its channels.
 */
#ifndef READER_READER_H
#define READER_READER_H

#include "os/confine.h"

extern const struct confine reader_confine; /* what it may do, and nothing else */

int reader_main(int argc, char **argv);

#endif
