/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unlock: the one-shot process that brings the vault's key from DIR/vault/key into secret memory.
 * It meets the key file and, if that is sealed, the operator's terminal; it has no network and
 * can write nothing.  Its sixth argument is a directory of systemd credentials, or "".
 */
#ifndef PARENT_UNLOCK_H
#define PARENT_UNLOCK_H

int unlock_main(int argc, char **argv);

#endif
