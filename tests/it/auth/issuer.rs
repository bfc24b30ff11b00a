//! An issuer's key set, served over real HTTP.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::{App, HttpResponse, HttpServer, web};
use portal_billing::http::auth::KeySource;
use serde_json::{Value, json};

/// What the issuer answers.
#[derive(Clone)]
pub(super) enum Answer {
    Body(u16, Vec<u8>),
    Redirect(String),
    Nothing,
}

pub(super) struct Issuer {
    state: Arc<State>,
    address: String,
    server: ServerHandle,
}

struct State {
    answer: Mutex<Answer>,
    hits: AtomicUsize,
}

impl Issuer {
    pub(super) fn serving(keys: &[Value]) -> Self {
        let issuer = Self::answering(Answer::Nothing);
        issuer.serve(keys);
        issuer
    }

    pub(super) fn answering(answer: Answer) -> Self {
        let state = Arc::new(State {
            answer: Mutex::new(answer),
            hits: AtomicUsize::new(0),
        });
        let shared = Arc::clone(&state);
        let app = move || {
            App::new()
                .app_data(web::Data::from(Arc::clone(&shared)))
                .default_service(web::to(respond))
        };
        let server = HttpServer::new(app)
            .workers(1)
            .disable_signals()
            .bind("127.0.0.1:0")
            .unwrap();
        let address = format!("http://{}/jwks", server.addrs()[0]);
        let server = server.run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        Self {
            state,
            address,
            server: handle,
        }
    }

    pub(super) fn serve(&self, keys: &[Value]) {
        self.answer(Answer::Body(
            200,
            json!({"keys": keys}).to_string().into_bytes(),
        ));
    }

    pub(super) fn answer(&self, answer: Answer) {
        *self.state.answer.lock().unwrap() = answer;
    }

    pub(super) fn hits(&self) -> usize {
        self.state.hits.load(Ordering::SeqCst)
    }

    pub(super) fn url(&self) -> String {
        self.address.clone()
    }

    pub(super) fn source(&self) -> KeySource {
        KeySource::Url(self.url())
    }

    /// Ends the server; afterwards its port refuses connections.
    pub(super) async fn stop(&self) {
        self.server.stop(false).await;
    }
}

async fn respond(state: web::Data<State>) -> HttpResponse {
    state.hits.fetch_add(1, Ordering::SeqCst);
    let answer = state.answer.lock().unwrap().clone();
    match answer {
        Answer::Body(status, body) => {
            HttpResponse::build(StatusCode::from_u16(status).unwrap()).body(body)
        }
        Answer::Redirect(to) => HttpResponse::Found().insert_header((LOCATION, to)).finish(),
        Answer::Nothing => std::future::pending().await,
    }
}
