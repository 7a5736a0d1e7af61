#include "boringssl_names.h"

#include <string.h>

int boringssl_uri_name(const X509 *certificate, char *text, size_t capacity)
{
	int critical = 0, count = 0;
	GENERAL_NAMES *names =
		(GENERAL_NAMES *)X509_get_ext_d2i(certificate, NID_subject_alt_name, &critical, NULL);
	if (!names)
		return critical == -1 ? 0 : -1;
	for (size_t i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		if (name->type != GEN_URI)
			continue;
		if (count++ > 0)
			continue;
		size_t length = (size_t)ASN1_STRING_length(name->d.uniformResourceIdentifier);
		const unsigned char *bytes = ASN1_STRING_get0_data(name->d.uniformResourceIdentifier);
		if (length >= capacity || memchr(bytes, 0, length)) {
			GENERAL_NAMES_free(names);
			return -1;
		}
		memcpy(text, bytes, length);
		text[length] = 0;
	}
	GENERAL_NAMES_free(names);
	return count;
}
