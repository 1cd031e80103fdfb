/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/ca_file.h"

#include "base/test.h"

int main(void)
{
    static const char *const broken[] = {
        "",
        "PEM\n",
        "keybrake sealed CA key\nQUJD\n", /* no certificate before it */
        "PEM\nkeybrake sealed CA key\n",
        "PEM\nkeybrake sealed CA key\n\n",
        "PEM\nkeybrake sealed CA key\nQUJD",
        "PEM\nkeybrake sealed CA key\n!!!\n",
        "PEM\nkeybrake sealed CA key\nQUJD\nmore\n",
        "PEM\nsealed CA key\nQUJD\n",
    };
    struct buf file, sealed;
    struct str pem;

    buf_init(&file, 1000);
    buf_init(&sealed, 1000);
    CHECK(ca_file_write(STR("PEM\nPEM\n"), STR("ABC"), &file));
    CHECK(ca_file_read(buf_str(&file), &pem, &sealed));
    CHECK(str_equal(pem, STR("PEM\nPEM\n")) && str_equal(buf_str(&sealed), STR("ABC")));
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        buf_cut(&sealed, 0);
        CHECK_CASE(!ca_file_read(str_from(broken[i]), &pem, &sealed), broken[i]);
    }
    CHECK(!ca_file_write(STR("PEM"), STR("ABC"), &file));
    buf_clear(&file);
    buf_clear(&sealed);
    return test_done();
}
