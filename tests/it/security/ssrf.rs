//! S6: addresses that must not be called, in every spelling, as webhook endpoints. None of them leads
//! to a connection: not when the URL is stored, and not when something is sent to one that is stored
//! all the same.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use portal_billing::clock::Timestamp;
use portal_billing::deliver::{Courier, CourierSettings, Lookup, Parcel, SigningKeys, Target};
use portal_billing::domain::delivery::Reason;
use portal_billing::store::Store;
use reqwest::Method;
use serde_json::json;

use crate::reliability::score::Score;
use crate::support::database::{Database, on_both_databases};
use crate::support::receiver::{Reaction, Receiver};
use crate::support::service::Service;

on_both_databases!(a_forbidden_url_that_is_stored_all_the_same_is_not_called);

/// Each is refused for what it is, whichever way it is written.
const FORBIDDEN: [[u8; 4]; 22] = [
    [0, 0, 0, 0],
    [0, 1, 2, 3],
    [10, 0, 0, 1],
    [10, 255, 255, 254],
    [100, 64, 0, 1],
    [100, 100, 100, 200],
    [127, 0, 0, 1],
    [127, 255, 255, 254],
    [168, 63, 129, 16],
    [169, 254, 169, 254],
    [169, 254, 170, 2],
    [172, 16, 0, 1],
    [172, 31, 255, 254],
    [192, 0, 0, 192],
    [192, 0, 2, 1],
    [192, 88, 99, 1],
    [192, 168, 0, 1],
    [192, 168, 255, 254],
    [198, 18, 0, 1],
    [203, 0, 113, 1],
    [224, 0, 0, 1],
    [255, 255, 255, 255],
];

/// One IPv4 address in the spellings that some parser or other takes, IPv6 that embeds it among them.
fn spellings([a, b, c, d]: [u8; 4]) -> Vec<String> {
    let number = u32::from_be_bytes([a, b, c, d]);
    let (high, low) = (number >> 16, number & 0xffff);
    let wide = |digits: String| -> String {
        let digit = |c: char| c.to_digit(10).and_then(|n| char::from_u32(0xff10 + n));
        digits.chars().map(|c| digit(c).unwrap_or(c)).collect()
    };
    vec![
        format!("{a}.{b}.{c}.{d}"),
        format!("{a}.{b}.{c}.{d}."),
        format!("{number}"),
        format!("0x{number:x}"),
        format!("0X{number:08X}"),
        format!("0{number:o}"),
        format!("0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}"),
        format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
        format!("{a}.{}", number & 0x00ff_ffff),
        format!("{a}.{b}.{low}"),
        format!("0x{a:x}.{b}.0{low:o}"),
        wide(format!("{a}.{b}.{c}.{d}")),
        format!("{a}。{b}。{c}。{d}"),
        format!(
            "%{:02x}{}.{b}.{c}.{d}",
            a.to_string().as_bytes()[0],
            &a.to_string()[1..]
        ),
        format!("[::ffff:{a}.{b}.{c}.{d}]"),
        format!("[::ffff:{high:x}:{low:x}]"),
        format!("[0:0:0:0:0:FFFF:{high:X}:{low:X}]"),
        format!("[::{a}.{b}.{c}.{d}]"),
        format!("[::ffff:0:{high:x}:{low:x}]"),
        format!("[64:ff9b::{a}.{b}.{c}.{d}]"),
        format!("[64:ff9b:1::{high:x}:{low:x}]"),
        format!("[2002:{high:x}:{low:x}::1]"),
        format!("[2001:0:{high:x}:{low:x}::1]"),
        format!("[2606:4700::5efe:{high:x}:{low:x}]"),
        format!("[2606:4700::200:5efe:{high:x}:{low:x}]"),
    ]
}

/// Hosts that are forbidden by themselves.
const HOSTS: [&str; 28] = [
    "localhost",
    "LOCALHOST",
    "localhost.",
    "a.localhost",
    "metadata",
    "metadata.google.internal",
    "metadata.google.internal.",
    "printer.local",
    "router.home.arpa",
    "hidden.onion",
    "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ",
    "loc\u{ad}alhost",
    "[::]",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[0000:0000:0000:0000:0000:0000:0000:0001]",
    "[fd00:ec2::254]",
    "[fc00::1]",
    "[fe80::1]",
    "[fe80::a9fe:a9fe]",
    "[fec0::1]",
    "[ff02::1]",
    "[100::1]",
    "[2001:db8::1]",
    "[2001:20::1]",
    "[3fff::1]",
    "[5f00::1]",
    "[4000::1]",
];

/// URLs of a host around which nothing is as it should be.
fn shapes(port: u16) -> Vec<String> {
    vec![
        format!("https://1.1.1.1@127.0.0.1:{port}/"),
        format!("https://acme.example:x@127.0.0.1:{port}/"),
        format!("https://127.0.0.1:{port}@acme.example/"),
        format!("https://@127.0.0.1:{port}/"),
        format!("https://127.0.0.1:{port}\\@acme.example/"),
        format!("https://acme.example\\@127.0.0.1:{port}/"),
        format!("https:\\\\127.0.0.1:{port}/"),
        format!("https:127.0.0.1:{port}/"),
        format!("https:/127.0.0.1:{port}/"),
        format!("https:///127.0.0.1:{port}/"),
        format!("https://127.0.0.1:{port}#.acme.example/"),
        format!("https://127.0.0.1:{port}?.acme.example/"),
        format!("https://127.0.0.1:{port} .acme.example/"),
        format!("https://127.0\n.0.1:{port}/"),
        format!("https://127.0\t.0.1:{port}/"),
        format!(" https://127.0.0.1:{port}/"),
        format!("\u{0}https://127.0.0.1:{port}/"),
        format!("//127.0.0.1:{port}/"),
        format!("127.0.0.1:{port}/"),
        format!("http://127.0.0.1:{port}/"),
        format!("http://acme.example:{port}/"),
        format!("ftp://127.0.0.1:{port}/"),
        format!("gopher://127.0.0.1:{port}/_x"),
        format!("ws://127.0.0.1:{port}/"),
        format!("unix:///tmp/{port}.sock"),
        "file:///etc/passwd".to_owned(),
        "data:text/plain,x".to_owned(),
        "javascript:alert(1)".to_owned(),
        "https://".to_owned(),
        String::new(),
        "https://acme.example:22/".to_owned(),
        "https://acme.example:25/".to_owned(),
        "https://acme.example:80/".to_owned(),
        "https://acme.example:0/".to_owned(),
        "https://acme.example:65536/".to_owned(),
        "https://[::1/".to_owned(),
        format!("https://[::1%25lo]:{port}/"),
        format!("https://[127.0.0.1]:{port}/"),
    ]
}

fn corpus(port: u16) -> Vec<String> {
    let spelled = FORBIDDEN.into_iter().flat_map(spellings);
    let hosts = spelled.chain(HOSTS.map(str::to_owned));
    let urls = hosts.map(|host| format!("https://{host}:{port}/hooks"));
    urls.chain(shapes(port)).collect()
}

#[test]
fn the_corpus_is_large_and_every_url_in_it_is_refused() {
    let corpus = corpus(4000);
    assert!(corpus.len() >= 600, "{}", corpus.len());
    for url in &corpus {
        assert!(Target::parse(url, false).is_err(), "{url:?}");
    }
    // What is allowed for development opens nothing but this machine.
    let opened: Vec<_> = corpus
        .iter()
        .filter_map(|url| Target::parse(url, true).ok())
        .collect();
    assert!(!opened.is_empty());
    for target in opened {
        let url = reqwest::Url::parse(target.as_str()).unwrap();
        let host = url.host_str().unwrap().trim_matches(['[', ']']);
        let loopback = host.parse::<IpAddr>().is_ok_and(|it| it.is_loopback());
        assert!(loopback || host == "localhost", "{url}");
    }
}

async fn a_forbidden_url_that_is_stored_all_the_same_is_not_called(engine: Database) {
    let service = Service::start_with(engine, &[("deliveries.poll_ms", "10")]).await;
    let receiver = Receiver::start().await;
    let portal = "/v1/portals/acme";
    let endpoints = format!("{portal}/webhook-endpoints");
    service
        .put(portal, json!({"title": "Acme"}))
        .await
        .expect(201);
    let corpus = corpus(receiver.port());
    let mut score = Score::new("S6", engine);
    for url in &corpus {
        let body = json!({"url": url, "events": ["*"]});
        let refused = service.post(&endpoints, body).await;
        if refused.status.as_u16() != 422 {
            score.violation(format!("{url:?}: {}", refused.text));
        }
        score.count(1);
    }
    // As if a rule had been missing when they were stored: one of each kind, past all checks.
    let stored: Vec<&String> = corpus.iter().step_by(corpus.len() / 15).take(16).collect();
    for url in &stored {
        let body = json!({"url": "https://acme.example/", "events": ["webhook_endpoint.updated"]});
        let made = service.post(&endpoints, body).await.expect(201);
        let id = made["endpoint"]["id"].as_str().unwrap();
        overwrite(&service, id, url).await;
    }
    let list = service.get(&endpoints).await.json();
    for made in list["data"].as_array().unwrap() {
        // Each change is an event for all of them.
        let path = format!("{endpoints}/{}", made["id"].as_str().unwrap());
        service
            .call(Method::PATCH, &path, json!({"description": "x"}))
            .await
            .expect(200);
    }
    let list = service.get(&endpoints).await.json();
    for made in list["data"].as_array().unwrap() {
        let path = format!("{endpoints}/{}/deliveries", made["id"].as_str().unwrap());
        let mut log = json!(null);
        for _ in 0..20_000 {
            log = service.get(&path).await.json();
            let all = log["data"].as_array().unwrap();
            if !all.is_empty() && all.iter().all(|it| it["attempts"] == 1) {
                break;
            }
        }
        for delivery in log["data"].as_array().unwrap() {
            assert_eq!(delivery["reason"], "address_refused", "{made} {delivery}");
        }
    }
    assert_eq!(receiver.connections(), 0);
    score.close(250);
}

/// Writes a URL past all checks.
async fn overwrite(service: &Service, id: &str, url: &str) {
    let store = Store::new(service.database.settings()).unwrap();
    let portal = portal_billing::domain::slug::Slug::parse("acme").unwrap();
    store
        .write(async |conn| {
            use portal_billing::store::endpoints;
            let mut endpoint = endpoints::find(conn, &portal, id).await?.unwrap();
            let before = endpoint.version;
            url.clone_into(&mut endpoint.url);
            assert!(endpoints::update(conn, &endpoint, before).await?);
            Ok(())
        })
        .await
        .unwrap();
}

/// A name server that answers as it is told.
fn answering(addresses: Vec<IpAddr>) -> Lookup {
    Arc::new(move |_| {
        let addresses = addresses.clone();
        Box::pin(async move { Ok(addresses) })
    })
}

fn parcel(courier: &Courier, url: &str) -> Parcel {
    Parcel {
        target: courier.target(url).unwrap(),
        id: "fact_1".to_owned(),
        now: Timestamp::from_seconds(1_800_000_000),
        body: "{}".to_owned(),
        keys: vec![SigningKeys::generate().unwrap()],
    }
}

#[tokio::test]
async fn a_name_that_means_this_network_is_not_called() {
    let receiver = Receiver::start().await;
    let url = format!("https://rebinding.example:{}/", receiver.port());
    for allow_loopback in [false, true] {
        let settings = CourierSettings {
            timeout: Duration::from_secs(5),
            allow_loopback,
        };
        for address in FORBIDDEN.map(IpAddr::from).into_iter().chain(
            [
                "::1",
                "::ffff:127.0.0.1",
                "fd00:ec2::254",
                "fe80::1",
                "64:ff9b::7f00:1",
            ]
            .map(|text| text.parse().unwrap()),
        ) {
            let courier = Courier::with_lookup(settings, answering(vec![address])).unwrap();
            let outcome = courier.send(parcel(&courier, &url)).await;
            assert_eq!(outcome, Err(Reason::AddressRefused), "{address}");
        }
    }
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn a_name_is_judged_anew_at_each_connect() {
    use std::sync::atomic::{AtomicUsize, Ordering};

    // It closes each connection, so that each attempt needs one of its own.
    let receiver = Receiver::deciding(|_| Reaction::Reset).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    // What may be called the first time, and what may not from then on.
    let lookup: Lookup = Arc::new(move |_| {
        let first = count.fetch_add(1, Ordering::SeqCst) == 0;
        let address: IpAddr = if first { [127, 0, 0, 1] } else { [10, 0, 0, 1] }.into();
        Box::pin(async move { Ok(vec![address]) })
    });
    let settings = CourierSettings {
        timeout: Duration::from_secs(5),
        allow_loopback: true,
    };
    let courier = Courier::with_lookup(settings, lookup).unwrap();
    let url = format!("http://localhost:{}/", receiver.port());
    let first = courier.send(parcel(&courier, &url)).await;
    assert_eq!(first, Err(Reason::Interrupted));
    let second = courier.send(parcel(&courier, &url)).await;
    assert_eq!(second, Err(Reason::AddressRefused));
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn only_what_may_be_called_of_a_names_addresses_is_called() {
    let receiver = Receiver::start().await;
    let addresses = ["127.0.0.1", "10.0.0.1"].map(|text| text.parse().unwrap());
    let settings = CourierSettings {
        timeout: Duration::from_secs(5),
        allow_loopback: true,
    };
    let courier = Courier::with_lookup(settings, answering(addresses.to_vec())).unwrap();
    // The one name that may mean this machine, in development.
    let url = format!("http://localhost:{}/", receiver.port());
    let reply = courier.send(parcel(&courier, &url)).await.unwrap();
    assert_eq!(reply.status, 200);
    assert_eq!(receiver.connections(), 1);
}
