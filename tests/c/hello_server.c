/* The server of every tutorial: port 12345, a backlog of five. It reads a name from each of COUNT clients, one after the
 * other, prints it, greets it, and closes.
 *
 *     hello_server COUNT
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORT 12345
#define BACKLOG 5

int main(int argc, char *argv[])
{
    struct sockaddr_in address;
    int listener, left, on = 1;

    if (argc != 2) {
        fprintf(stderr, "usage: %s COUNT\n", argv[0]);
        return 2;
    }
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0) {
        perror("socket");
        return 1;
    }
    if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0) {
        perror("setsockopt");
        return 1;
    }
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_ANY);
    address.sin_port = htons(PORT);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0) {
        perror("bind");
        return 1;
    }
    if (listen(listener, BACKLOG) < 0) {
        perror("listen");
        return 1;
    }
    for (left = atoi(argv[1]); left > 0; left--) {
        char name[64], greeting[128];
        ssize_t count;
        int length, fd = accept(listener, NULL, NULL);

        if (fd < 0) {
            perror("accept");
            return 1;
        }
        count = read(fd, name, sizeof name);
        if (count < 0) {
            perror("read");
            return 1;
        }
        length = snprintf(greeting, sizeof greeting, "Hello, %.*s!", (int)count, name);
        if (write(fd, greeting, (size_t)length) != length) {
            perror("write");
            return 1;
        }
        printf("greeted %.*s\n", (int)count, name);
        if (close(fd) < 0) {
            perror("close");
            return 1;
        }
    }
    return close(listener) < 0;
}
