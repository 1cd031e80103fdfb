/* SPDX-License-Identifier: Apache-2.0 */
#include "pack/load.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/test.h"
#include "pack/builtin.h"

/* A whole pack; each case puts something else in the place of one part. */
enum part {
    START, /* pack, vendor, revision */
    UPSTREAMS,
    CREDENTIAL,
    REQUEST,
    ANSWER,
    CURRENCIES,
    RATES,
    COSTS,
    OPERATIONS,
    DENY,
    ENV,
    PARTS,
};
#define WHOLE_CREDENTIAL                                                                           \
    "\"credential\":{\"fields\":{\"key\":{\"secret\":true,\"required\":true},"                     \
    "\"id\":{\"secret\":false}},\"accept\":[\"bearer\"],\"inject\":\"bearer\"}"
static const char *const whole[PARTS] = {
    [START] = "\"pack\":1,\"vendor\":\"acme\",\"revision\":\"1\"",
    [UPSTREAMS] = "\"upstreams\":{\"api\":{\"base\":\"https://a.test\",\"default\":true}}",
    [CREDENTIAL] = WHOLE_CREDENTIAL,
    [REQUEST] = "\"request\":{}",
    [ANSWER] = "\"answer\":{}",
    [CURRENCIES] = "\"currencies\":{}",
    [RATES] = "\"rates\":{\"source\":\"s\",\"as_of\":\"2026-11-23\",\"usd\":{\"r\":{\"*\":\"1\"}}}",
    [COSTS] = "\"costs\":{\"c\":{\"reserve\":\"none\"}}",
    [OPERATIONS] = "\"operations\":[]",
    [DENY] = "\"deny\":{}",
    [ENV] = "\"env\":{}",
};

static void write_pack(struct buf *out, enum part part, const char *instead)
{
    bool comma = false;

    (void)buf_add_char(out, '{');
    for (int i = 0; i < PARTS; i++) {
        const char *text = i == (int)part ? instead : whole[i];
        if (*text != '\0') {
            (void)buf_addf(out, "%s%s", comma ? "," : "", text);
            comma = true;
        }
    }
    (void)buf_add_char(out, '}');
}

struct tried {
    struct arena *arena;
    struct config config;
    struct err err;
    int result;
};

static struct tried try_text(struct str text)
{
    struct tried t = {.arena = arena_new(), .err = {.text = ""}};

    t.result = load_pack(&t.config, t.arena, text, "acme.json", &t.err);
    if (t.result == 0) {
        t.result = config_finish(&t.config, t.arena, &t.err);
    }
    return t;
}

static struct tried try_pack(enum part part, const char *instead)
{
    struct buf text;

    buf_init(&text, 256 * 1024);
    write_pack(&text, part, instead);
    struct tried t = try_text(buf_str(&text));
    buf_clear(&text);
    return t;
}

/* ---- what is taken, and what is not ---- */

#define OPS(list) "\"operations\":[" list "]"
#define OP(rest) "\"operations\":[{\"op\":\"a.b\",\"class\":\"read\"," rest "}]"
#define COST(rest) "\"costs\":{\"c\":{" rest "}}"
#define FETCH "{\"get\":\"/x/{path:id}/{req:a}\",\"minor\":\"res:/a\",\"currency\":\"res:/c\"}"
#define STATE                                                                                      \
    "{\"if\":[\"res:/id present\"],\"amount\":{\"held\":\"res:/a\",\"currency\":\"res:/c\"}}"
#define EVENTS                                                                                     \
    "\"get\":\"/e?since={since}\",\"after\":\"after\",\"count\":7,\"list\":\"/data\","             \
    "\"more\":\"/more\",\"key\":\"/k\",\"object\":\"/o\",\"kind\":\"/kind\""
#define CRED(rest)                                                                                 \
    "\"credential\":{\"fields\":{\"key\":{\"secret\":true,\"required\":true},"                     \
    "\"id\":{\"secret\":false}}," rest "}"
#define BEARER "\"accept\":[\"bearer\"],\"inject\":\"bearer\""

static const struct {
    enum part part;
    const char *instead;
    const char *problem; /* a part of it; NULL: taken */
} cases[] = {
    {PARTS, "", NULL},

    /* the top */
    {START, "\"vendor\":\"acme\",\"revision\":\"1\"", "/: needs a member \"pack\""},
    {START, "\"pack\":2,\"vendor\":\"acme\",\"revision\":\"1\"", "/pack: must be a whole number"},
    {START, "\"pack\":\"1\",\"vendor\":\"acme\",\"revision\":\"1\"", "/pack: "},
    {START, "\"pack\":1,\"revision\":\"1\"", "needs a member \"vendor\""},
    {START, "\"pack\":1,\"vendor\":\"Acme\",\"revision\":\"1\"", "/vendor: must be made of"},
    {START, "\"pack\":1,\"vendor\":\"1acme\",\"revision\":\"1\"", "/vendor: "},
    {START, "\"pack\":1,\"vendor\":\"_keybrake\",\"revision\":\"1\"", "/vendor: "},
    {START, "\"pack\":1,\"vendor\":\"\",\"revision\":\"1\"", "/vendor: must not be empty"},
    {START, "\"pack\":1,\"vendor\":\"a/b\",\"revision\":\"1\"", "/vendor: "},
    {START, "\"pack\":1,\"vendor\":\"acme-2\",\"revision\":\"1\"", NULL},
    {START, "\"pack\":1,\"vendor\":7,\"revision\":\"1\"", "/vendor: must be a text"},
    {START, "\"pack\":1,\"vendor\":\"acme\",\"revision\":\"a\\u0007b\"", "control character"},
    {START, "\"pack\":1,\"pack\":1,\"vendor\":\"acme\",\"revision\":\"1\"", "duplicate"},
    {START, "\"pack\":1,\"vendor\":\"acme\",\"revision\":\"1\",\"x/~\":1", "/x~1~0: no such"},
    {START, "\"pack\":1,\"vendor\":\"acme\",\"revision\":\"1\",\"note\":\"n\"", NULL},
    {START, "\"pack\":1,\"vendor\":\"acme\",\"revision\":\"1\",\"note\":[\"n\",\"m\"]", NULL},
    {START, "\"pack\":1,\"vendor\":\"acme\",\"revision\":\"1\",\"note\":[\"n\",1]",
     "/note: a note"},
    {START, "\"pack\":1,\"vendor\":\"acme\",\"revision\":\"1\",\"note\":{}", "/note: a note"},
    {START, "\"pack\":1,\"vendor\":\"acme\",\"revision\":\"1\",\"generic\":1", "/generic: must be"},

    /* upstreams */
    {UPSTREAMS, "", "needs a member \"upstreams\""},
    {UPSTREAMS, "\"upstreams\":[]", "/upstreams: must be an object"},
    {UPSTREAMS, "\"upstreams\":{}", "/upstreams: needs one that is allowed and the default"},
    {UPSTREAMS, "\"upstreams\":{\"api\":{\"base\":\"https://a.test\"}}", "the default"},
    {UPSTREAMS,
     "\"upstreams\":{\"a\":{\"base\":\"https://a.test\",\"default\":true},"
     "\"b\":{\"base\":\"https://b.test\",\"default\":true}}",
     "/upstreams: needs one"},
    {UPSTREAMS,
     "\"upstreams\":{\"a\":{\"base\":\"https://a.test\",\"default\":true,\"allow\":false}}",
     "/upstreams: needs one"},
    {UPSTREAMS, "\"upstreams\":{\"a\":{\"default\":true}}", "/upstreams/a: needs a \"base\""},
    {UPSTREAMS, "\"upstreams\":{\"a\":{\"base\":\"a.test\",\"default\":true}}",
     "/upstreams/a/base: "},
    {UPSTREAMS, "\"upstreams\":{\"a\":{\"base\":\"ftp://a.test\",\"default\":true}}",
     "/upstreams/a/base: "},
    {UPSTREAMS, "\"upstreams\":{\"a\":{\"base\":\"https://u:p@a.test\",\"default\":true}}",
     "/upstreams/a/base: "},
    {UPSTREAMS, "\"upstreams\":{\"a\":{\"base\":\"https://a.test:8443/x\",\"default\":true}}",
     NULL},
    {UPSTREAMS,
     "\"upstreams\":{\"a\":{\"base\":\"https://a.test\",\"default\":true,"
     "\"hosts\":[\"*.a.test\",\"a.test\"]}}",
     NULL},
    {UPSTREAMS,
     "\"upstreams\":{\"a\":{\"base\":\"https://a.test\",\"default\":true,\"hosts\":[\"A.test\"]}}",
     "/upstreams/a/hosts/0: must be in lower case"},
    {UPSTREAMS,
     "\"upstreams\":{\"a\":{\"base\":\"https://a.test\",\"default\":true,"
     "\"hosts\":[\"a.*.test\"]}}",
     "/upstreams/a/hosts/0: must be a host's name"},
    {UPSTREAMS,
     "\"upstreams\":{\"a\":{\"base\":\"https://a.test\",\"default\":true,\"hosts\":[\"*\"]}}",
     "/hosts/0: "},
    {UPSTREAMS, "\"upstreams\":{\"a\":{\"base\":\"https://a.test\",\"defualt\":true}}",
     "/upstreams/a/defualt: no such member"},

    /* credential */
    {CREDENTIAL, "", "needs a member \"credential\""},
    {CREDENTIAL, "\"credential\":{\"accept\":[\"bearer\"],\"inject\":\"bearer\"}",
     "needs a member \"fields\""},
    {CREDENTIAL, "\"credential\":{\"fields\":{}," BEARER "}", "both secret and required"},
    {CREDENTIAL, "\"credential\":{\"fields\":{\"k\":{\"secret\":true}}," BEARER "}",
     "both secret and required"},
    {CREDENTIAL, "\"credential\":{\"fields\":{\"k\":{\"required\":true}}," BEARER "}",
     "/credential/fields/k: needs a member \"secret\""},
    {CREDENTIAL, CRED("\"accept\":[],\"inject\":\"bearer\""), "/credential/accept: must name"},
    {CREDENTIAL, CRED("\"accept\":[\"cookie\"],\"inject\":\"bearer\""), "/credential/accept/0: "},
    {CREDENTIAL, CRED("\"accept\":[\"header:\"],\"inject\":\"bearer\""), "/credential/accept/0: "},
    {CREDENTIAL, CRED("\"accept\":[\"header:a b\"],\"inject\":\"bearer\""), "no name of a header"},
    {CREDENTIAL, CRED("\"accept\":[\"header:X-Key\",\"token\"],\"inject\":\"header:X-Key\""), NULL},
    {CREDENTIAL, CRED("\"accept\":[\"bearer\"],\"inject\":\"cookie\""), "/credential/inject: "},
    {CREDENTIAL, CRED("\"accept\":[\"bearer\"],\"inject\":\"same\""), NULL},
    {CREDENTIAL, CRED(BEARER ",\"user\":\"x\""), "\"user\" is for"},
    {CREDENTIAL, CRED("\"accept\":[\"basic-pass\"],\"inject\":\"basic\",\"user\":\"x\""), NULL},
    {CREDENTIAL, CRED("\"accept\":[\"basic-pass\"],\"inject\":\"basic\",\"user\":[\"id\"]"), NULL},
    {CREDENTIAL, CRED("\"accept\":[\"basic-pass\"],\"inject\":\"basic\",\"user\":[\"key\"]"),
     "/credential/user/0: the field \"key\" is secret"},
    {CREDENTIAL, CRED("\"accept\":[\"basic-pass\"],\"inject\":\"basic\",\"user\":[\"no\"]"),
     "has no field \"no\""},
    {CREDENTIAL, CRED("\"accept\":[\"basic-pass\"],\"inject\":\"basic\",\"user\":[]"), "/user: "},
    {CREDENTIAL, CRED(BEARER ",\"headers\":{\"X-Org\":\"id\"}"), NULL},
    {CREDENTIAL, CRED(BEARER ",\"headers\":{\"X-Org\":\"no\"}"), "/credential/headers/X-Org: "},
    {CREDENTIAL, CRED(BEARER ",\"path\":{\"Sid\":\"id\"}"), NULL},
    {CREDENTIAL, CRED(BEARER ",\"path\":{\"Sid\":\"key\"}"), "/credential/path/Sid: "},

    /* request */
    {REQUEST, "\"request\":{\"encodings\":{\"/\":\"json\"}}", NULL},
    {REQUEST, "\"request\":{\"encodings\":{\"/\":\"xml\"}}", "must be one of: any, form, json"},
    {REQUEST, "\"request\":{\"encodings\":{\"v1\":\"json\"}}", "the beginning of a path"},
    {REQUEST, "\"request\":{\"once\":[\"a\",1]}", "/request/once/1: must be a text"},
    {REQUEST, "\"request\":{\"headers\":{\"X-A\":\"pass\"}}", NULL},
    {REQUEST, "\"request\":{\"headers\":{\"X-A\":\"key:x\"}}", "must be one of: pass, accounts"},
    {REQUEST, "\"request\":{\"drop_headers\":[\"X-A\",\"b:\"]}", "/request/drop_headers/1: "},
    {REQUEST, "\"request\":{\"accounts\":{\"prefix\":\"acct_\"}}", "needs a member \"params\""},
    {REQUEST, "\"request\":{\"idempotency\":{\"header\":\"I\",\"max\":255,\"remembers\":\"24h\"}}",
     NULL},
    {REQUEST, "\"request\":{\"idempotency\":{\"header\":\"I\",\"max\":8,\"remembers\":\"24h\"}}",
     "/request/idempotency/max: must be a whole number from 64"},
    {REQUEST, "\"request\":{\"idempotency\":{\"header\":\"I\",\"max\":255,\"remembers\":\"1y\"}}",
     "must be a duration"},

    /* answer */
    {ANSWER, "\"answer\":{\"free\":[400,404],\"first_byte\":\"600s\",\"request_id\":\"X-Id\"}",
     NULL},
    {ANSWER, "\"answer\":{\"free\":[200]}", "/answer/free/0: "},
    {ANSWER, "\"answer\":{\"free\":[500]}", "/answer/free/0: "},
    {ANSWER, "\"answer\":{\"free\":[402.0]}", "/answer/free/0: "},
    {ANSWER, "\"answer\":{\"free\":402}", "/answer/free: must be an array"},
    {ANSWER, "\"answer\":{\"first_byte\":600}", "/answer/first_byte: "},
    {ANSWER, "\"answer\":{\"retry_unknown\":\"yes\"}", "must be true or false"},

    /* currencies */
    {CURRENCIES, "\"currencies\":{\"0\":[\"jpy\"],\"3\":[\"kwd\"]}", NULL},
    {CURRENCIES, "\"currencies\":{\"0\":[\"jpy\"],\"2\":[\"jpy\"]}", "\"jpy\" is there twice"},
    {CURRENCIES, "\"currencies\":{\"0\":[\"JPY\"]}", "/currencies/0/0: a currency is three"},
    {CURRENCIES, "\"currencies\":{\"0\":[\"jp\"]}", "a currency is three letters"},
    {CURRENCIES, "\"currencies\":{\"9\":[\"jpy\"]}", "/currencies/9: digits are 0 to 4"},
    {CURRENCIES, "\"currencies\":{\"default\":2}", "/currencies/default: "},

    /* rates */
    {RATES, "\"rates\":{\"usd\":{}}", "needs a member \"source\""},
    {RATES, "\"rates\":{\"source\":\"s\",\"as_of\":\"2026-11-31\",\"usd\":{}}", "/rates/as_of: "},
    {RATES, "\"rates\":{\"source\":\"s\",\"as_of\":\"yesterday!\",\"usd\":{}}", "/rates/as_of: "},
    {RATES, "\"rates\":{\"source\":\"s\",\"as_of\":\"2026-11-23\",\"usd\":{\"r\":{\"*\":1}}}",
     "/rates/usd/r/*: must be a text"},
    {RATES, "\"rates\":{\"source\":\"s\",\"as_of\":\"2026-11-23\",\"usd\":{\"r\":{\"*\":\"-1\"}}}",
     "a price is dollars"},
    {RATES, "\"rates\":{\"source\":\"s\",\"as_of\":\"2026-11-23\",\"usd\":{\"r\":{\"*\":\"1e3\"}}}",
     "a price is dollars"},
    {RATES,
     "\"rates\":{\"source\":\"s\",\"as_of\":\"2026-11-23\",\"usd\":{\"r\":{\"*\":\"0.0000000001\"}}"
     "}",
     "a price is dollars"},
    {RATES, "\"rates\":{\"source\":\"s\",\"as_of\":\"2026-11-23\",\"usd\":{\"r\":\"1\"}}",
     "/rates/usd/r: must be an object"},

    /* costs */
    {COSTS, "\"costs\":[]", "/costs: must be an object"},
    {COSTS, COST(""), "/costs/c: needs a member \"reserve\""},
    {COSTS, COST("\"reserve\":\"free\""), "must be one of: none, unknown, object"},
    {COSTS, COST("\"reserve\":{\"minor\":\"req:amount\",\"currency\":\"req:currency\"}"), NULL},
    {COSTS, COST("\"reserve\":{\"minor\":\"req:/a/v\",\"currency\":\"req:/a/c\"}"), NULL},
    {COSTS, COST("\"reserve\":{\"minor\":\"req:amount\"}"), "needs a member \"currency\""},
    {COSTS, COST("\"reserve\":{\"minor\":\"req:amount\",\"currency\":\"req:/c\"}"),
     "as JSON or as a form"},
    {COSTS, COST("\"reserve\":{\"minor\":\"res:/amount\",\"currency\":\"req:c\"}"),
     "\"res:\" cannot be asked here"},
    {COSTS, COST("\"reserve\":{\"minor\":\"amount\",\"currency\":\"req:c\"}"), "a selector is"},
    {COSTS, COST("\"reserve\":{\"minor\":\"req:\",\"currency\":\"req:c\"}"), "a selector is"},
    {COSTS, COST("\"reserve\":{\"minor\":\"req:/a~2\",\"currency\":\"req:/c\"}"),
     "no JSON pointer"},
    {COSTS, COST("\"reserve\":{\"minor\":\"req:/\",\"currency\":\"req:/c\"}"), "no JSON pointer"},
    {COSTS, COST("\"reserve\":{\"rate\":\"r\"}"), NULL},
    {COSTS, COST("\"reserve\":{\"rate\":\"q\"}"), "no rate \"q\" is in /rates"},
    {COSTS, COST("\"reserve\":{\"rate\":\"r\",\"by\":\"req:/to\",\"times\":[\"count:/to\"]}"),
     NULL},
    {COSTS, COST("\"reserve\":{\"rate\":\"r\",\"times\":[\"segments:Body\"]}"), NULL},
    {COSTS, COST("\"reserve\":{\"rate\":\"r\",\"times\":[]}"), "/costs/c/reserve/times: "},
    {COSTS, COST("\"reserve\":{\"rate\":\"r\",\"per\":60}"), NULL},
    {COSTS, COST("\"reserve\":{\"rate\":\"r\",\"per\":0}"), "/costs/c/reserve/per: "},
    {COSTS, COST("\"reserve\":{\"minor\":\"req:a\",\"currency\":\"req:b\",\"per\":2}"), "per: "},
    {COSTS, COST("\"reserve\":[{\"rate\":\"r\"},{\"rate\":\"r\"}]"), NULL},
    {COSTS, COST("\"reserve\":[{\"rate\":\"r\"}]"), "/costs/c/reserve: must be an array of 2"},
    {COSTS, COST("\"reserve\":[{\"rate\":\"r\"},\"none\"]"), "/costs/c/reserve/1: must be a price"},
    {COSTS, COST("\"reserve\":[{\"rate\":\"r\"},{\"minor\":\"req:a\",\"currency\":\"req:b\"}]"),
     "/costs/c/reserve/1: must be a price"},
    {COSTS, COST("\"reserve\":\"none\",\"unknown_if\":[\"req:a present\"]"), NULL},
    {COSTS, COST("\"reserve\":\"none\",\"unknown_if\":[]"), "/costs/c/unknown_if: must name"},
    {COSTS, COST("\"reserve\":\"none\",\"unknown_if\":[\"status=200\"]"),
     "/costs/c/unknown_if/0: "},
    {COSTS, COST("\"reserve\":\"none\",\"inject\":{\"req:a\":{\"at_most\":5}}"), NULL},
    {COSTS, COST("\"reserve\":\"none\",\"inject\":{\"req:a[b]\":{\"always\":0}}"), NULL},
    {COSTS, COST("\"reserve\":\"none\",\"inject\":{\"req:/a/b\":\"fetched\",\"note\":\"n\"}"),
     NULL},
    {COSTS, COST("\"reserve\":\"none\",\"inject\":[]"), "/costs/c/inject: must be an object"},
    {COSTS, COST("\"reserve\":\"none\",\"inject\":{\"req:a\":5}"), "/costs/c/inject/req:a: "},
    {COSTS, COST("\"reserve\":\"none\",\"inject\":{\"req:a\":{}}"), "needs a member \"at_most\""},
    {COSTS, COST("\"reserve\":\"none\",\"inject\":{\"req:a\":{\"at_most\":-1}}"), "at_most: "},
    {COSTS, COST("\"reserve\":\"none\",\"inject\":{\"req:a\":{\"at_most\":1.5}}"), "at_most: "},
    {COSTS, COST("\"reserve\":\"none\",\"inject\":{\"req:a\":\"held\"}"),
     "/costs/c/inject/req:a: "},
    {COSTS, COST("\"reserve\":\"none\",\"inject\":{\"req:a=b\":{\"at_most\":1}}"),
     "no value can be put"},
    {COSTS, COST("\"reserve\":\"none\",\"inject\":{\"req:/a/*\":{\"at_most\":1}}"),
     "no value can be put"},
    {COSTS, COST("\"reserve\":\"none\",\"inject\":{\"count:a\":{\"at_most\":1}}"),
     "no value can be put"},
    {COSTS, COST("\"reserve\":\"none\",\"inject\":{\"res:/a\":{\"at_most\":1}}"),
     "cannot be asked"},
    {COSTS,
     COST("\"reserve\":{\"rate\":\"r\",\"times\":[\"count:/a\",\"count:/b\",\"count:/c\","
          "\"count:/d\",\"count:/e\"]}"),
     "1 to 4 selectors"},
    {COSTS, COST("\"reserve\":\"none\",\"free_if\":[]"), "must name a condition"},
    {COSTS, COST("\"reserve\":\"unknown\",\"free_if\":[\"req:a=true\",\"req:b absent\"]"), NULL},
    {COSTS, COST("\"reserve\":\"unknown\",\"free_if\":[\"status=2xx\"]"), "only of an answer"},
    {COSTS, COST("\"reserve\":\"unknown\",\"free_if\":[\"req:a\"]"), "a condition is"},
    {COSTS, COST("\"reserve\":\"unknown\",\"free_if\":[\"req:a=\"]"), "a condition is"},
    {COSTS, COST("\"reserve\":\"unknown\",\"free_if\":[\"=b\"]"), "a selector is"},
    {COSTS, COST("\"reserve\":\"none\",\"object\":\"res:/id\""), NULL},
    {COSTS, COST("\"reserve\":\"none\",\"object\":\"res:id\""), "a pointer begins with"},
    {COSTS, COST("\"reserve\":\"none\",\"object\":\"req:/id\""), "cannot be asked here"},
    {COSTS, COST("\"reserve\":\"none\",\"settle\":[]"), "1 to 64 rules"},
    {COSTS, COST("\"reserve\":\"none\",\"settle\":[{\"amount\":\"zero\"}]"),
     "/costs/c/settle/0: needs a member \"if\""},
    {COSTS, COST("\"reserve\":\"none\",\"settle\":[{\"if\":[\"status=2xx\"],\"amount\":\"all\"}]"),
     "must be one of: zero, reserved, keep"},
    {COSTS, COST("\"reserve\":\"none\",\"settle\":[{\"if\":[\"status=2xy\"],\"amount\":\"zero\"}]"),
     "a status is"},
    {COSTS, COST("\"reserve\":\"none\",\"settle\":[{\"if\":[\"status=602\"],\"amount\":\"zero\"}]"),
     "a status is"},
    {COSTS,
     COST("\"reserve\":\"none\",\"settle\":[{\"if\":[\"status!=402\",\"res:/a!=b\"],"
          "\"amount\":{\"minor\":\"res:/amount\",\"currency\":\"res:/currency\"}}]"),
     NULL},
    {COSTS, COST("\"reserve\":\"none\",\"settle\":[{\"if\":[\"req:a=b\"],\"amount\":\"zero\"}]"),
     "cannot be asked here"},

    {COSTS, COST("\"reserve\":\"object\",\"on\":\"id\",\"fetch\":[" FETCH "]"), NULL},
    {COSTS, COST("\"reserve\":\"object\",\"fetch\":[]"), "1 to 8 ways to ask"},
    {COSTS, COST("\"reserve\":\"object\",\"fetch\":[{\"minor\":\"res:/a\"}]"),
     "/costs/c/fetch/0: needs a member \"get\""},
    {COSTS,
     COST("\"reserve\":\"object\",\"fetch\":[{\"get\":\"/x/{id}\",\"minor\":\"res:/"
          "a\",\"currency\":\"res:/c\"}]"),
     "\"{id}\" is nothing that can be put here"},
    {COSTS,
     COST("\"reserve\":\"object\",\"fetch\":[{\"get\":\"/x/{path:a\",\"minor\":\"res:/"
          "a\",\"currency\":\"res:/c\"}]"),
     "is nothing that can be put here"},
    {COSTS,
     COST("\"reserve\":\"object\",\"fetch\":[{\"get\":\"x\",\"minor\":\"res:/"
          "a\",\"currency\":\"res:/c\"}]"),
     "a path that begins with"},
    {COSTS, COST("\"reserve\":\"none\",\"of\":\"thing\""), "no kind \"thing\" is in /objects"},
    {COSTS, COST("\"reserve\":\"none\",\"total\":1"), "must be true or false"},
    {COSTS, "\"objects\":{\"o\":{\"get\":\"/o/{id}\"}}", "needs a member \"states\""},
    {COSTS, "\"objects\":{\"o\":{\"get\":\"/o/{x}\",\"states\":[" STATE "]}}",
     "/objects/o/get: \"{x}\" is nothing"},
    {COSTS, "\"objects\":{\"o\":{\"get\":\"/o?a=b\",\"states\":[" STATE "]}}", "without a query"},
    {COSTS, "\"objects\":{\"o\":{\"get\":\"/o\",\"states\":[]}}", "1 to 64 rules"},
    {COSTS, "\"objects\":{\"o\":{\"get\":\"/o\",\"cancel\":\"/o/{x}\",\"states\":[" STATE "]}}",
     "/objects/o/cancel: \"{x}\" is nothing"},
    {COSTS, "\"objects\":{\"o\":{\"get\":\"/o\",\"cancel\":\"/o?a=b\",\"states\":[" STATE "]}}",
     "/objects/o/cancel: an object is asked for without a query"},
    {COSTS, "\"objects\":{\"o\":{\"get\":\"/o\",\"cancel\":\"POST /o\",\"states\":[" STATE "]}}",
     "a path that begins with"},
    {COSTS, "\"objects\":{\"o\":{\"get\":\"/o\",\"states\":[" STATE "],\"estimate_after\":\"x\"}}",
     "must be a duration"},
    {COSTS,
     "\"objects\":{\"o\":{\"get\":\"/o/{id}\",\"states\":[" STATE "]}},"
     "\"costs\":{\"c\":{\"reserve\":\"none\",\"on\":\"id\",\"of\":\"o\"}}",
     NULL},
    {COSTS, "\"events\":{" EVENTS ",\"id\":\"/id\"}", NULL},
    {COSTS, "\"events\":{" EVENTS ",\"id\":\"/k\"}", "two parts of an event are the same"},
    {COSTS, "\"events\":{" EVENTS ",\"id\":\"id\"}", "a pointer begins with"},

    /* operations */
    {OPERATIONS, "", "needs a member \"operations\""},
    {OPERATIONS, "\"operations\":{}", "/operations: must be an array"},
    {OPERATIONS, OPS("1"), "/operations/0: must be an object"},
    {OPERATIONS, OPS("{\"op\":\"a.b\",\"match\":\"GET /\"}"), "needs a member \"class\""},
    {OPERATIONS, OPS("{\"op\":\"a.b\",\"class\":\"free\",\"match\":\"GET /\"}"),
     "/operations/0/class: must be one of: read, write, pay"},
    {OPERATIONS, OPS("{\"op\":\"A.b\",\"class\":\"read\",\"match\":\"GET /\"}"),
     "a name is made of"},
    {OPERATIONS, OPS("{\"op\":\"a b\",\"class\":\"read\",\"match\":\"GET /\"}"),
     "a name is made of"},
    {OPERATIONS, OPS("{\"op\":\"a.*\",\"class\":\"read\",\"match\":\"GET /\"}"),
     "a name is made of"},
    {OPERATIONS, OP("\"match\":[]"), "/operations/0/match: must name"},
    {OPERATIONS, OP("\"match\":\"/a\""), "/operations/0/match: "},
    {OPERATIONS, OP("\"match\":\"GET a\""), "/operations/0/match: "},
    {OPERATIONS, OP("\"match\":\"get /a\""), "must be \"[UPSTREAM] METHOD /path\""},
    {OPERATIONS, OP("\"match\":\"HEAD /a\""), "must be \"[UPSTREAM] METHOD /path\""},
    {OPERATIONS, OP("\"match\":\"GET /a/{b\""), "must be \"[UPSTREAM] METHOD /path\""},
    {OPERATIONS, OP("\"match\":\"GET /a/{b...}/c\""), "must be \"[UPSTREAM] METHOD /path\""},
    {OPERATIONS, OP("\"match\":\"GET /a/\""), "must be \"[UPSTREAM] METHOD /path\""},
    {OPERATIONS, OP("\"match\":\"files GET /a\""), "no upstream \"files\""},
    {OPERATIONS, OP("\"match\":\"api GET /a\""), NULL},
    {OPERATIONS, OP("\"match\":[\"GET /a\",\"* /b/{c...}\"]"), NULL},
    {OPERATIONS, OP("\"match\":[\"GET /a/{b}\",\"GET /a/{c}\"]"), "\"GET /a/{c}\" is there twice"},
    {OPERATIONS, OP("\"match\":[\"GET /a/{b}\",\"* /a/{c}\"]"), NULL},
    {OPERATIONS, OP("\"match\":[\"GET /a/{b}.json\",\"GET /a/{c}\"]"), NULL},
    {OPERATIONS, OP("\"match\":[\"GET /a/{b...}\",\"GET /a/{c}\"]"), NULL},
    {OPERATIONS,
     OPS("{\"op\":\"a.b\",\"class\":\"read\",\"match\":\"GET /a\"},"
         "{\"op\":\"a.b\",\"class\":\"read\",\"match\":\"GET /b\"}"),
     "the name \"a.b\" is there twice"},
    {OPERATIONS, OP("\"match\":\"GET /a\",\"cost\":\"c\""), NULL},
    {OPERATIONS, OP("\"match\":\"GET /a\",\"cost\":\"d\""), "no cost \"d\" is in /costs"},
    {OPERATIONS, OP("\"match\":\"GET /a\",\"redact\":[\"/x\"]"), NULL},
    {OPERATIONS, OP("\"match\":\"GET /a\",\"redact\":[\"/x/*/y\",\"/**/z\"]"), NULL},
    {OPERATIONS, OP("\"match\":\"GET /a\",\"redact\":[\"x\"]"), "/operations/0/redact/0: "},
    {OPERATIONS, OP("\"match\":\"GET /a\",\"redact\":[\"/x\",\"/y~\"]"),
     "/operations/0/redact/1: "},
    {OPERATIONS, OP("\"match\":\"GET /a\",\"redact\":[\"/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q\"]"),
     "/operations/0/redact/0: "},
    {OPERATIONS, OP("\"match\":\"GET /a\",\"range\":1"), "/operations/0/range: "},

    /* deny */
    {DENY, "\"deny\":{\"statuses\":{\"cap_exceeded\":402}}", NULL},
    {DENY, "\"deny\":{\"statuses\":{\"cap_exceeded\":199}}", "/deny/statuses/cap_exceeded: "},
    {DENY, "\"deny\":{\"body\":{\"m\":\"${message}\",\"s\":\"${status}\"}}", NULL},
    {DENY, "\"deny\":{\"body\":{\"m\":\"${mesage}\"}}", "/deny/body: a placeholder is"},
    {DENY, "\"deny\":{\"body\":{\"m\":\"${message\"}}", "/deny/body: a placeholder is"},
    {DENY, "\"deny\":{\"headers\":{\"X\":\"${code}\"}}", NULL},
    {DENY, "\"deny\":{\"headers\":{\"X\":\"${cod}\"}}", "/deny/headers/X: a placeholder is"},
    {DENY, "\"deny\":{\"headers\":{\"X\":\"a\\r\\nb\"}}", "control character"},
    {DENY, "\"deny\":{\"types\":{\"default\":\"t\"}}", NULL},

    /* env */
    {ENV, "\"env\":{\"KEY\":\"${token}\",\"URL\":\"${base}/v1\",\"ID\":\"${id}\"}", NULL},
    {ENV, "\"env\":{\"KEY\":\"${key}\"}", "/env/KEY: a placeholder is"}, /* it is secret */
    {ENV, "\"env\":{\"KEY\":\"$token\"}", "/env/KEY: a placeholder is"},
    {ENV, "\"env\":{\"key\":\"x\"}", "/env/key: a variable is made of"},
    {ENV, "\"env\":{\"1K\":\"x\"}", "/env/1K: a variable is made of"},
};

static void check_cases(void)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tried t = try_pack(cases[i].part, cases[i].instead);
        const char *what = cases[i].instead;
        CHECK_CASE((t.result == 0) == (cases[i].problem == NULL), what);
        if (cases[i].problem != NULL) {
            bool told = strstr(t.err.text, cases[i].problem) != NULL;
            CHECK_CASE(told, told ? what : t.err.text);
            CHECK_CASE(str_starts(str_from(t.err.text), STR("acme.json: ")), t.err.text);
            CHECK_CASE(t.config.pack_count == 0 && t.config.read_count == 1, what);
        }
        arena_free(t.arena);
    }
}

/* ---- not even JSON ---- */

static const char *const broken[] = {
    "", "{", "[]", "null", "{}", "{} {}", "\xef\xbb\xbf{}", "{\"pack\":1,}", "/* */{}", "\"x\"",
};

static void check_broken(void)
{
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        struct tried t = try_text(str_from(broken[i]));
        CHECK_CASE(t.result != 0 && t.err.text[0] != '\0', broken[i]);
        arena_free(t.arena);
    }
}

/* ---- limits ---- */

struct many {
    enum part part;
    const char *before;
    const char *left, *right; /* of each one's number */
    const char *after;
    size_t count;
    bool taken;
};
static const struct many many[] = {
    {REQUEST, "\"request\":{\"once\":[", "\"n", "\"", "]}", PACK_LIST_MAX, true},
    {REQUEST, "\"request\":{\"once\":[", "\"n", "\"", "]}", PACK_LIST_MAX + 1, false},
    {REQUEST, "\"request\":{\"accounts\":{\"params\":[", "\"n", "\"", "]}}", 16, true},
    {REQUEST, "\"request\":{\"accounts\":{\"params\":[", "\"n", "\"", "]}}", 17, false},
    {ENV, "\"env\":{", "\"N", "\":\"x\"", "}", PACK_LIST_MAX, true},
    {ENV, "\"env\":{", "\"N", "\":\"x\"", "}", PACK_LIST_MAX + 1, false},
    {COSTS, "\"costs\":{", "\"c", "\":{\"reserve\":\"none\"}", "}", PACK_COSTS_MAX, true},
    {COSTS, "\"costs\":{", "\"c", "\":{\"reserve\":\"none\"}", "}", PACK_COSTS_MAX + 1, false},
    {COSTS, "\"costs\":{\"c\":{\"reserve\":\"none\",\"free_if\":[", "\"req:a", " absent\"", "]}}",
     PACK_SELECTORS_MAX / 2, true},
    {COSTS, "\"costs\":{\"c\":{\"reserve\":\"none\",\"free_if\":[", "\"req:a", " absent\"", "]}}",
     PACK_SELECTORS_MAX / 2 + 1, false},
    {OPERATIONS, "\"operations\":[", "{\"op\":\"o", "\",\"class\":\"read\",\"match\":\"GET /\"}",
     "]", PACK_OPERATIONS_MAX + 1, false},
};

static void check_limits(void)
{
    for (size_t i = 0; i < sizeof(many) / sizeof(many[0]); i++) {
        struct buf instead;
        struct buf text;
        buf_init(&instead, 1024 * 1024);
        buf_init(&text, 1024 * 1024);
        (void)buf_add_str(&instead, str_from(many[i].before));
        for (size_t k = 0; k < many[i].count; k++) {
            (void)buf_addf(&instead, "%s%s%zu%s", k == 0 ? "" : ",", many[i].left, k,
                           many[i].right);
        }
        (void)buf_addf(&instead, "%s%c", many[i].after, '\0');
        write_pack(&text, many[i].part, buf_str(&instead).data);
        struct tried t = try_text(buf_str(&text));
        CHECK_CASE((t.result == 0) == many[i].taken, many[i].before);
        arena_free(t.arena);
        buf_clear(&instead);
        buf_clear(&text);
    }
}

/* ---- what becomes of it ---- */

static void check_compiled(void)
{
    struct tried t = try_pack(
        COSTS,
        COST("\"reserve\":{\"minor\":\"req:amount\",\"currency\":\"req:currency\"},"
             "\"free_if\":[\"req:confirm!=true\",\"req:amount absent\"],"
             "\"object\":\"res:/id\",\"settle\":[{\"if\":[\"status=2xx\",\"res:/id present\"],"
             "\"amount\":{\"minor\":\"res:/amount\",\"currency\":\"res:/currency\"}},"
             "{\"if\":[\"status=402\"],\"amount\":\"zero\"}]"));
    const struct pack_cost *cost = t.result == 0 ? &t.config.packs[0].costs[0] : NULL;

    CHECK_CASE(cost != NULL, t.err.text);
    if (cost == NULL) {
        arena_free(t.arena);
        return;
    }
    const struct pack_read *asked = &t.config.reads[cost->request_read];
    const struct pack_read *answered = &t.config.reads[cost->answer_read];
    CHECK(t.config.reads[0].selector_count == 0 && cost->request_read != 0);
    CHECK(asked->encoding == ENCODING_FORM && asked->selector_count == 3);
    CHECK(answered->encoding == ENCODING_JSON && answered->selector_count == 3);
    CHECK(cost->reserve.kind == AMOUNT_MINOR);
    CHECK(str_equal(asked->selectors[cost->reserve.minor].name, STR("amount")));
    CHECK(str_equal(asked->selectors[cost->reserve.currency].name, STR("currency")));
    CHECK(cost->free_if_count == 2 && cost->free_if[0].negated);
    CHECK(cost->free_if[0].kind == CONDITION_EQUALS && cost->free_if[1].kind == CONDITION_ABSENT);
    CHECK(str_equal(cost->free_if[0].value, STR("true")));
    CHECK(cost->free_if[1].selector == cost->reserve.minor && !cost->free_if[1].negated);
    CHECK(str_equal(answered->selectors[cost->object].name, STR("/id")));
    CHECK(cost->settle_count == 2 && cost->settles[0].condition_count == 2);
    CHECK(cost->settles[0].conditions[0].kind == CONDITION_STATUS);
    CHECK(cost->settles[0].conditions[1].negated);
    CHECK(cost->settles[1].amount.kind == AMOUNT_NONE);
    arena_free(t.arena);
}

static void check_account_params(void)
{
    struct tried t =
        try_pack(REQUEST, "\"request\":{\"once\":[\"amount\"],\"refuse_card_data\":true,"
                          "\"accounts\":{\"params\":[\"on_behalf_of\",\"destination\"],"
                          "\"prefix\":\"acct_\"}}");
    const struct pack *pack = t.result == 0 ? &t.config.packs[0] : NULL;

    CHECK_CASE(pack != NULL && pack->default_read != PACK_NONE, t.err.text);
    if (pack != NULL && pack->default_read != PACK_NONE) {
        const struct pack_read *read = &t.config.reads[pack->default_read];
        CHECK(read->encoding == ENCODING_FORM && read->refuse_card_data);
        CHECK(read->selector_count == 2 && read->account_count == 2 && read->once_count == 1);
        CHECK(str_equal(read->selectors[1].name, STR("destination")));
    }
    arena_free(t.arena);
}

static void check_replacing(void)
{
    struct tried t = try_pack(PARTS, "");
    struct buf text;

    buf_init(&text, 65536);
    write_pack(&text, START, "\"pack\":1,\"vendor\":\"acme\",\"revision\":\"2\"");
    CHECK(load_pack(&t.config, t.arena, buf_str(&text), "acme.json", &t.err) == 0);
    CHECK(t.config.pack_count == 1);
    CHECK(str_equal(t.config.packs[0].revision, STR("2")));
    buf_cut(&text, 0);
    write_pack(&text, START, "\"pack\":1,\"vendor\":\"acme\",\"revision\":3");
    CHECK(load_pack(&t.config, t.arena, buf_str(&text), "acme.json", &t.err) != 0);
    CHECK(str_equal(t.config.packs[0].revision, STR("2"))); /* a bad one changes nothing */
    buf_clear(&text);
    arena_free(t.arena);
}

/* ---- exchange rates ---- */

#define FX(rest) "{\"fx\":1,\"source\":\"s\",\"as_of\":\"2026-11-20\"," rest "}"
static const struct {
    const char *text;
    const char *problem;
} rates[] = {
    {FX("\"margin_percent\":5,\"usd_per_unit\":{\"eur\":\"1.165\"}"), NULL},
    {FX("\"margin_percent\":0,\"usd_per_unit\":{\"note\":\"n\",\"eur\":\"1.165\"}"), NULL},
    {FX("\"margin_percent\":101,\"usd_per_unit\":{}"), "/margin_percent: "},
    {FX("\"margin_percent\":-1,\"usd_per_unit\":{}"), "/margin_percent: "},
    {FX("\"margin_percent\":5"), "needs a member \"usd_per_unit\""},
    {FX("\"margin_percent\":5,\"usd_per_unit\":{\"EUR\":\"1\"}"), "/usd_per_unit/EUR: "},
    {FX("\"margin_percent\":5,\"usd_per_unit\":{\"euro\":\"1\"}"), "three letters"},
    {FX("\"margin_percent\":5,\"usd_per_unit\":{\"eur\":1.1}"), "must be a text"},
    {FX("\"margin_percent\":5,\"usd_per_unit\":{\"eur\":\"0\"}"), "not zero"},
    {FX("\"margin_percent\":5,\"usd_per_unit\":{\"eur\":\"1,1\"}"), "as a decimal text"},
    {"[]", "must be an object"},
};

static void check_rates(void)
{
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        struct arena *arena = arena_new();
        struct config config = {.fx_count = 0};
        struct err err = {.text = ""};
        int result = load_fx(&config, arena, str_from(rates[i].text), "fx.json", &err);
        CHECK_CASE((result == 0) == (rates[i].problem == NULL), rates[i].text);
        CHECK_CASE(rates[i].problem == NULL || strstr(err.text, rates[i].problem) != NULL,
                   err.text);
        CHECK_CASE(config.fx_count == (rates[i].problem == NULL ? 1 : 0), rates[i].text);
        arena_free(arena);
    }
}

/* ---- files ---- */

static void put_file(const char *directory, const char *name, const char *text)
{
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    FILE *file = fopen(path, "w");
    CHECK_CASE(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0, path);
}

static void drop_file(const char *directory, const char *name)
{
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    (void)remove(path);
}

static void check_directory(void)
{
    char directory[] = "/tmp/keybrake-packs-XXXXXX";
    struct arena *arena = arena_new();
    struct config config = {.packs = NULL};
    struct err err = {.text = ""};
    struct buf text;

    CHECK(mkdtemp(directory) != NULL);
    buf_init(&text, 65536);
    write_pack(&text, PARTS, "");
    (void)buf_add_char(&text, '\0');
    CHECK(load_pack_directory(&config, arena, directory, &err) == 0); /* empty */
    put_file(directory, "acme.json", buf_str(&text).data);
    put_file(directory, "readme.txt", "not a pack");
    put_file(directory, ".hidden.json", "not a pack");
    put_file(directory, "fx.json", FX("\"margin_percent\":5,\"usd_per_unit\":{\"eur\":\"2\"}"));
    CHECK_CASE(load_pack_directory(&config, arena, directory, &err) == 0, err.text);
    CHECK(config.pack_count == 1 && config.fx_count == 1);
    put_file(directory, "bad.json", "{");
    CHECK(load_pack_directory(&config, arena, directory, &err) != 0);
    CHECK_CASE(strstr(err.text, "bad.json: line 1") != NULL, err.text);
    CHECK(load_pack_directory(&config, arena, "/nonexistent", &err) != 0);
    drop_file(directory, "acme.json");
    drop_file(directory, "readme.txt");
    drop_file(directory, ".hidden.json");
    drop_file(directory, "fx.json");
    drop_file(directory, "bad.json");
    CHECK(rmdir(directory) == 0);
    buf_clear(&text);
    arena_free(arena);
}

/* ---- the packs that we ship ---- */

static void check_every_class(const struct pack *pack)
{
    for (size_t i = 0; i < pack->operation_count; i++) {
        const struct pack_operation *operation = &pack->operations[i];
        bool money = operation->class == CLASS_PAY || operation->class == CLASS_MONEY_IN ||
                     operation->class == CLASS_MONEY_OUT;
        /* Moves nothing, but ends what is held. */
        bool frees = str_equal(operation->name, STR("payment_intents.cancel")) ||
                     str_equal(operation->name, STR("invoices.void_invoice"));
        CHECK_CASE((operation->cost != PACK_NONE) == (money || frees), operation->name.data);
    }
}

static void check_builtin(void)
{
    static const char *const vendors[] = {"stripe",    "twilio", "resend", "openai",
                                          "anthropic", "github", "generic"};
    struct arena *arena = arena_new();
    struct config config = {.packs = NULL};
    struct err err = {.text = ""};

    CHECK_CASE(load_builtin_packs(&config, arena, &err) == 0, err.text);
    CHECK_CASE(config_finish(&config, arena, &err) == 0, err.text);
    CHECK(config.pack_count == sizeof(vendors) / sizeof(vendors[0]));
    CHECK(config.pack_count + 1 == builtin_count); /* and the rates */
    for (size_t i = 0; i < sizeof(vendors) / sizeof(vendors[0]); i++) {
        uint32_t pack = config_find_pack(&config, str_from(vendors[i]));
        CHECK_CASE(pack != PACK_NONE, vendors[i]);
        if (pack != PACK_NONE) {
            check_every_class(&config.packs[pack]);
        }
    }
    CHECK(config.fx_count > 100 && config.fx_margin_percent == 5);
    arena_free(arena);
}

int main(void)
{
    check_cases();
    check_broken();
    check_limits();
    check_compiled();
    check_account_params();
    check_replacing();
    check_rates();
    check_directory();
    check_builtin();
    return test_done();
}
