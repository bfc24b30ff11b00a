//! The accept loop: HTTP/1.1 on loopback, each connection in our hands.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::runtime::Runtime;

use crate::front::errors::StripeError;
use crate::front::{self, HttpRequest, HttpResponse};
use crate::webhooks::sender;
use crate::world::{World, lock};

/// Longest body that is read; larger ones get 413.
const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;
/// A client that sends its head more slowly than this is cut off.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// A client that sends its body more slowly than this is cut off.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a running clock looks for due work.
const TICK: Duration = Duration::from_millis(500);

/// Binds and starts serving on a run time of its own.
pub(crate) fn start(
    listen: SocketAddr,
    world: impl FnOnce(String) -> World,
) -> io::Result<(Runtime, Arc<World>, SocketAddr)> {
    let listener = TcpListener::bind(listen)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let world = Arc::new(world(format!("http://{address}")));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("stripe-simulator")
        .enable_all()
        .build()?;
    let listener = {
        let _guard = runtime.enter();
        tokio::net::TcpListener::from_std(listener)?
    };
    runtime.spawn(accept(listener, Arc::clone(&world)));
    runtime.spawn(tick(Arc::clone(&world)));
    runtime.spawn(sender::run(Arc::clone(&world)));
    Ok((runtime, world, address))
}

async fn accept(listener: tokio::net::TcpListener, world: Arc<World>) {
    loop {
        // Out of descriptors, or a client that went away: the next accept may do better.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let world = Arc::clone(&world);
        // Without this small answers wait for the client's delayed acknowledgement.
        let _ = stream.set_nodelay(true);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&world), request));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            // A client that breaks off is its own affair.
            let _ = connection.await;
        });
    }
}

/// Runs the due work of clocks that follow the wall.
async fn tick(world: Arc<World>) {
    let mut interval = tokio::time::interval(TICK);
    loop {
        interval.tick().await;
        for account in world.accounts() {
            lock(&account).run_due();
        }
    }
}

async fn answer(
    world: Arc<World>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let latency = world.settings.upstream_latency_ms;
    if latency > 0 {
        tokio::time::sleep(Duration::from_millis(latency)).await;
    }
    let response = match read(request).await {
        Ok(http) if http.path == IDLE_PATH => wait_until_idle(&world, &http).await,
        Ok(http) => front::handle(&world, &http),
        Err(error) => HttpResponse::json(error.http_status(), &error.body("")),
    };
    Ok(to_hyper(response))
}

/// The one admin call that waits: until no webhook is ready or being sent.
const IDLE_PATH: &str = "/_simulator/webhooks/idle";

async fn wait_until_idle(world: &World, http: &HttpRequest) -> HttpResponse {
    let asked = http
        .query
        .as_deref()
        .and_then(|query| query.strip_prefix("timeout_ms="));
    let timeout_ms = asked.and_then(|text| text.parse().ok()).unwrap_or(10_000);
    let is_idle = || {
        world
            .accounts()
            .iter()
            .all(|account| lock(account).outbox.is_idle())
    };
    let settle = async {
        loop {
            // Listening starts before looking, so that nothing falls between the two.
            let settled = world.settled.notified();
            if is_idle() {
                return;
            }
            settled.await;
        }
    };
    let idle = tokio::time::timeout(Duration::from_millis(timeout_ms), settle)
        .await
        .is_ok();
    HttpResponse::json(200, &serde_json::json!({ "idle": idle }))
}

async fn read(request: Request<Incoming>) -> Result<HttpRequest, StripeError> {
    let (head, body) = request.into_parts();
    let limited = Limited::new(body, MAX_BODY_BYTES).collect();
    let body = match tokio::time::timeout(BODY_TIMEOUT, limited).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return Err(StripeError::invalid(format!(
                "The request body is too large: at most {MAX_BODY_BYTES} bytes are accepted."
            ))
            .status(413));
        }
        Ok(Err(_)) => return Err(StripeError::invalid("The request body ended early.")),
        Err(_) => {
            return Err(StripeError::invalid("The request body came too slowly.").status(408));
        }
    };
    Ok(HttpRequest {
        method: head.method.as_str().to_owned(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().map(str::to_owned),
        headers: head.headers,
        body,
    })
}

fn to_hyper(response: HttpResponse) -> Response<Full<Bytes>> {
    let mut builder = Response::builder()
        .status(response.status)
        .header("Server", crate::SERVER_NAME)
        .header("Content-Type", response.content_type);
    for (name, value) in response.headers {
        builder = builder.header(name, value);
    }
    builder
        .body(Full::new(Bytes::from(response.body)))
        .unwrap_or_else(|_| {
            // A header that was echoed from the request cannot be sent back.
            let mut plain = Response::new(Full::new(Bytes::new()));
            *plain.status_mut() = hyper::StatusCode::BAD_REQUEST;
            plain
        })
}
