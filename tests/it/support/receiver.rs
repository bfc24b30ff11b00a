//! A webhook receiver on loopback: the test decides on each request, and waits for what arrives.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use data_encoding::BASE64;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Longest wait for something to arrive on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// What the receiver does with one request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reaction {
    /// Answers with this status.
    Status(u16),
    /// Answers with this status and a header.
    Header(u16, &'static str, &'static str),
    /// Answers 200 after so many milliseconds.
    Slowly(u64),
    /// Answers 200 and sends more of a body than anybody wants.
    Flood,
    /// Closes with nothing written.
    Reset,
    /// Never answers.
    Hang,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// By lower-case name.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) path: String,
    pub(crate) body: String,
}

impl Received {
    pub(crate) fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn subject(&self) -> String {
        self.json()["subject"].as_str().unwrap().to_owned()
    }

    pub(crate) fn sequence(&self) -> i64 {
        self.json()["sequence"].as_i64().unwrap()
    }

    fn content(&self) -> String {
        let timestamp = &self.headers["webhook-timestamp"];
        format!("{}.{timestamp}.{}", self.id(), self.body)
    }

    /// The signatures of one version, as bytes.
    pub(crate) fn signatures(&self, version: &str) -> Vec<Vec<u8>> {
        self.headers["webhook-signature"]
            .split(' ')
            .filter_map(|signature| signature.strip_prefix(&format!("{version},")))
            .map(|signature| BASE64.decode(signature.as_bytes()).unwrap())
            .collect()
    }

    /// Whether one of its `v1` signatures is by this secret (`whsec_…`).
    pub(crate) fn is_signed_by(&self, secret: &str) -> bool {
        let secret = BASE64
            .decode(secret.strip_prefix("whsec_").unwrap().as_bytes())
            .unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        self.signatures("v1")
            .iter()
            .any(|tag| hmac::verify(&key, self.content().as_bytes(), tag).is_ok())
    }

    /// Whether one of its `v1a` signatures verifies under this key (`whpk_…`).
    pub(crate) fn verifies_under(&self, key: &str) -> bool {
        let key = BASE64
            .decode(key.strip_prefix("whpk_").unwrap().as_bytes())
            .unwrap();
        let key = UnparsedPublicKey::new(&ED25519, key);
        self.signatures("v1a")
            .iter()
            .any(|signature| key.verify(self.content().as_bytes(), signature).is_ok())
    }
}

type Decide = dyn Fn(&Received) -> Reaction + Send + Sync;

struct Shared {
    decide: Mutex<Arc<Decide>>,
    received: Mutex<Vec<Received>>,
    count: watch::Sender<usize>,
    connections: Mutex<usize>,
}

/// A running receiver; stops when dropped.
pub(crate) struct Receiver {
    address: std::net::SocketAddr,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

impl Receiver {
    /// Takes everything.
    pub(crate) async fn start() -> Self {
        Self::deciding(|_| Reaction::Status(200)).await
    }

    /// Decides by the request.
    pub(crate) async fn deciding(
        decide: impl Fn(&Received) -> Reaction + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            decide: Mutex::new(Arc::new(decide)),
            received: Mutex::default(),
            count: watch::Sender::new(0),
            connections: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared)));
        Self {
            address,
            shared,
            _tasks: tasks,
        }
    }

    /// Decides otherwise from now on.
    pub(crate) fn decide(&self, decide: impl Fn(&Received) -> Reaction + Send + Sync + 'static) {
        *self.shared.decide.lock().unwrap() = Arc::new(decide);
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hooks", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Everything that has arrived.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// How many requests have arrived.
    pub(crate) fn received_count(&self) -> usize {
        *self.shared.count.borrow()
    }

    /// Connections that were made to it.
    pub(crate) fn connections(&self) -> usize {
        *self.shared.connections.lock().unwrap()
    }

    /// Waits until what has arrived satisfies `enough`.
    pub(crate) async fn until(&self, enough: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        let mut count = self.shared.count.subscribe();
        let arrived = async {
            loop {
                count.borrow_and_update();
                let received = self.received();
                if enough(&received) {
                    return received;
                }
                count.changed().await.unwrap();
            }
        };
        let Ok(received) = tokio::time::timeout(PATIENCE, arrived).await else {
            let ids: Vec<_> = self.received().iter().map(|it| it.body.clone()).collect();
            panic!(
                "{} requests did not come to what was waited for: {ids:#?}",
                ids.len()
            );
        };
        received
    }

    /// Waits for so many requests.
    pub(crate) async fn count(&self, wanted: usize) -> Vec<Received> {
        self.until(|received| received.len() >= wanted).await
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        *shared.connections.lock().unwrap() += 1;
        connections.spawn(serve(stream, Arc::clone(&shared)));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    let mut rest = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut rest).await {
        let decide = Arc::clone(&shared.decide.lock().unwrap());
        let reaction = decide(&request);
        {
            let mut received = shared.received.lock().unwrap();
            received.push(request);
            shared.count.send_replace(received.len());
        }
        let answer = match reaction {
            Reaction::Status(status) => answer(status, ""),
            Reaction::Header(status, name, value) => {
                answer(status, &format!("{name}: {value}\r\n"))
            }
            Reaction::Slowly(millis) => {
                // A receiver that does something with what it gets.
                tokio::time::sleep(Duration::from_millis(millis)).await;
                answer(200, "")
            }
            Reaction::Flood => {
                let head = "HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n";
                if stream.write_all(head.as_bytes()).await.is_err() {
                    return;
                }
                // Until nobody reads any more.
                while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
                return;
            }
            Reaction::Reset => return,
            Reaction::Hang => std::future::pending().await,
        };
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn answer(status: u16, headers: &str) -> String {
    let length = if status == 204 {
        ""
    } else {
        "content-length: 0\r\n"
    };
    format!("HTTP/1.1 {status} Status\r\n{headers}{length}\r\n")
}

/// The next request of a connection; `None` when there are no more.
async fn read_request(stream: &mut TcpStream, rest: &mut Vec<u8>) -> Option<Received> {
    loop {
        if let Some(end) = rest.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(rest[..end].to_vec()).unwrap();
            let (path, headers) = parse(&head);
            let length: usize = headers["content-length"].parse().unwrap();
            if rest.len() >= end + 4 + length {
                let body = rest[end + 4..end + 4 + length].to_vec();
                rest.drain(..end + 4 + length);
                let body = String::from_utf8(body).unwrap();
                return Some(Received {
                    headers,
                    path,
                    body,
                });
            }
        }
        let mut chunk = [0; 8192];
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => rest.extend_from_slice(&chunk[..count]),
        }
    }
}

fn parse(head: &str) -> (String, BTreeMap<String, String>) {
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap();
    assert!(first.starts_with("POST "), "{first}");
    let path = first.split(' ').nth(1).unwrap().to_owned();
    let headers = lines
        .map(|line| line.split_once(':').unwrap())
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    (path, headers)
}
