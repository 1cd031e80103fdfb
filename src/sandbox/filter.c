/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/filter.h"

#include <errno.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/mem.h"

/* Newer than Debian 12's headers, where they are.  Of what came after the last one that we have
 * looked at, nobody here knows what it does. */
enum { CALL_LSM_SET_SELF_ATTR = 460, CALL_UNKNOWN = 463, CALL_UNKNOWN_END = 512 };

static const int refused[] = {
    /* namespaces and mounts */
    SYS_unshare,
    SYS_setns,
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_move_mount,
    SYS_open_tree,
    SYS_fsopen,
    SYS_fsconfig,
    SYS_fsmount,
    SYS_fspick,
    SYS_mount_setattr,
    /* other processes */
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_pidfd_getfd,
    SYS_kcmp,
    /* keys, BPF, perf */
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    /* the machine */
    SYS_reboot,
    SYS_kexec_load,
    SYS_kexec_file_load,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_swapon,
    SYS_swapoff,
    SYS_acct,
    SYS_quotactl,
    SYS_quotactl_fd,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_adjtimex,
    SYS_clock_adjtime,
    SYS_sethostname,
    SYS_setdomainname,
    SYS_syslog,
    SYS_vhangup,
    SYS_iopl,
    SYS_ioperm,
    SYS_lookup_dcookie,
    SYS_nfsservctl,
    SYS_uselib,
    SYS_ustat,
    SYS_sysfs,
    SYS_modify_ldt,
    SYS_personality,
    SYS_open_by_handle_at,
    SYS_name_to_handle_at,
    SYS_fanotify_init,
    SYS_move_pages,
    SYS_migrate_pages,
    SYS_vmsplice,
};

/* What programs ask for first and do without. */
static const int missing[] = {SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register,
                              SYS_clone3, CALL_LSM_SET_SELF_ATTR};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define INT_IS(argument, value)                                                                    \
    SCMP_CMP64(argument, SCMP_CMP_MASKED_EQ, 0xffffffffu, (scmp_datum_t)(unsigned)(value))
#define INT_HAS(argument, bit)                                                                     \
    SCMP_CMP64(argument, SCMP_CMP_MASKED_EQ, (scmp_datum_t)(bit), (scmp_datum_t)(bit))

static int refuse_all(scmp_filter_ctx filter, const int *calls, size_t count, int with)
{
    for (size_t i = 0; i < count; i++) {
        int rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO((uint16_t)with), calls[i], 0);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

static int refuse_namespaces_of_clone(scmp_filter_ctx filter)
{
    static const unsigned long flags[] = {CLONE_NEWUSER, CLONE_NEWNET, CLONE_NEWNS,    CLONE_NEWPID,
                                          CLONE_NEWIPC,  CLONE_NEWUTS, CLONE_NEWCGROUP};

    for (size_t i = 0; i < COUNT(flags); i++) {
        int rc =
            seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SYS_clone, 1, INT_HAS(0, flags[i]));
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

/* Bytes typed into a terminal that somebody outside reads too. */
static int refuse_typing(scmp_filter_ctx filter)
{
    static const unsigned requests[] = {TIOCSTI, TIOCLINUX, TIOCCONS};

    for (size_t i = 0; i < COUNT(requests); i++) {
        int rc =
            seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SYS_ioctl, 1, INT_IS(1, requests[i]));
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

static int refuse_family(scmp_filter_ctx filter, struct scmp_arg_cmp family)
{
    static const int calls[] = {SYS_socket, SYS_socketpair};
    int rc = 0;

    for (size_t i = 0; i < COUNT(calls) && rc == 0; i++) {
        rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), calls[i], 1, family);
    }
    return rc;
}

/* All but Unix, IPv4, IPv6 and route netlink. */
static int refuse_families(scmp_filter_ctx filter, enum filter_kind kind)
{
    int rc = 0;

    for (int family = 0; family < AF_NETLINK && rc == 0; family++) {
        if (family != AF_UNIX && family != AF_INET && family != AF_INET6) {
            rc = refuse_family(filter, INT_IS(0, family));
        }
    }
    if (rc == 0) {
        rc = refuse_family(filter, SCMP_CMP64(0, SCMP_CMP_GT, AF_NETLINK, 0));
    }
    if (rc == 0 && kind == FILTER_NOTIFY) {
        rc = refuse_family(filter, INT_IS(0, AF_NETLINK)); /* the machine's own */
    } else if (rc == 0) {
        rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPROTONOSUPPORT), SYS_socket, 2,
                              INT_IS(0, AF_NETLINK), SCMP_CMP64(2, SCMP_CMP_GT, NETLINK_ROUTE, 0));
    }
    return rc;
}

/* No raw sockets, no pings, nothing but TCP and UDP: the other protocols have no way to a gate. */
static int refuse_types(scmp_filter_ctx filter, enum filter_kind kind)
{
    static const int families[] = {AF_INET, AF_INET6};
    static const struct {
        int type, protocol; /* protocol -1: any */
        int with;
    } kinds[] = {
        {SOCK_RAW, -1, EPERM},
        {SOCK_RDM, -1, EPERM},
        {SOCK_SEQPACKET, -1, EPERM},
        {SOCK_DCCP, -1, EPERM},
        {SOCK_DGRAM, IPPROTO_ICMP, EACCES},
        {SOCK_DGRAM, IPPROTO_ICMPV6, EACCES},
        {SOCK_DGRAM, IPPROTO_UDPLITE, EPROTONOSUPPORT},
        {SOCK_STREAM, IPPROTO_SCTP, EPROTONOSUPPORT},
        /* Go's listeners ask for it first, and take TCP when there is none. */
        {SOCK_STREAM, IPPROTO_MPTCP, EPROTONOSUPPORT},
    };
    const scmp_datum_t type_bits = 0xf;
    int rc = 0;

    for (size_t f = 0; f < COUNT(families) && rc == 0; f++) {
        for (size_t i = 0; i < COUNT(kinds) && rc == 0; i++) {
            if (kind == FILTER_NOTIFY && kinds[i].type == SOCK_DGRAM) {
                continue; /* all datagrams are refused then */
            }
            struct scmp_arg_cmp family = INT_IS(0, families[f]);
            struct scmp_arg_cmp type =
                SCMP_CMP64(1, SCMP_CMP_MASKED_EQ, type_bits, (scmp_datum_t)kinds[i].type);
            if (kinds[i].protocol < 0) {
                rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO((uint16_t)kinds[i].with), SYS_socket,
                                      2, family, type);
            } else {
                rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO((uint16_t)kinds[i].with), SYS_socket,
                                      3, family, type, INT_IS(2, kinds[i].protocol));
            }
        }
    }
    return rc;
}

static int refuse_unknown(scmp_filter_ctx filter)
{
    int rc = 0;

    for (int call = CALL_UNKNOWN; call < CALL_UNKNOWN_END && rc == 0; call++) {
        rc = refuse_all(filter, &call, 1, ENOSYS);
    }
    return rc;
}

/* To a whole process group there are three ways; 0 is the caller's own.  Others cannot be named
 * from within a process namespace. */
static int refuse_groups(scmp_filter_ctx filter)
{
    enum { PRIORITY_OF_GROUP = 1, IO_PRIORITY_OF_GROUP = 2 };
    int rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SYS_kill, 1, INT_IS(0, 0));

    if (rc == 0) {
        rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SYS_setpriority, 1,
                              INT_IS(0, PRIORITY_OF_GROUP));
    }
    if (rc == 0) {
        rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SYS_ioprio_set, 1,
                              INT_IS(0, IO_PRIORITY_OF_GROUP));
    }
    return rc == 0 ? seccomp_rule_add(filter, SCMP_ACT_ERRNO(EINVAL), SYS_pidfd_send_signal, 1,
                                      SCMP_CMP64(3, SCMP_CMP_NE, 0, 0))
                   : rc;
}

static int fill(scmp_filter_ctx filter, enum filter_kind kind, bool shares_group)
{
    int rc = refuse_all(filter, refused, COUNT(refused), EPERM);

    if (rc == 0) {
        rc = refuse_unknown(filter);
    }
    if (rc == 0 && shares_group) {
        rc = refuse_groups(filter);
    }
    if (rc == 0) {
        rc = refuse_all(filter, missing, COUNT(missing), ENOSYS);
    }
    if (rc == 0) {
        rc = refuse_namespaces_of_clone(filter);
    }
    if (rc == 0) {
        rc = refuse_typing(filter);
    }
    if (rc == 0) {
        rc = refuse_families(filter, kind);
    }
    return rc == 0 ? refuse_types(filter, kind) : rc;
}

/* Without a network namespace: no way to a peer but connect(), which is asked about. */
static int fill_notify(scmp_filter_ctx filter)
{
    static const int calls[] = {SYS_listen, SYS_shmget, SYS_msgget, SYS_semget, SYS_mq_open};
    static const int sockets[] = {SYS_socket, SYS_socketpair};
    static const struct {
        int call;
        unsigned argument;
    } flags[] = {{SYS_sendto, 3}, {SYS_sendmsg, 2}, {SYS_sendmmsg, 3}};
    const scmp_datum_t type_bits = 0xf;
    int rc = refuse_all(filter, calls, COUNT(calls), EPERM);

    /* A datagram socket sends to whom it likes with sendmsg(), whose address no filter sees. */
    for (size_t i = 0; i < COUNT(sockets) && rc == 0; i++) {
        rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), sockets[i], 1,
                              SCMP_CMP64(1, SCMP_CMP_MASKED_EQ, type_bits, SOCK_DGRAM));
    }
    for (size_t i = 0; i < COUNT(flags) && rc == 0; i++) {
        rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), flags[i].call, 1,
                              INT_HAS(flags[i].argument, MSG_FASTOPEN));
    }
    if (rc == 0) {
        rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SYS_sendto, 1,
                              SCMP_CMP64(4, SCMP_CMP_NE, 0, 0));
    }
    return rc == 0 ? seccomp_rule_add(filter, SCMP_ACT_NOTIFY, SYS_connect, 0) : rc;
}

struct filter {
    enum filter_kind kind;
    scmp_filter_ctx calls;
};

static void filter_free(struct filter *filter)
{
    if (filter->calls != NULL) {
        seccomp_release(filter->calls);
    }
    free(filter);
}

struct filter *filter_make(enum filter_kind kind, bool shares_group, struct err *err)
{
    struct filter *filter = mem_zeroed(sizeof(*filter));

    filter->kind = kind;
    filter->calls = seccomp_init(SCMP_ACT_ALLOW);
    /* Calls of another architecture (32-bit programs) are not there. */
    int rc = filter->calls == NULL
                 ? -ENOMEM
                 : seccomp_attr_set(filter->calls, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
    if (rc == 0) {
        rc = seccomp_attr_set(filter->calls, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    }
    if (rc == 0) {
        rc = fill(filter->calls, kind, shares_group);
    }
    if (rc == 0 && kind == FILTER_NOTIFY) {
        rc = fill_notify(filter->calls);
    }
    if (rc < 0) {
        (void)err_set(err, "cannot make the sandbox's system call filter: %s", strerror(-rc));
        filter_free(filter);
        return NULL;
    }
    return filter;
}

int filter_enter(struct filter *filter, int *ret_listener, struct err *err)
{
    int rc = seccomp_load(filter->calls);

    if (rc == 0 && filter->kind == FILTER_NOTIFY) {
        *ret_listener = seccomp_notify_fd(filter->calls);
        rc = *ret_listener < 0 ? *ret_listener : 0;
    }
    filter_free(filter);
    return rc == 0
               ? 0
               : err_set(err, "cannot enter the sandbox's system call filter: %s", strerror(-rc));
}
