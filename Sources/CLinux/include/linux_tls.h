/* Kernel TLS (Documentation/networking/tls.rst): keys that a handshake in user space has made. */
#pragma once
#include <stdint.h>

/* TLS 1.3's keys of one direction, as RFC 8446 7.3 derives them, for AES-GCM. */
struct linux_tls_keys {
	uint8_t key[32];
	uint8_t iv[12];
	uint32_t key_length; /* 16 or 32 */
};

/* Makes `fd`, an established TCP connection, a TLS socket (TCP_ULP); loads the module where it may.
 * ENOENT where the kernel has none. */
int linux_tls_attach(int fd);

/* Has the kernel encrypt what is sent from here on, beginning with record 0. ENOENT where it has
 * no gcm(aes). */
int linux_tls_send_with(int fd, const struct linux_tls_keys *keys);

/* Has the kernel decrypt what is read from here on, beginning with record 0. */
int linux_tls_receive_with(int fd, const struct linux_tls_keys *keys);

/* recvmsg(2) that tells the record's type (23 is data, 21 an alert). */
int64_t linux_tls_receive(int fd, void *bytes, uint64_t count, uint8_t *type);

/* Sends the alert close_notify, without blocking. */
int64_t linux_tls_close_notify(int fd);
