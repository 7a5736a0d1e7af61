/* The URIs among a certificate's subject alternative names. */
#pragma once
#include <CNIOBoringSSL.h>

/* Copies the certificate's one URI name into `text` as a C string of at most `capacity` bytes with
 * its end; the number of URI names, of which only the first is copied; -1 where it holds a zero byte
 * or does not fit, or the extension cannot be read or is there twice. */
int boringssl_uri_name(const X509 *certificate, char *text, size_t capacity);
