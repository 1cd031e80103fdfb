/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the processes are given: configuration, certificates, sockets, the list of name servers.
 */
#include "base/log.h"
#include "parent/house_parts.h"

void house_tell(struct process *process, enum message_type type, const void *message)
{
    if (process->channel != NULL && !channel_send(process->channel, type, message)) {
        house_kill(process, "does not read");
    }
}

void house_hand(struct process *process, enum message_type type, const void *message, int fd)
{
    if (process->channel != NULL && !channel_send_fd(process->channel, type, message, fd)) {
        house_kill(process, "does not read");
    }
}

static void send_config(struct process *process)
{
    const struct supplies *supplies = &process->house->supplies;
    struct message_config config = {.generation = supplies->generation};

    if (process->role != ROLE_SCRIBE && process->role != ROLE_DIALER) {
        house_hand(process, MESSAGE_CONFIG, &config, supplies->config_fd);
    }
}

static bool takes_certificate(const struct process *process)
{
    return process->role == ROLE_GATE || process->role == ROLE_CONTROL;
}

static void send_certificate(struct process *process)
{
    const struct supplies *supplies = &process->house->supplies;
    struct message_certificate certificate = {
        .chain_pem = supplies->chain_pem,
        .key_pem = str_of(supplies->key_pem.data, supplies->key_pem.size)};

    if (supplies->has_certificate && takes_certificate(process)) {
        house_tell(process, MESSAGE_CERTIFICATE, &certificate);
    }
}

static void send_listeners(struct process *process)
{
    const struct listeners *listeners = process->house->supplies.listeners;

    for (size_t i = 0; i < listeners->count; i++) {
        struct listener *one = &listeners->all[i];
        struct err err = {""};
        struct message_listener message = {.listener = one->number,
                                           .tls = one->tls,
                                           .control = one->control,
                                           .unix_socket = one->unix_socket,
                                           .address = str_from(one->text),
                                           .kind = one->kind};
        if (process->role == (one->control ? ROLE_CONTROL : ROLE_GATE)) {
            house_hand(process, MESSAGE_LISTENER, &message, listener_fd(one, process->index, &err));
        } else if (process->role == ROLE_CONTROL) {
            house_tell(process, MESSAGE_DOOR,
                       &(struct message_door){.listener = one->number, .address = message.address});
        }
        if (err.text[0] != '\0') {
            log_error("listener", "address=%s why=\"%s\"", one->text, err.text);
        }
    }
}

static void send_ca(struct process *process)
{
    struct message_ca ca = {.file = process->house->supplies.ca};

    if (process->role == ROLE_VAULT || process->role == ROLE_CONTROL) {
        house_tell(process, MESSAGE_CA, &ca);
    }
}

static bool takes_resolver(const struct process *process)
{
    return process->role == ROLE_VAULT || process->role == ROLE_DIALER;
}

static void send_handed(struct process *gate)
{
    struct handed *handed = &gate->house->handed;

    for (struct list *at = handed->sockets.next; at != &handed->sockets; at = at->next) {
        const struct handed_socket *socket = LIST_THING(at, struct handed_socket, link);
        if (gate->role == ROLE_GATE && socket->gate == gate->index) {
            struct message_listener message = handed_message(socket);
            house_hand(gate, MESSAGE_LISTENER, &message, socket->fd);
        }
    }
}

void house_send_birth(struct process *process)
{
    send_config(process);
    if (process->role == ROLE_VAULT) {
        house_hand(process, MESSAGE_UNSEAL_KEY, &(struct message_empty){0},
                   process->house->supplies.unseal_fd);
    }
    send_listeners(process);
    send_handed(process);
}

void house_send_start(struct process *process)
{
    send_certificate(process);
    send_ca(process);
    if (takes_resolver(process)) {
        house_tell(process, MESSAGE_RESOLVER, &process->house->supplies.resolver);
    }
    house_tell(process, MESSAGE_START, &(struct message_empty){0});
    house_move(process, STARTED);
}

void house_send_config(struct house *house)
{
    for (size_t i = 0; i < house->count; i++) {
        send_config(&house->processes[i]);
    }
}

void house_send_certificate(struct house *house)
{
    for (size_t i = 0; i < house->count; i++) {
        if (house->processes[i].state != BORN) { /* else it comes before START */
            send_certificate(&house->processes[i]);
        }
    }
}

void house_send_ca(struct house *house)
{
    for (size_t i = 0; i < house->count; i++) {
        if (house->processes[i].state != BORN) {
            send_ca(&house->processes[i]);
        }
    }
}

void house_send_resolver(struct house *house)
{
    for (size_t i = 0; i < house->count; i++) {
        if (takes_resolver(&house->processes[i]) && house->processes[i].state != BORN) {
            house_tell(&house->processes[i], MESSAGE_RESOLVER, &house->supplies.resolver);
        }
    }
}
