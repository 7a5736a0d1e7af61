#include "boringssl_offered_keys.h"

int boringssl_offered_key(const SSL_CLIENT_HELLO *hello, size_t index, const uint8_t **identity,
			  size_t *length)
{
	const uint8_t *data;
	size_t size;
	if (!SSL_early_callback_ctx_extension_get(hello, TLSEXT_TYPE_pre_shared_key, &data, &size)) {
		return 0;
	}
	CBS extension, identities, offered;
	CBS_init(&extension, data, size);
	if (!CBS_get_u16_length_prefixed(&extension, &identities))
		return 0;
	uint32_t age;
	do {
		if (!CBS_get_u16_length_prefixed(&identities, &offered) || !CBS_get_u32(&identities, &age)) {
			return 0;
		}
	} while (index-- > 0);
	CBS external, context;
	uint16_t protocol, kdf;
	if (!CBS_get_u16_length_prefixed(&offered, &external) ||
	    !CBS_get_u16_length_prefixed(&offered, &context) || !CBS_get_u16(&offered, &protocol) ||
	    !CBS_get_u16(&offered, &kdf) || CBS_len(&offered) > 0) {
		return -1;
	}
	*identity = CBS_data(&external);
	*length = CBS_len(&external);
	return 1;
}
