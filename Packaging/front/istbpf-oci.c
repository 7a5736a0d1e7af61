/*
 * istbpf-oci as a package has it: passes on at once what the wrapper (Sources/OCIRuntime) would pass on without a look
 * at the container, and has all else done by the wrapper, which is a part of the one large binary.
 *
 * Only commands about a container that exists already and that run nothing in it are passed on here, written in a way
 * that runc and crun read alike, and only where nothing was configured of the wrapper. Whatever is not known for
 * certain is the wrapper's to read: an unknown option, a variable of istbpf, a configuration that may have `oci` in it.
 * So nothing is decided here about what a container may do.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#ifndef CONFIGURATION
#define CONFIGURATION "/etc/istbpf/config.json"
#endif

extern char **environ;

static bool is_one_of(const char *word, const char *const *words)
{
	for (; *words; words++)
		if (!strcmp(word, *words))
			return true;
	return false;
}

/* Whether the arguments are options that are known, then a command that makes no process in a container. */
static bool is_passed_on(char **words)
{
	static const char *const commands[] = { "state",  "start", "kill", "delete", "pause",
						"resume", "ps",	   "list", "events", NULL };
	static const char *const valued[] = { "--root",	     "--log",	      "--log-format",
					      "--log-level", "--cgroup-manager", NULL };
	static const char *const flags[] = { "--systemd-cgroup", "--debug", NULL };

	for (; *words && **words == '-'; words++) {
		const char *equals = strchr(*words, '=');
		char name[32];

		if (is_one_of(*words, flags))
			continue;
		if (is_one_of(*words, valued)) {
			if (!*++words)
				return false;
			continue;
		}
		if (!equals || equals - *words >= (long)sizeof(name))
			return false;
		memcpy(name, *words, equals - *words);
		name[equals - *words] = 0;
		if (!is_one_of(name, valued))
			return false;
	}
	return *words && is_one_of(*words, commands);
}

/* Whether the wrapper has nothing to read about itself: no variable of istbpf, and no `oci` in its configuration. */
static bool is_unconfigured(void)
{
	char text[65536];
	ssize_t size = 0, got;
	int fd;

	for (char **variable = environ; *variable; variable++)
		if (!strncmp(*variable, "ISTBPF_", 7))
			return false;
	fd = open(CONFIGURATION, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT;
	do {
		got = read(fd, text + size, sizeof(text) - size);
		size += got > 0 ? got : 0;
	} while (got > 0 && size < (ssize_t)sizeof(text));
	close(fd);
	if (got != 0)
		return false;
	for (ssize_t i = 0; i < size; i++) {
		/* JSON may have any letter as an escape. */
		if (text[i] == '\\' || !text[i])
			return false;
		if (i + 3 <= size && !strncasecmp(text + i, "oci", 3))
			return false;
	}
	return true;
}

/* The first runtime that is there and is not this program, as WrapperConfiguration.runtimePath has it. */
static const char *runtime(const char *own, char *path)
{
	static const char *const names[] = { "runc", "crun" };
	static const char *const directories[] = { "/usr/local/sbin", "/usr/local/bin", "/usr/sbin",
						   "/usr/bin",	      "/sbin",		"/bin" };
	char resolved[PATH_MAX];

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		for (size_t j = 0; j < sizeof(directories) / sizeof(*directories); j++) {
			snprintf(path, PATH_MAX, "%s/%s", directories[j], names[i]);
			if (!access(path, X_OK) && realpath(path, resolved) && strcmp(resolved, own))
				return path;
		}
	return NULL;
}

int main(int argc, char **argv)
{
	static const char deleted[] = " (deleted)";
	char own[PATH_MAX], path[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", own, sizeof(own) - 1);
	char *slash;

	if (argc < 1 || length < 0) {
		fprintf(stderr, "istbpf: cannot tell where istbpf-oci is: %s\n", strerror(errno));
		return 1;
	}
	own[length] = 0;
	/* An upgrade came between exec and here: the new one has the same path. */
	if (length > (ssize_t)sizeof(deleted) &&
	    !strcmp(own + length - (sizeof(deleted) - 1), deleted))
		own[length - (sizeof(deleted) - 1)] = 0;
	if (is_passed_on(argv + 1) && is_unconfigured() && runtime(own, path)) {
		argv[0] = path;
		execv(path, argv);
		fprintf(stderr, "istbpf: cannot execute %s: %s\n", path, strerror(errno));
		return 1;
	}
	slash = strrchr(own, '/');
	if (snprintf(path, sizeof(path), "%.*s/../lib/istbpf/istbpf", (int)(slash - own), own) >=
	    (int)sizeof(path)) {
		fprintf(stderr, "istbpf: %s is too long a path\n", own);
		return 1;
	}
	/* By its own path the wrapper knows what a container's hooks are to call. */
	argv[0] = own;
	execv(path, argv);
	fprintf(stderr, "istbpf: cannot execute %s: %s: is the package whole? operation not permitted\n", path,
		strerror(errno));
	return 1;
}
