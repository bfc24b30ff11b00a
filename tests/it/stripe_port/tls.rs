//! Whom the port talks to over TLS.

use std::sync::Arc;

use portal_billing::stripe::Outcome;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;

use super::{client, secret_key};

/// A TLS server whose certificate names this machine rightly and is signed by nobody.
fn self_signed() -> TlsAcceptor {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![cert.der().clone()],
            signing_key.serialize_der().try_into().unwrap(),
        )
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_never_sees_a_key() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("https://{}", listener.local_addr().unwrap());
    let acceptor = self_signed();
    let server = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut received = Vec::new();
        match acceptor.accept(stream).await {
            // In TLS 1.3 the server may be done before the client has looked at the certificate.
            Ok(mut stream) => {
                let _ = stream.read_to_end(&mut received).await;
                received
            }
            Err(_) => received,
        }
    };
    let client = client(&base_url);
    let key = secret_key();
    let (result, received) = tokio::join!(client.account(&key), server);
    let error = result.unwrap_err();
    assert_eq!(
        (error.outcome(), error.status()),
        (Outcome::Unavailable, None)
    );
    assert!(
        error.log_text().contains("certificate"),
        "{}",
        error.log_text()
    );
    assert!(received.is_empty());
}
