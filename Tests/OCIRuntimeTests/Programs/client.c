/* Fetches http://NAME/ and writes what it gets, as a program in C does: client URL. Looks the name up by the C library, or,
 * compiled with CARES, by c-ares, which reads /etc/hosts and asks DNS by itself. */
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr_in to = { .sin_family = AF_INET };

#ifdef CARES
#include <ares.h>

static void found(void *context, int status, int timeouts, struct hostent *host)
{
	(void)timeouts;
	*(int *)context = status;
	if (status == ARES_SUCCESS)
		memcpy(&to.sin_addr, host->h_addr_list[0], sizeof(to.sin_addr));
}

static const char *look_up(const char *name)
{
	int status = -1;
	ares_channel channel;

	if (ares_library_init(ARES_LIB_INIT_ALL) || ares_init(&channel))
		return "cannot begin";
	ares_gethostbyname(channel, name, AF_INET, found, &status);
	for (;;) {
		struct timeval wait, *time;
		fd_set in, out;
		int count;

		FD_ZERO(&in);
		FD_ZERO(&out);
		count = ares_fds(channel, &in, &out);
		if (!count)
			break;
		time = ares_timeout(channel, NULL, &wait);
		select(count, &in, &out, NULL, time);
		ares_process(channel, &in, &out);
	}
	ares_destroy(channel);
	return status == ARES_SUCCESS ? NULL : ares_strerror(status);
}
#else
static const char *look_up(const char *name)
{
	struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM }, *list;
	int code = getaddrinfo(name, "80", &hints, &list);

	if (code)
		return gai_strerror(code);
	to.sin_addr = ((struct sockaddr_in *)list->ai_addr)->sin_addr;
	freeaddrinfo(list);
	return NULL;
}
#endif

int main(int count, char **arguments)
{
	char name[256], request[512], answer[4096];
	const char *problem, *body;
	size_t length = 0;
	ssize_t got;
	int fd;

	if (count != 2 || sscanf(arguments[1], "http://%255[^/]/", name) != 1)
		return 2;
	problem = look_up(name);
	if (problem) {
		fprintf(stderr, "%s: %s\n", name, problem);
		return 1;
	}
	to.sin_port = htons(80);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to))) {
		perror("connect");
		return 1;
	}
	snprintf(request, sizeof(request), "GET / HTTP/1.0\r\nHost: %s\r\n\r\n", name);
	if (write(fd, request, strlen(request)) < 0) {
		perror("write");
		return 1;
	}
	while (length < sizeof(answer) - 1 &&
	       (got = read(fd, answer + length, sizeof(answer) - 1 - length)) > 0)
		length += got;
	answer[length] = 0;
	body = strstr(answer, "\r\n\r\n");
	if (!body) {
		fprintf(stderr, "no answer\n");
		return 1;
	}
	fputs(body + 4, stdout);
	return 0;
}
