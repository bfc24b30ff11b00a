//! Where Stripe delivers.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse, post};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::ingest::Received;
use crate::http::State;
use crate::http::extract::RawBody;
use crate::http::problem::Problem;

/// Largest delivery, in bytes.
const DELIVERY_MAX_BYTES: usize = 512 * 1024;
const SIGNATURE_HEADER: &str = "stripe-signature";

/// A delivery was stored.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"received": true, "duplicate": false}))]
pub struct DeliveryReceived {
    /// Always true.
    received: bool,
    /// Whether the same event was stored before.
    duplicate: bool,
}

/// Take a delivery of Stripe's
///
/// The signature is checked against every valid secret, ±300 s; the event is stored and applied, then
/// acknowledged; an event of something that is not this portal's is stored all the same. A hook that does not exist and a bad signature get the same answer.
#[utoipa::path(
    operation_id = "stripe_hook_receive",
    tag = "Hooks",
    params(
        ("hook" = String, Path, description = "The last segment of the registered address", max_length = 64),
        ("Stripe-Signature" = Option<String>, Header, nullable = false, description = "Stripe's signature over the body"),
    ),
    request_body(content = serde_json::Value, description = "An event of Stripe's, byte for byte as signed", content_type = "application/json"),
    responses(
        (status = 200, description = "Stored", body = DeliveryReceived),
        (status = 400, description = "Not signed by a secret of this hook"),
        (status = 413, description = "Larger than 512 KiB"),
    ),
)]
#[post("/v1/hooks/stripe/{hook}")]
pub(crate) async fn receive(
    state: Data<State>,
    hook: Path<String>,
    request: HttpRequest,
    body: RawBody<DELIVERY_MAX_BYTES>,
) -> Result<HttpResponse, Problem> {
    let signature = request
        .headers()
        .get(SIGNATURE_HEADER)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let received = state.app.receive_webhook(&hook, signature, body.0).await?;
    metrics::counter!(
        "stripe_deliveries_total",
        "outcome" => match received { Received::New => "new", Received::Duplicate => "duplicate" }
    )
    .increment(1);
    Ok(HttpResponse::Ok().json(DeliveryReceived {
        received: true,
        duplicate: received == Received::Duplicate,
    }))
}
