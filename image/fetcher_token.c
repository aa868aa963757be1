#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "image/fetcher.h"
#include "image/registry_answers.h"

/* Tokens (distribution's "Token Authentication", docker's OAuth2 variant): asked for once for each
 * set of scopes, used until shortly before they expire. */

#define EXPIRES_DEFAULT_S 60
#define EXPIRES_MARGIN_S  10
#define EXPIRES_MAX_S     86400
#define TOKEN_BYTES_MAX   (64u << 10)

static char *scopes_key(const struct strings *scopes)
{
    return strings_join(scopes, " ");
}

struct token *token_find(struct fetcher *fetcher, const struct fetcher_host *host,
                         const struct strings *scopes)
{
    auto_free char *key = scopes_key(scopes);

    for (struct token *token = fetcher->tokens; token != NULL; token = token->next) {
        if (token->host == host && token->state == TOKEN_READY && strcmp(token->key, key) == 0 &&
            token->expires_ms > fetcher_now_ms())
            return token;
    }
    return NULL;
}

/* The registry names the server that gets the password, so it has to be one with TLS, unless plain
 * http is allowed to the registry itself. */
static int check_realm(const struct fetcher_host *host, const char *realm, struct error *err)
{
    bool is_http = strncasecmp(realm, "http://", 7) == 0;

    if (strncasecmp(realm, "https://", 8) == 0 || (is_http && host->endpoint.allows_http))
        return 0;
    return error_set(err, EACCES, "%s names a token server without TLS: '%s'", host->endpoint.host,
                     realm);
}

static struct token *token_make(struct fetcher *fetcher, struct fetcher_host *host,
                                const char *realm, const char *service,
                                const struct strings *scopes)
{
    struct token *token = xcalloc(1, sizeof(*token));

    token->host = host;
    token->realm = xstrdup(realm);
    token->service = xstrdup(service);
    token->key = scopes_key(scopes);
    strings_add_all(&token->scopes, scopes);
    token->next = fetcher->tokens;
    fetcher->tokens = token;
    return token;
}

int token_want(struct fetcher *fetcher, struct fetcher_host *host,
               const struct http_challenge *challenge, const struct strings *scopes,
               struct token **ret_token, struct error *err)
{
    const char *realm = string_map_get(&challenge->parameters, "realm");
    const char *scope = string_map_get(&challenge->parameters, "scope");
    auto_free char *key = scopes_key(scopes);
    struct token *token = fetcher->tokens;
    struct job *job;
    int r;

    r = check_realm(host, realm, err);
    if (r < 0)
        return r;
    while (token != NULL && (token->host != host || strcmp(token->key, key) != 0 ||
                             strcmp(token->realm, realm) != 0))
        token = token->next;
    if (token == NULL)
        token = token_make(fetcher, host, realm, string_map_get(&challenge->parameters, "service"),
                           scopes);
    else if (token->state == TOKEN_WANTED) {
        *ret_token = token;
        return 0;
    }
    if (scope != NULL && !strings_contains(&token->scopes, scope))
        strings_add(&token->scopes, scope);
    token->state = TOKEN_WANTED;
    job = xcalloc(1, sizeof(*job));
    job->fetcher = fetcher;
    job->host = host;
    job->token = token;
    job->step = JOB_TOKEN;
    job->fd = -1;
    fetcher_add(fetcher, job);
    job_begin(job);
    *ret_token = token;
    return 0;
}

static void add_parameter(struct text *query, char before, const char *name, const char *value)
{
    char *escaped = curl_easy_escape(NULL, value, 0);

    if (escaped != NULL)
        text_addf(query, "%c%s=%s", before, name, escaped);
    curl_free(escaped);
}

/* OAuth2 wants the scopes in one, the older way each for itself. */
char *token_url(const struct token *token, char **ret_form)
{
    const struct fetch_endpoint *endpoint = &token->host->endpoint;
    AUTO_CLEAR(text) struct text query = { 0 };
    auto_free char *scopes = strings_join(&token->scopes, " ");

    if (endpoint->identity_token != NULL) {
        text_add(&query, "grant_type=refresh_token");
        add_parameter(&query, '&', "service", token->service != NULL ? token->service : "");
        add_parameter(&query, '&', "client_id", "berth");
        add_parameter(&query, '&', "scope", scopes);
        add_parameter(&query, '&', "refresh_token", endpoint->identity_token);
        *ret_form = text_take(&query);
        return xstrdup(token->realm);
    }
    text_add(&query, token->realm);
    if (token->service != NULL)
        add_parameter(&query, strchr(query.data, '?') != NULL ? '&' : '?', "service",
                      token->service);
    for (size_t i = 0; i < token->scopes.count; i++)
        add_parameter(&query, strchr(query.data, '?') != NULL ? '&' : '?', "scope",
                      token->scopes.items[i]);
    if (endpoint->username != NULL)
        add_parameter(&query, strchr(query.data, '?') != NULL ? '&' : '?', "account",
                      endpoint->username);
    return text_take(&query);
}

int token_take(struct token *token, const char *json, size_t length, uint64_t now_ms,
               struct error *err)
{
    struct registry_token answer = { 0 };
    uint64_t seconds;
    char *value;
    int r;

    r = registry_token_decode(json, length, &answer, err);
    if (r < 0)
        return error_prefix(err, r, "the answer of %s", token->realm);
    value = take_ptr(text_is_empty(answer.token) ? &answer.access_token : &answer.token);
    seconds = answer.expires_in;
    registry_token_clear(&answer);
    if (text_is_empty(value) || strlen(value) > TOKEN_BYTES_MAX) {
        free(value);
        return error_set(err, EBADMSG, "the answer of %s has no token", token->realm);
    }
    if (seconds < EXPIRES_DEFAULT_S)
        seconds = EXPIRES_DEFAULT_S;
    if (seconds > EXPIRES_MAX_S)
        seconds = EXPIRES_MAX_S;
    free(token->value);
    token->value = value;
    token->expires_ms = now_ms + (seconds - EXPIRES_MARGIN_S) * 1000;
    return 0;
}

void token_free(struct token *token)
{
    free(token->realm);
    free(token->service);
    free(token->key);
    strings_clear(&token->scopes);
    free(token->value);
    free(token);
}
