/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the effective user, for tests/pods: what set-user-ID bits do. */
#include <stdio.h>
#include <unistd.h>

int main(void)
{
    printf("%u\n", geteuid());
    return 0;
}
