/* A flood of datagrams to the userspace host, from the kernel's side.
 *
 *     flood ADDRESS PORT BYTES SECONDS
 *
 * Sends datagrams of so many bytes as fast as it can. Prints how many the kernel has taken. forge.c has the flood of SYNs.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static void fail(const char *what)
{
    fprintf(stderr, "flood: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static long udp(const struct sockaddr_in *to, size_t bytes, double seconds)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    char *data = calloc(1, bytes + 1);
    double end = now() + seconds;
    long sent = 0;

    if (fd < 0 || data == NULL)
        fail("socket");
    while (now() < end)
        for (int n = 0; n < 64; n++)
            if (sendto(fd, data, bytes, MSG_DONTWAIT, (const struct sockaddr *)to, sizeof *to) >= 0)
                sent++;
    return sent;
}

int main(int argc, char *argv[])
{
    struct sockaddr_in to = { .sin_family = AF_INET };
    long sent;

    if (argc != 5) {
        fprintf(stderr, "usage: %s ADDRESS PORT BYTES SECONDS\n", argv[0]);
        return 2;
    }
    to.sin_port = htons((unsigned short)atoi(argv[2]));
    if (inet_pton(AF_INET, argv[1], &to.sin_addr) != 1)
        fail(argv[1]);
    sent = udp(&to, (size_t)atol(argv[3]), atof(argv[4]));
    printf("sent %ld\n", sent);
    return 0;
}
