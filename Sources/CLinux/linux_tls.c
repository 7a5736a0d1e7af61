#define _GNU_SOURCE
#include "linux_tls.h"

#include <errno.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

_Static_assert(TLS_CIPHER_AES_GCM_128_KEY_SIZE == 16 && TLS_CIPHER_AES_GCM_256_KEY_SIZE == 32,
	       "the key lengths that linux_tls_keys allows");
_Static_assert(TLS_CIPHER_AES_GCM_128_SALT_SIZE + TLS_CIPHER_AES_GCM_128_IV_SIZE == 12,
	       "TLS 1.3's iv is the kernel's salt and iv");

#ifndef SOL_TLS
#define SOL_TLS 282
#endif
#ifndef TCP_ULP
#define TCP_ULP 31
#endif

int linux_tls_attach(int fd)
{
	return setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof "tls");
}

static int install(int fd, int direction, const struct linux_tls_keys *keys)
{
	struct tls12_crypto_info_aes_gcm_128 small = { .info = { .version = TLS_1_3_VERSION,
								 .cipher_type = TLS_CIPHER_AES_GCM_128 } };
	struct tls12_crypto_info_aes_gcm_256 large = { .info = { .version = TLS_1_3_VERSION,
								 .cipher_type = TLS_CIPHER_AES_GCM_256 } };
	int result;
	if (keys->key_length == 16) {
		memcpy(small.key, keys->key, 16);
		memcpy(small.salt, keys->iv, sizeof small.salt);
		memcpy(small.iv, keys->iv + sizeof small.salt, sizeof small.iv);
		result = setsockopt(fd, SOL_TLS, direction, &small, sizeof small);
	} else {
		memcpy(large.key, keys->key, 32);
		memcpy(large.salt, keys->iv, sizeof large.salt);
		memcpy(large.iv, keys->iv + sizeof large.salt, sizeof large.iv);
		result = setsockopt(fd, SOL_TLS, direction, &large, sizeof large);
	}
	int reason = errno;
	explicit_bzero(&small, sizeof small);
	explicit_bzero(&large, sizeof large);
	errno = reason;
	return result;
}

int linux_tls_send_with(int fd, const struct linux_tls_keys *keys)
{
	return install(fd, TLS_TX, keys);
}

int linux_tls_receive_with(int fd, const struct linux_tls_keys *keys)
{
	return install(fd, TLS_RX, keys);
}

int64_t linux_tls_receive(int fd, void *bytes, uint64_t count, uint8_t *type)
{
	union {
		char bytes[CMSG_SPACE(1)];
		struct cmsghdr aligned;
	} control;
	struct iovec vector = { .iov_base = bytes, .iov_len = count };
	struct msghdr message = { .msg_iov = &vector,
				  .msg_iovlen = 1,
				  .msg_control = control.bytes,
				  .msg_controllen = sizeof control.bytes };
	int64_t received = recvmsg(fd, &message, MSG_DONTWAIT);
	*type = 23;
	if (received < 0)
		return received;
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_level == SOL_TLS && header->cmsg_type == TLS_GET_RECORD_TYPE)
		*type = *CMSG_DATA(header);
	return received;
}

int64_t linux_tls_close_notify(int fd)
{
	union {
		char bytes[CMSG_SPACE(1)];
		struct cmsghdr aligned;
	} control;
	uint8_t alert[2] = { 1, 0 }; /* warning, close_notify: RFC 8446 6.1 */
	struct iovec vector = { .iov_base = alert, .iov_len = sizeof alert };
	struct msghdr message = { .msg_iov = &vector,
				  .msg_iovlen = 1,
				  .msg_control = control.bytes,
				  .msg_controllen = CMSG_SPACE(1) };
	memset(&control, 0, sizeof control);
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = SOL_TLS;
	header->cmsg_type = TLS_SET_RECORD_TYPE;
	header->cmsg_len = CMSG_LEN(1);
	*CMSG_DATA(header) = 21;
	return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}
