/* One connection that carries bytes both ways at once: it sends COUNT bytes, then shuts down its direction, and reads until
 * the other side has done so. A listener has read COUNT bytes before it shuts down. Byte n is n modulo 251 in both directions, and what comes is compared with that.
 *
 *     exchange connect ADDRESS PORT COUNT CONTROLLER [late]
 *     exchange listen PORT COUNT CONTROLLER [late]
 *
 * With "late" it has a small receive buffer and reads nothing before all that it sent is acknowledged (SIOCOUTQ). Prints
 * "acknowledged" then. When it has COUNT bytes it prints "COUNT heard", and at the end "N received". Whatever goes wrong is said and ends it with exit code 1.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROOM 65536
#define PATIENCE_S 55
#define LATE_BUFFER 16384

static void fail(const char *what)
{
    fprintf(stderr, "exchange: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void prepare(int fd, const char *controller, int late)
{
    int size = LATE_BUFFER;

    if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, controller, (socklen_t)strlen(controller)) < 0)
        fail(controller);
    if (late && setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size) < 0)
        fail("SO_RCVBUF");
}

static int connected(const char *address, const char *port, const char *controller, int late)
{
    struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM }, *to;
    int fd;

    if (getaddrinfo(address, port, &hints, &to) != 0)
        fail(address);
    fd = socket(to->ai_family, SOCK_STREAM, 0);
    if (fd < 0)
        fail("socket");
    prepare(fd, controller, late);
    if (connect(fd, to->ai_addr, to->ai_addrlen) < 0)
        fail("connect");
    freeaddrinfo(to);
    return fd;
}

static int accepted(const char *port, const char *controller, int late)
{
    struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons((unsigned short)atoi(port)) };
    int listener = socket(AF_INET6, SOCK_STREAM, 0), fd;

    if (listener < 0)
        fail("socket");
    prepare(listener, controller, late);
    if (bind(listener, (struct sockaddr *)&any, sizeof any) < 0)
        fail("bind");
    if (listen(listener, 1) < 0)
        fail("listen");
    fd = accept(listener, NULL, NULL);
    if (fd < 0)
        fail("accept");
    close(listener);
    return fd;
}

static void exchange(int fd, long count, int listening, int late)
{
    static unsigned char pattern[ROOM + 251], got[ROOM];
    long sent = 0, received = 0;
    int over = 0, shut = 0;

    for (size_t at = 0; at < sizeof pattern; at++)
        pattern[at] = (unsigned char)(at % 251);
    while (!over || sent < count || late) {
        struct pollfd ready = { .fd = fd };

        ready.events = (short)((sent < count ? POLLOUT : 0) | (late || over ? 0 : POLLIN));
        if (poll(&ready, 1, late ? 10 : -1) < 0)
            fail("poll");
        if (ready.revents & POLLOUT) {
            size_t length = count - sent < ROOM ? (size_t)(count - sent) : ROOM;
            ssize_t put = send(fd, pattern + sent % 251, length, MSG_NOSIGNAL | MSG_DONTWAIT);

            if (put < 0 && errno != EAGAIN)
                fail("send");
            sent += put < 0 ? 0 : put;
        }
        if (!late && (ready.revents & (POLLIN | POLLHUP | POLLERR))) {
            ssize_t length = recv(fd, got, ROOM, MSG_DONTWAIT);

            if (length < 0 && errno != EAGAIN)
                fail("recv");
            if (length > 0 && memcmp(got, pattern + received % 251, (size_t)length) != 0) {
                errno = EPROTO;
                fail("other bytes came");
            }
            received += length < 0 ? 0 : length;
            over |= length == 0;
            if (length > 0 && received == count) {
                printf("%ld heard\n", received);
                fflush(stdout);
            }
        }
        if (sent == count && !shut) {
            int left = 0;

            if (late && ioctl(fd, SIOCOUTQ, &left) < 0)
                fail("SIOCOUTQ");
            if (left > 0)
                continue;
            if (late) {
                printf("acknowledged\n");
                fflush(stdout);
                late = 0;
            }
            /* `tcplab connect` soon ends after our FIN. */
            if (listening && received < count)
                continue;
            if (shutdown(fd, SHUT_WR) < 0)
                fail("shutdown");
            shut = 1;
        }
    }
    printf("%ld received\n", received);
}

int main(int argc, char *argv[])
{
    int late = argc > 1 && strcmp(argv[argc - 1], "late") == 0, fd;

    argc -= late;
    alarm(PATIENCE_S);
    if (argc == 6 && strcmp(argv[1], "connect") == 0)
        fd = connected(argv[2], argv[3], argv[5], late);
    else if (argc == 5 && strcmp(argv[1], "listen") == 0)
        fd = accepted(argv[2], argv[4], late);
    else {
        fprintf(stderr, "usage: exchange connect ADDRESS PORT COUNT CONTROLLER [late]\n");
        return 2;
    }
    exchange(fd, atol(argv[argc - 2]), strcmp(argv[1], "listen") == 0, late);
    return 0;
}
