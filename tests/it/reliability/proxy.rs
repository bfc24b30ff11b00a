//! A TCP proxy in front of PostgreSQL that reads the protocol and cuts a connection at a statement:
//! before the server has seen it, or after the server has carried it out and before its answer came.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// When the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// The server never sees the statement.
    Before,
    /// The server carries it out; its answer is lost.
    After,
}

#[derive(Default)]
struct Plan {
    /// What happens at which statement from now on, counted from 1.
    cut: Option<(When, u32)>,
    /// The statement it happened at.
    done: Option<String>,
    down: bool,
    open: Vec<TcpStream>,
}

/// The proxy; ends with its process.
pub(super) struct Proxy {
    plan: Arc<Mutex<Plan>>,
    port: u16,
}

impl Proxy {
    /// In front of the server of this URL.
    pub(super) fn start(url: &str) -> Self {
        let upstream = server_of(url).to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let plan = Arc::<Mutex<Plan>>::default();
        let shared = Arc::clone(&plan);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if shared.lock().unwrap().down {
                    continue;
                }
                let Ok(server) = TcpStream::connect(&upstream) else {
                    continue;
                };
                Connection::begin(&shared, client, server).unwrap();
            }
        });
        Self { plan, port }
    }

    /// The same database through the proxy.
    pub(super) fn url(&self, url: &str) -> String {
        url.replacen(server_of(url), &format!("127.0.0.1:{}", self.port), 1)
    }

    /// Cuts at the n-th statement from now on.
    pub(super) fn cut_at(&self, when: When, nth: u32) {
        let mut plan = self.plan.lock().unwrap();
        plan.cut = Some((when, nth));
        plan.done = None;
    }

    /// Ends the cutting; the statement that was cut off, if one was.
    pub(super) fn disarm(&self) -> Option<String> {
        let mut plan = self.plan.lock().unwrap();
        plan.cut = None;
        plan.done.take()
    }

    /// The database goes away: nothing is connected, nothing can connect.
    pub(super) fn down(&self) {
        let mut plan = self.plan.lock().unwrap();
        plan.down = true;
        for open in plan.open.drain(..) {
            // It may have ended by itself.
            let _ = open.shutdown(Shutdown::Both);
        }
    }

    /// It is back.
    pub(super) fn up(&self) {
        self.plan.lock().unwrap().down = false;
    }
}

/// `host:port` of a URL.
fn server_of(url: &str) -> &str {
    let (_, rest) = url.split_once('@').unwrap();
    rest.split_once('/').unwrap().0
}

/// What a statement is called in a failure.
fn text_of(kind: u8, body: &[u8]) -> String {
    let text: Vec<&[u8]> = body.split(|byte| *byte == 0).collect();
    match kind {
        b'Q' => String::from_utf8_lossy(text[0]).into_owned(),
        b'P' => format!("prepare {}", String::from_utf8_lossy(text[1])),
        _ => "execute".to_owned(),
    }
}

/// One message after the startup: its kind and its body without the length.
fn message(from: &mut TcpStream) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 5];
    from.read_exact(&mut head)?;
    let [kind, length @ ..] = head;
    Ok((kind, body(from, u32::from_be_bytes(length))?))
}

fn body(from: &mut TcpStream, length: u32) -> io::Result<Vec<u8>> {
    let mut body = vec![0; usize::try_from(length).unwrap() - 4];
    from.read_exact(&mut body)?;
    Ok(body)
}

fn whole(kind: Option<u8>, body: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> = kind.into_iter().collect();
    let length = u32::try_from(body.len() + 4).unwrap();
    bytes.extend(length.to_be_bytes());
    bytes.extend(body);
    bytes
}

struct Connection {
    plan: Arc<Mutex<Plan>>,
    /// Whether the server's answers are lost from now on.
    mute: AtomicBool,
}

impl Connection {
    fn begin(plan: &Arc<Mutex<Plan>>, client: TcpStream, server: TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let connection = Arc::new(Self {
            plan: Arc::clone(plan),
            mute: AtomicBool::new(false),
        });
        plan.lock().unwrap().open.push(client.try_clone()?);
        let backwards = Arc::clone(&connection);
        let (from, to) = (server.try_clone()?, client.try_clone()?);
        std::thread::spawn(move || backwards.answers(from, to));
        std::thread::spawn(move || connection.requests(client, server));
        Ok(())
    }

    fn requests(&self, mut client: TcpStream, mut server: TcpStream) {
        // Whichever side ends, both do.
        let _ = self.forward(&mut client, &mut server);
        if !self.mute.load(Ordering::SeqCst) {
            let _ = client.shutdown(Shutdown::Both);
            let _ = server.shutdown(Shutdown::Both);
        }
    }

    fn forward(&self, client: &mut TcpStream, server: &mut TcpStream) -> io::Result<()> {
        let mut length = [0; 4];
        client.read_exact(&mut length)?;
        let startup = body(client, u32::from_be_bytes(length))?;
        server.write_all(&whole(None, &startup))?;
        loop {
            let (kind, body) = message(client)?;
            match self.decide(kind, &body) {
                Some(When::Before) => return Ok(()),
                Some(When::After) => self.mute.store(true, Ordering::SeqCst),
                None => {}
            }
            server.write_all(&whole(Some(kind), &body))?;
        }
    }

    fn decide(&self, kind: u8, body: &[u8]) -> Option<When> {
        if !matches!(kind, b'Q' | b'P' | b'E') {
            return None;
        }
        let mut plan = self.plan.lock().unwrap();
        let (when, nth) = plan.cut?;
        if nth > 1 {
            plan.cut = Some((when, nth - 1));
            return None;
        }
        plan.cut = None;
        plan.done = Some(text_of(kind, body));
        Some(when)
    }

    fn answers(&self, mut server: TcpStream, mut client: TcpStream) {
        let _ = self.give_back(&mut server, &mut client);
        let _ = client.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Both);
    }

    fn give_back(&self, server: &mut TcpStream, client: &mut TcpStream) -> io::Result<()> {
        loop {
            let (kind, body) = message(server)?;
            if !self.mute.load(Ordering::SeqCst) {
                client.write_all(&whole(Some(kind), &body))?;
            } else if kind == b'Z' {
                // The server is ready for the next: it has done the last.
                return Ok(());
            }
        }
    }
}
