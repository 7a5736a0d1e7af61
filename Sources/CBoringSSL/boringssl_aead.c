#include "boringssl_aead.h"

#include <CNIOBoringSSL.h>

static const EVP_AEAD_CTX *context(const struct boringssl_aead *aead)
{
	return (const EVP_AEAD_CTX *)aead;
}

struct boringssl_aead *boringssl_aead_new(const void *key, size_t length)
{
	const EVP_AEAD *cipher = length == 16	? EVP_aead_aes_128_gcm()
				 : length == 32 ? EVP_aead_aes_256_gcm()
						: NULL;
	return cipher ? (struct boringssl_aead *)EVP_AEAD_CTX_new(cipher, key, length,
								  boringssl_aead_tag_size)
		      : NULL;
}

void boringssl_aead_free(struct boringssl_aead *aead)
{
	EVP_AEAD_CTX_free((EVP_AEAD_CTX *)aead);
}

int boringssl_aead_seal(const struct boringssl_aead *aead, void *sealed, const void *nonce,
			const void *content, size_t count, uint8_t last, const void *header,
			size_t header_size)
{
	size_t rest;
	return EVP_AEAD_CTX_seal_scatter(context(aead), sealed, (uint8_t *)sealed + count, &rest,
					 1 + boringssl_aead_tag_size, nonce, boringssl_aead_nonce_size,
					 content, count, &last, 1, header, header_size);
}

int boringssl_aead_open(const struct boringssl_aead *aead, void *content, const void *nonce,
			const void *sealed, size_t count, const void *header, size_t header_size)
{
	return EVP_AEAD_CTX_open_gather(context(aead), content, nonce, boringssl_aead_nonce_size, sealed,
					count, (const uint8_t *)sealed + count, boringssl_aead_tag_size,
					header, header_size);
}
