//! A webhook receiver for tests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

/// What came in one request.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) signature: String,
    pub(crate) text: String,
    pub(crate) body: Value,
}

/// Listens on a free port and answers with the statuses given, then with 200.
pub(crate) struct Receiver {
    pub(crate) url: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Receiver {
    pub(crate) fn start(statuses: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let received = Arc::new(Mutex::new(Vec::new()));
        let statuses: Arc<Mutex<Vec<u16>>> =
            Arc::new(Mutex::new(statuses.iter().rev().copied().collect()));
        let log = Arc::clone(&received);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (log, statuses) = (Arc::clone(&log), Arc::clone(&statuses));
                thread::spawn(move || serve(&stream.unwrap(), &log, &statuses));
            }
        });
        Self { url, received }
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// The types of the events that came, in order.
    pub(crate) fn kinds(&self) -> Vec<String> {
        let kind = |r: Received| r.body["type"].as_str().unwrap_or_default().to_owned();
        self.received().into_iter().map(kind).collect()
    }
}

fn serve(stream: &TcpStream, log: &Mutex<Vec<Received>>, statuses: &Mutex<Vec<u16>>) {
    let mut reader = BufReader::new(stream);
    while let Some(received) = read(&mut reader) {
        log.lock().unwrap().push(received);
        let status = statuses.lock().unwrap().pop().unwrap_or(200);
        let answer = format!("HTTP/1.1 {status} Status\r\ncontent-length: 0\r\n\r\n");
        let mut writer = stream;
        writer.write_all(answer.as_bytes()).unwrap();
    }
}

fn read(reader: &mut BufReader<&TcpStream>) -> Option<Received> {
    let mut length = 0;
    let mut signature = String::new();
    let mut line = String::new();
    let mut first = true;
    loop {
        line.clear();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let header = line.trim_end();
        if header.is_empty() {
            if first {
                continue;
            }
            break;
        }
        first = false;
        let (name, value) = header.split_once(": ").unwrap_or((header, ""));
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap(),
            "stripe-signature" => value.clone_into(&mut signature),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let text = String::from_utf8(body).unwrap();
    Some(Received {
        signature,
        body: serde_json::from_str(&text).unwrap(),
        text,
    })
}
