/* SPDX-License-Identifier: Apache-2.0 */
/* The date-time of RFC 3339, section 5.6. */
#include "base/str.h"
#include "schema/types.h"

/* Takes exactly n digits. */
static bool take_number(const char **s, int n, int *ret)
{
    int v = 0;
    for (int i = 0; i < n; i++, (*s)++) {
        if (!is_digit(**s))
            return false;
        v = v * 10 + (**s - '0');
    }
    *ret = v;
    return true;
}

static bool take_char(const char **s, char c)
{
    if (**s != c)
        return false;
    (*s)++;
    return true;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

static bool take_day(const char **s)
{
    int year, month, day;
    if (!take_number(s, 4, &year) || !take_char(s, '-') || !take_number(s, 2, &month) ||
        !take_char(s, '-') || !take_number(s, 2, &day))
        return false;
    return month >= 1 && month <= 12 && day >= 1 && day <= days_in_month(year, month);
}

static bool take_hour_minute(const char **s)
{
    int hour, minute;
    return take_number(s, 2, &hour) && take_char(s, ':') && take_number(s, 2, &minute) &&
           hour <= 23 && minute <= 59;
}

static bool take_seconds(const char **s)
{
    int second;
    if (!take_char(s, ':') || !take_number(s, 2, &second) || second > 59)
        return false;
    if (!take_char(s, '.'))
        return true;
    if (!is_digit(**s))
        return false;
    while (is_digit(**s))
        (*s)++;
    return true;
}

static bool take_offset(const char **s)
{
    if (take_char(s, 'Z'))
        return true;
    return (take_char(s, '+') || take_char(s, '-')) && take_hour_minute(s);
}

bool ac_date_valid(const char *s)
{
    return take_day(&s) && take_char(&s, 'T') && take_hour_minute(&s) && take_seconds(&s) &&
           take_offset(&s) && *s == '\0';
}
