/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tunnel: connections that are for another host than ours.
 *
 *     CONNECT  ---------------> judge --> "200" ---> peek -> TLS: leaf -> handshake -> requests
 *     SOCKS5 -> password -> request ^     reply       |  \-> plain requests
 *     socket in a sandbox -> peek ----^---------------/
 *                                    \-> dialer ----> splice
 *
 * For a vendor's host the TLS ends here, and the requests inside are as at any door: each is
 * judged by the vault key that it carries.  What is spliced is not looked at.
 */
#ifndef GATE_TUNNEL_H
#define GATE_TUNNEL_H

#include "gate/visitor.h"
#include "tls/hello.h"

enum { TUNNEL_HOST_MAX = 255, TUNNEL_PASSWORD_MAX = 255 };

enum tunnel_step {
    STEP_GREETING, /* SOCKS5 */
    STEP_PASSWORD,
    STEP_REQUEST,
    STEP_ASKED,  /* the judge */
    STEP_INSIDE, /* what comes now is for `host` */
    STEP_LEAF,   /* the vault is asked for a certificate */
    STEP_DIAL,   /* the dialer connects */
    STEP_SPLICE,
    STEP_OPEN, /* its requests come by ADMIT */
};

struct tunnel {
    struct visitor *client;
    enum door door;
    enum tunnel_step step;
    uint64_t request, key, dial;
    struct list link;               /* gate->tunnels, once the judge said yes */
    char host[TUNNEL_HOST_MAX + 1]; /* without a port; empty: not known yet */
    unsigned port;
    bool judged; /* TUNNEL_DONE is owed */
    bool cut;    /* its key is dead: after what is under way it closes */
    /* SOCKS5, until the judge is asked; wiped then. */
    char user[TUNNEL_PASSWORD_MAX + 1], password[TUNNEL_PASSWORD_MAX + 1];
    size_t user_len, password_len;
    /* a splice */
    struct loop_watch watch; /* of the connection to the host */
    struct loop_hook hook;
    int fd; /* -1: none */
    bool connected, far_ended, near_told;
    uint64_t bytes_in, bytes_out;
    uint64_t began_us, moved_ms;
    char problem[160];
};

/* ---- tunnel.c ---- */

unsigned tunnel_meant_port(int fd); /* of a connection that a sandbox's socket accepted */
struct tunnel *tunnel_begin(struct visitor *client, enum door door);
/* All that is known goes to the judge; the answer finds the client by its exchange. */
void tunnel_ask(struct visitor *client, const struct message_presented *presented, size_t count);
/* A CONNECT, whose head is in gate->head and still in client->in. */
void tunnel_connect(struct visitor *client);
void tunnel_work(struct visitor *client);
/* The judge said yes. */
void tunnel_judged(struct visitor *client, const struct message_tunnelled *message);
/* An ANSWER, which is a no.  False: it may go out as HTTP. */
bool tunnel_refused(struct visitor *client, const struct message_answer *answer);
/* "200", or what SOCKS5 says. */
void tunnel_say_yes(struct visitor *client);
/* With the visitor. */
void tunnel_leave(struct visitor *client);
void tunnels_cut(struct gate *gate, const uint64_t *keys, size_t count);
/* The gate is ending: those that carry no request of ours end too. */
void tunnels_drain(struct gate *gate);
uint64_t tunnel_due_ms(const struct visitor *client); /* UINT64_MAX: never */
/* What the head says must fit; NULL, or why not. */
const char *tunnel_host_differs(const struct visitor *client, const struct http_head *head);

/* ---- socks.c ---- */

void socks_work(struct visitor *client);
void socks_say(struct visitor *client, unsigned reply);

/* ---- leaves.c: certificates that we show ---- */

struct leaves;

struct leaves *leaves_new(void);
void leaves_free(struct leaves *leaves); /* takes NULL too */
/* Those of the exported CA are forgotten: it may have changed. */
void leaves_forget(struct gate *gate);
/* Begins TLS towards the client with a leaf for the tunnel's host; asks for one first where there
 * is none. */
void leaves_begin(struct visitor *client);
void leaves_answer(struct gate *gate, const struct message_leaf *message);
/* False: that is no CA. */
bool session_take_ca(struct gate_session *session, struct str pem, struct str key);
void session_drop_ca(struct gate_session *session);

/* ---- splice.c ---- */

void splice_wait(struct visitor *client);
void splice_dialled(struct gate *gate, const struct message_dialled *message, int fd);
void splice_work(struct visitor *client);
void splice_close(struct tunnel *tunnel);
/* A dialer died, and with it all dials up to that number that are still waited for. */
void splices_lost(struct gate *gate, uint64_t last_dial);
/* The client left before the judge's yes was read: that connection is not wanted. */
void splice_unwanted(struct gate *gate, uint64_t dial);
void splices_tick(struct gate *gate); /* each second */
void splices_clear(struct gate *gate);

#endif
