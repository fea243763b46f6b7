#include "common/http/http.h"

#include <stdlib.h>
#include <string.h>

struct http_str http_str(const char *s)
{
    return (struct http_str){s, s != NULL ? strlen(s) : 0};
}

/* Both without a branch on each byte, so that the compiler takes many at once. */
bool http_text_valid(struct http_str s)
{
    unsigned char bad = 0;

    for (size_t i = 0; i < s.len; i++) {
        char c = s.at[i];

        bad = (unsigned char)(bad | (c == '\r') | (c == '\n') | (c == '\0'));
    }
    return bad == 0;
}

bool http_word_valid(struct http_str s)
{
    unsigned char bad = 0;

    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.at[i];

        bad = (unsigned char)(bad | (c <= ' ') | (c == 0x7f));
    }
    return s.len > 0 && bad == 0;
}

char *http_str_dup(struct http_str s)
{
    char *copy = malloc(s.len + 1);

    if (copy != NULL) {
        if (s.len > 0) {
            memcpy(copy, s.at, s.len);
        }
        copy[s.len] = '\0';
    }
    return copy;
}

const struct http_header *http_headers_find(struct http_headers h, const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < h.n; i++) {
        if (h.list[i].name.len == len && strncasecmp(h.list[i].name.at, name, len) == 0) {
            return &h.list[i];
        }
    }
    return NULL;
}

/* Is name one of the comma-separated tokens? */
static bool token_listed(struct http_str list, struct http_str name)
{
    size_t i = 0;

    while (i < list.len) {
        size_t end;

        while (i < list.len &&
               (list.at[i] == ' ' || list.at[i] == ',' || list.at[i] == '\t')) {
            i++;
        }
        end = i;
        while (end < list.len && list.at[end] != ',' && list.at[end] != ' ' &&
               list.at[end] != '\t') {
            end++;
        }
        if (end > i && end - i == name.len &&
            strncasecmp(list.at + i, name.at, name.len) == 0) {
            return true;
        }
        i = end;
    }
    return false;
}

bool http_header_is_hop(struct http_str name, struct http_str connection)
{
    static const struct http_str hop[] = {
        HTTP_STR("Connection"),       HTTP_STR("Keep-Alive"),
        HTTP_STR("Proxy-Connection"), HTTP_STR("TE"),
        HTTP_STR("Trailer"),          HTTP_STR("Upgrade"),
        HTTP_STR("Expect"),           HTTP_STR("Transfer-Encoding"),
        HTTP_STR("Content-Length"),
    };

    for (size_t i = 0; i < sizeof(hop) / sizeof(hop[0]); i++) {
        if (name.len == hop[i].len && strncasecmp(name.at, hop[i].at, name.len) == 0) {
            return true;
        }
    }
    if (name.len >= 6 && strncasecmp(name.at, "Proxy-", 6) == 0) {
        return true;
    }
    return connection.len > 0 && token_listed(connection, name);
}

const char *http_status_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } table[] = {
        {100, "Continue"},
        {101, "Switching Protocols"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {203, "Non-Authoritative Information"},
        {204, "No Content"},
        {205, "Reset Content"},
        {206, "Partial Content"},
        {207, "Multi-Status"},
        {300, "Multiple Choices"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {402, "Payment Required"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"},
        {418, "I'm a teapot"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {425, "Too Early"},
        {426, "Upgrade Required"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {451, "Unavailable For Legal Reasons"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
        {511, "Network Authentication Required"},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (table[i].status == status) {
            return table[i].reason;
        }
    }
    return "";
}
