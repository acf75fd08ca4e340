/* Sends COUNT bytes by the kernel's TCP with a congestion controller of its own, and tells how long that took.
 *
 *     upload ADDRESS PORT COUNT CONTROLLER
 *
 * Prints the seconds from the call of connect() to the acknowledgment of the last byte (SIOCOUTQ is 0). Whatever goes wrong is
 * said and ends it with exit code 1.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ROOM 65536
#define PATIENCE_S 55
#define PAUSE_US 200

static void fail(const char *what)
{
    fprintf(stderr, "upload: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(void)
{
    struct timespec at;

    if (clock_gettime(CLOCK_MONOTONIC, &at) < 0)
        fail("clock_gettime");
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

int main(int argc, char *argv[])
{
    static char bytes[ROOM];
    struct sockaddr_in server = { .sin_family = AF_INET };
    double began;
    long left;
    int fd, queued = 1;

    if (argc != 5 || (left = atol(argv[3])) <= 0) {
        fprintf(stderr, "usage: %s ADDRESS PORT COUNT CONTROLLER\n", argv[0]);
        return 2;
    }
    alarm(PATIENCE_S);
    server.sin_port = htons((unsigned short)atoi(argv[2]));
    if (inet_pton(AF_INET, argv[1], &server.sin_addr) != 1)
        fail(argv[1]);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0)
        fail("socket");
    if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, argv[4], (socklen_t)strlen(argv[4])) < 0)
        fail(argv[4]);
    began = now();
    if (connect(fd, (struct sockaddr *)&server, sizeof server) < 0)
        fail("connect");
    while (left > 0) {
        ssize_t put = send(fd, bytes, left < ROOM ? (size_t)left : ROOM, MSG_NOSIGNAL);

        if (put < 0)
            fail("send");
        left -= put;
    }
    while (queued > 0) {
        if (ioctl(fd, SIOCOUTQ, &queued) < 0)
            fail("SIOCOUTQ");
        usleep(PAUSE_US);
    }
    printf("%.6f\n", now() - began);
    return 0;
}
