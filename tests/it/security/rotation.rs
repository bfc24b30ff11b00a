//! The master key is replaced while the service works: nobody notices.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use data_encoding::BASE64;
use portal_billing::app::App;
use portal_billing::app::key_rotation::Rotated;
use portal_billing::ids::Ids;
use portal_billing::secret::{KEY_BYTES, MasterKeys, wrapping_key_id};
use portal_billing::server;
use portal_billing::store::Store;
use portal_billing::store::portal_keys::{self, WrappedKey};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::database::{Database, on_both_databases};
use crate::support::service::Service;

on_both_databases!(
    rotation_under_load_fails_nothing,
    a_row_under_a_lost_key_stops_the_rotation_and_is_left_alone,
);

/// More than the rotation takes in one go.
const PORTALS: usize = 120;
/// Those of them that call Stripe.
const WITH_CREDENTIALS: usize = 6;
const NEW_KEY: [u8; KEY_BYTES] = [7; KEY_BYTES];

/// The keys of a service and the database they are wrapped in, seen from outside.
struct Watch {
    store: Store,
    both: MasterKeys,
}

impl Watch {
    /// Knows the service's current key as the old one, and [`NEW_KEY`].
    fn over(service: &Service) -> Self {
        let old = service.config.key_material().unwrap();
        Self {
            store: Store::new(service.database.settings()).unwrap(),
            both: MasterKeys::new(&NEW_KEY, [old.master.expose()]),
        }
    }

    async fn rows(&self) -> Vec<WrappedKey> {
        self.store
            .read(async |conn| portal_keys::not_under(conn, "of no key", 10_000).await)
            .await
            .unwrap()
    }

    /// How many rows are under the new key, each row having been opened.
    async fn rotated(&self) -> usize {
        let new = self.both.current_id();
        let rows = self.rows().await;
        let under_new = rows.iter().filter(|row| {
            self.both.unwrap(&row.wrapped, &row.portal_id).unwrap();
            let id = wrapping_key_id(&row.wrapped).unwrap();
            assert_eq!(
                row.master_key_id,
                id.to_string(),
                "the row says what is in it"
            );
            id == new
        });
        under_new.count()
    }
}

/// How many rows were wrapped anew.
fn rewrapped(rows: &[WrappedKey]) -> usize {
    let anew = rows.iter().filter(|row| row.rewrapped_at.is_some());
    anew.count()
}

/// From here on the service works with [`NEW_KEY`], and still knows the one before.
async fn change_master_key(service: &mut Service) {
    let old = service.config.key_material().unwrap();
    let old = BASE64.encode(old.master.expose());
    service.stop();
    service.config.keys.master_key = Some(BASE64.encode(&NEW_KEY).into());
    service.config.keys.previous_master_keys = vec![old.into()];
    service.run().await;
}

fn rotator(service: &Service) -> App {
    let ids = Ids::random(service.clock.clone());
    server::app(&service.config, &service.clock, &ids).unwrap()
}

/// What callers do meanwhile, until told to stop. Gives the number of requests, all of which went
/// well.
async fn load(service: &Service, lane: usize, stop: &AtomicBool, done: &AtomicUsize) {
    for round in 0.. {
        let configured = format!("p{}", (lane + round) % WITH_CREDENTIALS);
        let own = format!("p{}", PORTALS - 1 - lane);
        let new = format!("new-{lane}-{round}");
        let at = |portal: &str, path: &str| format!("/v1/portals/{portal}{path}");
        let module = "/modules/stripe";
        let verify = at(&configured, "/modules/stripe/credentials/verify");
        let title = json!({"title": format!("round {round}")});
        let requests = [
            (Method::GET, at(&configured, module), Value::Null),
            (Method::PUT, at(&own, ""), title.clone()),
            (Method::PUT, at(&new, ""), title),
            (Method::POST, verify, Value::Null),
            (
                Method::GET,
                at(&configured, "/modules/stripe/credentials"),
                Value::Null,
            ),
        ];
        for (method, path, body) in requests {
            let answer = service.call(method.clone(), &path, body).await;
            assert!(
                answer.status.is_success(),
                "{method} {path}: {}",
                answer.text
            );
            done.fetch_add(1, Ordering::SeqCst);
        }
        if stop.load(Ordering::SeqCst) {
            return;
        }
    }
}

/// Rotates until some rows are done, then drops everything where it stands.
async fn interrupted(app: &App, watch: &Watch) {
    let some = async {
        while watch.rotated().await < 10 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        () = some => {}
        outcome = app.rotate_master_key() => panic!("it ended before it was stopped: {outcome:?}"),
    }
}

async fn rotation_under_load_fails_nothing(engine: Database) {
    let mut service = Service::start(engine).await;
    for n in 0..PORTALS {
        let portal = format!("p{n}");
        if n < WITH_CREDENTIALS {
            service.configured_portal(&portal).await;
        } else {
            let body = json!({"title": portal});
            service
                .put(&format!("/v1/portals/{portal}"), body)
                .await
                .expect(201);
        }
    }
    let watch = Watch::over(&service);
    change_master_key(&mut service).await;
    assert_eq!(watch.rotated().await, 0);

    let (stop, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    let rotation = async {
        let (one, two) = (rotator(&service), rotator(&service));
        interrupted(&one, &watch).await;
        let half_way = watch.rotated().await;
        assert!((10..PORTALS).contains(&half_way), "{half_way}");
        let by_the_first = rewrapped(&watch.rows().await);
        let (one, two) = tokio::join!(one.rotate_master_key(), two.rotate_master_key());
        let (one, two) = (one.unwrap(), two.unwrap());
        // The row whose commit was under way when the first rotation was stopped may be in none of the three.
        let rewrapped = by_the_first + one.rewrapped + two.rewrapped;
        assert!(
            (PORTALS - 1..=PORTALS).contains(&rewrapped),
            "{by_the_first} {one:?} {two:?}"
        );
        // At least one more round of everything on what has been rotated.
        let seen = done.load(Ordering::SeqCst);
        while done.load(Ordering::SeqCst) < seen + 20 {
            tokio::task::yield_now().await;
        }
        stop.store(true, Ordering::SeqCst);
    };
    tokio::join!(
        rotation,
        load(&service, 0, &stop, &done),
        load(&service, 1, &stop, &done),
        load(&service, 2, &stop, &done),
    );

    let rows = watch.rows().await;
    assert_eq!(
        watch.rotated().await,
        rows.len(),
        "nothing is left under the old key"
    );
    assert!(rows.len() > PORTALS);
    // Portals made meanwhile are under the new key from the start.
    assert_eq!(rewrapped(&rows), PORTALS);
    let blobs: BTreeSet<_> = rows.iter().map(|row| &row.wrapped).collect();
    assert_eq!(blobs.len(), rows.len());
    assert_eq!(
        rotator(&service).rotate_master_key().await.unwrap(),
        Rotated::default()
    );

    service.stop();
    service.config.keys.previous_master_keys.clear();
    service.run().await;
    for n in 0..WITH_CREDENTIALS {
        let path = format!("/v1/portals/p{n}/modules/stripe/credentials/verify");
        let verified = service.post(&path, Value::Null).await.expect(200);
        assert_eq!(verified["verification"]["accepted"], true);
    }
}

async fn a_row_under_a_lost_key_stops_the_rotation_and_is_left_alone(engine: Database) {
    let mut service = Service::start(engine).await;
    service.configured_portal("acme").await;
    let watch = Watch::over(&service);
    let before = watch.rows().await;
    service.stop();
    service.config.keys.master_key = Some(BASE64.encode(&NEW_KEY).into());
    service.run().await;
    let refused = rotator(&service).rotate_master_key().await.unwrap_err();
    assert_eq!(refused.code().as_str(), "internal_error");
    let after = watch.rows().await;
    assert_eq!(after[0].wrapped, before[0].wrapped);
    let calls = service
        .simulator(Method::GET, "/requests", Value::Null)
        .await["counts"]
        .clone();
    service
        .post(
            "/v1/portals/acme/modules/stripe/credentials/verify",
            Value::Null,
        )
        .await
        .problem(500, "internal_error");
    let now = service
        .simulator(Method::GET, "/requests", Value::Null)
        .await["counts"]
        .clone();
    assert_eq!(now, calls, "without a key nobody is called");
}
