/* SPDX-License-Identifier: Apache-2.0 */
/*
 * judge: decides.  Who is this, may it, what does it cost, does it fit; keeps the holds; chains
 * the audit.
 */
#ifndef JUDGE_JUDGE_H
#define JUDGE_JUDGE_H

int judge_main(int argc, char **argv);

#endif
