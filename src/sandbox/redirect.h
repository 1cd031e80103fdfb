/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redirect: nf_tables rules that send every TCP connection to one port.
 *
 *     table ip keybrake {
 *         chain out {
 *             type nat hook output priority dstnat
 *             ip daddr 127.0.0.0/8 accept
 *             tcp dport 53 redirect to :53
 *             udp dport 53 redirect to :53
 *             meta l4proto tcp redirect to :CAPTURE
 *         }
 *     }
 *
 * and the same for ip6.  Said to the kernel directly: no nft program is needed.
 */
#ifndef SANDBOX_REDIRECT_H
#define SANDBOX_REDIRECT_H

#include <stdint.h>

#include "base/err.h"

/* In the calling thread's network namespace.  `port6` 0: no IPv6 here.  -1: this kernel, or who we
 * are in it, cannot; nothing was changed. */
int redirect_all(uint16_t port4, uint16_t port6, uint16_t names_port, struct err *err);

#endif
