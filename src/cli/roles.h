/* SPDX-License-Identifier: Apache-2.0 */
/*
 * roles: the processes that this binary can be.  The parent starts each as "keybrake-ROLE".
 */
#ifndef CLI_ROLES_H
#define CLI_ROLES_H

typedef int role_main(int argc, char **argv);

role_main *role_find(const char *argv0); /* NULL: a command line of a person's */

#endif
