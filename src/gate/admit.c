/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a request's head to ADMIT: what may not go on is taken out here, and the credentials that
 * were presented are set apart.  None of them is checked here: the gate knows no key.
 */
#include <string.h>

#include "base/encode.h"
#include "base/mem.h"
#include "gate/tunnel.h"
#include "http/names.h"
#include "http/url.h"

enum { PRESENTED_MAX = LIMIT_FIELDS + 4 };

/* ---- names ---- */

static bool is_alnum(char c)
{
    return ascii_is_alpha(c) || ascii_is_digit(c);
}

/* Headers that make a server behind us see another request, or that are between the client and
 * us. */
static bool is_dropped(struct str name)
{
    if (!is_alnum(name.data[0]) || !is_alnum(name.data[name.len - 1])) {
        return true; /* nobody's; "_Host" is another's Host */
    }
    switch (name.data[0]) {
    case 'e':
        return name_is_like(name, STR("expect"));
    case 'f':
        return name_is_like(name, STR("forwarded")) || name_mimics_single(name);
    case 'h':
        return name_is_like(name, STR("host"));
    case 'p':
        return name_begins_like(name, STR("proxy"));
    case 'x':
        return name_begins_like(name, STR("xforwarded")) || name_is_like(name, STR("xhost")) ||
               name_is_like(name, STR("xoriginalurl")) || name_is_like(name, STR("xrewriteurl"));
    default:
        return name_mimics_single(name);
    }
}

static bool is_credential(const struct gate *gate, struct str name)
{
    switch (name.data[0]) {
    case 'a':
        if (name_is_like(name, STR("authorization")) || name_is_like(name, STR("apikey"))) {
            return true;
        }
        break;
    case 'x':
        if (name_is_like(name, STR("xapikey")) || name_is_like(name, STR("xgoogapikey"))) {
            return true;
        }
        break;
    default:
        break;
    }
    return gate->config != NULL && header_is_credential(gate->config, name);
}

/* ---- credentials ---- */

struct presenting {
    struct gate *gate;
    struct message_admit *admit;
};

static void present(struct presenting *to, enum credential_form form, struct str name,
                    struct str value)
{
    struct message_admit *admit = to->admit;

    if (admit->presented_count < LIMIT_FIELDS) {
        admit->presented[admit->presented_count++] =
            (struct message_presented){.form = form, .name = name, .value = value};
    }
}

/* "user:password" in base64: both parts. */
static bool present_basic(struct presenting *to, struct str name, struct str encoded)
{
    struct gate *gate = to->gate;

    buf_cut(&gate->plain, 0);
    if (!base64_decode(&gate->plain, encoded)) {
        return false;
    }
    struct str pair = buf_str(&gate->plain);
    size_t colon = str_index(pair, ':', 0);
    if (colon == pair.len) {
        return false;
    }
    present(to, FORM_BASIC_USER, name, str_slice(pair, 0, colon));
    present(to, FORM_BASIC_PASS, name, str_slice(pair, colon + 1, pair.len));
    return true;
}

static void present_authorization(struct presenting *to, struct str name, struct str value)
{
    struct str rest = value;
    struct str scheme = str_take_until(&rest, ' ');

    rest = str_trim(rest);
    if (rest.len > 0 && str_equal_nocase(scheme, STR("bearer"))) {
        present(to, FORM_BEARER, name, rest);
    } else if (rest.len > 0 && str_equal_nocase(scheme, STR("token"))) {
        present(to, FORM_TOKEN, name, rest);
    } else if (!str_equal_nocase(scheme, STR("basic")) || !present_basic(to, name, rest)) {
        present(to, FORM_HEADER, name, value);
    }
}

static void present_header(struct presenting *to, const struct message_header *header)
{
    if (str_equal(header->name, STR("authorization"))) {
        present_authorization(to, header->name, header->value);
    } else {
        present(to, FORM_HEADER, header->name, header->value);
    }
}

/* ---- headers ---- */

/* Into gate->headers: all that is end-to-end and no credential.  Credentials go to `to`. */
static size_t sort_headers(struct gate *gate, const struct http_head *head, struct presenting *to)
{
    size_t count = 0;

    for (size_t i = 0; i < head->field_count; i++) {
        const struct message_header *field = &head->fields[i];
        if (is_credential(gate, field->name)) {
            present_header(to, field);
        } else if (!is_dropped(field->name) && !http_is_hop_by_hop(head, field->name)) {
            gate->headers[count++] = *field;
        }
    }
    return count;
}

static struct field_place place_of(const char *head, const struct message_header *field)
{
    return (struct field_place){
        .name = (uint16_t)(field->name.data - head),
        .name_len = (uint16_t)field->name.len,
        .value = field->value.len == 0 ? 0 : (uint16_t)(field->value.data - head),
        .value_len = (uint16_t)field->value.len,
    };
}

/* So that FORWARD needs no second look at the head. */
static void keep_free_headers(struct exchange *exchange, size_t count)
{
    const struct buf *in = &exchange->client->in;
    const struct message_header *headers = exchange->client->gate->headers;

    exchange->fields = mem_array(count, sizeof(exchange->fields[0]));
    for (size_t i = 0; i < count; i++) {
        /* That one is for our audit only. */
        if (!name_is_like(headers[i].name, STR("xagentrunid"))) {
            exchange->fields[exchange->field_count++] =
                place_of((const char *)in->data + in->start, &headers[i]);
        }
    }
}

size_t admit_free_headers(const struct exchange *exchange, const unsigned char *head)
{
    struct message_header *headers = exchange->client->gate->headers;

    for (size_t i = 0; i < exchange->field_count; i++) {
        const struct field_place *place = &exchange->fields[i];
        headers[i].name = str_of(head + place->name, place->name_len);
        headers[i].value = str_of(head + place->value, place->value_len);
    }
    return exchange->field_count;
}

/* ---- the request ---- */

static bool asks_upgrade(const struct http_head *head)
{
    const struct str *upgrade = http_field(head, STR("upgrade"));

    /* An offer of h2c may be passed over in silence (RFC 9110 7.8), and some clients make it with
     * every request. */
    return http_field_count(head, STR("upgrade")) > 0 &&
           (upgrade == NULL || !str_equal_nocase(*upgrade, STR("h2c")));
}

/* Connection may not take away what some pack judges: a header that is judged is never of one hop.
 */
static bool nominates_judged(const struct gate *gate, const struct http_head *head)
{
    for (size_t i = 0; head->nominates && gate->config != NULL && i < gate->config->pack_count;
         i++) {
        const struct pack *pack = &gate->config->packs[i];
        for (size_t k = 0; k < pack->header_count; k++) {
            if (http_is_nominated(head, pack->headers[k].name)) {
                return true;
            }
        }
        if (pack->idempotency.header.len > 0 && http_is_nominated(head, pack->idempotency.header)) {
            return true;
        }
    }
    for (size_t i = 0; head->nominates && i < head->field_count; i++) {
        if (http_is_nominated(head, head->fields[i].name) &&
            is_credential(gate, head->fields[i].name)) {
            return true;
        }
    }
    return false;
}

/* Of a chunked body, what came with the head: nobody need hear of a request that is broken. */
static bool begins_badly(const struct visitor *client, const struct http_head *head)
{
    struct http_body body;
    enum http_body_result result = HTTP_BODY_DATA;
    struct str in = buf_str(&client->in), data;

    if (head->body != BODY_CHUNKED) {
        return false;
    }
    in = str_slice(in, client->exchange->head_bytes, in.len);
    http_body_begin(&body, head->body, 0);
    while (result == HTTP_BODY_DATA) {
        result = http_body_read(&body, &in, &data);
    }
    return result == HTTP_BODY_BAD || (result == HTTP_BODY_MORE && client->peer_ended);
}

static bool is_connect(const struct http_head *head)
{
    return str_equal(head->method, STR("CONNECT"));
}

static const char *refusal_of_connect(const struct visitor *client, unsigned *ret_status)
{
    const struct http_head *head = &client->gate->head;
    struct str host;
    unsigned port;

    if (client->kind == LISTENER_BASE) {
        return "This door takes requests at its own base URL; it opens no tunnels (CONNECT).";
    }
    *ret_status = 400;
    if (client->tunnel != NULL) {
        return "There is no CONNECT inside a tunnel.";
    }
    if (head->body != BODY_NONE || head->has_length) {
        return "A CONNECT has no body.";
    }
    if (!url_split_authority(head->authority, &host, &port) || port == 0 ||
        host.len > TUNNEL_HOST_MAX) {
        return "CONNECT asks for HOST:PORT.";
    }
    if (http_field_count(head, STR("proxy-authorization")) > 1) {
        return "Proxy-Authorization may stand once.";
    }
    return NULL;
}

/* RFC 9110 7.6.2: whoever gets an OPTIONS that goes no further answers it. */
static const char *refusal_of_hops(const struct http_head *head, unsigned *ret_status)
{
    const struct str *hops = http_field(head, STR("max-forwards"));
    uint64_t left;

    if (hops == NULL || !str_equal(head->method, STR("OPTIONS"))) {
        return NULL;
    }
    *ret_status = 400;
    if (!str_to_u64(*hops, &left)) {
        return "Max-Forwards is not a number.";
    }
    *ret_status = 501;
    return left == 0 ? "This OPTIONS goes no further than here, and here it is not done." : NULL;
}

/* Why this request is refused before anybody is asked; NULL when it is not. */
static const char *refusal_of(const struct visitor *client, unsigned *ret_status)
{
    const struct http_head *head = &client->gate->head;
    const char *why = NULL;

    *ret_status = 501;
    if (is_connect(head)) {
        return refusal_of_connect(client, ret_status);
    }
    if (str_equal(head->method, STR("TRACE")) || str_equal(head->method, STR("TRACK"))) {
        return "Requests are not echoed here.";
    }
    if (asks_upgrade(head)) {
        return "No other protocol than HTTP/1.1 is spoken here; the Upgrade is refused.";
    }
    why = refusal_of_hops(head, ret_status);
    if (why != NULL) {
        return why;
    }
    *ret_status = 400;
    if (nominates_judged(client->gate, head)) {
        return "Connection names a header that is not of the connection.";
    }
    if (begins_badly(client, head)) {
        return "The request's body is not framed as HTTP/1.1 asks.";
    }
    if (!url_path_is_plain(head->path, &why) || !url_query_is_plain(head->query, &why)) {
        return why;
    }
    return NULL;
}

static struct str lower_host(struct gate *gate, struct str host)
{
    size_t len = host.len < sizeof(gate->host) ? host.len : 0; /* the parser's bound is lower */

    for (size_t i = 0; i < len; i++) {
        gate->host[i] = ascii_lower(host.data[i]);
    }
    return str_of(gate->host, len);
}

size_t admit_proxy_credentials(struct gate *gate, const struct http_head *head)
{
    const struct str *field = http_field(head, STR("proxy-authorization"));
    struct message_admit admit = {.presented = gate->presented};
    struct presenting to = {gate, &admit};

    if (field != NULL) {
        present_authorization(&to, STR("proxy-authorization"), *field);
    }
    return admit.presented_count;
}

/* Inside a sandbox there is one host that is ours: its base URLs (SDKs that trust no CA). */
static bool is_our_name(const struct visitor *client)
{
    struct str host = client->gate->head.host;
    struct str name = str_slice(host, 0, str_index(host, ':', 0));

    return client->session != NULL && client->tunnel == NULL &&
           str_equal_nocase(name, STR("keybrake.internal"));
}

static enum door door_of(const struct visitor *client)
{
    if (is_our_name(client)) {
        return DOOR_PREFIX;
    }
    bool absolute = client->gate->head.scheme.len > 0;

    if (client->kind != LISTENER_BASE && client->tunnel == NULL && absolute) {
        return DOOR_ABSOLUTE;
    }
    return (enum door)client->way;
}

/* Inside a tunnel the host is the tunnel's; the request's own has been compared. */
static struct str host_of(const struct visitor *client)
{
    const struct tunnel *tunnel = client->tunnel;

    return tunnel != NULL && tunnel->host[0] != '\0'
               ? str_from(tunnel->host)
               : lower_host(client->gate, client->gate->head.host);
}

static void ask_judge(struct visitor *client)
{
    struct gate *gate = client->gate;
    struct exchange *exchange = client->exchange;
    const struct http_head *head = &gate->head;
    struct message_admit admit = {
        .request = ++gate->next_request,
        .door = door_of(client),
        .session = client->session == NULL ? STR_NONE : client->session->id,
        .listener = client->listener,
        .source = str_from(client->source),
        .tls = client->tls != NULL,
        .http10 = head->minor == 0,
        .host = host_of(client),
        .method = head->method,
        .path = head->path,
        .query = head->query,
        .has_query = head->has_query,
        .body = head->body,
        .content_length = head->content_length,
        .expect_continue = head->expect_continue,
        .presented = gate->presented,
        .headers = gate->headers,
    };
    struct presenting to = {gate, &admit};

    admit.header_count = sort_headers(gate, head, &to);
    keep_free_headers(exchange, admit.header_count);
    exchange->request = admit.request;
    exchange->admitted = true;
    table_add(&gate->requests, exchange);
    gate->open_admissions++;
    visitor_move(client, VISITOR_JUDGE);
    if (!channel_send(gate->judge->channel, MESSAGE_ADMIT, &admit)) {
        exchange->admitted = false;
        answer_refuse(client, VERDICT_LEDGER_UNAVAILABLE, 0,
                      "keybrake is too busy to decide about this request. Try again.");
    }
    /* What was decoded was a token. */
    mem_wipe(gate->plain.data, gate->plain.size);
}

void admit_request(struct visitor *client)
{
    struct gate *gate = client->gate;
    struct exchange *exchange = client->exchange;
    const struct http_head *head = &gate->head;
    unsigned status;

    exchange->head_request = str_equal(head->method, STR("HEAD"));
    exchange->http10 = head->minor == 0;
    exchange->expect = head->expect_continue;
    exchange->body_done =
        head->body == BODY_NONE || (head->body == BODY_LENGTH && head->content_length == 0);
    /* The judge may ask the vendor first what it moves, or wait for another request's turn. */
    exchange->may_wait =
        !str_equal(head->method, STR("GET")) && !str_equal(head->method, STR("HEAD"));
    http_body_begin(&exchange->body, head->body, head->content_length);
    client->close_after = !head->keep_alive || (client->tunnel != NULL && client->tunnel->cut);

    const char *why = refusal_of(client, &status);
    if (why != NULL) {
        gate->refused_heads++;
        client->close_after = true; /* who plays such tricks gets no second try here */
        answer_refuse(client, VERDICT_BAD_REQUEST, status, why);
    } else if ((why = tunnel_host_differs(client, head)) != NULL) {
        gate->refused_heads++;
        client->close_after = true;
        answer_refuse(client, VERDICT_BAD_REQUEST, 421, why);
    } else if (gate->judge == NULL) {
        answer_refuse(client, VERDICT_LEDGER_UNAVAILABLE, 0,
                      "The process that decides is being restarted. Try again.");
    } else if (gate->open_admissions >= LIMIT_OPEN_ADMISSIONS_A_GATE) {
        answer_refuse(client, VERDICT_LIMIT_REACHED, 0,
                      "This gate has as many requests open as it may (4096).");
    } else if (!room_for(gate, ROOM_REQUEST, LIMIT_STREAM_WINDOW_BYTES)) {
        answer_refuse(client, VERDICT_LEDGER_UNAVAILABLE, 0,
                      "This gate's buffers are full. Try again.");
    } else if (is_connect(head)) {
        tunnel_connect(client);
    } else {
        ask_judge(client);
    }
}
