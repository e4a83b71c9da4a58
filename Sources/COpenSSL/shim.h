#pragma once
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdint.h>
#include <sys/socket.h>

// A BIO over a socket that neither waits nor raises SIGPIPE; OpenSSL's own uses read(2) and write(2). It does
// not own the descriptor.

static inline int apusfs_tls_descriptor(BIO *bio) { return (int)(intptr_t)BIO_get_data(bio); }

static inline int apusfs_tls_bio_write(BIO *bio, const char *bytes, int count) {
    BIO_clear_retry_flags(bio);
    ssize_t sent = send(apusfs_tls_descriptor(bio), bytes, (size_t)count, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_write(bio);
    return (int)sent;
}

static inline int apusfs_tls_bio_read(BIO *bio, char *bytes, int count) {
    BIO_clear_retry_flags(bio);
    ssize_t received = recv(apusfs_tls_descriptor(bio), bytes, (size_t)count, MSG_DONTWAIT);
    if (received < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_read(bio);
    return (int)received;
}

static inline long apusfs_tls_bio_control(BIO *bio, int command, long number, void *pointer) {
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

// NULL when there is no memory.
static inline BIO_METHOD *apusfs_tls_bio_method(void) {
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket without waits");
    if (method == NULL) return NULL;
    BIO_meth_set_write(method, apusfs_tls_bio_write);
    BIO_meth_set_read(method, apusfs_tls_bio_read);
    BIO_meth_set_ctrl(method, apusfs_tls_bio_control);
    return method;
}

// 1, or 0 when there is no memory.
static inline int apusfs_tls_attach(SSL *ssl, BIO_METHOD *method, int descriptor) {
    BIO *bio = BIO_new(method);
    if (bio == NULL) return 0;
    BIO_set_data(bio, (void *)(intptr_t)descriptor);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    return 1;
}

// TLS 1.2 or newer; a write says how much of it was taken, and may be repeated from another place in memory.
static inline int apusfs_tls_prepare(SSL_CTX *context) {
    SSL_CTX_set_mode(
        context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_read_ahead(context, 1);
    return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1;
}

static inline int apusfs_tls_name_server(SSL *ssl, const char *name) {
    return SSL_set_tlsext_host_name(ssl, name) == 1;
}

static inline int apusfs_tls_last_reason(void) { return ERR_GET_REASON(ERR_peek_last_error()); }
