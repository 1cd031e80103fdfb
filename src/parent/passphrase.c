/* SPDX-License-Identifier: Apache-2.0 */
#include "parent/passphrase.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "parent/key_file.h"

static int read_line(int tty, struct secret *line, struct err *err)
{
    size_t len = 0;

    for (;;) {
        ssize_t got = read(tty, line->data + len, 1);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return err_set(err, "no passphrase was given");
        }
        if (line->data[len] == '\n') {
            break;
        }
        if (++len > PASSPHRASE_BYTES_MAX) {
            return err_set(err, "a passphrase has at most %d bytes", PASSPHRASE_BYTES_MAX);
        }
    }
    line->size = len; /* what is mapped stays known to the secret */
    return len == 0 ? err_set(err, "no passphrase was given") : 0;
}

int passphrase_ask(int tty, const char *question, struct secret *ret_passphrase, struct err *err)
{
    struct termios before;

    if (secret_new(ret_passphrase, PASSPHRASE_BYTES_MAX + 1, err) < 0) {
        return -1;
    }
    if (tcgetattr(tty, &before) < 0) {
        secret_clear(ret_passphrase);
        return err_errno(err, "cannot ask on the terminal");
    }
    struct termios silent = before;
    silent.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
    (void)tcsetattr(tty, TCSAFLUSH, &silent);
    int rc = -1;
    if (write(tty, question, strlen(question)) > 0) {
        rc = read_line(tty, ret_passphrase, err);
    }
    (void)tcsetattr(tty, TCSAFLUSH, &before);
    (void)!write(tty, "\n", 1);
    if (rc < 0) {
        secret_clear(ret_passphrase);
    }
    return rc;
}

int passphrase_ask_twice(struct secret *ret_passphrase, struct err *err)
{
    struct secret again = {0};
    int tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);

    if (tty < 0) {
        return err_set(err, "--passphrase needs a terminal to ask on");
    }
    int rc = passphrase_ask(tty, "New passphrase for the vault key: ", ret_passphrase, err);
    if (rc == 0) {
        rc = passphrase_ask(tty, "Once more: ", &again, err);
    }
    if (rc == 0 && (again.size != ret_passphrase->size ||
                    memcmp(again.data, ret_passphrase->data, again.size) != 0)) {
        rc = err_set(err, "the two passphrases differ");
    }
    secret_clear(&again);
    (void)close(tty);
    return rc;
}
