/* The pre-shared keys that a client offers in its first message. */
#pragma once
#include <CNIOBoringSSL.h>

/* Where the external identity is (RFC 9258 5.1) of the imported key number `index`, from 0, that `hello` offers, and its
 * length. 1 where there is one; 0 where there are no more, or the message cannot be read; -1 where this one is not an
 * imported key. */
int boringssl_offered_key(const SSL_CLIENT_HELLO *hello, size_t index, const uint8_t **identity,
			  size_t *length);
