/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

enum { MS_A_DAY = 86400000 };

uint64_t clock_boot_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t clock_boot_ms(void)
{
    return clock_boot_us() / 1000;
}

int64_t clock_wall_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_day(int64_t wall_ms)
{
    return wall_ms >= 0 ? wall_ms / MS_A_DAY : -((-wall_ms + MS_A_DAY - 1) / MS_A_DAY);
}

int64_t clock_day_start_ms(int64_t day)
{
    return day * MS_A_DAY;
}

struct clock_text clock_rfc3339(int64_t wall_ms)
{
    struct clock_text out = {""};
    time_t seconds = (time_t)(wall_ms / 1000);
    int ms = (int)(wall_ms % 1000);
    struct tm utc;

    if (ms < 0) {
        ms += 1000;
        seconds--;
    }
    if (gmtime_r(&seconds, &utc) == NULL) {
        return out;
    }
    size_t len = strftime(out.text, sizeof(out.text), "%Y-%m-%dT%H:%M:%S", &utc);
    if (ms != 0) {
        (void)snprintf(out.text + len, sizeof(out.text) - len, ".%03dZ", ms);
    } else {
        (void)snprintf(out.text + len, sizeof(out.text) - len, "Z");
    }
    return out;
}

struct clock_text clock_day_text(int64_t day)
{
    struct clock_text out = clock_rfc3339(clock_day_start_ms(day));

    out.text[10] = '\0';
    return out;
}

static bool take_number(struct str *s, size_t digits, int *ret_value)
{
    int value = 0;

    if (s->len < digits) {
        return false;
    }
    for (size_t i = 0; i < digits; i++) {
        if (!ascii_is_digit(s->data[i])) {
            return false;
        }
        value = value * 10 + (s->data[i] - '0');
    }
    *s = str_slice(*s, digits, s->len);
    *ret_value = value;
    return true;
}

static bool take_char(struct str *s, char c)
{
    if (s->len == 0 || ascii_lower(s->data[0]) != ascii_lower(c)) {
        return false;
    }
    *s = str_slice(*s, 1, s->len);
    return true;
}

static bool take_fraction(struct str *s, int *ret_ms)
{
    int scale = 100;

    *ret_ms = 0;
    if (!take_char(s, '.')) {
        return true;
    }
    if (s->len == 0 || !ascii_is_digit(s->data[0])) {
        return false;
    }
    while (s->len > 0 && ascii_is_digit(s->data[0])) {
        *ret_ms += (s->data[0] - '0') * scale;
        scale /= 10;
        *s = str_slice(*s, 1, s->len);
    }
    return true;
}

static bool take_zone(struct str *s, int *ret_minutes)
{
    int hours = 0;
    int minutes = 0;
    int sign = 1;

    if (take_char(s, 'Z')) {
        *ret_minutes = 0;
        return true;
    }
    if (take_char(s, '-')) {
        sign = -1;
    } else if (!take_char(s, '+')) {
        return false;
    }
    if (!take_number(s, 2, &hours) || !take_char(s, ':') || !take_number(s, 2, &minutes) ||
        hours > 23 || minutes > 59) {
        return false;
    }
    *ret_minutes = sign * (hours * 60 + minutes);
    return true;
}

bool clock_parse_rfc3339(struct str s, int64_t *ret_wall_ms)
{
    struct tm utc = {0};
    int ms = 0;
    int zone = 0;

    if (!take_number(&s, 4, &utc.tm_year) || !take_char(&s, '-') ||
        !take_number(&s, 2, &utc.tm_mon) || !take_char(&s, '-') ||
        !take_number(&s, 2, &utc.tm_mday) || !(take_char(&s, 'T') || take_char(&s, ' ')) ||
        !take_number(&s, 2, &utc.tm_hour) || !take_char(&s, ':') ||
        !take_number(&s, 2, &utc.tm_min) || !take_char(&s, ':') ||
        !take_number(&s, 2, &utc.tm_sec) || !take_fraction(&s, &ms) || !take_zone(&s, &zone) ||
        s.len > 0) {
        return false;
    }
    if (utc.tm_year < 1970 || utc.tm_mon < 1 || utc.tm_mon > 12 || utc.tm_mday < 1 ||
        utc.tm_hour > 23 || utc.tm_min > 59 || utc.tm_sec > 59) {
        return false;
    }
    struct tm asked = utc;
    utc.tm_year -= 1900;
    utc.tm_mon -= 1;
    time_t seconds = timegm(&utc);
    if (utc.tm_mday != asked.tm_mday) { /* timegm made 31 April into 1 May */
        return false;
    }
    *ret_wall_ms = ((int64_t)seconds - zone * 60) * 1000 + ms;
    return true;
}

bool clock_parse_duration(struct str s, uint64_t *ret_ms)
{
    static const struct {
        char unit;
        uint64_t ms;
    } units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', MS_A_DAY}};
    uint64_t count;

    if (s.len < 2 || !str_to_u64(str_slice(s, 0, s.len - 1), &count)) {
        return false;
    }
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (s.data[s.len - 1] == units[i].unit && count <= INT64_MAX / units[i].ms) {
            *ret_ms = count * units[i].ms;
            return true;
        }
    }
    return false;
}
