/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCRIBE_SCRIBE_H
#define SCRIBE_SCRIBE_H

/* Ends with CHILD_EXIT_FATAL when the database cannot be opened, or a write or an fsync failed: the
 * server must not go on with a disk that forgets. */
int scribe_main(int argc, char **argv);

#endif
