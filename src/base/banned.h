/* SPDX-License-Identifier: Apache-2.0 */
/*
 * banned: calls that have a safer form here.  Included before every source by the Makefile, so
 * that a use is a compile error that names the call.
 */
#ifndef BASE_BANNED_H
#define BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#undef strcpy
#undef strcat
#undef strncpy
#undef strncat
#undef strtok
#undef sprintf
#undef vsprintf
#undef gets
#undef atoi
#undef atol
#undef atoll
#undef atof
#undef alloca
#define strcpy(a, b) strcpy_is_banned
#define strcat(a, b) strcat_is_banned
#define strncpy(a, b, n) strncpy_is_banned
#define strncat(a, b, n) strncat_is_banned
#define strtok(a, b) strtok_is_banned
#define sprintf(...) sprintf_is_banned
#define vsprintf(...) vsprintf_is_banned
#define gets(a) gets_is_banned
#define atoi(a) atoi_is_banned
#define atol(a) atol_is_banned
#define atoll(a) atoll_is_banned
#define atof(a) atof_is_banned
#define alloca(n) alloca_is_banned

#endif
