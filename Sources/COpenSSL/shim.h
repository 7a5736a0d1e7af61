/* OpenSSL 3, for the target Tunnel alone: the macros that Swift cannot see as functions. */
#pragma once
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "openssl_context.h"
#include "openssl_io.h"
#include "openssl_names.h"
