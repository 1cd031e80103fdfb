/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check: the one-shot process that compiles packs and settings into a sealed memfd.  It reads the
 * files that the operator named, as the operator may, can write none, and has no network.
 *
 * Its arguments after the fifth are settings as NAME=VALUE; "config=FILE" names the settings file.
 */
#ifndef PARENT_CHECK_H
#define PARENT_CHECK_H

int check_main(int argc, char **argv);

#endif
