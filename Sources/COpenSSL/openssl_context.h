/* Settings of an SSL_CTX and an SSL that are macros. */
#pragma once
#include <openssl/ssl.h>

/* TLS 1.3 and nothing else; 1 on success. */
static inline int openssl_only_tls13(SSL_CTX *context) {
  return SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) &&
         SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION);
}

/* OpenSSL keeps no session and takes no ticket: what tunnels are begun with besides certificates is PreSharedKey, and a
 * key exchange with it, whatever openssl.cnf says. */
static inline void openssl_no_sessions(SSL_CTX *context) {
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
  SSL_CTX_clear_options(context, SSL_OP_ALLOW_NO_DHE_KEX);
}

static inline int openssl_add_chain_certificate(SSL_CTX *context, X509 *certificate) {
  return (int)SSL_CTX_add1_chain_cert(context, certificate);
}

/* The certificates of a chain, which is a macro's type. */
static inline int openssl_certificate_count(const STACK_OF(X509) * chain) { return sk_X509_num(chain); }

static inline X509 *openssl_certificate(const STACK_OF(X509) * chain, int index) {
  return sk_X509_value(chain, index);
}
