//! An address that stays while the server behind it changes: what Stripe delivers to, and what it
//! finds there is whoever lives now.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// The address; ends with its process.
pub(super) struct Front {
    port: u16,
    target: Arc<Mutex<Option<String>>>,
}

impl Front {
    /// One behind which nobody is yet.
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let target = Arc::<Mutex<Option<String>>>::default();
        let shared = Arc::clone(&target);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let to = shared.lock().unwrap().clone();
                // Whoever is dead by now takes nothing, and the caller is told so by the end of its
                // connection.
                if let Some(server) = to.and_then(|to| TcpStream::connect(to).ok()) {
                    join(client, server).unwrap();
                }
            }
        });
        Self { port, target }
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// New connections go to the server of this URL.
    pub(super) fn leads_to(&self, base_url: &str) {
        let address = base_url.strip_prefix("http://").unwrap();
        *self.target.lock().unwrap() = Some(address.to_owned());
    }
}

/// Each side's bytes to the other, until one of them ends.
fn join(client: TcpStream, server: TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let back = (server.try_clone()?, client.try_clone()?);
    for (mut from, mut to) in [(client, server), back] {
        std::thread::spawn(move || {
            let _ended = io::copy(&mut from, &mut to);
            // It may have ended by itself.
            let _ = to.shutdown(Shutdown::Both);
            let _ = from.shutdown(Shutdown::Both);
        });
    }
    Ok(())
}
