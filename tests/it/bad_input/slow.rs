//! Requests that never end, and the end of the service with a request under way.

use std::time::Duration;

use reqwest::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::database::{Database, on_both_databases};
use crate::support::service::Service;

on_both_databases!(
    what_never_arrives_is_given_up,
    a_request_under_way_is_finished
);

/// Longer than any of the service's own time-outs here, so that a test fails rather than hangs.
const PATIENCE: Duration = Duration::from_secs(20);

async fn connect(service: &Service) -> TcpStream {
    let address = service.base_url.strip_prefix("http://").unwrap();
    TcpStream::connect(address).await.unwrap()
}

/// Everything until the other side closes.
async fn rest(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let closed = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    assert!(
        closed.is_ok(),
        "still open after {}",
        String::from_utf8_lossy(&answer)
    );
    closed.unwrap().unwrap();
    String::from_utf8(answer).unwrap()
}

async fn what_never_arrives_is_given_up(engine: Database) {
    let settings = [
        ("server.read_timeout_seconds", "1"),
        ("server.workers", "1"),
    ];
    let service = Service::start_with(engine, &settings).await;
    let bearer = service.bearer();
    // Many that hold on do not keep the others out.
    let mut heads = Vec::new();
    for _ in 0..50 {
        let mut stream = connect(&service).await;
        stream
            .write_all(b"GET /v1/portals HTTP/1.1\r\nHost: x\r\nX-A: ")
            .await
            .unwrap();
        heads.push(stream);
    }
    let mut body = connect(&service).await;
    let head = format!(
        "PUT /v1/portals/acme HTTP/1.1\r\nHost: x\r\nAuthorization: {bearer}\r\n\
         Content-Type: application/json\r\nContent-Length: 20\r\n\r\n{{\"title\""
    );
    body.write_all(head.as_bytes()).await.unwrap();
    let mut hook = connect(&service).await;
    let head =
        "POST /v1/hooks/stripe/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n";
    hook.write_all(head.as_bytes()).await.unwrap();
    // Refused at once, with a body that goes on: the connection is not kept for it.
    let mut refused = connect(&service).await;
    let head = "PUT /v1/portals/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n";
    refused.write_all(head.as_bytes()).await.unwrap();
    let answer = rest(refused).await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert_eq!(service.get("/healthz").await.status, StatusCode::OK);
    for stream in heads {
        let answer = rest(stream).await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
    for stream in [body, hook] {
        let answer = rest(stream).await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(answer.contains("\"code\":\"request_timeout\""), "{answer}");
    }
    service
        .get("/v1/portals/acme")
        .await
        .problem(404, "not_found");
}

async fn a_request_under_way_is_finished(engine: Database) {
    let mut service = Service::start(engine).await;
    let bearer = service.bearer();
    let address = service.base_url.strip_prefix("http://").unwrap().to_owned();
    let mut stream = connect(&service).await;
    let body = r#"{"title":"To the end"}"#;
    let head = format!(
        "PUT /v1/portals/acme HTTP/1.1\r\nHost: x\r\nAuthorization: {bearer}\r\nExpect: 100-continue\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // The service asks for the body: the request is under way.
    let mut asked = [0; 25];
    stream.read_exact(&mut asked).await.unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    let stopping = std::thread::spawn(move || {
        service.stop();
        service
    });
    // Nobody is let in any more, and then the body comes.
    while TcpStream::connect(&address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    stream.write_all(body.as_bytes()).await.unwrap();
    let answer = rest(stream).await;
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    let mut service = stopping.join().unwrap();
    service.run().await;
    let portal = service.get("/v1/portals/acme").await.expect(200);
    assert_eq!(portal["title"], "To the end");
}
