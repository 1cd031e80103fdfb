/* SPDX-License-Identifier: Apache-2.0 */
#include "store/admissions.h"

#include "base/test.h"

int main(void)
{
    static const struct {
        enum admission is;
        const char *levels;
    } cases[] = {
        {ADMISSION_WITHIN, "key key_a day cap 50.00 spent 20.00 held 30.00"},
        {ADMISSION_WITHIN, "key key_a day cap none spent 20.00 held 30.00"},
        {ADMISSION_WITHIN, "key key_a day cap 0.000000001 spent 0.00 held 0.000000001"},
        {ADMISSION_WITHIN, "key key_a day cap 50.00 spent 20.00 held 30.00; "
                           "key key_a life cap none spent 7.00 held 0.00; "
                           "tenant a b;c; d day cap 60.00 spent 20.00 held 40.00"},
        {ADMISSION_OVER, "key key_a day cap 50.00 spent 20.01 held 30.00"},
        {ADMISSION_OVER, "key key_a day cap 50.00 spent 20.00 held 30.000000001"},
        {ADMISSION_OVER, "key key_a day cap 0.00 spent 0.00 held 0.01"},
        {ADMISSION_OVER, "key key_a day cap 50.00 spent 0.00 held 0.00; "
                         "tenant acme life cap 10.00 spent 10.00 held 0.01; "
                         "key key_b day cap 50.00 spent 0.00 held 0.00"},
        {ADMISSION_UNREADABLE, ""},
        {ADMISSION_UNREADABLE, "key"},
        {ADMISSION_UNREADABLE, "key key_a day cap 50.00 spent 20.00"},
        {ADMISSION_UNREADABLE, "key key_a day cap 50.00 spent 20.00 held"},
        {ADMISSION_UNREADABLE, "key key_a day cap 50.00 spent 20.00 held none"},
        {ADMISSION_UNREADABLE, "key key_a day cap 50.00 spent none held 1.00"},
        {ADMISSION_UNREADABLE, "key key_a day cap -1 spent 0.00 held 1.00"},
        {ADMISSION_UNREADABLE, "key key_a day cap 50.00 held 1.00 spent 0.00"},
        {ADMISSION_UNREADABLE, "key key_a day cap 9999999999999999 spent 0.00 held 1.00"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CHECK_CASE(admission_look(str_from(cases[i].levels)) == cases[i].is, cases[i].levels);
    }
    return test_done();
}
