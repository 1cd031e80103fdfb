/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions that a client remembers, by host and port, so that the next handshake costs less.
 */
#include <string.h>
#include <time.h>

#include "tls/tls_parts.h"

enum { SESSION_SECONDS = 3600 }; /* a certificate that was good stays good for so long */

static struct tls_remembered *find_session(struct tls_context *context, const char *name)
{
    for (size_t i = 0; i < TLS_SESSIONS; i++) {
        struct tls_remembered *found = &context->sessions[i];
        if (found->session != NULL && strcmp(found->name, name) == 0) {
            return found;
        }
    }
    return NULL;
}

static struct tls_remembered *oldest_session(struct tls_context *context)
{
    struct tls_remembered *oldest = &context->sessions[0];

    for (size_t i = 1; i < TLS_SESSIONS; i++) {
        if (context->sessions[i].used < oldest->used) {
            oldest = &context->sessions[i];
        }
    }
    return oldest;
}

static void forget_session(struct tls_remembered *remembered)
{
    SSL_SESSION_free(remembered->session);
    *remembered = (struct tls_remembered){0};
}

int tls_remember_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls *tls = SSL_get_app_data(ssl);
    struct tls_remembered *place = find_session(tls->context, tls->name);

    if (SSL_SESSION_is_resumable(session) != 1) {
        return 0;
    }
    if (place == NULL) {
        place = oldest_session(tls->context);
    }
    forget_session(place);
    memcpy(place->name, tls->name, sizeof(place->name));
    place->session = session;
    place->used = ++tls->context->uses;
    return 1;
}

void tls_resume_session(struct tls *tls)
{
    struct tls_remembered *found = find_session(tls->context, tls->name);

    if (found == NULL) {
        return;
    }
    if ((int64_t)time(NULL) - SSL_SESSION_get_time(found->session) > SESSION_SECONDS) {
        forget_session(found);
        return;
    }
    found->used = ++tls->context->uses;
    (void)SSL_set_session(tls->ssl, found->session);
}
