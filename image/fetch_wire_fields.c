#include "image/fetch_wire.h"

static const struct field endpoint_fields[] = {
    FIELD_OF(struct fetch_endpoint_message, number, "number", FIELD_U32, FIELD_REQUIRED),
    FIELD_OF(struct fetch_endpoint_message, endpoint.host, "host", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct fetch_endpoint_message, endpoint.allows_http, "allowsHttp", FIELD_BOOL, 0),
    FIELD_OF(struct fetch_endpoint_message, endpoint.is_unverified, "isUnverified", FIELD_BOOL, 0),
    FIELD_OF(struct fetch_endpoint_message, endpoint.username, "username", FIELD_STRING, 0),
    FIELD_OF(struct fetch_endpoint_message, endpoint.password, "password", FIELD_STRING, 0),
    FIELD_OF(struct fetch_endpoint_message, endpoint.identity_token, "identityToken", FIELD_STRING,
             0),
    FIELD_OF(struct fetch_endpoint_message, endpoint.registry_token, "registryToken", FIELD_STRING,
             0),
    FIELD_OF(struct fetch_endpoint_message, has_authorities, "hasAuthorities", FIELD_BOOL, 0),
    FIELD_OF(struct fetch_endpoint_message, has_certificate, "hasCertificate", FIELD_BOOL, 0),
    FIELD_OF(struct fetch_endpoint_message, has_key, "hasKey", FIELD_BOOL, 0),
    { 0 },
};
const struct object fetch_endpoint_object = { endpoint_fields,
                                              sizeof(struct fetch_endpoint_message), 0 };

static const struct field request_fields[] = {
    FIELD_OF(struct fetch_request_message, id, "id", FIELD_U32, FIELD_REQUIRED),
    FIELD_OF(struct fetch_request_message, request.kind, "kind", FIELD_U32, FIELD_REQUIRED),
    FIELD_OF(struct fetch_request_message, request.endpoint, "endpoint", FIELD_U32, FIELD_REQUIRED),
    FIELD_OF(struct fetch_request_message, request.path, "path", FIELD_STRING, FIELD_REQUIRED),
    FIELD_OF(struct fetch_request_message, request.scopes, "scopes", FIELD_STRINGS, 0),
    FIELD_OF(struct fetch_request_message, request.accept, "accept", FIELD_STRINGS, 0),
    FIELD_OF(struct fetch_request_message, request.content_type, "contentType", FIELD_STRING, 0),
    FIELD_OF(struct fetch_request_message, request.offset, "offset", FIELD_U64, 0),
    FIELD_OF(struct fetch_request_message, request.size, "size", FIELD_U64, FIELD_REQUIRED),
    FIELD_OF(struct fetch_request_message, request.max, "max", FIELD_U64, FIELD_REQUIRED),
    FIELD_OF(struct fetch_request_message, request.digest, "digest", FIELD_STRING, 0),
    FIELD_OF(struct fetch_request_message, request.mount_from, "mountFrom", FIELD_STRING, 0),
    { 0 },
};
const struct object fetch_request_object = { request_fields, sizeof(struct fetch_request_message),
                                             0 };

static const struct field result_fields[] = {
    FIELD_OF(struct fetch_result_message, id, "id", FIELD_U32, FIELD_REQUIRED),
    FIELD_OF(struct fetch_result_message, result.code, "code", FIELD_U32, FIELD_REQUIRED),
    FIELD_OF(struct fetch_result_message, result.message, "message", FIELD_STRING, 0),
    FIELD_OF(struct fetch_result_message, result.status, "status", FIELD_U32, 0),
    FIELD_OF(struct fetch_result_message, result.length, "length", FIELD_U64, 0),
    FIELD_OF(struct fetch_result_message, result.media_type, "mediaType", FIELD_STRING, 0),
    FIELD_OF(struct fetch_result_message, result.digest, "digest", FIELD_STRING, 0),
    FIELD_OF(struct fetch_result_message, result.next, "next", FIELD_STRING, 0),
    FIELD_OF(struct fetch_result_message, result.subject, "subject", FIELD_STRING, 0),
    FIELD_OF(struct fetch_result_message, result.was_mounted, "wasMounted", FIELD_BOOL, 0),
    { 0 },
};
const struct object fetch_result_object = { result_fields, sizeof(struct fetch_result_message),
                                            OBJECT_REFUSE_UNKNOWN };

static const struct field progress_fields[] = {
    FIELD_OF(struct fetch_progress_message, id, "id", FIELD_U32, FIELD_REQUIRED),
    FIELD_OF(struct fetch_progress_message, bytes, "bytes", FIELD_U64, FIELD_KEEP_EMPTY),
    { 0 },
};
const struct object fetch_progress_object = { progress_fields,
                                              sizeof(struct fetch_progress_message),
                                              OBJECT_REFUSE_UNKNOWN };
