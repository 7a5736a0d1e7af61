/* AES-GCM of BoringSSL, in the one call for each record that it has for TLS. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct boringssl_aead;

enum { boringssl_aead_nonce_size = 12, boringssl_aead_tag_size = 16 };

/* AES-GCM with a key of 16 or 32 bytes; NULL for any other length, or without memory. */
struct boringssl_aead *boringssl_aead_new(const void *key, size_t length);

/* Erases the key. */
void boringssl_aead_free(struct boringssl_aead *aead);

/* Seals `count` bytes of `content` and the byte `last` behind them to `sealed`, and puts the tag behind
 * that: count + 1 + boringssl_aead_tag_size bytes. `content` is either where `sealed` is or apart from
 * it. Whether it succeeded. */
int boringssl_aead_seal(const struct boringssl_aead *aead, void *sealed, const void *nonce,
			const void *content, size_t count, uint8_t last, const void *header,
			size_t header_size);

/* Opens `count` bytes of `sealed` with the tag behind them to `content`, which has room for `count` and
 * is either where `sealed` is or apart from it. Whether they are genuine; zeros are written else. */
int boringssl_aead_open(const struct boringssl_aead *aead, void *content, const void *nonce,
			const void *sealed, size_t count, const void *header, size_t header_size);
