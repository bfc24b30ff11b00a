//! A server that plays Stripe at its worst: every connection and every byte is the test's to
//! decide. For Stripe as it should be, use the simulator. Every request that arrives is held
//! against the request contract, and a violation fails the test when the server is dropped.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use super::contract;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What the server does with one request.
#[derive(Clone, Debug)]
pub(crate) enum Reaction {
    /// Answers and keeps the connection.
    Answer(Vec<u8>),
    /// Writes these bytes and closes.
    Close(Vec<u8>),
    /// Closes with a reset, nothing written.
    Reset,
    /// Never answers.
    Hang,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) connection: usize,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    /// By lower-case name.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Recorded {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The parameters, decoded, in the order of their names.
    pub(crate) fn parameters(&self) -> Vec<(String, String)> {
        let text = if self.body.is_empty() {
            &self.query
        } else {
            &self.body
        };
        let mut all: Vec<_> = text
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                (decoded(name), decoded(value))
            })
            .collect();
        all.sort();
        all
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                let digits = std::str::from_utf8(&digits).unwrap();
                bytes.push(u8::from_str_radix(digits, 16).unwrap());
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).unwrap()
}

type Decide = dyn Fn(&Recorded) -> Reaction + Send + Sync;

struct Shared {
    decide: Box<Decide>,
    recorded: Mutex<Vec<Recorded>>,
}

/// A running fake; stops when dropped.
pub(crate) struct FakeStripe {
    base_url: String,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

impl Drop for FakeStripe {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        for sent in self.recorded() {
            let violations = contract::violations(&sent.method, &sent.path, &sent.parameters());
            assert!(violations.is_empty(), "{sent:?}: {violations:?}");
        }
    }
}

impl FakeStripe {
    /// Decides by the request.
    pub(crate) async fn start(
        decide: impl Fn(&Recorded) -> Reaction + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            decide: Box::new(decide),
            recorded: Mutex::new(Vec::new()),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared)));
        Self {
            base_url,
            shared,
            _tasks: tasks,
        }
    }

    /// Reacts to one request after the other so, then hangs.
    pub(crate) async fn scripted(reactions: Vec<Reaction>) -> Self {
        let left = Mutex::new(VecDeque::from(reactions));
        Self::start(move |_| left.lock().unwrap().pop_front().unwrap_or(Reaction::Hang)).await
    }

    pub(crate) fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Everything that arrived so far.
    pub(crate) fn recorded(&self) -> Vec<Recorded> {
        self.shared.recorded.lock().unwrap().clone()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    for connection in 0.. {
        let (stream, _) = listener.accept().await.unwrap();
        connections.spawn(serve(stream, connection, Arc::clone(&shared)));
    }
}

async fn serve(mut stream: TcpStream, connection: usize, shared: Arc<Shared>) {
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut stream, connection, &mut buffer).await {
        let reaction = (shared.decide)(&request);
        shared.recorded.lock().unwrap().push(request);
        match reaction {
            Reaction::Answer(bytes) => {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Reaction::Close(bytes) => {
                // A client that has gone is none of this server's business.
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
                return;
            }
            Reaction::Reset => {
                stream.set_zero_linger().unwrap();
                return;
            }
            Reaction::Hang => std::future::pending().await,
        }
    }
}

async fn read_request(
    stream: &mut TcpStream,
    connection: usize,
    buffer: &mut Vec<u8>,
) -> Option<Recorded> {
    let head_end = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(buffer[..head_end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap().split(' ');
    let method = first.next().unwrap().to_owned();
    let target = first.next().unwrap();
    // A proxy is sent the whole URL.
    let origin_form = target
        .strip_prefix("http://")
        .and_then(|rest| rest.find('/').map(|slash| &rest[slash..]))
        .unwrap_or(target);
    let (path, query) = origin_form.split_once('?').unwrap_or((origin_form, ""));
    let headers: BTreeMap<String, String> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers
        .get("content-length")
        .map_or(0, |length| length.parse().unwrap());
    let end = head_end + 4 + length;
    while buffer.len() < end {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let body = String::from_utf8(buffer[head_end + 4..end].to_vec()).unwrap();
    let recorded = Recorded {
        connection,
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body,
    };
    buffer.drain(..end);
    Some(recorded)
}

/// An answer as Stripe's front sends it, with further header lines.
pub(crate) fn answer_with(status: u16, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in [
        ("Content-Type", "application/json"),
        ("Request-Id", "req_fake"),
    ]
    .iter()
    .chain(headers)
    {
        text.push_str(name);
        text.push_str(": ");
        text.push_str(value);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    text.push_str(body);
    text.into_bytes()
}

/// An answer as Stripe's front sends it.
pub(crate) fn answer(status: u16, body: &str) -> Vec<u8> {
    answer_with(status, &[], body)
}
