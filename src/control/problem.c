/* SPDX-License-Identifier: Apache-2.0 */
#include "control/problem.h"

#include "base/json_out.h"
#include "http/write.h"

void problem_write(struct buf *out, unsigned status, struct str code, struct str detail)
{
    struct json_out json = json_begin(out);
    struct buf type;

    buf_init(&type, 256);
    (void)buf_add_str(&type, STR("urn:keybrake:"));
    (void)buf_add_str(&type, code);
    json_open(&json, '{');
    json_name(&json, "type");
    json_text(&json, buf_str(&type));
    json_name(&json, "title");
    json_text(&json, http_reason(status));
    json_name(&json, "status");
    json_u64(&json, status);
    json_name(&json, "detail");
    json_text(&json, detail);
    json_name(&json, "code");
    json_text(&json, code);
    json_close(&json, '}');
    buf_clear(&type);
}
