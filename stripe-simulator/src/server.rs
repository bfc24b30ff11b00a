//! The accept loop: HTTP/1.1 on loopback, each connection in our hands.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::runtime::Runtime;

use crate::faults::{Call, Fault, FaultKind};
use crate::front::errors::StripeError;
use crate::front::idempotency;
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
        // Out of descriptors, or a client that went away: the next accept may do better, a little
        // later, since without a pause it would fail as fast as it can loop.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let world = Arc::clone(&world);
        // Without this small answers wait for the client's delayed acknowledgement.
        let _ = stream.set_nodelay(true);
        tokio::spawn(serve(world, stream));
    }
}

async fn serve(world: Arc<World>, stream: tokio::net::TcpStream) {
    // A second handle on the socket, with which a fault can make its end a reset.
    let Ok((stream, handle)) = split(stream) else {
        return;
    };
    let handle = Arc::new(handle);
    let service = service_fn(move |request| {
        let (world, handle) = (Arc::clone(&world), Arc::clone(&handle));
        async move {
            let answer = answer(&world, request).await;
            if matches!(answer, Err(Cut::Reset)) {
                // If the option cannot be set the connection still ends, only more politely.
                let _ = SockRef::from(&*handle).set_linger(Some(Duration::ZERO));
            }
            answer
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    // A client that breaks off is its own affair.
    let _ = connection.await;
}

fn split(
    stream: tokio::net::TcpStream,
) -> io::Result<(tokio::net::TcpStream, std::net::TcpStream)> {
    let stream = stream.into_std()?;
    let handle = stream.try_clone()?;
    Ok((tokio::net::TcpStream::from_std(stream)?, handle))
}

/// The connection ends without a whole answer.
#[derive(Debug)]
enum Cut {
    Reset,
    MidBody,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reset => "a fault resets the connection",
            Self::MidBody => "a fault cuts the body",
        })
    }
}

impl std::error::Error for Cut {}

/// A body that may end before its announced length.
struct Body {
    data: Option<Bytes>,
    cut: bool,
    flushed: bool,
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if let Some(data) = self.data.take() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if self.cut && !self.flushed {
            // The pause lets what there is be sent before the error ends the connection.
            self.flushed = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.cut.then_some(Err(Cut::MidBody)))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && !self.cut
    }

    fn size_hint(&self) -> SizeHint {
        let length = self.data.as_ref().map_or(0, Bytes::len);
        if self.cut {
            SizeHint::new()
        } else {
            SizeHint::with_exact(u64::try_from(length).unwrap_or(0))
        }
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

async fn answer(world: &World, request: Request<Incoming>) -> Result<Response<Body>, Cut> {
    let mut http = match read(request).await {
        Ok(http) => http,
        Err(error) => {
            return Ok(to_hyper(early(world, &error), false));
        }
    };
    if http.path == IDLE_PATH {
        return Ok(to_hyper(wait_until_idle(world, &http).await, false));
    }
    if !http.path.starts_with("/v1/") && !http.path.starts_with("/v2/") {
        return Ok(to_hyper(front::handle(world, &http), false));
    }
    http.fault = lock(&world.faults).choose(&Call {
        method: &http.method,
        path: &http.path,
        query: http.query.as_deref().unwrap_or_default(),
        body: &http.body,
    });
    let authorization = http.header("authorization").unwrap_or_default();
    // Held until the answer is on its way: a second request with the key meanwhile is 409.
    let key = http
        .header("idempotency-key")
        .filter(|_| http.method == "POST");
    let claim = key.map(|key| world.claim(authorization, key).ok_or(key));
    if let Some(Err(key)) = claim {
        let error = idempotency::in_flight(key);
        return Ok(to_hyper(early(world, &error), false));
    }
    pause(world.settings.upstream_latency_ms).await;
    disturbed(world, &http).await
}

/// The answer to a request that never reaches the front.
fn early(world: &World, error: &StripeError) -> HttpResponse {
    let mut response = HttpResponse::json(error.http_status(), &error.body(""));
    response.headers.extend(error.headers().iter().cloned());
    response
        .headers
        .push(("Request-Id", world.next_request_id()));
    response
        .headers
        .push(("Stripe-Version", crate::API_VERSION.to_owned()));
    response
}

/// The stated latency, and a fault's delay: real time on purpose, since the client's own time-outs are
/// what they are there to try.
async fn pause(milliseconds: u64) {
    if milliseconds > 0 {
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    }
}

/// Answers a request with the faults of transport that are asked for; the front has the others.
async fn disturbed(world: &World, http: &HttpRequest) -> Result<Response<Body>, Cut> {
    let Some(fault) = &http.fault else {
        return Ok(to_hyper(front::handle(world, http), false));
    };
    match fault.kind {
        FaultKind::ResetBefore => return Err(Cut::Reset),
        FaultKind::BadGatewayBefore => return Ok(to_hyper(bad_gateway(fault), false)),
        FaultKind::NotFoundPlain => {
            return Ok(to_hyper(
                HttpResponse::json(404, &serde_json::json!({})),
                false,
            ));
        }
        FaultKind::SlowBefore => pause(fault.delay_ms).await,
        _ => {}
    }
    let mut response = front::handle(world, http);
    match fault.kind {
        FaultKind::ResetAfter => return Err(Cut::Reset),
        FaultKind::BadGatewayAfter => return Ok(to_hyper(bad_gateway(fault), false)),
        FaultKind::TruncatedBody => return Ok(to_hyper(response, true)),
        FaultKind::SlowAfter => pause(fault.delay_ms).await,
        FaultKind::NotJson => {
            response.content_type = "text/html";
            response.body = b"<html><body>We'll be right back.</body></html>".to_vec();
        }
        _ => {}
    }
    Ok(to_hyper(response, false))
}

/// What something in front of Stripe says; it knows nothing of Stripe's envelope.
fn bad_gateway(fault: &Fault) -> HttpResponse {
    HttpResponse {
        status: fault.status.unwrap_or(502),
        content_type: "text/html",
        headers: Vec::new(),
        body: b"<html><head><title>502 Bad Gateway</title></head><body></body></html>".to_vec(),
    }
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
        fault: None,
    })
}

fn to_hyper(response: HttpResponse, cut: bool) -> Response<Body> {
    let length = response.body.len();
    let mut builder = Response::builder()
        .status(response.status)
        .header("Server", crate::SERVER_NAME)
        .header("Content-Type", response.content_type)
        .header("Content-Length", length);
    for (name, value) in response.headers {
        builder = builder.header(name, value);
    }
    let mut data = Bytes::from(response.body);
    if cut {
        data.truncate(length / 2);
    }
    builder
        .body(Body {
            data: Some(data),
            cut,
            flushed: false,
        })
        .unwrap_or_else(|_| {
            // A header that was echoed from the request cannot be sent back.
            let mut plain = Response::new(Body {
                data: None,
                cut: false,
                flushed: false,
            });
            *plain.status_mut() = hyper::StatusCode::BAD_REQUEST;
            plain
        })
}
