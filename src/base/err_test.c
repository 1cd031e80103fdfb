/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "base/test.h"

int main(void)
{
    struct err err;
    char longer[2000];

    CHECK(err_set(&err, "no %s", "room") == -1);
    CHECK(str_equal(str_from(err.text), STR("no room")));
    CHECK(err_prefix(&err, "file %d", 7) == -1);
    CHECK(str_equal(str_from(err.text), STR("file 7: no room")));
    errno = ENOENT;
    CHECK(err_errno(&err, "cannot open '%s'", "x") == -1);
    CHECK(str_equal(str_from(err.text), STR("cannot open 'x': No such file or directory")));
    memset(longer, 'a', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    CHECK(err_set(&err, "%s", longer) == -1 && strlen(err.text) == ERR_TEXT_SIZE - 1);
    CHECK(err_prefix(&err, "%s", longer) == -1 && strlen(err.text) < ERR_TEXT_SIZE);
    errno = EIO;
    CHECK(err_errno(&err, "%s", longer) == -1 && strlen(err.text) < ERR_TEXT_SIZE);
    CHECK(str_ends(str_from(err.text), STR("Input/output error")));
    return test_done();
}
