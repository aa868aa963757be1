#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>

#include "base/auto.h"
#include "base/digest.h"

/* Computing digests, by OpenSSL's libcrypto (EVP), a piece at a time. */
struct hash;

/** @algorithm  "sha256" or "sha512" */
struct hash *hash_open(const char *algorithm);
void hash_add(struct hash *hash, const void *bytes, size_t length);
void hash_finish(struct hash *hash, struct digest *ret_digest);
void hash_free(struct hash *hash);
DEFINE_AUTO(hash)

void hash_bytes(const char *algorithm, const void *bytes, size_t length, struct digest *ret_digest);

#endif
