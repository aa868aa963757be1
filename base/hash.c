#include "base/hash.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct hash {
    EVP_MD_CTX *context;
    const char *algorithm; /* static */
};

/* libcrypto fails here for lack of memory only, which ends the process as in base/auto.h. */
static void need(bool is_done)
{
    static const char sentence[] = "berth: libcrypto cannot compute digests\n";

    if (!is_done) {
        ssize_t written = write(STDERR_FILENO, sentence, sizeof(sentence) - 1);

        (void)written; /* the status says it as well */
        _exit(125);
    }
}

struct hash *hash_open(const char *algorithm)
{
    bool is_sha512 = strcmp(algorithm, "sha512") == 0;
    struct hash *hash = xcalloc(1, sizeof(*hash));

    assert(is_sha512 || strcmp(algorithm, "sha256") == 0);

    /* Without this the first use reads the machine's openssl.cnf and what it names. */
    need(OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) == 1);
    hash->algorithm = is_sha512 ? "sha512" : "sha256";
    hash->context = EVP_MD_CTX_new();
    need(hash->context != NULL);
    need(EVP_DigestInit_ex(hash->context, is_sha512 ? EVP_sha512() : EVP_sha256(), NULL) == 1);
    return hash;
}

void hash_add(struct hash *hash, const void *bytes, size_t length)
{
    need(EVP_DigestUpdate(hash->context, bytes, length) == 1);
}

void hash_finish(struct hash *hash, struct digest *ret_digest)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned length;
    char *hex;

    need(EVP_DigestFinal_ex(hash->context, bytes, &length) == 1);
    *ret_digest = (struct digest){ 0 };
    (void)snprintf(ret_digest->text, sizeof(ret_digest->text), "%s:", hash->algorithm);
    hex = ret_digest->text + strlen(ret_digest->text);
    for (unsigned i = 0; i < length; i++) {
        hex[2 * i] = digits[bytes[i] >> 4];
        hex[2 * i + 1] = digits[bytes[i] & 15];
    }
}

void hash_free(struct hash *hash)
{
    if (hash == NULL)
        return;
    EVP_MD_CTX_free(hash->context);
    free(hash);
}

void hash_bytes(const char *algorithm, const void *bytes, size_t length, struct digest *ret_digest)
{
    AUTO(hash) struct hash *hash = hash_open(algorithm);

    hash_add(hash, bytes, length);
    hash_finish(hash, ret_digest);
}
