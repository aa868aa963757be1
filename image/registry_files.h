#ifndef IMAGE_REGISTRY_FILES_H
#define IMAGE_REGISTRY_FILES_H

#include "image/fetch.h"

/**
 * Reads the certificates for a host, which are kept as docker and podman keep them: in
 * certs.d/HOST[:PORT]/ of the user's .config/containers, /etc/containers or /etc/docker, the first
 * that is there. *.crt are authorities, *.cert with *.key what this machine shows of itself.
 */
int registry_read_certificates(const char *host, struct fetch_endpoint *endpoint,
                               struct error *err);

#endif
