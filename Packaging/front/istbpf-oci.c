/*
 * istbpf-oci as a package has it: passes on at once what the wrapper (Sources/OCIRuntime) would pass on unchanged, and has
 * all else done by the wrapper, which is a part of the one large binary.
 *
 * Three kinds of commands are passed on here, written in a way that runc and crun read alike, and only where nothing was
 * configured of the wrapper:
 *   - commands about a container that exists already and that run nothing in it;
 *   - `create`, where config.json has no text in it that could name a deployment or service;
 *   - `exec`, where neither what the runtime keeps of the container nor a record of istbpfd says that it is an instance.
 * Whatever is not known for certain is the wrapper's to read: an unknown option, a variable of istbpf, a configuration
 * that may have `oci` in it, a letter that is written as an escape. So nothing is decided here about what a container may
 * do; and what is read here and changed before the runtime reads it could as well be changed after the wrapper's look.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef CONFIGURATION
#define CONFIGURATION "/etc/istbpf/config.json"
#endif
/* Of the installation that has no other name: for another one a variable says so, and nothing is passed on. */
#ifndef RECORDS
#define RECORDS "/run/istbpf/containers"
#endif

extern char **environ;

static bool is_one_of(const char *word, const char *const *words)
{
	for (; *words; words++)
		if (!strcmp(word, *words))
			return true;
	return false;
}

/* An option; without a value where it has none. */
struct option {
	const char *name, *value;
};

/* Takes the option at `*words`, one of `valued` with its value, or one of `flags`; false where it is neither. */
static bool
take_option(char ***words, const char *const *valued, const char *const *flags, struct option *option)
{
	static char name[32];
	const char *equals = strchr(**words, '=');

	*option = (struct option){ .name = **words };
	if (is_one_of(**words, flags)) {
		++*words;
		return true;
	}
	if (is_one_of(**words, valued)) {
		option->value = *++*words;
		if (!option->value)
			return false;
		++*words;
		return true;
	}
	if (!equals || equals - **words >= (long)sizeof(name))
		return false;
	memcpy(name, **words, equals - **words);
	name[equals - **words] = 0;
	*option = (struct option){ .name = name, .value = equals + 1 };
	++*words;
	return is_one_of(name, valued);
}

enum answer { NOTHING, NAMED, UNCERTAIN };

/*
 * Whether one of `names`, in lower case, is in the strings of a text in JSON, in any case. A name could be written with
 * escapes: \u0069, or \i, which some read as i. So any escape that may stand for a character of a name is UNCERTAIN.
 */
static enum answer search(const char *text, size_t size, const char *const *names)
{
	for (size_t i = 0; i < size; i++) {
		if (!text[i])
			return UNCERTAIN; /* UTF-16, or what is no text */
		if (text[i] == '\\') {
			unsigned int code = 0;

			if (++i == size || !text[i] || !strchr("\"\\/bfnrtu", text[i]))
				return UNCERTAIN;
			if (text[i] != 'u')
				continue;
			for (int digit = 0; digit < 4; digit++) {
				if (++i >= size || !isxdigit((unsigned char)text[i]))
					return UNCERTAIN;
				code = code * 16 +
				       (text[i] <= '9' ? text[i] - '0' : (text[i] | 0x20) - 'a' + 10);
			}
			if (code < 0x80 && (isalnum((int)code) || strchr("._-=+", (int)code)))
				return UNCERTAIN;
			continue;
		}
		for (const char *const *name = names; *name; name++) {
			size_t length = strlen(*name);

			if (size - i >= length && !strncasecmp(text + i, *name, length))
				return NAMED;
		}
	}
	return NOTHING;
}

/* A whole regular file of up to `room` bytes; -1 where it is none, is larger or cannot be read, with errno. */
static ssize_t read_file(const char *path, char *text, size_t room)
{
	/* Not waiting: a FIFO would be emptied for whoever reads it next. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat status;
	size_t size = 0;
	ssize_t got = -1;

	if (fd < 0)
		return -1;
	if (!fstat(fd, &status) && S_ISREG(status.st_mode))
		while ((got = read(fd, text + size, room - size)) > 0)
			size += got;
	close(fd);
	errno = EINVAL;
	return got || size == room ? -1 : (ssize_t)size;
}

#define LARGEST (1 << 20)
static char text[LARGEST];

/* Whether a text is in braces: of one that is broken the wrapper says so. */
static bool is_object(const char *text, ssize_t size)
{
	while (size > 0 && isspace((unsigned char)text[size - 1]))
		size--;
	while (size > 0 && isspace((unsigned char)*text))
		text++, size--;
	return size >= 2 && *text == '{' && text[size - 1] == '}';
}

/* Reads a file of JSON into `text` that has none of `names`, and returns its size; -1 where it may have one. */
static ssize_t read_without(const char *path, const char *const *names)
{
	ssize_t size = read_file(path, text, sizeof(text));

	return is_object(text, size) && search(text, size, names) == NOTHING ? size : -1;
}

/* Whether a word is a container's id, and no path. */
static bool is_id(const char *word)
{
	if (!isalnum((unsigned char)*word))
		return false;
	for (; *word; word++)
		if (!isalnum((unsigned char)*word) && !strchr("_+-.", *word))
			return false;
	return true;
}

/*
 * Whether `create` makes a container that makes no claim (ContainerClaim.swift): the words of a claim are nowhere in its
 * config.json. The hooks of one that was edited before would be; and the wrapper has no default for containers without.
 */
static bool is_plain_create(char **words)
{
	static const char *const valued[] = { "--bundle", "-b", "--pid-file", "--console-socket", NULL };
	static const char *const flags[] = { "--no-pivot", "--no-new-keyring", NULL };
	static const char *const names[] = { "istbpf", "warp_", NULL };
	const char *bundle = NULL;
	char path[PATH_MAX];
	struct option option;

	while (*words && **words == '-') {
		if (!take_option(&words, valued, flags, &option))
			return false;
		if (option.value && *option.value == '-')
			return false;
		if (!strcmp(option.name, "--bundle") || !strcmp(option.name, "-b")) {
			if (bundle || !*option.value)
				return false;
			bundle = option.value;
		}
	}
	return bundle && *words && is_id(*words) && !words[1] &&
	       snprintf(path, sizeof(path), "%s/config.json", bundle) < (int)sizeof(path) &&
	       read_without(path, names) >= 0;
}

/*
 * Whether what runc keeps of a container, and the config.json of its bundle, say nothing of istbpf: its hooks would. Of
 * crun, which keeps another file, nothing is known.
 */
static bool is_plain_in(const char *root, const char *id)
{
	static const char *const names[] = { "istbpf", NULL };
	static const char label[] = "\"bundle=";
	char path[PATH_MAX];
	struct stat status;
	char *bundle, *end;
	ssize_t size;

	if (snprintf(path, sizeof(path), "%s/%s/status", root, id) >= (int)sizeof(path) ||
	    !lstat(path, &status) || errno != ENOENT)
		return false;
	snprintf(path, sizeof(path), "%s/%s/state.json", root, id);
	size = read_without(path, names);
	if (size < 0)
		return false;
	bundle = memmem(text, size, label, sizeof(label) - 1);
	if (!bundle)
		return false;
	bundle += sizeof(label) - 1;
	end = memchr(bundle, '"', text + size - bundle);
	/* One that is found twice may be the value of something else. */
	if (!end || memchr(bundle, '\\', end - bundle) ||
	    memmem(end, text + size - end, label, sizeof(label) - 1))
		return false;
	*end = 0;
	return snprintf(path, sizeof(path), "%s/config.json", bundle) < (int)sizeof(path) &&
	       read_without(path, names) >= 0;
}

/* Whether no record of istbpfd has `id` in it. */
static bool is_unrecorded(const char *id)
{
	const char *const names[] = { id, NULL };
	char path[PATH_MAX];
	struct dirent *entry;
	bool is_unrecorded = true;
	DIR *directory = opendir(RECORDS);
	int count = 0;

	if (!directory)
		return errno == ENOENT;
	for (errno = 0; is_unrecorded && (entry = readdir(directory)); errno = 0) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		snprintf(path, sizeof(path), RECORDS "/%s", entry->d_name);
		/* The wrapper is as fast with so many. */
		is_unrecorded = ++count <= 256 && read_without(path, names) >= 0;
	}
	is_unrecorded = is_unrecorded && !errno;
	closedir(directory);
	return is_unrecorded;
}

/* Whether `exec` runs a process in a container that is no instance (ExecEdit.swift). */
static bool is_plain_exec(char **words, const char *root)
{
	static const char *const valued[] = { "--process", "-p", "--pid-file", "--console-socket", NULL };
	static const char *const flags[] = { "--detach", "-d", "--tty", "-t", NULL };
	struct option option;

	while (*words && **words == '-')
		if (!take_option(&words, valued, flags, &option) || (option.value && *option.value == '-'))
			return false;
	return root && *root == '/' && *words && is_id(*words) && is_plain_in(root, *words) &&
	       is_unrecorded(*words);
}

/* Whether the arguments are options that are known, then a command that the wrapper would pass on unchanged. */
static bool is_passed_on(char **words)
{
	static const char *const commands[] = { "state",  "start", "kill", "delete", "pause",
						"resume", "ps",	   "list", "events", NULL };
	static const char *const valued[] = { "--root",		  "--log", "--log-format", "--log-level",
					      "--cgroup-manager", NULL };
	static const char *const flags[] = { "--systemd-cgroup", "--debug", NULL };
	const char *root = NULL;
	struct option option;

	while (*words && **words == '-') {
		if (!take_option(&words, valued, flags, &option))
			return false;
		if (!strcmp(option.name, "--root")) {
			/* Of two the runtimes may take either. */
			if (root)
				return false;
			root = option.value;
		}
	}
	if (!*words)
		return false;
	if (!strcmp(*words, "create"))
		return is_plain_create(words + 1);
	if (!strcmp(*words, "exec"))
		return is_plain_exec(words + 1, root);
	return is_one_of(*words, commands);
}

/* Whether the wrapper has nothing to read about itself: no variable of istbpf, and no `oci` in its configuration. */
static bool is_unconfigured(void)
{
	static const char *const names[] = { "oci", NULL };
	ssize_t size;

	for (char **variable = environ; *variable; variable++)
		if (!strncmp(*variable, "ISTBPF_", 7))
			return false;
	size = read_file(CONFIGURATION, text, 65536);
	if (size < 0)
		return errno == ENOENT;
	/* JSON may have any letter as an escape. */
	return !memchr(text, '\\', size) && search(text, size, names) == NOTHING;
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
	if (length > (ssize_t)sizeof(deleted) && !strcmp(own + length - (sizeof(deleted) - 1), deleted))
		own[length - (sizeof(deleted) - 1)] = 0;
	if (is_unconfigured() && is_passed_on(argv + 1) && runtime(own, path)) {
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
	fprintf(stderr, "istbpf: cannot execute %s: %s: is the package whole? operation not permitted\n",
		path, strerror(errno));
	return 1;
}
