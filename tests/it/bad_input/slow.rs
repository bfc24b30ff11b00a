//! The end of the service with a request under way.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::database::{Database, on_both_databases};
use crate::support::service::Service;

on_both_databases!(a_request_under_way_is_finished);

async fn connect(service: &Service) -> TcpStream {
    let address = service.base_url.strip_prefix("http://").unwrap();
    TcpStream::connect(address).await.unwrap()
}

/// Everything until the other side closes.
async fn rest(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
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
