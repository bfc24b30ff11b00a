//! Delivers signed events to a running service as fast as it takes them, or at a given rate, or sends it
//! any other request, and prints what came of it as one line of JSON. `benches/run.sh` runs it.
//!
//! It speaks HTTP/1.1 by hand over kept connections, because on a small machine a client library takes
//! more of the processor than the service it measures.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::float_arithmetic,
    reason = "a measuring tool: it stops when anything is wrong, and prints numbers"
)]

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A request of the API; `@N@` in it is the number of a subscription.
struct Call {
    path: String,
    token: String,
    /// A POST with a key of its own; without it a GET.
    body: Option<String>,
}

/// What is to be sent.
struct Plan {
    address: String,
    /// Instead of events.
    call: Option<Call>,
    hook: String,
    key: hmac::Key,
    /// An event with `@EVENT@`, `@CREATED@`, `@SUBSCRIPTION@` and `@CUSTOMER@` in it.
    template: String,
    /// Subscriptions there are: `sub_bench_0` and so on.
    subscriptions: usize,
    events: usize,
    connections: usize,
    /// Copies of each event, sent one after the other.
    copies: usize,
    /// Events a second; 0 for as many as there can be.
    rate: usize,
    /// In the events' ids and times, so that runs do not meet.
    run: usize,
    /// Unix seconds of signatures.
    now: u64,
}

fn argument(name: &str) -> Option<String> {
    let mut arguments = std::env::args();
    arguments.find(|argument| argument == name)?;
    arguments.next()
}

fn number(name: &str, otherwise: usize) -> usize {
    argument(name).map_or(otherwise, |text| text.parse().unwrap())
}

impl Plan {
    fn request(&self, number: usize) -> Vec<u8> {
        match &self.call {
            Some(call) => self.call(call, number),
            None => self.event(number),
        }
    }

    fn call(&self, call: &Call, number: usize) -> Vec<u8> {
        // Far apart, so that neighbours do not share a page of the database.
        let subscription = (number * 7919 % self.subscriptions).to_string();
        let path = call.path.replace("@N@", &subscription);
        let (address, token, run) = (&self.address, &call.token, self.run);
        let rest =
            format!("{path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n");
        let Some(body) = &call.body else {
            return format!("GET {rest}\r\n").into_bytes();
        };
        let body = body.replace("@N@", &subscription);
        format!(
            "POST {rest}Content-Type: application/json\r\nIdempotency-Key: bench-{run}-{number}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len(),
        )
        .into_bytes()
    }

    fn event(&self, event: usize) -> Vec<u8> {
        let subscription = event % self.subscriptions;
        let created = usize::try_from(self.now).unwrap()
            + self.run * 100_000
            + event / self.subscriptions
            + 1;
        let status = ["past_due", "active"][(event / self.subscriptions + self.run) % 2];
        let body = self
            .template
            .replace("@EVENT@", &format!("evt_bench_{}_{event}", self.run))
            .replace("@CREATED@", &created.to_string())
            .replace("@STATUS@", status)
            .replace("@SUBSCRIPTION@", &format!("sub_bench_{subscription}"))
            .replace("@CUSTOMER@", &format!("cus_bench_{subscription}"));
        let mut context = hmac::Context::with_key(&self.key);
        context.update(self.now.to_string().as_bytes());
        context.update(b".");
        context.update(body.as_bytes());
        let mut request = String::new();
        write!(
            request,
            "POST /v1/hooks/stripe/{} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Stripe-Signature: t={},v1={}\r\nContent-Length: {}\r\n\r\n{body}",
            self.hook,
            self.address,
            self.now,
            HEXLOWER.encode(context.sign().as_ref()),
            body.len(),
        )
        .unwrap();
        request.into_bytes()
    }
}

/// Reads one answer; gives its status.
async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> u16 {
    buffer.clear();
    loop {
        assert!(
            stream.read_buf(buffer).await.unwrap() > 0,
            "the connection was closed"
        );
        let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let head = std::str::from_utf8(&buffer[..end])
            .unwrap()
            .to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.trim().parse().unwrap());
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        while buffer.len() < end + 4 + length {
            assert!(
                stream.read_buf(buffer).await.unwrap() > 0,
                "the answer broke off"
            );
        }
        return status;
    }
}

async fn send(
    plan: Arc<Plan>,
    next: Arc<AtomicUsize>,
    begun: Instant,
    requests: Arc<Vec<Vec<u8>>>,
) -> (Vec<u64>, usize) {
    let mut stream = TcpStream::connect(&plan.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut times, mut failed, mut buffer) = (Vec::new(), 0, Vec::new());
    loop {
        let event = next.fetch_add(1, Ordering::Relaxed);
        let Some(request) = requests.get(event) else {
            return (times, failed);
        };
        let mut from = Instant::now();
        if plan.rate > 0 {
            let due = begun + Duration::from_secs_f64(event as f64 / plan.rate as f64);
            // Asleep, because the rate that is asked for is one of the wall's time.
            tokio::time::sleep_until(due.into()).await;
            // From when it was to be sent: who is held up waits as well.
            from = due;
        }
        for _ in 0..plan.copies {
            stream.write_all(request).await.unwrap();
            if !matches!(answer(&mut stream, &mut buffer).await, 200 | 201) {
                failed += 1;
            }
        }
        times.push(u64::try_from(from.elapsed().as_micros()).unwrap());
    }
}

#[tokio::main]
async fn main() {
    // `cargo bench` and `cargo test` run this without arguments, to see that it is there.
    let Some(address) = argument("--address") else {
        return;
    };
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let plan = Arc::new(Plan {
        address,
        call: argument("--path").map(|path| Call {
            path,
            token: argument("--token").unwrap_or_default(),
            body: argument("--body"),
        }),
        hook: argument("--hook").unwrap(),
        key: hmac::Key::new(hmac::HMAC_SHA256, argument("--secret").unwrap().as_bytes()),
        template: std::fs::read_to_string(argument("--template").unwrap()).unwrap(),
        subscriptions: number("--subscriptions", 10_000),
        events: number("--events", 20_000),
        connections: number("--connections", 64),
        copies: number("--copies", 1),
        rate: number("--rate", 0),
        run: number("--run", 0),
        now,
    });
    // Signed before the time is taken: that is Stripe's work.
    let requests: Arc<Vec<Vec<u8>>> =
        Arc::new((0..plan.events).map(|event| plan.request(event)).collect());
    let next = Arc::new(AtomicUsize::new(0));
    let begun = Instant::now();
    let mut senders = Vec::new();
    for _ in 0..plan.connections {
        let sender = send(
            Arc::clone(&plan),
            Arc::clone(&next),
            begun,
            Arc::clone(&requests),
        );
        senders.push(sender);
    }
    let results = futures_util::future::join_all(senders).await;
    let seconds = begun.elapsed().as_secs_f64();
    let failed: usize = results.iter().map(|(_, failed)| failed).sum();
    let mut times: Vec<u64> = results.into_iter().flat_map(|(times, _)| times).collect();
    times.sort_unstable();
    let at = |permille: usize| times[(times.len() - 1) * permille / 1000] as f64 / 1000.0;
    println!(
        "{{\"events\": {}, \"requests\": {}, \"failed\": {failed}, \"seconds\": {seconds:.3}, \
         \"per_second\": {:.0}, \"p50_ms\": {:.2}, \"p99_ms\": {:.2}, \"body_bytes\": {}}}",
        times.len(),
        times.len() * plan.copies,
        (times.len() * plan.copies) as f64 / seconds,
        at(500),
        at(990),
        requests[0].len(),
    );
}
