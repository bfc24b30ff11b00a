//! How fast the simulator is: `cargo bench -p stripe-simulator`.
//!
//! Starts the real binary, drives it over keep-alive connections and prints start
//! time, requests a second with 1,000 and with 100,000 customers, and memory. It
//! fails when a figure misses what the simulator promises. The clients share the
//! machine's cores with it, so the true figures are higher.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const CONNECTIONS: usize = 8;
const KEY: &str = "sk_test_simulator";
const MEASURE: Duration = Duration::from_secs(1);
const ROUNDS: usize = 4;
/// How many different customers are asked for. The same at both sizes: what is compared is the work
/// of finding an object among few or many, not how much memory the processor caches.
const ASKED_FOR: usize = 1_000;

/// What must hold on two cores.
const MIN_GETS_PER_SECOND: u128 = 5_000;
const MIN_POSTS_PER_SECOND: u128 = 2_000;
const MAX_START: Duration = Duration::from_millis(50);
const MAX_SLOWDOWN_PERCENT: u128 = 150;

struct Server {
    child: Child,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        // Ending the benchmark: a child that is gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts the binary and waits for its first answer; also says how long that took.
    fn start() -> Result<(Self, Duration)> {
        let begun = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_stripe-simulator"))
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        let address = line
            .split_whitespace()
            .find_map(|word| word.strip_prefix("http://"))
            .ok_or_else(|| format!("no address in {line:?}"))?
            .to_owned();
        let server = Self { child, address };
        Connection::open(&server.address)?.send(&get("/v1/customers?limit=1"))?;
        Ok((server, begun.elapsed()))
    }

    /// Resident memory in KiB, where the system tells.
    fn resident_kib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    }

    /// Makes `count` customers; answers the ids of [`ASKED_FOR`] of them, evenly spread.
    fn fill(&self, count: usize) -> Result<Vec<String>> {
        let share = count / CONNECTIONS;
        let ids = self.each_connection(move |connection, index| {
            let mut ids = Vec::new();
            for number in 0..share {
                let answer = connection.send(&post(index, number))?;
                if number % (count / ASKED_FOR) == 0 {
                    ids.push(id_of(&answer)?);
                }
            }
            Ok(ids)
        })?;
        Ok(ids.into_iter().flatten().collect())
    }

    /// Runs `work` on every connection at once.
    fn each_connection<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Connection, usize) -> Result<T> + Clone + Send + 'static,
    ) -> Result<Vec<T>> {
        let threads: Vec<_> = (0..CONNECTIONS)
            .map(|index| {
                let (address, work) = (self.address.clone(), work.clone());
                thread::spawn(move || work(&mut Connection::open(&address)?, index))
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| "a client panicked")?)
            .collect()
    }

    /// Requests a second over [`MEASURE`], and the processor nanoseconds that one takes.
    fn rate(
        &self,
        request: impl Fn(usize, usize) -> String + Clone + Send + 'static,
    ) -> Result<(u128, u128)> {
        let cpu_before = self.cpu_ns()?;
        let begun = Instant::now();
        let counts = self.each_connection(move |connection, index| {
            let mut count: u128 = 0;
            let mut number = 0;
            while begun.elapsed() < MEASURE {
                connection.send(&request(index, number))?;
                number += 1;
                count += 1;
            }
            Ok(count)
        })?;
        let rate = counts.iter().sum::<u128>() * 1000 / begun.elapsed().as_millis().max(1);
        let cpu = self.cpu_ns()? - cpu_before;
        Ok((rate, cpu / counts.iter().sum::<u128>().max(1)))
    }

    /// The processor time that the simulator has used, in nanoseconds. Unlike a rate it does not
    /// depend on what else the machine is doing.
    fn cpu_ns(&self) -> Result<u128> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name in parentheses may hold anything; user and system time are the 12th and 13th
        // fields behind it, in ticks of 10 ms.
        let (_, rest) = stat.rsplit_once(')').ok_or("no process name")?;
        let mut ticks = 0;
        for field in rest.split_whitespace().skip(11).take(2) {
            ticks += field.parse::<u128>()?;
        }
        Ok(ticks * 10_000_000)
    }
}

struct Connection {
    stream: BufReader<TcpStream>,
    body: Vec<u8>,
}

impl Connection {
    fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
            body: Vec::new(),
        })
    }

    /// Sends one request; answers the body, or an error if the status is not 200.
    fn send(&mut self, request: &str) -> Result<String> {
        self.stream.get_mut().write_all(request.as_bytes())?;
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let fine = line.contains(" 200 ");
        let status = line.clone();
        let mut length = 0;
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            if line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse()?;
            }
        }
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body)?;
        let body = String::from_utf8_lossy(&self.body).into_owned();
        if fine {
            Ok(body)
        } else {
            Err(format!("{status}{body}").into())
        }
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n\r\n")
}

fn post(connection: usize, number: usize) -> String {
    let body = format!(
        "name=Customer+{number}&email=c{connection}.{number}%40example.com&metadata[n]={number}"
    );
    format!(
        "POST /v1/customers HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn id_of(answer: &str) -> Result<String> {
    let start = answer.find("\"cus_").ok_or("no customer id")? + 1;
    let rest = answer.get(start..).ok_or("no customer id")?;
    Ok(rest.split('"').next().unwrap_or_default().to_owned())
}

/// GETs and POSTs a second, and the processor time that one takes in nanoseconds.
#[derive(Clone, Copy)]
struct Rates {
    gets: u128,
    posts: u128,
    get_cpu_ns: u128,
    post_cpu_ns: u128,
}

impl Rates {
    fn of(server: &Server, ids: &[String]) -> Result<Self> {
        let ids = ids.to_vec();
        let one = move |connection: usize, number: usize| {
            let index = (number * CONNECTIONS + connection) % ids.len();
            get(&format!(
                "/v1/customers/{}",
                ids.get(index).map_or("", String::as_str)
            ))
        };
        // The first round empties the request log of the POSTs before it.
        server.rate(one.clone())?;
        let (gets, get_cpu_ns) = server.rate(one)?;
        let (posts, post_cpu_ns) = server.rate(post)?;
        Ok(Self {
            gets,
            posts,
            get_cpu_ns,
            post_cpu_ns,
        })
    }

    fn best(self, other: Self) -> Self {
        Self {
            gets: self.gets.max(other.gets),
            posts: self.posts.max(other.posts),
            get_cpu_ns: self.get_cpu_ns.min(other.get_cpu_ns),
            post_cpu_ns: self.post_cpu_ns.min(other.post_cpu_ns),
        }
    }
}

/// The best rates with 1,000 and with 100,000 customers. They are measured in turns, so that
/// whatever else the machine does falls on both alike.
fn both() -> Result<(Rates, Rates)> {
    let (large, large_ids) = filled(100_000)?;
    let mut best: Option<(Rates, Rates)> = None;
    for _ in 0..ROUNDS {
        // A fresh one each time: the POSTs fill it up.
        let (small, small_ids) = filled(1_000)?;
        let few = Rates::of(&small, &small_ids)?;
        drop(small);
        let many = Rates::of(&large, &large_ids)?;
        let old = best.unwrap_or((few, many));
        best = Some((old.0.best(few), old.1.best(many)));
    }
    best.ok_or_else(|| "no rounds".into())
}

fn filled(count: usize) -> Result<(Server, Vec<String>)> {
    let (server, _) = Server::start()?;
    let ids = server.fill(count)?;
    let memory = server.resident_kib().map_or(0, |kib| kib / 1024);
    println!("{count} customers made: {memory} MiB resident");
    Ok((server, ids))
}

fn main() -> Result<()> {
    let mut start = Duration::MAX;
    for _ in 0..5 {
        let (server, took) = Server::start()?;
        start = start.min(took);
        let memory = server.resident_kib().map_or(0, |kib| kib / 1024);
        println!("start to first answer: {took:?}, {memory} MiB resident");
    }
    let (few, many) = both()?;
    for (name, rates) in [("  1,000", few), ("100,000", many)] {
        let Rates {
            gets,
            posts,
            get_cpu_ns,
            post_cpu_ns,
        } = rates;
        println!(
            "{name} customers: {gets} GET/s ({} us of processor time each), {posts} POST/s ({} us)",
            get_cpu_ns / 1000,
            post_cpu_ns / 1000
        );
    }
    let percent = |few: u128, many: u128| many * 100 / few.max(1);
    let gets = percent(few.get_cpu_ns, many.get_cpu_ns);
    let posts = percent(few.post_cpu_ns, many.post_cpu_ns);
    println!("processor time with 100,000 against 1,000: GET {gets} %, POST {posts} %");
    let slowdown = gets.max(posts);

    let promises = [
        ("GET rate", many.gets >= MIN_GETS_PER_SECOND),
        ("POST rate", many.posts >= MIN_POSTS_PER_SECOND),
        ("start", start <= MAX_START),
        ("slowdown", slowdown <= MAX_SLOWDOWN_PERCENT),
    ];
    let missed: Vec<&str> = promises
        .iter()
        .filter(|(_, kept)| !kept)
        .map(|(name, _)| *name)
        .collect();
    if missed.is_empty() {
        Ok(())
    } else {
        Err(format!("missed: {missed:?}").into())
    }
}
