/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/ca_file.h"

#include "base/encode.h"

static const char mark[] = "keybrake sealed CA key\n";

bool ca_file_write(struct str pem, struct str sealed, struct buf *out)
{
    return str_ends(pem, STR("\n")) && buf_add_str(out, pem) && buf_add_str(out, str_from(mark)) &&
           base64_encode(out, sealed) && buf_add_char(out, '\n');
}

bool ca_file_read(struct str file, struct str *ret_pem, struct buf *ret_sealed)
{
    size_t mark_len = sizeof(mark) - 1;

    for (size_t at = str_index(file, '\n', 0); at < file.len; at = str_index(file, '\n', at + 1)) {
        struct str rest = str_slice(file, at + 1, file.len);
        if (str_starts(rest, str_from(mark)) && str_ends(rest, STR("\n"))) {
            *ret_pem = str_slice(file, 0, at + 1);
            return base64_decode(ret_sealed, str_slice(rest, mark_len, rest.len - 1)) &&
                   buf_len(ret_sealed) > 0;
        }
    }
    return false;
}
