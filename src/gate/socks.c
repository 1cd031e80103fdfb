/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SOCKS5: greeting, user and password, request.  The vault key is one of the two; on a socket in a
 * sandbox none is needed, since the socket says whose it is.
 */
#include "http/socks.h"

#include <string.h>

#include "base/mem.h"
#include "gate/tunnel.h"
#include "policy/token.h"

/* What a method is answered with. */
enum { METHOD_NONE = 0, METHOD_PASSWORD = 2, METHOD_REFUSED = 0xff, PASSWORD_VERSION = 1 };

void socks_say(struct visitor *client, unsigned reply)
{
    unsigned char bytes[SOCKS_REPLY_BYTES];

    socks_write_reply((enum socks_reply)reply, bytes);
    (void)buf_add(&client->out, bytes, sizeof(bytes));
    visitor_want_flush(client);
}

static void say_two(struct visitor *client, unsigned first, unsigned second)
{
    unsigned char bytes[] = {(unsigned char)first, (unsigned char)second};

    (void)buf_add(&client->out, bytes, sizeof(bytes));
    visitor_want_flush(client);
}

/* The last word, and the end. */
static void end_with(struct visitor *client)
{
    client->exchange = exchange_new(client);
    client->exchange->body_done = true;
    client->close_after = true;
    visitor_answered(client);
}

static bool step_greeting(struct visitor *client)
{
    struct socks_greeting greeting;
    size_t used;

    switch (socks_read_greeting(buf_str(&client->in), &greeting, &used)) {
    case SOCKS_MORE:
        return false;
    case SOCKS_BAD:
        visitor_gone(client);
        return false;
    case SOCKS_OK:
        break;
    }
    buf_consume(&client->in, used);
    if (greeting.password) {
        client->tunnel->step = STEP_PASSWORD;
        say_two(client, SOCKS_VERSION, METHOD_PASSWORD);
        return true;
    }
    if (greeting.none && client->session != NULL) {
        client->tunnel->step = STEP_REQUEST;
        say_two(client, SOCKS_VERSION, METHOD_NONE);
        return true;
    }
    say_two(client, SOCKS_VERSION, METHOD_REFUSED);
    end_with(client);
    return false;
}

static bool step_password(struct visitor *client)
{
    struct tunnel *tunnel = client->tunnel;
    struct str user, password;
    size_t used;

    switch (socks_read_password(buf_str(&client->in), &user, &password, &used)) {
    case SOCKS_MORE:
        return false;
    case SOCKS_BAD:
        visitor_gone(client);
        return false;
    case SOCKS_OK:
        break;
    }
    bool known = token_check(user) || token_check(password);
    if (user.len > 0) {
        memcpy(tunnel->user, user.data, user.len);
    }
    if (password.len > 0) {
        memcpy(tunnel->password, password.data, password.len);
    }
    tunnel->user_len = user.len;
    tunnel->password_len = password.len;
    mem_wipe(client->in.data + client->in.start, used);
    buf_consume(&client->in, used);
    tunnel->step = STEP_REQUEST;
    /* Whose it is the judge says, when it knows for which host. */
    say_two(client, PASSWORD_VERSION, known || client->session != NULL ? 0 : 1);
    if (!known && client->session == NULL) {
        end_with(client);
        return false;
    }
    return true;
}

static void ask(struct visitor *client)
{
    struct tunnel *tunnel = client->tunnel;
    const struct message_presented presented[] = {
        {.form = FORM_BASIC_USER,
         .name = STR("socks"),
         .value = str_of(tunnel->user, tunnel->user_len)},
        {.form = FORM_BASIC_PASS,
         .name = STR("socks"),
         .value = str_of(tunnel->password, tunnel->password_len)},
    };

    client->exchange = exchange_new(client);
    client->exchange->body_done = true;
    tunnel_ask(client, presented, 2);
}

static void step_request(struct visitor *client)
{
    struct tunnel *tunnel = client->tunnel;
    struct socks_request request;
    size_t used;

    switch (socks_read_request(buf_str(&client->in), &request, &used)) {
    case SOCKS_MORE:
        return;
    case SOCKS_BAD:
        visitor_gone(client);
        return;
    case SOCKS_OK:
        break;
    }
    buf_consume(&client->in, used);
    if (!request.is_connect || request.host[0] == '\0' || request.port == 0 ||
        client->gate->judge == NULL ||
        client->gate->open_admissions >= LIMIT_OPEN_ADMISSIONS_A_GATE) {
        socks_say(client, !request.is_connect       ? SOCKS_NO_SUCH_COMMAND
                          : request.host[0] == '\0' ? SOCKS_NO_SUCH_ADDRESS
                                                    : SOCKS_FAILURE);
        end_with(client);
        return;
    }
    memcpy(tunnel->host, request.host, sizeof(request.host));
    tunnel->port = request.port;
    ask(client);
}

void socks_work(struct visitor *client)
{
    struct tunnel *tunnel = client->tunnel;

    if (tunnel->step == STEP_GREETING && !step_greeting(client)) {
        return;
    }
    if (tunnel->step == STEP_PASSWORD && !step_password(client)) {
        return;
    }
    if (tunnel->step == STEP_REQUEST) {
        step_request(client);
    }
}
