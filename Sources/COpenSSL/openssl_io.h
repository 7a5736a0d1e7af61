/* Macros around a BIO of our own. */
#pragma once
#include <openssl/bio.h>

static const int openssl_bio_flush = BIO_CTRL_FLUSH;
static const int openssl_bio_source_sink = BIO_TYPE_SOURCE_SINK;

static inline void openssl_bio_retry_write(BIO *bio) {
  BIO_clear_retry_flags(bio);
  BIO_set_retry_write(bio);
}
